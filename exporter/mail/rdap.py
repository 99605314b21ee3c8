"""What a registry says about a domain name (RDAP: RFC 7480, RFC 9082, RFC 9083) and where to ask (RFC 9224).

A domain name is rented. When the rent is not paid the registry first takes the name out of its zone, so that mail stops
at once, then holds it for a while for the former holder, and at last gives it to whoever asks first (RFC 3915 section
2). RDAP is how this can be seen from outside: an HTTPS request to the registry's server for `domain/NAME` (RFC 9082
section 3.1.3) is answered with a JSON object of the class "domain" (RFC 9083 section 5.3). Of it we read

- `events` (section 4.5): "expiration" says until when the name is paid for, "registration" since when it is held. Some
  registries publish no expiration, and none is no date far away: it is not known. "registrar expiration" is the date
  that the registrar has; the later one counts.
- `links` (section 4.2): one with the relation "related" leads to the answer of the registrar's own server about the
  name. Its date may be later than the registry's: some registrars sell years and renew one by one.
- `status` (section 4.6): the words that RFC 8056 section 2 gives to the states of RFC 5731 section 2.3 and RFC 3915
  section 3.1. "client hold", "server hold" and "inactive" mean that the name is not in the zone at all. "auto renew
  period": the registry has renewed the name by itself, and the registrar may still give it back.
- `entities` (section 5.1): the one with the role "registrar" is the seller, who can renew; its name is the "fn" of its
  jCard (RFC 7095).

Which server is the registry's own is written in a file that IANA publishes, the bootstrap registry (RFC 9224 sections
3 and 4): a list of services, each a list of domains and a list of base URLs. The entry that shares most labels with the
name counts. A name without an entry has no RDAP server (section 7).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.mail import names
from exporter.text import printable

IANA = "https://data.iana.org/rdap/dns.json"  # the bootstrap registry for domain names: RFC 9224 section 4
LARGEST = 2**20  # octets; IANA's file has a tenth of it
MOST = 1000  # events, statuses or entities of one answer; what is behind them is not read
LONGEST = 200  # characters of a status or a name
MEDIA = "application/rdap+json"
AUTO_RENEWED = "auto renew period"  # RFC 3915 section 3.1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# RFC 3339 section 5.6, with the space that its note allows. Fractions of a second say nothing here.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.[0-9]{1,30})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_SECURE = re.compile(r"https://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?/[!-~]{0,1000}", re.ASCII | re.IGNORECASE)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # in EPP's own spelling, clientHold, which some servers pass on


class RdapSyntaxError(ValueError):
    """It is not what RFC 9083 or RFC 9224 describes. The text is for a person."""


@dataclass(frozen=True, slots=True)
class RdapRegistration:
    """What the registry tells of one name. Moments are unix seconds, None where it tells none."""

    expires: float | None
    registered: float | None
    statuses: frozenset[str]  # in the words of RFC 8056, lower case
    registrar: str  # "" if there is none
    related: str = ""  # the URL of the registrar's answer, "" if there is none


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Which RDAP servers answer for which names: base URLs that end with a slash, by domain."""

    services: Mapping[str, tuple[str, ...]]

    def servers(self, domain: str) -> tuple[str, ...]:
        """Those of the entry that shares most labels with the name; none if there is no such entry."""
        labels = domain.split(".")
        found = (self.services.get(".".join(labels[start:])) for start in range(len(labels)))
        return next((urls for urls in found if urls), ())


def bootstrap(octets: bytes) -> Bootstrap:
    """The bootstrap registry for domain names. Raise RdapSyntaxError."""
    services = _object(octets).get("services")
    if not isinstance(services, list):
        raise RdapSyntaxError("it has no list of services")
    read: dict[str, tuple[str, ...]] = {}
    for service in services:
        match service:
            case [list(entries), list(urls)] if _all_text(entries) and _all_text(urls):
                bases = tuple(url if url.endswith("/") else f"{url}/" for url in urls)
                read.update((entry.lower().strip("."), bases) for entry in entries)
            case _:
                raise RdapSyntaxError("a service is no pair of domains and URLs")
    return Bootstrap(read)


