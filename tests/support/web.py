"""Web servers for the HTTPS client: real ones at addresses of the world, and peers that do what no server should."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

from aiohttp import web

from exporter.demo.ca import Identity
from exporter.demo.nameserver import ZoneData
from exporter.demo.website import Answer, Page, WebServers, server_context, websites
from exporter.facts import IP, Reason
from exporter.net.https import Failure, Fetched, HttpsClient
from exporter.net.interfaces import DnsClient
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

HERE, THERE = ip_address("192.0.2.80"), ip_address("192.0.2.81")
NAME, OTHER = "www.example.com", "www.example.net"
ZONE = f"""
{NAME}. A {HERE}
{OTHER}. A {THERE}
alias.example.com. CNAME {NAME}.
private.example.com. A 10.0.0.1
private.example.com. AAAA fd00::1
"""
NOBODY = "127.0.0.1", 1  # where nobody listens
OWN_NETWORK = ip_network("10.0.0.0/8")
URL = f"https://{NAME}/file"

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def sites(here: Answer, there: Answer | None = None, zone: str = "") -> AsyncIterator[HttpsClient]:
    """A client that reaches NAME and OTHER; `zone` adds to the DNS of this world."""
    servers = WebServers({HERE: (NAME, here), THERE: (OTHER, there or here)}, time.time())
    await servers.start()
    https = HttpsClient(MemoryResolver(ZoneData(ZONE + zone)), dial=servers.dial, authorities=servers.pem)
    try:
        yield https
    finally:
        await servers.stop()


def identity(not_after: float = 1.0) -> tuple[WebServers, Identity]:
    """An authority and a certificate of it for NAME, good for so many days more."""
    now = time.time()
    servers = WebServers({}, now)
    ends = now + not_after * 86400
    return servers, servers.authority.issue(NAME, not_before=now - 9 * 86400, not_after=ends)


@asynccontextmanager
async def peer(
    serve: Peer, *, tls: bool = True, newest: ssl.TLSVersion | None = None, not_after: float = 1.0
) -> AsyncIterator[HttpsClient]:
    """A client of a server that speaks TLS rightly (or not at all), and then does as it is scripted."""
    authority, shown = identity(not_after)
    context = server_context(shown) if tls else None
    if context and newest:
        context.maximum_version = newest

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    address: tuple[str, int] = server.sockets[0].getsockname()[:2]

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return address

    https = HttpsClient(MemoryResolver(ZoneData(ZONE)), dial=dial, authorities=authority.pem)
    try:
        yield https
    finally:
        server.close()
        await server.wait_closed()


def saying(octets: bytes) -> Peer:
    """Whatever is asked, these octets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(octets)
        await writer.drain()

    return serve


def answering(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """`retry_after` for Retry-After and so on."""

    async def answer(request: web.BaseRequest) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


def leading_to(url: str, status: int = 302) -> Answer:
    return answering(status, location=url)


@asynccontextmanager
async def web_door(
    pages: Sequence[Page], zone: ZoneData, dns: DnsClient, clock: FakeClock
) -> AsyncIterator[HttpsClient]:
    """A client of web servers with these pages; whoever has none refuses."""
    servers = websites(pages, zone.addresses, clock.wall())
    await servers.start()

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        if ip in servers.addresses:
            return await servers.dial(ip, port)
        # an address of somebody's own network is what it is: the client goes to none
        return (str(ip), port) if ip in OWN_NETWORK else NOBODY

    https = HttpsClient(dns, clock, dial=dial, authorities=servers.pem)
    try:
        yield https
    finally:
        await servers.stop()


def failed(fetched: Fetched) -> tuple[Failure | None, Reason | None]:
    return fetched.failure, fetched.doubt.reason if fetched.doubt else None
