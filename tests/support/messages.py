"""DNS messages made by hand, octet by octet, and how they are read."""

from __future__ import annotations

import struct

import dns.rcode

from exporter.mail.dns import Question
from exporter.net.dns import wire
from tests.support.hostile import response

HERE = b"\xc0\x0c"  # a pointer to the question's name
LONG = ".".join(["a"] * 126)
SOA_LINE = "example. 900 IN SOA ns.example. hostmaster.example. 7 3600 600 86400 300"
NX = dns.rcode.NXDOMAIN


def asked(name: str, rdtype: str) -> tuple[wire.Query, bytes]:
    query = wire.query(Question(name, rdtype))
    return query, b"\x12\x34" + query.tail


def said(name: str, rdtype: str, *records: str, **how: object) -> wire.Decoded:
    """What an honest message with these records is taken for."""
    query, octets = asked(name, rdtype)
    message = response(octets, *records, **how)  # type: ignore[arg-type]  # passed on
    assert wire.answers(message, query)
    return wire.decode(message, query)


def raw(query: wire.Query, records: bytes, counts: tuple[int, int, int] = (1, 0, 0), flags: int = 0x8180) -> bytes:
    return b"\0\0" + struct.pack("!HHHHH", flags, 1, *counts) + query.asked + records


def rr(owner: bytes, rdtype: int, data: bytes, ttl: int = 300, rdclass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, rdclass, ttl, len(data)) + data
