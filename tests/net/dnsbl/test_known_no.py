"""Octets that are known to mean "no" mean it: compared with reading each message in full."""

from __future__ import annotations

import random
from functools import cache
from ipaddress import ip_address

import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail import names
from exporter.mail.dns import Question, Status
from exporter.net.dns import wire
from exporter.net.dnsbl.known_no import MOST_KNOWN, KnownNo
from tests.support.hostile import response
from tests.support.wire_lists import HOSTILE, said

ZONE = "bl.zone"
SERIAL = bytes.fromhex("0abbccdd")


def query(ip: str) -> wire.Query:
    return wire.query(Question(f"{names.reverse_octets(ip_address(ip))}.{ZONE}", "A"))


def sent(to: wire.Query) -> bytes:
    return b"\7\7" + to.tail


def absence(to: wire.Query, ttl: int = 300, serial: int = 1) -> bytes:
    message, end = _absence(to), 12 + len(to.asked)
    at = message.index(SERIAL, end)
    return message[: end + 6] + ttl.to_bytes(4) + message[end + 10 : at] + serial.to_bytes(4) + message[at + 4 :]


@cache
def _absence(to: wire.Query) -> bytes:
    soa = f"{ZONE}. 300 IN SOA ns.{ZONE}. host.{ZONE}. {int.from_bytes(SERIAL)} 3600 600 86400 60"
    return response(sent(to), rcode=dns.rcode.NXDOMAIN, authority=[soa])


def reads_as_no(message: bytes, to: wire.Query) -> bool:
    read = wire.decode(message, to)
    return read.status is Status.NXDOMAIN and not read.extended


@pytest.mark.parametrize("kind", sorted({*HOSTILE, "no"}))
def test_each_kind_of_answer_is_judged_as_in_full(kind: str) -> None:
    to, octets = query("192.0.2.1"), KnownNo(ZONE)
    for message in said(kind, sent(to), 2) * 2:
        if wire.answers(message, to) and not message[2] & 2 and message[4:6] == b"\0\1":
            plain = reads_as_no(message, to) and kind != "option"
            assert octets.says_no(message, to) is plain
            assert octets.says_no(message, to) is plain, "nor when it is known"


@given(chance=st.randoms(use_true_random=False))
def test_what_is_known_is_read_alike(chance: random.Random) -> None:
    """Messages like those that were learnt, with some octets changed; other addresses, too."""
    octets = KnownNo(ZONE)
    for _ in range(6):
        to = query(f"{chance.choice([1, 10, 192])}.0.2.{chance.choice([1, 22, 200])}")
        message = bytearray(absence(to, chance.choice([0, 60, 2**31 - 1])))
        for _ in range(chance.choice([0, 0, 1, 3])):
            message[chance.randrange(6, len(message))] = chance.choice([0, 1, 2, 12, 0x29, 0xC0, 0xC1, 255])
        got = bytes(message)
        if wire.answers(got, to) and not got[2] & 2:
            assert not octets.says_no(got, to) or reads_as_no(got, to)


def test_what_points_at_the_varying_part_is_read_each_time() -> None:
    """A name that is whole below one address is cut below another of the same length."""
    octets, first, second = KnownNo(ZONE), query("10.2.3.4"), query("2.10.3.4")
    end = 12 + len(first.asked)

    def pointing(to: wire.Query) -> bytes:
        message = absence(to)
        return message[:end] + b"\xc0\x12" + message[end + 2 :]

    assert reads_as_no(pointing(first), first) is not reads_as_no(pointing(second), second)
    for to in (first, second, first, second):
        assert octets.says_no(pointing(to), to) is reads_as_no(pointing(to), to)


def test_what_points_at_the_ttl_is_read_each_time() -> None:
    octets, to = KnownNo(ZONE), query("10.2.3.4")
    end = 12 + len(to.asked)

    def pointing(ttl: int) -> bytes:
        message = absence(to, ttl, int.from_bytes(SERIAL))
        names_end = message.index(SERIAL, end)
        data = bytes([0xC0, end + 6]) * 2 + message[names_end : names_end + 20]
        return message[: end + 10] + len(data).to_bytes(2) + data + message[names_end + 20 :]

    assert reads_as_no(pointing(0), to)
    assert not reads_as_no(pointing(0x40000000), to)
    for ttl in (0, 0x40000000, 0):
        assert octets.says_no(pointing(ttl), to) is reads_as_no(pointing(ttl), to)


def test_the_header_and_the_length_of_the_question_are_known_too() -> None:
    octets, to = KnownNo(ZONE), query("10.2.3.4")
    message = absence(to)
    assert octets.says_no(message, to)
    for at in range(2, 12):
        for value in (0, 1, 2, 0x81, 0x83, 255):
            other = message[:at] + bytes([value]) + message[at + 1 :]
            if wire.answers(other, to) and not other[2] & 2:
                assert not octets.says_no(other, to) or reads_as_no(other, to), (at, value)
    short = query("1.2.3.4")  # the pointers of the other message lead into the middle of its labels
    moved = message[:12] + short.asked + message[12 + len(to.asked) :]
    assert not reads_as_no(moved, short)
    assert not octets.says_no(moved, short)


def test_an_alias_and_an_option_are_not_plain() -> None:
    """Although they say the same: the octets of an option may even look like a record without any."""
    to = query("192.0.2.1")
    alias = response(sent(to), f"1.2.0.192.{ZONE}. 60 IN CNAME nobody.{ZONE}.", rcode=dns.rcode.NXDOMAIN)
    assert reads_as_no(alias, to)
    assert not KnownNo(ZONE).says_no(alias, to)
    bare = b"\0\0\x29\x04\xd0" + bytes(6)
    for body in (
        b"\0\x0f\0\x0d\0\3" + bare,
        b"\0\x0f\0\x0d\0\3" + bare[:-1] + b"\7",
        b"\0\3\0\x0b" + bare[:-1] + b"\7",
    ):
        message = absence(to)[:-2] + len(body).to_bytes(2) + body
        assert wire.decode(message, to).status is Status.NXDOMAIN
        assert not KnownNo(ZONE).says_no(message, to)


def test_id_and_ttl_may_differ_and_little_is_remembered() -> None:
    octets = KnownNo(ZONE)
    for number in range(3 * MOST_KNOWN):
        to = query(f"192.0.2.{number % 9}")
        assert octets.says_no(absence(to, number), to)
    assert len(octets._known) == 1
    for serial in range(3 * MOST_KNOWN):
        to = query("192.0.2.1")
        assert octets.says_no(absence(to, serial=serial), to)
    assert len(octets._known) <= MOST_KNOWN
