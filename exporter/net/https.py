"""Fetches one URL at a time over HTTPS, for what domains publish for everybody, such as policies and logos.

The problem: the URLs come from other people's DNS records. A URL or a redirect could lead into our own network, and a
server could answer without end.

The rules:

- Host names are looked up through our own resolver. A URL with an address in place of a name is refused.
- An address that is not public is never connected to, after a redirect neither.
- Certificates are verified, and TLS is 1.2 or newer (RFC 9325 section 3.1.1).
- A redirect is followed only if the caller allows it.
- Time, size and the number of redirects have limits.
- There is no compression and no proxy. No cookie is kept, and no connection is used twice.
- Silence, and status 5xx, are counted. Four runs over an hour are a fact about the server (silence.py).

A failure is returned with its kind (`Failure`), not as a plain doubt: each protocol decides what it means. A bad
certificate, for example, is a fact for MTA-STS (RFC 8461 section 3.3), and a doubt elsewhere.
"""

from __future__ import annotations

import asyncio
import errno
import re
import ssl
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

from exporter import __version__
from exporter.clock import Clock, SystemClock
from exporter.facts import Doubt, Reason
from exporter.late import Late
from exporter.mail import names
from exporter.mail.dns import Question
from exporter.net.interfaces import Dial, dial_direct
from exporter.net.shortage import no_route, shortage
from exporter.net.silence import Silence, SilentUrls
from exporter.net.tls import system_authorities
from exporter.text import printable

if TYPE_CHECKING:
    import aiohttp

    from exporter.net import https_connection
    from exporter.net.interfaces import DnsClient
else:
    aiohttp = Late("aiohttp")
    https_connection = Late("exporter.net.https_connection")

PORT = 443
LARGEST = 2**16  # octets of a body, unless the caller wants more
DEADLINE = 20.0  # seconds, redirects included
MOST_ADDRESSES = 8  # of one name
AT_ONCE = 100  # enough for all runs of the three checks that fetch URLs, so that none waits for another check
LATELY = 90_000.0  # seconds: registries, which every exporter may ask, are asked once a day

_URL = re.compile(r"https://([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?(?:[/?][!-~]*)?", re.ASCII | re.IGNORECASE)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110 section 15.4


class Failure(StrEnum):
    """How a GET ended without an HTTP status."""

    URL = "url"  # not one that may be asked
    DNS = "dns"  # the resolver cannot tell its addresses
    NO_ADDRESS = "no-address"  # it has none
    NOT_PUBLIC = "not-public"  # none that is public
    REFUSED = "refused"  # each address refuses connections, while somebody else has lately answered us
    CONNECTION = "connection"  # none for another reason, or broken off
    CERTIFICATE = "certificate"  # not trusted, out of date or for another name
    BLIND = "blind"  # the same, but on a machine that trusts no authority at all
    TLS = "tls"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"  # no HTTP, or an encoding that was not asked for
    TOO_LARGE = "too-large"
    REDIRECTS = "redirects"  # too many


