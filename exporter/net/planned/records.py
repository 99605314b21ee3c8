"""The records of planned files, and what a zone made of them says (RFC 1034 section 4.3.2, RFC 4592).

A file says one of two things:

- It is a whole zone: it has a SOA record, or comes from octoDNS, which deletes all else. What is not in it does not
  exist. Names below a delegation are not in it.
- It is some records: each set of one name and type is in place of that set in DNS. All else stays as DNS has it.

A record can also be removed by name and type, with no file at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from exporter.mail import names
from exporter.mail.dns import Question, Rdata

EVERY = "*"  # in place of a type: all types
MOST_RECORDS = 200_000  # of one file
LARGEST = 20 * 1024 * 1024  # bytes of one file

_LABEL = re.compile(r"(?:[^.\\]|\\.)+", re.DOTALL)  # in presentation format


class PlannedFileError(ValueError):
    """A planned file that cannot be used. It says the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """The records of one name and type. `unclear`: why nobody can tell from the file what DNS will say."""

    records: tuple[Rdata, ...]
    ttl: int  # seconds
    file: str
    line: int
    unclear: str = ""


Sets: TypeAlias = Mapping[Question, PlannedSet]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What one file says. `zone`: it is all of this zone. `kept`: what stays as DNS has it all the same."""

    name: str
    zone: str | None
    sets: Sets
    kept: frozenset[Question] = frozenset()

    @property
    def count(self) -> int:
        return sum(len(it.records) for it in self.sets.values())


class Absence(StrEnum):
    """Why a zone has no records for a question."""

    NODATA = "nodata"
    NXDOMAIN = "nxdomain"


@dataclass(frozen=True, slots=True)
class Alias:
    """The question goes on at another name."""

    target: str
    ttl: int
    file: str


@dataclass(frozen=True, slots=True)
class Delegated:
    """The name is in another zone, whose name servers the plan names."""

    cut: str
    servers: PlannedSet


class AsInDns(StrEnum):
    """DNS itself is asked."""

    KEPT = "kept"


Lookup: TypeAlias = PlannedSet | Alias | Absence | Delegated | AsInDns


def ancestors(name: str) -> Iterator[str]:
    """The name and those above it, without the root."""
    labels = _LABEL.findall(name) if "\\" in name else name.split(".")
    for at in range(len(labels)):
        yield ".".join(labels[at:])


def parent(name: str) -> str:
    return next((it for place, it in enumerate(ancestors(name)) if place), ".")


@dataclass(frozen=True, slots=True)
class Records:
    """Sets of records, and the names that exist because of them: an empty non-terminal exists, too (RFC 8020)."""

    sets: Sets
    kept: frozenset[Question] = frozenset()
    owners: frozenset[str] = field(init=False)
    exists: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        owners = {it.name for it in self.sets} | {it.name for it in self.kept}
        object.__setattr__(self, "owners", frozenset(owners))
        object.__setattr__(self, "exists", frozenset(above for name in owners for above in ancestors(name)))

    def at(self, name: str, rdtype: str, owner: str) -> PlannedSet | Alias | AsInDns | None:
        """What stands at the owner, which is the name or a wildcard that covers it."""
        if Question(owner, rdtype) in self.kept:
            return AsInDns.KEPT
        if found := self.sets.get(Question(owner, rdtype)):
            return found
        alias = self.sets.get(Question(owner, "CNAME"))
        if alias is None:
            return None
        return alias if alias.unclear else Alias(str(alias.records[0]), alias.ttl, alias.file)

    def renamed(self, name: str) -> PlannedSet | Alias | None:
        """What a DNAME above the name makes of it (RFC 6672 section 3.2)."""
        for above in ancestors(parent(name)):
            if found := self.sets.get(Question(above, "DNAME")):
                if found.unclear:
                    return found
                target = str(found.records[0]).removesuffix(".")
                return Alias(f"{name.removesuffix(above)}{target}", found.ttl, found.file)
        return None


@dataclass(frozen=True, slots=True)
class WholeZone:
    apex: str
    records: Records

    def find(self, question: Question) -> Lookup:
        name, rdtype = question
        below = [it for it in ancestors(name) if it != self.apex and names.under(it, self.apex)]
        for cut in reversed(below):
            servers = self.records.sets.get(Question(cut, "NS"))
            if servers and not (cut == name and rdtype == "DS"):  # RFC 4035 section 3.1.4.1: DS is above the cut
                return Delegated(cut, servers)
        if renamed := self.records.renamed(name):
            return renamed
        if name in self.records.exists:
            return self.records.at(name, rdtype, name) or Absence.NODATA
        for above in ancestors(parent(name)):
            if (wildcard := f"*.{above}") in self.records.exists:
                return self.records.at(name, rdtype, wildcard) or Absence.NODATA
            if above in self.records.exists:
                break
        return Absence.NXDOMAIN


class PlannedRecords:
    """All that is planned. Raise PlannedFileError if two files, or a file and a removal, say different things."""

    def __init__(self, files: Iterable[PlannedFile], removed: Iterable[Question] = ()) -> None:
        """`removed`: names with the type that goes, or EVERY."""
        self.files = tuple(files)
        self.removed = frozenset(removed)
        parts: dict[str, list[PlannedFile]] = {}
        for file in self.files:
            parts.setdefault(file.zone or "", []).append(file)
        loose = _merged(parts.pop("", []))
        self._zones = {apex: WholeZone(apex, _merged(some)) for apex, some in parts.items()}
        self.loose = loose
        self._check()
        self._losing = frozenset(it.name for it in self.removed)
        owners = loose.owners | self._losing
        self._near = {names.registered(it.removeprefix("*.")) for it in owners} | self._zones.keys()

    def _check(self) -> None:
        for question, found in self.loose.sets.items():
            if zone := self.zone(question):
                whole = zone.records.sets[min(zone.records.sets)].file
                raise PlannedFileError(
                    f"{found.file}:{found.line}: {question.name} is in the zone {zone.apex}, of which {whole} has all"
                )
            if gone := self.removed & {question, Question(question.name, EVERY)}:
                raise PlannedFileError(
                    f"{found.file}:{found.line}: {question} is planned here, and --without {min(gone).name} removes it"
                )
        for question in self.removed:
            if zone := self.zone(question):
                raise PlannedFileError(
                    f"--without {question.name}: remove it from the file that has the whole zone {zone.apex}"
                )

    def zone(self, question: Question) -> WholeZone | None:
        """The planned zone that answers the question."""
        above = ancestors(question.name)
        if question.rdtype == "DS":
            above = ancestors(parent(question.name))
        return next((self._zones[it] for it in above if it in self._zones), None)

    def removes(self, question: Question) -> bool:
        return not self.removed.isdisjoint({question, Question(question.name, EVERY)})

    def touches(self, name: str) -> bool:
        """Is a record of that very name removed?"""
        return name in self._losing

    def near(self, name: str) -> bool:
        """May the plan change what DNS says of the name? If not, it certainly does not."""
        return not self._near.isdisjoint(ancestors(name.lower()))

    def unasked(self, asked: Collection[Question]) -> Iterator[str]:
        """The files, and the names that are removed, that none of the questions is about."""
        names_asked = {it.name.lower() for it in asked}
        for file in self.files:
            about = file.zone
            known = {it.name for it in file.sets} if about is None else set()
            if not any(it in known or (about and names.under(it, about)) for it in names_asked):
                yield file.name
        yield from sorted(self._losing - names_asked)


def _merged(files: Iterable[PlannedFile]) -> Records:
    sets: dict[Question, PlannedSet] = {}
    kept: set[Question] = set()
    for file in files:
        for question, found in file.sets.items():
            if other := sets.get(question):
                raise PlannedFileError(
                    f"{found.file}:{found.line}: {question} is in {other.file}:{other.line}, too; keep one"
                )
            sets[question] = found
        kept |= file.kept
    kept -= sets.keys()
    by_name: dict[str, dict[str, PlannedSet]] = {}
    for question, found in sets.items():
        by_name.setdefault(question.name, {})[question.rdtype] = found
    for name, types in by_name.items():
        if alias := types.get("CNAME"):
            others = types.keys() - {"CNAME", "RRSIG", "NSEC", "NSEC3"}  # RFC 2181 section 10.1
            if others or len(alias.records) > 1:
                beside = f"{name} {min(others)}" if others else "another CNAME"
                raise PlannedFileError(
                    f"{alias.file}:{alias.line}: {name} has a CNAME record and {beside}; nothing may stand beside it"
                )
    return Records(sets, frozenset(kept))
