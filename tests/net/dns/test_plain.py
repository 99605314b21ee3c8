"""What is read the short way is exactly what the long way reads, and nothing that it would refuse."""

from __future__ import annotations

import random
import struct
from collections import Counter
from typing import Any

import dns.exception
import dns.flags
import dns.rcode
import dns.rdata
import dns.rdataclass
import pytest

from exporter.mail.dns import MX, Question, Status
from exporter.net.dns import plain, wire
from exporter.net.dns.frame import Frame, MalformedError, Walk
from tests.support.hostile import response
from tests.support.messages import NX, SOA_LINE, asked, raw, rr, said
from tests.support.torture import seed

END = "v=spf1 -all"
ABSENCES = [
    ("4.3.2.1.bl.example", SOA_LINE, NX),
    ("bl.example", SOA_LINE.replace("example. 900", "bl.example. 60"), NX),
    ("example", ". 5 IN SOA . . 1 2 3 4 4294967295", dns.rcode.NOERROR),
    ("a.b.example", "b.example. 3000000000 IN SOA ns.else.where. host.else.where. 1 2 3 4 5", dns.rcode.NOERROR),
    ("a.example", r"example. 7 IN SOA a\.b.example. x.example. 1 2 3 4 5", NX),
]
ANSWERS = {
    "A": ["192.0.2.1", "192.0.2.2"],
    "AAAA": ["2001:db8::1", "::ffff:192.0.2.1"],
    "MX": ["10 mx1.x.example.", "20 alt.mx.else.where.", "30 b.alt.mx.else.where.", "0 .", r"40 \200x.else.where."],
    "TXT": [f'"{END}"', '"a" "" "b"', r'"\255\000"', f'"{"k" * 255}" "{"k" * 99}"'],
    "PTR": ["Mail.x.example.", "x.example."],
    "NS": ["ns1.x.example.", "ns.else.where.", "ns.ns.else.where."],
    "CNAME": ["y.x.example."],
}
OCTETS = (0, 1, 2, 3, 5, 6, 0x0C, 0x0D, 0x0F, 0x10, 0x29, 0x3F, 0x40, 0x80, 0xBF, 0xC0, 0xC1, 0xFF)
MESSAGES = 8000


def bent(message: bytes, chance: random.Random) -> bytes:
    """The message with up to three changes, such as a network or an attacker could make."""
    octets = bytearray(message)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        at = chance.randrange(2, len(octets))
        match chance.randrange(6):
            case 0 | 1:
                octets[at] = chance.choice(OCTETS)
            case 2:
                octets[at] = chance.randrange(256)
            case 3:
                octets[at] = (octets[at] + chance.choice((-1, 1))) % 256
            case 4:
                del octets[at : at + chance.randint(1, 3)]
            case _:
                octets[at:at] = bytes(chance.choices(OCTETS, k=chance.randint(1, 3)))
    return bytes(octets)


def absences() -> list[tuple[wire.Query, bytes]]:
    made = []
    flags = ({"flags": it} for it in (0, dns.flags.AD, dns.flags.AA, dns.flags.TC))
    ways: list[dict[str, Any]] = [*flags, {"ede": (3, "x")}]
    for name, soa, rcode in ABSENCES:
        query, octets = asked(name, "A")
        bare = octets[:2] + wire.without_edns(query).tail
        made += [(query, response(octets, rcode=rcode, authority=[soa], **how)) for how in ways]
        made.append((query, response(bare, rcode=rcode, authority=[soa])))
    return made


def test_a_plain_absence_is_what_the_long_way_makes_of_it() -> None:
    chance, told = random.Random(f"absence {seed()}"), Counter[Status | None]()
    honest = absences()
    for _ in range(MESSAGES):
        query, message = chance.choice(honest)
        message = bent(message, chance)
        if not wire.answers(message, query):
            continue
        short = wire._plain_absence(message, query)
        told[short and short.status] += 1
        if short:
            assert short == wire._decode(message, query), message.hex()
    assert min(told[Status.NXDOMAIN], told[Status.NODATA], told[None]) > MESSAGES / 40


