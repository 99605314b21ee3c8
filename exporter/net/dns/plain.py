"""Reads the few shapes that nearly all answers have. Whatever has another shape is declined: None.

The problem: dnspython needs 10 to 25 us for a record, because it makes and guards objects that nobody wants.

The idea: an answer is plain, or it is left to frame.py and dnspython. What is plain is read as they read it, and what
they refuse is never plain. A test compares both on thousands of bent messages.

The rules:

- A name is plain if it is written out, or leads by one pointer to a name of the same message that is written out.
- A plain absence has one SOA record of the name that was asked, or of one above it. Beside that it has at most an OPT
  record without options.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import dns.rdatatype

from exporter.mail.dns import MX, TXT, Rdata
from exporter.net.dns.frame import LONGEST_NAME, LONGEST_TTL

HEADER = 12  # octets before the question

_SOA_IN = b"\0\6\0\1"
_OPT = b"\0\0\x29"
# The counts of questions and records: one SOA, without and with an OPT. And the octets behind the SOA.
_ABSENT = {b"\0\1\0\0\0\1\0\0": 0, b"\0\1\0\0\0\1\0\1": 11}
_TC = 0x02  # in the third octet
_AS_IT_IS = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'".;\\()@$')  # needs no escape in a text


class Names:
    """The names of one message, to be read in the order in which they stand."""

    __slots__ = ("_message", "_written")

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._written: dict[int, int] = {}  # where the name ends that has a label there, if it is written out
        self.read(HEADER)

    def read(self, at: int) -> tuple[bytes, int] | None:
        """The name there in wire format, and the offset behind it. Raise IndexError if the message ends before."""
        message, first, labels = self._message, at, []
        while (octet := message[at]) < 0x40:
            labels.append(at)
            at += 1 + octet
            if not octet:
                self._written.update(dict.fromkeys(labels, at))
                return (message[first:at], at) if at - first <= LONGEST_NAME else None
        target = (octet & 0x3F) << 8 | message[at + 1]
        end = self._written.get(target) if octet >= 0xC0 else None
        if end is None or end > first or at - first + end - target > LONGEST_NAME:
            return None
        return message[first:at] + message[target:end], at + 2

    def text(self, at: int, end: int) -> str | None:
        """The name that stands there up to `end`, as people write it, if no octet of it needs an escape."""
        found = self.read(at)
        if found is None or found[1] != end:
            return None
        labels, name, at = [], found[0], 0
        while octet := name[at]:
            labels.append(name[at + 1 : at + 1 + octet])
            at += 1 + octet
        if b"".join(labels).translate(None, _AS_IT_IS):
            return None
        return b".".join(labels).decode("ascii").lower() or "."


def absence(message: bytes, end: int) -> int | None:
    """The TTL of a plain "no such name" or "no such record" (RFC 2308 section 5). The question ends at `end`."""
    rest = _ABSENT.get(message[4:HEADER])
    if rest is None or message[2] & _TC or message[3] & 0x0F not in (0, 3):
        return None
    stop, at = len(message) - rest, end + 12  # of the SOA's data, behind a pointer, type, class, TTL and length
    if at >= stop or message[end] < 0xC0 or message[end + 2 : end + 6] != _SOA_IN:
        return None
    if at + (message[at - 2] << 8 | message[at - 1]) != stop or (rest and not _bare(message[stop:])):
        return None
    try:
        names = Names(message)
        if names.read(end) is None:  # a pointer into the question leads to the name asked, or to one above it
            return None
        for _ in range(2):
            found = names.read(at)
            if found is None:
                return None
            at = found[1]
    except IndexError:
        return None
    if at + 20 != stop:
        return None
    ttl, least = int.from_bytes(message[end + 6 : end + 10]), int.from_bytes(message[stop - 4 : stop])
    return min(ttl if ttl <= LONGEST_TTL else 0, least, LONGEST_TTL)


def _bare(opt: bytes) -> bool:
    """Is this an OPT record without options, and without a part of the rcode (RFC 6891 section 6.1.3)?"""
    return opt.startswith(_OPT) and not opt[5] and not opt[9] and not opt[10]


def record(names: Names, message: bytes, rdtype: int, start: int, end: int) -> Rdata | None:
    """The record of class IN whose data are between these offsets of the message."""
    try:
        match rdtype:
            case dns.rdatatype.A:
                return IPv4Address(message[start:end]) if end - start == 4 else None
            case dns.rdatatype.TXT:
                return _text(message, start, end)
            case dns.rdatatype.MX:
                exchange = names.text(start + 2, end)
                return MX(message[start] << 8 | message[start + 1], exchange) if exchange else None
            case dns.rdatatype.PTR | dns.rdatatype.CNAME | dns.rdatatype.NS:
                return names.text(start, end)
            case dns.rdatatype.AAAA:
                return IPv6Address(message[start:end]) if end - start == 16 else None
    except IndexError:
        pass
    return None


def _text(message: bytes, at: int, end: int) -> TXT | None:
    strings = []
    while at < end:
        behind = at + 1 + message[at]
        strings.append(message[at + 1 : behind])
        at = behind
    return TXT(tuple(strings)) if strings and at == end else None
