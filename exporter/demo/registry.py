"""An RDAP registry, and IANA's list of registries that names it, on web servers of the demo world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Any

from aiohttp import web

from exporter.demo.website import DAY, Answer, WebServers
from exporter.facts import IP

JSON = "application/rdap+json"

IANA, IANA_IP = "data.iana.org", IPv4Address("185.10.80.80")
REGISTRY, REGISTRY_IP = "rdap.registry.example", IPv4Address("185.10.81.81")
REGISTRAR, REGISTRAR_IP = "rdap.registrar.example", IPv4Address("185.10.89.89")
TOP = ("com", "net", "org", "example")  # what it is the registry of


class RegistryFault(StrEnum):
    NOT_FOUND = "not-found"  # as for names that nobody told it of
    LATER = "later"  # 429, to come back in an hour
    BUSY = "busy"  # 503
    GARBAGE = "garbage"
    OTHER_NAME = "other-name"  # answers about another one


@dataclass(frozen=True)
class Name:
    """What the registry holds of one name, in days from now; None is what it does not tell."""

    expires: float | None = 400.0
    registered: float | None = 3000.0  # ago
    status: tuple[str, ...] = ("active",)
    registrar: str = "Example Registrar"
    fault: RegistryFault | None = None
    at_registrar: float | None = None  # when it expires by the registrar's word; then the registry links to that
    registrar_fault: RegistryFault | None = None


class Registry:
    """The registry of the domains in TOP, and the server of a registrar.

    `asked` and `asked_registrar` list the names they were asked for, in order.
    """

    def __init__(self, names: Mapping[str, Name], now: float) -> None:
        self._names = names
        self._now = now
        self.asked: list[str] = []
        self.asked_registrar: list[str] = []
        servers: dict[IP, tuple[str, Answer]] = {
            IANA_IP: (IANA, self._list),
            REGISTRY_IP: (REGISTRY, self._domain),
            REGISTRAR_IP: (REGISTRAR, self._of_registrar),
        }
        self.web = WebServers(servers, now)

    async def _list(self, request: web.BaseRequest) -> web.Response:
        services = [[list(TOP), [f"https://{REGISTRY}/"]]]
        return web.json_response({"version": "1.0", "services": services})

    async def _domain(self, request: web.BaseRequest) -> web.Response:
        asked = request.path.removeprefix("/domain/")
        self.asked.append(asked)
        held = self._names.get(asked, Name(fault=RegistryFault.NOT_FOUND))
        return self._answer(asked, held, held.fault)

    async def _of_registrar(self, request: web.BaseRequest) -> web.Response:
        asked = request.path.removeprefix("/domain/")
        self.asked_registrar.append(asked)
        held = self._names[asked]
        return self._answer(asked, replace(held, expires=held.at_registrar, at_registrar=None), held.registrar_fault)

    def _answer(self, asked: str, held: Name, fault: RegistryFault | None) -> web.Response:
        match fault:
            case RegistryFault.NOT_FOUND:
                return _error(404, "nobody holds this name [demo]")
            case RegistryFault.LATER:
                return _error(429, "later [demo]", {"Retry-After": "3600"})
            case RegistryFault.BUSY:
                return _error(503, "busy [demo]")
            case RegistryFault.GARBAGE:
                return web.Response(text="<html>", content_type="text/html")
            case RegistryFault.OTHER_NAME:
                asked = f"other-{asked}"
        return web.Response(text=json.dumps(domain(asked, held, self._now)), content_type=JSON)


def domain(asked: str, held: Name, now: float) -> dict[str, Any]:
    """As RFC 9083 section 5.3 describes it."""
    moments = {
        "registration": None if held.registered is None else now - held.registered * DAY,
        "expiration": None if held.expires is None else now + held.expires * DAY,
    }
    return {
        "rdapConformance": ["rdap_level_0"],
        "objectClassName": "domain",
        "ldhName": asked.upper(),
        "status": list(held.status),
        "links": _links(asked, held),
        "events": [
            {"eventAction": action, "eventDate": datetime.fromtimestamp(moment, UTC).isoformat()}
            for action, moment in moments.items()
            if moment is not None
        ],
        "entities": [
            {
                "objectClassName": "entity",
                "roles": ["registrar"],
                "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", held.registrar]]],
            }
        ],
    }


def _links(asked: str, held: Name) -> list[dict[str, str]]:
    """As RFC 9083 section 4.2 and ICANN's RDAP response profile have them: to itself, and to the registrar."""
    to = {"self": REGISTRY, **({} if held.at_registrar is None else {"related": REGISTRAR})}
    return [{"rel": rel, "href": f"https://{host}/domain/{asked}", "type": JSON} for rel, host in to.items()]


def _error(status: int, title: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """RFC 9083 section 6."""
    body = json.dumps({"errorCode": status, "title": title})
    return web.Response(status=status, text=body, content_type=JSON, headers=headers)
