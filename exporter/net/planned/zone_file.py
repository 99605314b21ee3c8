"""Reads a master file (RFC 1035 section 5) of planned records.

The rules:

- $ORIGIN and $TTL are obeyed. $INCLUDE and $GENERATE are refused: one would read other files, one could make millions.
- A SOA record makes the file a whole zone. Then no record may stand outside of it. A transfer ends with it once more.
- Without $ORIGIN, names are absolute, or the caller says the origin: a guessed one would give other records.
- An error says the line at which the record begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile

from exporter.mail import names
from exporter.mail.dns import TXT, Question, Rdata
from exporter.net.dns import wire
from exporter.net.planned.records import MOST_RECORDS, PlannedFile, PlannedFileError, PlannedSet
from exporter.text import printable

USUAL_TTL = 3600  # seconds, where the file says none
LONGEST_STRING = 255  # octets (RFC 1035 section 3.3)
_IN = dns.rdataclass.IN
_PREFIX = re.compile(r"^file:\d+: (?:caught exception <class '[^']*'>: )?")  # of a message of dnspython
_NOWHERE = dns.name.from_text("there-is-no-origin.invalid.")


def parse(name: str, content: bytes, origin: str | None = None) -> PlannedFile:
    """Read it. `name` is shown. Raise PlannedFileError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PlannedFileError(f"{name}:{line}: is not UTF-8 text; save the file as UTF-8") from None
    lines = _Lines(text, "file")
    taker = _Taker(name, lines)
    reader = dns.zonefile.Reader(lines, _IN, taker, allow_directives=("$ORIGIN", "$TTL"))
    reader.current_origin = reader.last_name = _NOWHERE if origin is None else dns.name.from_text(origin)
    reader.last_ttl, reader.last_ttl_known = USUAL_TTL, True
    try:
        reader.read()
    except PlannedFileError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a hostile file does to the parser is a fault of the file)
        why = printable(_PREFIX.sub("", str(error)) or type(error).__name__, 200)
        raise PlannedFileError(f"{name}:{lines.began}: cannot be read: {why}") from None
    return taker.file()


class _Lines(dns.tokenizer.Tokenizer):
    """Knows where the record that is being read began."""

    began = 1

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        if want_leading and want_comment:  # the reader looks for a new record
            self.began = self.line_number
        return super().get(want_leading, want_comment)


@dataclass
class _Gathered:
    """The records of one name and type, each once. `line` is that of the first."""

    line: int
    ttl: int
    records: dict[Rdata, None] = field(default_factory=dict)


class _Taker(dns.zonefile.RRsetsReaderTransaction):
    """Takes the records one by one, so that an error can say where."""

    def __init__(self, name: str, lines: _Lines) -> None:
        super().__init__(dns.zonefile.RRSetsReaderManager(), True, False)  # type: ignore[no-untyped-call]  # dnspython leaves it so
        self._name = name
        self._lines = lines
        self._sets: dict[Question, _Gathered] = {}
        self._zone: str | None = None
        self._count = 0

    def add(self, *given: Any) -> None:
        """One record: its owner, TTL and data."""
        owner, ttl, data = given
        line = self._lines.began
        self._count += 1
        if self._count > MOST_RECORDS:
            raise PlannedFileError(f"{self._name}:{line}: there are more than {MOST_RECORDS:,} records")
        if owner.is_subdomain(_NOWHERE) or _NOWHERE.to_text() in data.to_text():
            raise PlannedFileError(
                f"{self._name}:{line}: has a relative name and no origin; "
                "end the name with a dot, write $ORIGIN, or give the file as ORIGIN=FILE"
            )
        question = Question(wire.name_text(owner), dns.rdatatype.to_text(data.rdtype))
        if question.rdtype == "SOA":
            if self._zone not in (None, question.name):
                raise PlannedFileError(f"{self._name}:{line}: has a second SOA record; keep one zone in a file")
            self._zone = question.name
        first = self._sets.setdefault(question, _Gathered(line, ttl))
        first.records[wire.record(data)] = None
        first.ttl = min(first.ttl, ttl)  # RFC 2181 section 5.2: they should be equal

    def file(self) -> PlannedFile:
        if not self._sets:
            raise PlannedFileError(f"{self._name}: has no record")
        if self._zone is not None:
            for question, found in self._sets.items():
                if not names.under(question.name, self._zone):
                    raise PlannedFileError(
                        f"{self._name}:{found.line}: {question.name} is not in the zone {self._zone} of the SOA record"
                    )
        sets = {it: PlannedSet(tuple(s.records), s.ttl, self._name, s.line) for it, s in self._sets.items()}
        return PlannedFile(self._name, self._zone, sets)


def read_name(text: str, origin: str | None = None) -> str:
    """A name in our form. Raise ValueError."""
    try:
        return wire.name_text(dns.name.from_text(text, None if origin is None else dns.name.from_text(origin)))
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"is no name: {printable(error, 120)}") from None


def read_record(rdtype: str, text: str) -> Rdata:
    """One record from its presentation format, with absolute names. Raise ValueError."""
    try:
        return wire.record(dns.rdata.from_text(_IN, rdtype, text))
    except (dns.exception.DNSException, ValueError, UnicodeError) as error:
        raise ValueError(f"is no {rdtype} record: {printable(error, 160)}") from None


def read_text(text: str) -> TXT:
    """A TXT record from its text with escapes, which may be longer than one string. Raise ValueError."""
    try:
        token = dns.tokenizer.Token(dns.tokenizer.QUOTED_STRING, text, True)
        octets = token.unescape_to_bytes().value
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"has an escape that cannot be read: {printable(error, 120)}") from None
    assert isinstance(octets, bytes)  # noqa: S101 (dnspython types a token's value as text or octets)
    return TXT(tuple(octets[at : at + LONGEST_STRING] for at in range(0, len(octets), LONGEST_STRING)) or (b"",))
