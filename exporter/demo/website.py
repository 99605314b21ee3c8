"""Small real web servers on loopback, with the good and bad pages that domains publish over HTTPS."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from exporter.demo.ca import Authority, Identity
from exporter.demo.certificates import CertificateKind
from exporter.facts import IP

Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HTTPS = 443
DAY = 86400.0
_YEARS = 3000 * DAY
_PATIENCE = 0.1  # seconds that an open connection may hold up the end


class WebServers:
    """The web servers of a small world: where they are said to be -> their name and how they answer, at port 443.

    `pem` is the root that their certificates come from, `dial` is for exporter.net.https.Https.
    """

    def __init__(
        self,
        sites: Mapping[IP, tuple[str, Answer]],
        now: float,
        certificates: Mapping[IP, CertificateKind] | None = None,
    ) -> None:
        self.authority = Authority(now, "demo web authority")
        self.pem = self.authority.pem
        self._sites = sites
        kinds = certificates or {}
        self._identities = {
            ip: _identity(self.authority, name, kinds.get(ip, CertificateKind.GOOD), now)
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


@dataclass(frozen=True)
class Page:
    """What is to be had at one https URL. `certificate` is that of its whole site."""

    url: str
    status: int = 200
    type: str = "text/plain"
    body: str = ""
    times: int = 1  # so often the body, one behind the other
    location: str = ""  # of a redirect
    certificate: CertificateKind = CertificateKind.GOOD


def websites(pages: Iterable[Page], addresses: Callable[[str], Iterable[IP]], now: float) -> WebServers:
    """Servers for these pages, at the addresses that their hosts have; an address serves one host. The rest is 404.

    Of several pages with one URL each is served once, in their order, and then the last one for good.
    """
    sites: dict[str, dict[str, list[Page]]] = {}
    for page in pages:
        paths = sites.setdefault(urlsplit(page.url).hostname or "", {})
        paths.setdefault(urlsplit(page.url).path, []).append(page)
    places = {ip: host for host in sites for ip in addresses(host)}
    kinds = {ip: next(iter(sites[host].values()))[0].certificate for ip, host in places.items()}
    return WebServers({ip: (host, _site(sites[host])) for ip, host in places.items()}, now, kinds)


def _site(pages: Mapping[str, list[Page]]) -> Answer:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path not in pages:
            return web.Response(status=404, text="no such page [demo]")
        page, *later = pages[request.path]
        if later:
            del pages[request.path][0]
        headers = {"Content-Type": page.type} | ({"Location": page.location} if page.location else {})
        return web.Response(status=page.status, body=page.body.encode() * page.times, headers=headers)

    return answer


def _identity(authority: Authority, name: str, certificate: CertificateKind, now: float) -> Identity:
    """Clients verify by the machine's own clock, and `now` may be another one's: every date is years away."""
    begins, ends = now - _YEARS, now + _YEARS
    match certificate:
        case CertificateKind.EXPIRED:
            begins, ends = now - 2 * _YEARS, now - _YEARS
        case CertificateKind.EARLY:
            begins, ends = now + _YEARS, now + 2 * _YEARS
        case CertificateKind.WRONG_NAME:
            name = f"elsewhere.{name}"
        case CertificateKind.UNTRUSTED:
            authority = Authority(now, "stranger")
    self_signed = certificate is CertificateKind.SELF_SIGNED
    return authority.issue(name, not_before=begins, not_after=ends, self_signed=self_signed)


def server_context(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:  # OpenSSL takes keys from files only
        key, chain = Path(folder) / "key.pem", Path(folder) / "chain.pem"
        key.write_bytes(identity.key)
        chain.write_bytes(identity.chain)
        context.load_cert_chain(chain, key)
    return context