_SILENT = frozenset({Failure.TIMEOUT, Failure.CONNECTION})
_REASONS = {
    Failure.URL: Reason.MALFORMED,
    Failure.MALFORMED: Reason.MALFORMED,
    Failure.TOO_LARGE: Reason.MALFORMED,
    Failure.REDIRECTS: Reason.MALFORMED,
}
_NOT_GOOD = {
    Failure.CERTIFICATE: "its certificate is not good",
    Failure.BLIND: "no authority is known to this machine, so no certificate can be verified",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of one GET: an answer with any HTTP status, or a failure. `url` is the last one that was asked."""

    url: str
    status: int = 0
    body: bytes = b""
    content_type: str = ""
    retry_after: str = ""
    location: str = ""  # of a redirect that was not followed
    failure: Failure | None = None
    trouble: Doubt | None = None  # of a failure
    silence: Silence | None = None  # long enough to be a fact about the server: silence.py
    lines: tuple[str, ...] = ()

    @property
    def doubt(self) -> Doubt | None:
        """Why nothing is known, or None: 429 and 5xx say "later" (RFC 6585 section 4, RFC 9110 section 15.6)."""
        if self.status == 429 or self.status >= 500:
            return Doubt(Reason.TEMPFAIL, f"{self.url}: HTTP status {self.status}")
        return self.trouble


class _Failed(Exception):  # noqa: N818 (a fact about the server, not an error of ours)
    """`ours`: our own network is the cause, so it says nothing about the server."""

    def __init__(self, failure: Failure, why: str, reason: Reason | None = None, *, ours: bool = False) -> None:
        super().__init__(why)
        self.ours = ours
        self.failure = failure
        self.reason = reason or _REASONS.get(failure, Reason.NETWORK)


class _Addresses:
    """Looks up the addresses of a host in our resolver, and leaves out those that must not be connected to."""

    def __init__(self, dns: DnsClient, dial: Dial) -> None:
        self._dns = dns
        self._dial = dial

    def through(self, dns: DnsClient) -> _Addresses:
        return _Addresses(dns, self._dial)

    async def resolve(self, host: str, port: int) -> tuple[list[tuple[str, int]], _Failed | None]:
        """Where to connect to, at least one, and why there may be more. Raise _Failed."""
        replies = await asyncio.gather(*(self._dns.ask(Question(host.lower(), rdtype)) for rdtype in ("AAAA", "A")))
        # In turns, since large web hosts have eight IPv6 addresses to a name, and we may have no way to any of them.
        pairs = zip_longest(*(reply.addresses for reply in replies))
        found = [ip for pair in pairs for ip in pair if ip is not None]
        results, refused = [], []
        for ip in found[:MOST_ADDRESSES]:
            where = await self._dial(ip, port)
            if (meaning := names.never_dialled(ip)) and where == (str(ip), port):
                refused.append(f"{ip} ({meaning})")
            else:
                results.append(where)
        unknown = None
        for reply in replies:
            if not reply.status.conclusive:
                why = f"{reply.question}: {reply.detail or reply.status}"
                unknown = _Failed(Failure.DNS, why, reply.status.reason)
                break
        if results:
            return results, unknown
        if unknown:
            raise unknown
        if not refused:
            raise _Failed(Failure.NO_ADDRESS, f"{host} has no address")
        raise _Failed(Failure.NOT_PUBLIC, f"{host} has no public address: {', '.join(refused)}")


class HttpsClient:
    """One per daemon. It opens nothing before the first request.

    `dial` maps an address to the place to connect to. `authorities` are PEM certificates to trust besides the system's.
    `clock` measures how long a server has been silent.
    """

    def __init__(
        self, dns: DnsClient, clock: Clock | None = None, *, dial: Dial = dial_direct, authorities: bytes = b""
    ) -> None:
        self._dns = dns
        self._silent = SilentUrls(clock or SystemClock())
        self._addresses = _Addresses(dns, dial)
        self._authorities = authorities
        self._places = asyncio.Semaphore(AT_ONCE)
        self._turns = asyncio.Lock()
        self._context: ssl.SSLContext | None = None
        self._blind = False  # no authority is known

    def through(self, dns: DnsClient) -> HttpsClient:
        """The same client, with what it knows of servers, but names are asked of another resolver."""
        other = copy(self)
        other._dns, other._addresses = dns, self._addresses.through(dns)  # noqa: SLF001 (a copy of itself)
        return other

    async def get(
        self, url: str, *, accept: str = "*/*", largest: int = LARGEST, redirects: int = 0, deadline: float = DEADLINE
    ) -> Fetched:
        """GET a URL. Whatever happens in the network is in the result; nothing is raised for it.

        `largest` is in octets. `deadline` is in seconds, and begins when a place is free: our own wait does not count.
        If `redirects` is 0, a redirect is returned like any answer. More redirects than that are a failure.
        """
        async with self._places:
            return await self._weigh(url, *await self._get(url, accept, largest, redirects, deadline))

    async def _weigh(self, url: str, found: Fetched, failed: _Failed | None) -> Fetched:
        """Count silence, status 5xx and malformed answers. Only silence needs a proof that our way out works."""
        host = _host(url)
        if found.status:
            self._silent.answered(_host(found.url))
        if found.status >= 500 or found.failure is Failure.MALFORMED:
            return replace(found, silence=self._silent.silent(url))
        if found.failure in _SILENT and failed and not failed.ours:
            if self._silent.proven(host) and await self._has_ipv4(host):
                return replace(found, silence=self._silent.silent(url))
        elif not found.doubt:
            self._silent.spoke(url)
        return found

    async def _has_ipv4(self, host: str) -> bool:
        """Other servers prove our way out over IPv4 only, because we do not know over which family they answered."""
        return bool((await self._dns.ask(Question(host, "A"))).addresses)

    async def _get(
        self, url: str, accept: str, largest: int, redirects: int, deadline: float
    ) -> tuple[Fetched, _Failed | None]:
        found = Fetched(url)
        lines: list[str] = []
        try:
            async with asyncio.timeout(deadline):
                for _ in range(redirects + 1):
                    lines.append(f"GET {found.url}")
                    found = await self._once(found.url, accept, largest)
                    lines.append(f"{found.status} {found.content_type}, {len(found.body)} bytes")
                    if found.status not in _REDIRECTS or not redirects:
                        return replace(found, lines=tuple(lines)), None
                    found = Fetched(_joined(found.url, found.location))
                raise _Failed(Failure.REDIRECTS, f"more than {redirects} redirects")
        except TimeoutError:
            failed = _Failed(Failure.TIMEOUT, f"no answer within {deadline:g} s")
        except _Failed as why:
            failed = why
        except ssl.SSLCertVerificationError as error:
            how = Failure.BLIND if self._blind else Failure.CERTIFICATE
            failed = _Failed(how, f"{_NOT_GOOD[how]}: {error.verify_message}")
        except ssl.SSLError as error:
            failed = _Failed(Failure.TLS, f"TLS fails: {error}")
        except https_connection.TooMuch as error:
            failed = _Failed(Failure.TOO_LARGE if error.in_body else Failure.MALFORMED, f"it sends {error}")
        except aiohttp.InvalidURL:
            failed = _Failed(Failure.URL, "it is no URL")
        except aiohttp.ClientResponseError as error:
            failed = _Failed(Failure.MALFORMED, f"it does not speak HTTP: {error.message}")
        except (aiohttp.ClientError, OSError) as error:
            failed = self._unconnected(error, _host(found.url))
        trouble = Doubt(failed.reason, printable(f"{found.url}: {failed}"))
        lines.append(f"-- {failed}")
        return Fetched(found.url, failure=failed.failure, trouble=trouble, lines=tuple(lines)), failed

    def _unconnected(self, error: Exception, host: str) -> _Failed:
        """A firewall on our side can refuse a connection too. A refusal counts only if another server has answered."""
        said = f"no connection, or broken off: {error or type(error).__name__}"
        if short := shortage(error):
            return _Failed(Failure.CONNECTION, short, Reason.LOCAL_RESOURCES, ours=True)
        if not isinstance(error, OSError) or error.errno != errno.ECONNREFUSED:
            return _Failed(Failure.CONNECTION, said, ours=no_route(error))
        if self._silent.proven(host, LATELY):
            return _Failed(Failure.REFUSED, said)
        why = f"{said}; no other web server has answered us lately"
        return _Failed(Failure.CONNECTION, why, Reason.EGRESS, ours=True)

    async def _once(self, url: str, accept: str, largest: int) -> Fetched:
        host, port = _admitted(url)
        if self._context is None:
            self._context = self._made()
        found, unknown = await self._addresses.resolve(host, port)
        try:
            connection = await https_connection.connect(found, host, self._context, self._turns)
        except OSError as error:  # others may be served well at an address that we do not know
            raise unknown or error from None
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connection.connector(),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": f"deliverability-exporter/{__version__}", "Accept-Encoding": "identity"},
                    timeout=aiohttp.ClientTimeout(total=None),  # get() has the only deadline
                    auto_decompress=False,
                ) as session,
                session.get(url, headers={"Accept": accept}, allow_redirects=False) as answer,
            ):
                connection.allow_body(largest)
                return await _read(url, answer, largest)
        except (aiohttp.ClientError, OSError) as error:
            raise connection.excess or error from None
        finally:
            await connection.hang_up()

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which verifies the chain and the name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        # Not load_default_certs: OpenSSL would open files later, for each chain, and distrust it if it cannot.
        for text in system_authorities():
            with suppress(ssl.SSLError):
                context.load_verify_locations(cadata=text.decode("ascii", "ignore"))
        if self._authorities:
            context.load_verify_locations(cadata=self._authorities.decode("ascii"))
        self._blind = not context.cert_store_stats()["x509"]
        return context


async def _read(url: str, answer: aiohttp.ClientResponse, largest: int) -> Fetched:
    if answer.status < 200:
        raise _Failed(Failure.MALFORMED, f"its answer has the HTTP status {answer.status}, for which nobody asked")
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise _Failed(Failure.MALFORMED, f"the body is encoded as {encoding}, which was not asked for")
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > largest:
            raise _Failed(Failure.TOO_LARGE, f"the body is larger than {largest} bytes")
    return Fetched(
        url,
        answer.status,
        bytes(body),
        content_type=answer.headers.get("Content-Type", ""),
        retry_after=answer.headers.get("Retry-After", ""),
        location=answer.headers.get("Location", ""),
    )


def _admitted(url: str) -> tuple[str, int]:
    """Its host and port. Raise _Failed unless the URL has one meaning only, so that all parsers agree on it."""
    found = _URL.fullmatch(url)
    port = int(found[2] or PORT) if found else 0
    if not found or not 0 < port < 2**16:
        raise _Failed(Failure.URL, "it is no https URL of a host")
    host = found[1]
    if not names.is_hostname(host) or host.rpartition(".")[2].isdigit():
        raise _Failed(Failure.URL, f"{host} is no host name")
    return host, port


def _host(url: str) -> str:
    found = _URL.fullmatch(url)
    return found[1].lower() if found else ""


def _joined(url: str, location: str) -> str:
    try:
        return urldefrag(urljoin(url, location)).url
    except ValueError:
        raise _Failed(Failure.URL, f"it leads to {printable(location, 80)}, which is no URL") from None