def registration(octets: bytes, domain: str) -> RdapRegistration:
    """The answer about this domain. Raise RdapSyntaxError, also for an answer about something else."""
    answer = _object(octets)
    if answer.get("objectClassName") != "domain":
        raise RdapSyntaxError(f'it is no object of the class "domain" but {_shown(answer.get("objectClassName"))}')
    name = answer.get("ldhName")
    if not isinstance(name, str) or name[: names.LONGEST_NAME + 1].lower().removesuffix(".") != domain:
        raise RdapSyntaxError(f"it is about {_shown(name)}")
    events = list(_objects(answer, "events"))
    expires = _moments(events, "expiration")
    if len(expires) > 1:  # nothing says which one counts
        raise RdapSyntaxError("it tells several moments of expiration")
    return RdapRegistration(
        expires=max(expires | set(_of_registrar(events)), default=None),
        registered=min(_moments(events, "registration"), default=None),
        statuses=frozenset(_statuses(answer)),
        registrar=next(_registrars(answer), ""),
        related=next(_related(answer), ""),
    )


def _object(octets: bytes) -> dict[str, Any]:
    if len(octets) > LARGEST:
        raise RdapSyntaxError(f"it is larger than {LARGEST} bytes")
    try:
        read = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise RdapSyntaxError(f"it is no JSON: {printable(error, 80)}") from None
    if not isinstance(read, dict):
        raise RdapSyntaxError("it is no JSON object")
    return read


def _shown(value: object) -> str:
    return printable(value, 80) if isinstance(value, str) else "something that is no text"


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _list(told: Mapping[str, Any], key: str) -> list[Any]:
    """Raise RdapSyntaxError if something else is there; empty if nothing is."""
    value = told.get(key, [])
    if not isinstance(value, list):
        raise RdapSyntaxError(f"its {key} are no list")
    return value[:MOST]


def _objects(told: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    return (item for item in _list(told, key) if isinstance(item, dict))


def _moments(events: list[dict[str, Any]], action: str) -> set[float]:
    return {_moment(event.get("eventDate")) for event in events if event.get("eventAction") == action}


def _of_registrar(events: list[dict[str, Any]]) -> Iterator[float]:
    """Its date is an addition: one that cannot be read takes nothing from the rest."""
    for event in events:
        if event.get("eventAction") == "registrar expiration":
            with suppress(RdapSyntaxError):
                yield _moment(event.get("eventDate"))


def _moment(text: object) -> float:
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise RdapSyntaxError(f"{_shown(text)} is no moment")
    day, minute, second, offset = found.groups()
    try:
        # a leap second is one that datetime does not know
        moment = datetime.fromisoformat(f"{day}T{minute}:{min(int(second), 59):02}{offset.upper()}")
        return (moment.astimezone(UTC) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):  # the latter on the far side of the years 1 and 9999
        raise RdapSyntaxError(f"{_shown(text)} is no moment") from None


def _statuses(told: Mapping[str, Any]) -> Iterator[str]:
    for status in _list(told, "status"):
        if isinstance(status, str):
            yield _HUMP.sub(" ", status[:LONGEST]).lower()


def _related(answer: Mapping[str, Any]) -> Iterator[str]:
    """Links to RDAP, by the media type of RFC 9083; what else is related is for people."""
    for link in _objects(answer, "links"):
        href, media = link.get("href"), link.get("type")
        if link.get("rel") == "related" and media == MEDIA and isinstance(href, str) and _SECURE.fullmatch(href):
            yield href


def _registrars(told: Mapping[str, Any]) -> Iterator[str]:
    for entity in _objects(told, "entities"):
        if "registrar" not in _list(entity, "roles"):
            continue
        match entity.get("vcardArray"):
            case ["vcard", list(properties)]:
                for prop in properties[:MOST]:
                    match prop:
                        case ["fn", _, _, str(name), *_] if name.strip():
                            yield name.strip()[:LONGEST]
