"""Small real web servers on loopback: a registry that answers RDAP, and IANA's list of registries that leads to it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from aiohttp import web

from exporter.demo.ca import Authority, Identity

IP: TypeAlias = IPv4Address | IPv6Address
Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HTTPS = 443
DAY = 86400.0
_YEARS = 3000 * DAY
_PATIENCE = 0.1  # seconds that an open connection may hold up the end
JSON = "application/rdap+json"

IANA, IANA_IP = "data.iana.org", IPv4Address("192.0.2.80")
REGISTRY, REGISTRY_IP = "rdap.registry.example", IPv4Address("192.0.2.81")
TOP = ("com", "net", "org", "example")  # what it is the registry of


class WebServers:
    """The web servers of a small world: where they are said to be -> their name and how they answer, at port 443.

    `pem` is the root that their certificates come from, `dial` is for exporter.net.https.Https.
    """

    def __init__(self, sites: Mapping[IP, tuple[str, Answer]], now: float) -> None:
        self.authority = Authority(now, "demo web authority")
        self.pem = self.authority.pem
        self._sites = sites
        # Clients verify by the machine's own clock, and `now` may be another one's.
        self._identities = {
            ip: self.authority.issue(name, not_before=now - _YEARS, not_after=now + _YEARS)
            for ip, (name, _) in sites.items()
        }
        self._runners: list[web.ServerRunner] = []
        self.addresses: dict[IP, tuple[str, int]] = {}

    async def start(self) -> None:
        for ip, (_, answer) in self._sites.items():
            runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=_PATIENCE)
            self._runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(self._identities[ip])).start()
            self.addresses[ip] = runner.addresses[0]

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def dial(self, ip: IP, port: int) -> tuple[str, int]:
        """Where to connect to instead; who is not of this world is where it says."""
        return self.addresses[ip] if port == HTTPS and ip in self.addresses else (str(ip), port)


class Fault(StrEnum):
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
    fault: Fault | None = None


class Registry:
    """The registry of the domains in TOP. `asked` lists the names it was asked for, in order."""

    def __init__(self, names: Mapping[str, Name], now: float) -> None:
        self._names = names
        self._now = now
        self.asked: list[str] = []
        self.web = WebServers({IANA_IP: (IANA, self._list), REGISTRY_IP: (REGISTRY, self._domain)}, now)

    async def _list(self, request: web.BaseRequest) -> web.Response:
        services = [[list(TOP), [f"https://{REGISTRY}/"]]]
        return web.json_response({"version": "1.0", "services": services})

    async def _domain(self, request: web.BaseRequest) -> web.Response:
        asked = request.path.removeprefix("/domain/")
        self.asked.append(asked)
        held = self._names.get(asked, Name(fault=Fault.NOT_FOUND))
        match held.fault:
            case Fault.NOT_FOUND:
                return _error(404, "nobody holds this name [demo]")
            case Fault.LATER:
                return _error(429, "later [demo]", {"Retry-After": "3600"})
            case Fault.BUSY:
                return _error(503, "busy [demo]")
            case Fault.GARBAGE:
                return web.Response(text="<html>", content_type="text/html")
            case Fault.OTHER_NAME:
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


def _error(status: int, title: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """RFC 9083 section 6."""
    body = json.dumps({"errorCode": status, "title": title})
    return web.Response(status=status, text=body, content_type=JSON, headers=headers)


def server_context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:  # OpenSSL takes keys from files only
        key, chain = Path(folder) / "key.pem", Path(folder) / "chain.pem"
        key.write_bytes(identity.key)
        chain.write_bytes(identity.chain)
        context.load_cert_chain(chain, key)
    return context