def test_the_absences_of_ordinary_servers_are_plain() -> None:
    for name, soa, rcode in ABSENCES:
        query, octets = asked(name, "A")
        read = wire._plain_absence(response(octets, rcode=rcode, authority=[soa]), query)
        assert bool(read) is not soa.startswith("."), name  # the root as an owner is written, without a pointer


@pytest.mark.parametrize("how", [{"ede": (3, "")}, {"flags": dns.flags.TC}, {"rcode": dns.rcode.SERVFAIL}])
def test_no_other_answer_is_a_plain_absence(how: dict[str, object]) -> None:
    query, octets = asked("x.example", "A")
    message = response(octets, **({"rcode": NX, "authority": [SOA_LINE]} | how))  # type: ignore[arg-type]  # passed on
    assert wire._plain_absence(message, query) is None


def test_a_server_of_the_zone_is_always_read_in_full() -> None:
    question = Question("x.example", "A")
    query = wire.iterative_query(question)
    message = response(b"\0\0" + query.tail, rcode=NX, authority=[SOA_LINE], flags=dns.flags.AA)
    assert wire.decode(message, query).authoritative


def test_a_plain_record_is_what_dnspython_makes_of_it() -> None:
    chance, told = random.Random(f"records {seed()}"), Counter[bool]()
    honest = []
    for rdtype, data in ANSWERS.items():
        query, octets = asked("x.example", rdtype)
        lines = [f"x.example. 60 IN {rdtype} {it}" for it in data]
        honest += [(query, response(octets, *some)) for some in (lines, lines[::-1], *zip(lines, strict=True))]
    for _ in range(MESSAGES // 3):
        query, message = chance.choice(honest)
        message = bent(message, chance)
        if not wire.answers(message, query):
            continue
        walk, names = Walk(message), plain.Names(message)
        try:
            answer, _ = walk.frames(12 + len(query.asked), int.from_bytes(message[6:8]))
        except (MalformedError, struct.error):
            continue
        for frame in answer:
            told[_compared(walk, names, frame)] += 1
    assert min(told[True], told[False]) > MESSAGES / 20


def _compared(walk: Walk, names: plain.Names, frame: Frame) -> bool:
    """Was the record plain? Then dnspython must have read the same."""
    short = plain.record(names, walk.message, frame.rdtype, frame.start, frame.end)
    if short is None:
        return False
    judged = dns.rdata.from_wire(dns.rdataclass.IN, frame.rdtype, walk.message, frame.start, frame.length)  # type: ignore[arg-type]  # a number is taken, too
    assert short == wire.record(judged), walk.message.hex()
    assert type(short) is type(wire.record(judged))
    return True


def test_a_name_may_lead_to_one_in_an_earlier_record() -> None:
    lines = [f"x.example. 60 IN MX {n} {'b.' * n}mx.else.where." for n in range(12)]
    assert set(said("x.example", "MX", *lines).records) == {MX(n, f"{'b.' * n}mx.else.where") for n in range(12)}


@pytest.mark.parametrize("hops", [15, 16, 17])
def test_as_many_pointers_in_a_row_are_followed_as_dnspython_follows(hops: int) -> None:
    """Each record's name is a label and a pointer to the record before."""
    query, _ = asked("x.example", "NS")
    at = 12 + len(query.asked)
    records, before = b"", 12
    for number in range(hops):
        start = at + len(records) + 12
        records += rr(b"\xc0\x0c", 2, b"\1" + bytes([97 + number]) + (0xC000 | before).to_bytes(2))
        before = start
    message = raw(query, records, (hops, 0, 0))
    walk = Walk(message)
    answer, _ = walk.frames(at, hops)
    try:
        wanted = [wire.record(dns.rdata.from_wire(1, 2, message, it.start, it.length)) for it in answer]  # type: ignore[arg-type]  # numbers are taken, too
    except dns.exception.DNSException:
        wanted = []
    assert list(wire.decode(message, query).records) == wanted
