"""Questions to a server of the zone itself, and what only such a server can say: AA, referrals, signatures."""

from __future__ import annotations

import struct
import time
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode

from exporter.mail.dns import Question, Referral, Signature, Status
from exporter.net.dns import wire
from tests.support.hostile import response
from tests.support.messages import LONG, raw, rr

AA, RA = dns.flags.AA, dns.flags.RA
NS = ["example.com. 300 IN NS ns1.example.com.", "example.com. 300 IN NS ns2.example.net."]
RRSIG = "example.com. 300 IN RRSIG {} 13 2 300 {} {} 4711 example.com. c2ln"


def said(name: str, rdtype: str, *records: str, **how: object) -> wire.Decoded:
    query = wire.iterative_query(Question(name, rdtype))
    message = response(b"\0\1" + query.tail, *records, **{"clear": RA, **how})  # type: ignore[arg-type]  # passed on
    return wire.decode(message, query)


def test_it_asks_without_recursion_and_with_dnssec() -> None:
    asked = dns.message.from_wire(b"\0\1" + wire.iterative_query(Question("example.com", "SOA")).tail)
    assert not asked.flags & (dns.flags.RD | dns.flags.AD | dns.flags.CD)
    assert asked.ednsflags & dns.flags.DO
    assert asked.payload == wire.PAYLOAD


def test_an_authoritative_answer_is_told_from_hearsay() -> None:
    soa = "example.com. 300 IN SOA ns1.example.com. h.example.com. 7 3600 600 86400 300"
    assert said("example.com", "SOA", soa, flags=AA).authoritative
    assert not said("example.com", "SOA", soa, flags=RA, clear=0).authoritative
    assert said("example.com", "MX", authority=[soa], flags=AA).status is Status.NODATA


def test_a_referral_names_the_zone_its_servers_and_their_glue() -> None:
    query = wire.iterative_query(Question("www.example.com", "NS"))
    message = dns.message.from_wire(response(b"\0\1" + query.tail, authority=NS, clear=RA))
    for owner, rdtype, data in (
        ("ns1.example.com.", "A", "192.0.2.53"),
        ("ns1.example.com.", "AAAA", "2001:db8::53"),
        ("elsewhere.example.", "A", "203.0.113.66"),
    ):
        message.additional.append(dns.rrset.from_text(owner, 300, "IN", rdtype, data))
    reply = wire.decode(message.to_wire(), query)
    assert reply.status is Status.REFUSED
    assert not reply.authoritative
    assert reply.referral is not None
    assert reply.referral.zone == "example.com"
    assert set(reply.referral.nameservers) == {"ns1.example.com", "ns2.example.net"}
    assert set(reply.referral.glue) == {
        ("ns1.example.com", ip_address("192.0.2.53")),
        ("ns1.example.com", ip_address("2001:db8::53")),
    }


def test_an_upward_referral_is_one_to_the_root() -> None:
    reply = said("example.com", "SOA", authority=[". 300 IN NS a.root-servers.net."])
    assert reply.referral == Referral(".", ("a.root-servers.net",))


def test_ns_records_beside_an_answer_refer_nobody() -> None:
    assert said("example.com", "MX", "example.com. 300 IN MX 1 a.example.", authority=NS, flags=AA).referral is None
    assert said("example.com", "MX", "example.com. 300 IN MX 1 a.example.", authority=NS).referral is None
    assert said("example.com", "MX", authority=NS, flags=AA).referral is None


def test_of_several_signatures_the_one_counts_that_lasts_longest() -> None:
    reply = said(
        "example.com",
        "MX",
        "example.com. 300 IN MX 1 a.example.",
        RRSIG.format("MX", 1_790_000_000, 1_780_000_000),
        RRSIG.format("MX", 1_785_000_000, 1_780_000_001),
        RRSIG.format("NS", 1_999_000_000, 1_780_000_002),
        flags=AA,
    )
    assert reply.signature == Signature(1_780_000_000, 1_790_000_000)
    assert said("example.com", "MX", "example.com. 300 IN MX 1 a.example.", flags=AA).signature is None


def test_a_refusal_has_nothing_of_this() -> None:
    reply = said("example.com", "MX", rcode=dns.rcode.REFUSED)
    assert (reply.status, reply.referral, reply.signature) == (Status.REFUSED, None, None)


def test_hostile_referrals_are_read_within_the_budget() -> None:
    """Names of 126 labels, hundreds of them, each a little different."""
    query = wire.iterative_query(Question(LONG, "NS"))
    owner = b"\xc0\x0c"
    records = b"".join(rr(owner, 2, bytes([3]) + f"{number:03}".encode() + b"\xc0\x10") for number in range(500))
    started = time.perf_counter()
    assert wire.decode(raw(query, records, (0, 500, 0), flags=0x8000), query).status is Status.MALFORMED
    assert time.perf_counter() - started < 0.2


def test_glue_and_signatures_that_are_too_short_are_no_such() -> None:
    query = wire.iterative_query(Question("example.com", "NS"))
    target = b"\3ns1\xc0\x0c"
    at = 12 + len(query.asked) + 12
    glue = rr(struct.pack("!H", 0xC000 | at), 1, b"\xc0\0")
    reply = wire.decode(raw(query, rr(b"\xc0\x0c", 2, target) + glue, (0, 1, 1), flags=0x8000), query)
    assert reply.referral == Referral("example.com", ("ns1.example.com",))
    short = rr(b"\xc0\x0c", 46, b"\0\2\5")
    assert wire.decode(raw(query, short, (1, 0, 0), flags=0x8400), query).signature is None
