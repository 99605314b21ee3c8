"""Reads the frame of a DNS message (RFC 1035 section 4.1): where each record begins and ends.

The problem: a message from the network may be an attack. An answer of 64 KiB can be full of names of 126 labels. A
parser that builds and compares whole names for each record needs 15 seconds for it.

The idea: read the frame first, once, with a budget. Only a message that stays within the budget gets to a full parser.

The rules:

- The cost is proportional to the number of octets.
- Records, labels, strings and compression pointers each have a limit. Beyond it, MalformedError is raised.
- The labels in the data of a record count too, because its parser reads them again.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MOST_RECORDS = 512
MOST_LABELS = 4096  # read in one message, those behind pointers included
MOST_STRINGS = 4096  # character-strings of the TXT records that answer
MOST_HOPS = 16  # compression pointers in one name, as dnspython's parser has it
LONGEST_NAME = 255
LONGEST_TTL = 0x7FFF_FFFF

_FIXED = struct.Struct("!HHIH")
_HEADER = 12  # octets
_TTL_BEFORE = 6  # octets from a TTL to the data of its record
_OPT = 41


class MalformedError(Exception):
    """Why a message is refused; shown to a person."""


class Frame(NamedTuple):
    """One record as framed; `owner` is a name in wire format, lower case, `start` the offset of the data."""

    owner: bytes
    rdtype: int
    rdclass: int
    raw_ttl: int  # OPT keeps flags there
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def ttl(self) -> int:
        """Seconds; RFC 2181 section 8: a TTL with the highest bit set counts as zero."""
        return self.raw_ttl if self.raw_ttl <= LONGEST_TTL else 0


class Walk:
    """Reads names and records of one message in order, counting what it reads."""

    __slots__ = ("_known", "labels", "message", "strings")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.labels = MOST_LABELS
        self.strings = MOST_STRINGS
        self._known: dict[int, bytes] = {}

    def name(self, at: int) -> tuple[bytes, int]:
        """The name in wire format, lower case, and the offset behind it.

        A pointer must lead to before the part of the name that holds it, so that every walk ends.
        """
        message, end = self.message, len(self.message)
        first, start, behind, hops = at, at, 0, 0
        parts: list[bytes] = []
        size = 0
        while size <= LONGEST_NAME:
            if at >= end:
                raise MalformedError("has a name that runs into itself" if hops else "ends too early")
            self._spend_labels(1)
            octet = message[at]
            if octet >= 0xC0:
                target = (octet & 0x3F) << 8 | message[at + 1]
                if target >= start:
                    raise MalformedError("has a compression pointer that does not go backwards")
                behind = behind or at + 2
                if target in self._known:
                    parts.append(self._known[target])
                    size += len(parts[-1])
                    break
                hops += 1
                if hops > MOST_HOPS:
                    raise MalformedError(f"has more than {MOST_HOPS} compression pointers in one name")
                end, start, at = start, target, target
            elif octet >= 0x40:
                raise MalformedError("has an unknown kind of label")
            else:
                parts.append(message[at : at + 1 + octet])
                at += 1 + octet
                size += 1 + octet
                if octet == 0:
                    break
        if size > LONGEST_NAME:
            raise MalformedError(f"has a name of more than {LONGEST_NAME} bytes")
        name = self._known[first] = b"".join(parts).lower()
        return name, behind or at

    def frames(self, at: int, count: int) -> tuple[list[Frame], int]:
        """That many records from this offset on, and the offset behind them."""
        found = []
        for _ in range(count):
            owner, at = self.name(at)
            rdtype, rdclass, ttl, length = _FIXED.unpack_from(self.message, at)
            at += _FIXED.size
            found.append(Frame(owner, rdtype, rdclass, ttl, at, length))
            at += length
            if at > len(self.message):
                raise MalformedError("ends too early")
        return found, at

    def charge(self, frame: Frame, names_at: int, names: int) -> None:
        """Count the labels of the names in a record's data: its parser will read them all again, pointer or not."""
        at = frame.start + names_at
        for _ in range(names):
            name, at = self.name(at)
            self._spend_labels(_count(name))

    def charge_strings(self, frame: Frame) -> None:
        """Count the character-strings in a record's data."""
        at = frame.start
        while at < frame.end:
            at += 1 + self.message[at]
            self.strings -= 1
        if self.strings < 0:
            raise MalformedError(f"has more than {MOST_STRINGS} strings")

    def _spend_labels(self, count: int) -> None:
        self.labels -= count
        if self.labels < 0:
            raise MalformedError(f"has more than {MOST_LABELS} labels to read")


def ttl_places(message: bytes) -> tuple[int, ...]:
    """Where the TTLs of a message with one question are, which was read without an error. OPT has none (RFC 6891)."""
    walk = Walk(message)
    _, at = walk.name(_HEADER)
    frames, _ = walk.frames(at + 4, sum(int.from_bytes(message[it : it + 2]) for it in (6, 8, 10)))
    return tuple(frame.start - _TTL_BEFORE for frame in frames if frame.rdtype != _OPT)


def _count(name: bytes) -> int:
    """The labels of a name in wire format, the root's included."""
    at, labels = 0, 1
    while name[at]:
        at += 1 + name[at]
        labels += 1
    return labels


def under(name: bytes, zone: bytes) -> bool:
    """Is the name in wire format the zone's own or inside it?"""
    at = 0
    while name[at:] != zone:
        if not name[at]:
            return False
        at += 1 + name[at]
    return True
