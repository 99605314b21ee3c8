"""The catalogue of blocklists, and a Blocklist from plain data: an entry of the catalogue or of a config.

RFC 6471 asks a list that stops to say so for a while, and its users to stop asking (section 3.4). Zones that are
gone are kept here by name, so that a config which still has one is refused with the reason, instead of being
told for ever that nobody is listed, or that everybody is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from exporter.facts import Severity
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import LISTING_RANGE, Blocklist, Code, ListError, ListFault, Lists


@dataclass(frozen=True, slots=True)
class Retired:
    """A list that must not be asked any more, and why."""

    name: str
    zone: str
    since: str
    why: str


@dataclass(frozen=True)
class Shipped:
    """The catalogue of lists: `known` is the date of what it knows."""

    known: str
    lists: Mapping[str, Blocklist]
    retired: tuple[Retired, ...]
    entries: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @property
    def default(self) -> tuple[Blocklist, ...]:
        return tuple(blocklist for blocklist in self.lists.values() if blocklist.default)

    def entry(self, given: Mapping[str, Any]) -> Blocklist:
        """A list as configured: one with a shipped name takes from the catalogue what it does not say itself.

        Raise ValueError, saying what is wrong and never quoting the zone.
        """
        name = str(given.get("name", ""))
        gone = self._retired(name, str(given.get("zone", "")))
        if gone:
            raise ValueError(f"{gone.name} is retired since {gone.since} and must not be asked: {gone.why}")
        return blocklist({**self.entries.get(name, {}), **given})

    def _retired(self, name: str, zone: str) -> Retired | None:
        zone = zone.strip().lower().removesuffix(".")
        return next((r for r in self.retired if r.name == name or names.under(zone, r.zone)), None)


def shipped(document: Mapping[str, Any]) -> Shipped:
    """The catalogue from its parsed file. Raise ValueError, saying what is wrong."""
    entries = {str(entry["name"]): entry for entry in document["lists"]}
    retired = tuple(Retired(**entry) for entry in document["retired"])
    return Shipped(str(document["known"]), {name: blocklist(e) for name, e in entries.items()}, retired, entries)


_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


def blocklist(given: Mapping[str, Any]) -> Blocklist:
    """A Blocklist from plain data. Raise ValueError, naming the key and never quoting the zone."""
    name = given.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("name: wants lower-case letters, digits, dots and hyphens, 63 at most")
    unknown = given.keys() - _KEYS.keys() - {"name", "zone"}
    if unknown:
        raise ValueError(f"{name}: has no key {', '.join(sorted(map(str, unknown)))}")
    try:
        zone = names.canonical(_text(given.get("zone")), underscores=True)
    except (ValueError, TypeError):
        raise ValueError(f"{name}: zone is no domain name") from None
    values: dict[str, Any] = {}
    for key in _KEYS.keys() & given.keys():
        try:
            values[key] = _KEYS[key](given[key])
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{name}: {key}: {error}") from None
    made = Blocklist(name=name, zone=zone, **values)
    keys = [*made.codes, *made.harmless, *made.errors]
    wrong = [key for key in keys if key.isdigit() is not made.bits]
    if wrong:
        raise ValueError(f"{name}: wants {'bits' if made.bits else 'addresses'} as codes, not {wrong[0]}")
    if len(set(keys)) < len(keys):
        raise ValueError(f"{name}: a code is in two of codes, harmless and errors")
    if len(made.question("0" * 63 if made.lists is Lists.DOMAINS else IPv6Address(0))) > names.LONGEST_NAME:
        raise ValueError(f"{name}: zone is too long to be asked")
    try:
        points = made.test_points
    except ValueError:
        raise ValueError(f"{name}: a test point of a list of addresses is an address") from None
    if points[0] == points[1]:
        raise ValueError(f"{name}: the two test points must differ")
    return made


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("wants text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("wants true or false")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("wants a whole number above 0")
    return value


def _keyed(make: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def read(given: Any) -> dict[str, Any]:
        pairs = [(key, make(value)) for spec, value in given.items() for key in _spread(str(spec))]
        keyed = dict(pairs)
        if len(keyed) < len(pairs):
            raise ValueError("gives one code two meanings")
        return keyed

    return read


def _spread(spec: str) -> Iterator[str]:
    """The codes of `127.0.0.4`, `127.0.0.4-127.0.0.7`, or of the bit `8`."""
    if spec.isdecimal() and int(spec) in {1 << n for n in range(8)}:
        yield spec
        return
    first, _, last = spec.partition("-")
    low, high = IPv4Address(first), IPv4Address(last or first)
    if not (low in LISTING_RANGE and high in LISTING_RANGE and 0 <= int(high) - int(low) < 256):
        raise ValueError(f"{spec} is no code")
    yield from (str(IPv4Address(n)) for n in range(int(low), int(high) + 1))


def _fields(given: Mapping[str, Any], allowed: Iterable[str]) -> Mapping[str, Any]:
    strange = given.keys() - set(allowed)
    if strange or "meaning" not in given:
        raise ValueError(f"wants a meaning{', and has no ' + ', '.join(sorted(strange)) if strange else ''}")
    return given


def _code(given: Any) -> Code:
    got = _fields(given, ("meaning", "severity", "remedy"))
    return Code(_text(got["meaning"]), Severity(got.get("severity", "warning")), _text(got.get("remedy", "")))


def _error(given: Any) -> ListError:
    got = _fields(given, ("meaning", "fault"))
    return ListError(ListFault(got.get("fault", "resolver")), _text(got["meaning"]))


_KEYS: dict[str, Callable[[Any], Any]] = {
    "lists": Lists,
    "codes": _keyed(_code),
    "bits": _flag,
    "harmless": _keyed(_text),
    "errors": _keyed(_error),
    "severity": Severity,
    "ipv4": _flag,
    "ipv6": _flag,
    "whole_name": _flag,
    "test_listed": _text,
    "test_unlisted": _text,
    "queries_per_day": _count,
    "queries_per_second": _count,
    "delist": _text,
    "terms": _text,
    "default": _flag,
}
