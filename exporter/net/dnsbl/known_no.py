"""Recognises the plain "no" of one blocklist by its octets.

The problem: nearly every answer is "no such name". To read each of them in full costs more than to ask.

The idea: an answer whose octets have been read in full before says the same again. So we compare octets, and read only
what is new.

The rules:

- A plain "no" is NXDOMAIN without an answer section, and with at most a bare OPT record. An option means: not plain.
- Octets are known if `wire.decode` has read the same ones after a question of that length. The id and the TTL of the
  first SOA record may differ. Octets that point into the changing part of the question, or into that record's fixed
  fields, are never known.
"""

from __future__ import annotations

from exporter.mail.dns import Question, Status
from exporter.net.dns import wire

MOST_KNOWN = 64  # answers of one list
LONGEST_KNOWN = 512  # octets of one

_HEADER = 12
_LONGEST_NAME = 255
_NXDOMAIN = 3
_SOA = b"\0\6"
_FIXED = 12  # octets of an owner that is a pointer, and of type, class, TTL and length
_MODEL = wire.query(Question("a", "A"))
_BEFORE, _AFTER = _MODEL.tail[:10], _MODEL.tail[10 + len(_MODEL.asked) :]
_NO_RECORDS, _ONE_RECORD = b"\0\0", b"\0\1"
_OPT = b"\0\0\x29"


class KnownNo:
    """The octets after which one list is known to have said "no", and its questions."""

    __slots__ = ("_known", "_question", "suffix")

    def __init__(self, zone: str) -> None:
        """Raise ValueError if no question below the zone can be asked."""
        self._question = Question("", "A")  # of the list, not of a subject: nobody reads it
        self.suffix = wire.query(Question(zone, "A")).asked
        self._known: set[tuple[int, bytes]] = set()

    def query(self, before: bytes) -> wire.Query | None:
        """The question for the labels before the zone; None if that name would be too long."""
        asked = before + self.suffix
        if len(asked) > _LONGEST_NAME + 4:
            return None
        return wire.Query(self._question, _MODEL.rdtype, asked, _BEFORE + asked + _AFTER)

    def says_no(self, message: bytes, query: wire.Query) -> bool:
        """Is the message a plain "no"? It must answer the question, octet by octet."""
        if message[3] & 0x0F != _NXDOMAIN or message[6:8] != _NO_RECORDS:
            return False
        if message[10:12] != _NO_RECORDS and (
            message[10:12] != _ONE_RECORD or message[-11:-8] != _OPT or message[-2:] != _NO_RECORDS
        ):
            return False
        end = _HEADER + len(query.asked)
        if message[end] >= 0xC0 and message[end + 2 : end + 4] == _SOA if len(message) > end else False:
            key = end, message[2:_HEADER] + message[end : end + 6] + message[end + 10 :]
        else:
            key = end, message[2:_HEADER] + message[end:]
        if key in self._known:
            return True
        said = wire.decode(message, query)
        if said.status is not Status.NXDOMAIN or said.extended:
            return False
        if len(message) - end <= LONGEST_KNOWN and not self._varies(message, end):
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known.add(key)
        return True

    def _varies(self, message: bytes, end: int) -> bool:
        """May it say something else after another question of this length, or with another TTL?"""
        same_from = end - len(self.suffix)
        for at in range(end, len(message) - 1):
            if message[at] >= 0xC0:
                target = (message[at] & 0x3F) << 8 | message[at + 1]
                if target < same_from or end <= target < end + _FIXED:
                    return True
        return False
