"""Octets in, our own words out: what is an answer, what is none."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.dns import MX, SOA, TLSA, TXT, Question, Status
from exporter.net.dns import wire
from tests.support.hostile import response
from tests.support.messages import HERE, LONG, NX, SOA_LINE, asked, raw, rr, said

# --- questions ---------------------------------------------------------------------------------------------------


def test_a_question_is_what_dnspython_reads() -> None:
    query, octets = asked("_dmarc.example.com", "TXT")
    read = dns.message.from_wire(octets)
    assert read.question[0].to_text() == "_dmarc.example.com. IN TXT"
    assert dns.flags.to_text(read.flags) == "RD AD"
    assert (read.edns, read.payload, read.ednsflags) == (0, wire.PAYLOAD, 0)
    assert query.asked in octets


def test_checking_can_be_disabled_and_edns_left_out() -> None:
    query = wire.query(Question("example.com", "A"), checking_disabled=True)
    read = dns.message.from_wire(b"\0\0" + wire.without_edns(query).tail)
    assert read.flags & dns.flags.CD
    assert read.edns == -1
    assert read.question[0].to_text() == "example.com. IN A"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (".", (b"",)),
        ("com", (b"com", b"")),
        (r"a\.b.example", (b"a.b", b"example", b"")),
        (r"a\032b.example", (b"a b", b"example", b"")),
        (r"\255.example", (b"\xff", b"example", b"")),
        ("Mixed.Example", (b"Mixed", b"Example", b"")),
        ("x" * 63 + ".example", (b"x" * 63, b"example", b"")),
        (LONG, (b"a",) * 126 + (b"",)),
    ],
)
def test_names_are_encoded_as_they_are_written(name: str, labels: tuple[bytes, ...]) -> None:
    assert dns.name.from_wire(wire.query(Question(name, "A")).asked, 0)[0].labels == labels


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a..b",
        ".a",
        "a.",
        "x" * 64,
        "x" * 64 + r"\032",
        "é.example",
        ".".join(["a" * 60] * 5),
        LONG + ".aa",
        "\\",
        r"\999",
    ],
)
def test_a_name_that_cannot_be_is_not_asked(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|escape"):
        wire.query(Question(name, "A"))


@given(st.lists(st.binary(min_size=1, max_size=63), min_size=1, max_size=3))
def test_every_name_from_the_network_can_be_asked_again(labels: list[bytes]) -> None:
    name = dns.name.Name((*labels, b""))
    text = wire.name_text(name)
    assert dns.name.from_wire(wire.query(Question(text, "A")).asked, 0)[0] == name
    assert text == name.to_text(omit_final_dot=True).lower()


# --- which message answers ---------------------------------------------------------------------------------------


def test_the_answer_repeats_the_question_octet_by_octet() -> None:
    query, octets = asked("www.example.com", "A")
    good = response(octets)
    assert wire.answers(good, query)
    for name, rdtype in [("www.example.net", "A"), ("www.example.com", "AAAA"), ("WWW.example.com", "A")]:
        assert not wire.answers(response(asked(name, rdtype)[1]), query)


def test_a_query_is_no_answer() -> None:
    query, octets = asked("www.example.com", "A")
    assert not wire.answers(octets, query)


def test_another_opcode_is_no_answer() -> None:
    query, octets = asked("www.example.com", "A")
    message = bytearray(response(octets))
    message[2] |= 0x10
    assert not wire.answers(bytes(message), query)


@pytest.mark.parametrize(("rcode", "is_answer"), [(0, False), (1, True), (2, True), (3, False), (4, True), (5, True)])
def test_only_an_error_may_come_without_the_question(rcode: int, is_answer: bool) -> None:
    query, _ = asked("www.example.com", "A")
    assert wire.answers(b"\0\0\x81" + bytes([0x80 | rcode]) + bytes(8), query) is is_answer


@given(st.binary(max_size=40))
def test_any_octets_may_be_held_against_a_question(octets: bytes) -> None:
    wire.answers(octets, asked("example.com", "A")[0])


# --- what an answer says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rdtype", "data", "record"),
    [
        ("A", "192.0.2.1", IPv4Address("192.0.2.1")),
        ("AAAA", "2001:db8::1", IPv6Address("2001:db8::1")),
        ("MX", "10 MX.Example.", MX(10, "mx.example")),
        ("MX", "0 .", MX(0, ".")),
        ("TXT", '"v=spf1" " -all"', TXT((b"v=spf1", b" -all"))),
        ("TXT", r'"\255\000"', TXT((b"\xff\0",))),
        ("PTR", "Mail.Example.", "mail.example"),
        ("NS", "ns.example.", "ns.example"),
        ("CNAME", r"a\.b.example.", r"a\.b.example"),
        ("SOA", "ns.example. h.example. 7 1 2 3 4", SOA("ns.example", "h.example", 7, 1)),
        ("TLSA", "3 1 0 abCD", TLSA(3, 1, 0, b"\xab\xcd")),
        ("TLSA", rf"\# 35 030101{'ab' * 32}", TLSA(3, 1, 1, b"\xab" * 32)),
        ("CAA", '0 issue "ca.example"', '0 issue "ca.example"'),
    ],
)
def test_records_become_our_own_words(rdtype: str, data: str, record: object) -> None:
    decoded = said("x.example", rdtype, f"x.example. 300 IN {rdtype} {data}")
    assert (decoded.status, decoded.records, decoded.ttl) == (Status.ANSWER, (record,), 300)


def test_ad_is_the_resolvers_word_for_validated() -> None:
    assert said("x.example", "A", "x.example. 1 IN A 192.0.2.1", flags=dns.flags.AD).authenticated
    assert not said("x.example", "A", "x.example. 1 IN A 192.0.2.1", clear=dns.flags.AD).authenticated


def test_the_same_record_twice_is_one() -> None:
    query, _ = asked("x.example", "A")
    message = raw(query, rr(HERE, 1, b"\xc0\0\2\1") * 2, (2, 0, 0))
    assert wire.decode(message, query).records == (IPv4Address("192.0.2.1"),)


def test_a_chain_is_followed_whatever_its_order_and_its_least_ttl_counts() -> None:
    decoded = said(
        "a.example",
        "A",
        "c.example. 300 IN A 192.0.2.1",
        "b.example. 60 IN CNAME c.example.",
        "A.EXAMPLE. 600 IN CNAME B.example.",
    )
    assert decoded.chain == ("b.example", "c.example")
    assert (decoded.records, decoded.ttl) == ((IPv4Address("192.0.2.1"),), 60)


def test_asked_for_a_cname_the_chain_is_not_followed() -> None:
    decoded = said("a.example", "CNAME", "a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME c.example.")
    assert (decoded.records, decoded.chain) == (("b.example",), ())


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_a_chain_that_bites_its_tail_proves_nothing(names: list[str]) -> None:
    lines = [f"{a}.example. 60 IN CNAME {b}.example." for a, b in zip(names, names[1:] + names[:1], strict=True)]
    decoded = said("a.example", "A", *lines)
    assert decoded.status is Status.SERVFAIL
    assert "cname loop" in decoded.detail


@pytest.mark.parametrize(("hops", "status"), [(16, Status.ANSWER), (17, Status.SERVFAIL)])
def test_chains_have_a_bound(hops: int, status: Status) -> None:
    lines = [f"h{i}.example. 60 IN CNAME h{i + 1}.example." for i in range(hops)]
    assert said("h0.example", "A", *lines, f"h{hops}.example. 60 IN A 192.0.2.1").status is status


def test_two_cnames_at_one_name_are_malformed() -> None:
    query, _ = asked("a.example", "A")
    message = raw(query, rr(HERE, 5, b"\1b\0") + rr(HERE, 5, b"\1c\0"), (2, 0, 0))
    assert wire.decode(message, query).status is Status.MALFORMED


def test_signatures_and_dnames_may_stand_by() -> None:
    signature = "A 8 2 60 20300101000000 20200101000000 1 example. AAAA"
    decoded = said(
        "a.b.example",
        "A",
        "b.example. 60 IN DNAME c.example.",
        "a.b.example. 60 IN CNAME a.c.example.",
        "a.c.example. 60 IN A 192.0.2.1",
        f"a.c.example. 60 IN RRSIG {signature}",
    )
    assert (decoded.status, decoded.chain) == (Status.ANSWER, ("a.c.example",))


# --- what absence is ---------------------------------------------------------------------------------------------


def test_nxdomain_and_nodata_are_answers_with_the_soas_ttl() -> None:
    for rcode, status in [(NX, Status.NXDOMAIN), (dns.rcode.NOERROR, Status.NODATA)]:
        decoded = said("x.example", "A", rcode=rcode, authority=[SOA_LINE])
        assert (decoded.status, decoded.ttl) == (status, 300)


def test_the_soas_own_ttl_bounds_the_negative_one() -> None:
    assert said("x.example", "A", rcode=NX, authority=[SOA_LINE.replace("900", "60")]).ttl == 60


def test_a_negative_answer_without_soa_is_not_kept() -> None:
    assert said("x.example", "A", rcode=NX).ttl == 0
    assert said("x.example", "A").ttl == 0


def test_a_soa_of_elsewhere_gives_no_ttl() -> None:
    assert said("x.example", "A", rcode=NX, authority=[SOA_LINE.replace("example. 900", "ample. 900")]).ttl == 0


def test_nxdomain_at_the_end_of_a_chain_is_about_the_last_name() -> None:
    decoded = said("a.example", "A", "a.example. 60 IN CNAME b.example.", rcode=NX, authority=[SOA_LINE])
    assert (decoded.status, decoded.chain, decoded.ttl) == (Status.NXDOMAIN, ("b.example",), 60)


def test_a_chain_that_ends_in_nothing_is_nodata() -> None:
    decoded = said("a.example", "A", "a.example. 60 IN CNAME b.example.", authority=[SOA_LINE])
    assert (decoded.status, decoded.chain) == (Status.NODATA, ("b.example",))


@pytest.mark.parametrize(
    ("authority", "aa", "ra", "status"),
    [
        ([], False, True, Status.NODATA),
        ([], True, False, Status.NODATA),
        ([], False, False, Status.REFUSED),
        (["example. 60 IN NS ns.example."], False, False, Status.REFUSED),
        (["example. 60 IN NS ns.example."], False, True, Status.REFUSED),
        (["example. 60 IN NS ns.example."], True, False, Status.NODATA),
        (["example. 60 IN NS ns.example.", SOA_LINE], False, False, Status.NODATA),
    ],
)
@pytest.mark.parametrize("chain", [(), ("x.example. 60 IN CNAME y.example.",)])
def test_a_referral_is_no_absence(
    authority: list[str], aa: bool, ra: bool, status: Status, chain: tuple[str, ...]
) -> None:
    flags = dns.flags.AA if aa else 0
    decoded = said("x.example", "A", *chain, authority=authority, flags=flags, clear=0 if ra else dns.flags.RA)
    assert decoded.status is status


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, NX])
@pytest.mark.parametrize(
    "record",
    [
        "y.example. 60 IN A 192.0.2.1",
        "example. 60 IN A 192.0.2.1",
        "y.example. 60 IN CNAME z.example.",
        "x.example. 60 IN MX 10 mx.example.",
        "x.example. 60 CH A example. 1",
    ],
)
def test_an_answer_to_something_else_is_never_absence(record: str, rcode: dns.rcode.Rcode) -> None:
    decoded = said("x.example", "A", record, rcode=rcode, authority=[SOA_LINE])
    assert decoded.status is Status.MALFORMED
    assert "answers another" in decoded.detail


def test_nxdomain_beside_the_records_is_a_contradiction() -> None:
    assert said("x.example", "A", "x.example. 60 IN A 192.0.2.1", rcode=NX).status is Status.MALFORMED


@pytest.mark.parametrize(
    ("rcode", "status"),
    [
        (dns.rcode.FORMERR, Status.SERVFAIL),
        (dns.rcode.SERVFAIL, Status.SERVFAIL),
        (dns.rcode.NOTIMP, Status.SERVFAIL),
        (dns.rcode.REFUSED, Status.REFUSED),
        (dns.rcode.YXDOMAIN, Status.SERVFAIL),
        (dns.rcode.NOTAUTH, Status.SERVFAIL),
        (dns.rcode.BADVERS, Status.SERVFAIL),
        (dns.rcode.BADCOOKIE, Status.SERVFAIL),
    ],
)
def test_no_other_code_proves_anything(rcode: dns.rcode.Rcode, status: Status) -> None:
    decoded = said("x.example", "A", "x.example. 60 IN A 192.0.2.1", rcode=rcode)
    assert (decoded.status, decoded.rcode) == (status, rcode)
    assert dns.rcode.to_text(rcode) in decoded.detail


def test_a_truncated_message_is_not_read() -> None:
    assert said("x.example", "A", "x.example. 60 IN A 192.0.2.1", flags=dns.flags.TC).status is Status.TRUNCATED
    assert said("x.example", "A", rcode=NX, flags=dns.flags.TC).status is Status.TRUNCATED


@pytest.mark.parametrize("code", [4, 15, 16, 17, 18])
@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, NX])
def test_what_the_resolver_says_it_altered_is_no_answer(code: int, rcode: dns.rcode.Rcode) -> None:
    decoded = said("x.example", "A", rcode=rcode, authority=[SOA_LINE], ede=(code, "by policy"))
    assert decoded.status is Status.REFUSED
    assert f"EDE {code}" in decoded.detail


def test_extended_errors_are_kept_and_made_safe() -> None:
    decoded = said("x.example", "A", rcode=dns.rcode.SERVFAIL, ede=(9, "no key\x1b[31m"))
    assert decoded.extended_errors == (r"EDE 9 (dnskey missing): no key\u{1b}[31m",)
    assert decoded.blames_dnssec
    stale = said("x.example", "A", "x.example. 30 IN A 192.0.2.1", ede=(3, ""))
    assert (stale.status, stale.extended_errors) == (Status.ANSWER, ("EDE 3 (stale answer)",))
    assert said("x.example", "A", rcode=dns.rcode.SERVFAIL, ede=(4999, "")).extended_errors == ("EDE 4999",)
