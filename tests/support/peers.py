"""Peers for the SMTP client: scripted ones that do what no server should, and real ones."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

from exporter.demo.mailserver import Behaviour, MailServers
from exporter.facts import IP
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.probe import Deadlines
from exporter.targets import MailHost
from tests.support.clock import FakeClock

HOST = MailHost(host="mx.example.com")
HERE = ip_address("192.0.2.25")
FIRST, SECOND = ip_address("192.0.2.1"), ip_address("192.0.2.2")
SHORT = Deadlines(slot=0.4, session=0.4, connect=0.2, reply=0.2, handshake=0.2, quit=0.1, versions=0.4)
EHLO = b"250-mx.example.com\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
GO = b"220 go\r\n"

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def door(peer: Peer, deadlines: Deadlines = SHORT) -> AsyncIterator[SmtpClient]:
    """A Mail that finds this peer wherever it dials."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address: tuple[str, int] = server.sockets[0].getsockname()[:2]

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return address

    try:
        yield SmtpClient("probe.example.net", FakeClock(), dial=dial, deadlines=deadlines)
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def world(
    *behaviours: Behaviour, port: int = 25, clock: FakeClock | None = None
) -> AsyncIterator[tuple[SmtpClient, MailServers]]:
    """Real servers at 192.0.2.1, .2 and so on."""
    clock = clock or FakeClock()
    hosts = {(ip_address(f"192.0.2.{n}"), port): told for n, told in enumerate(behaviours, 1)}
    servers = MailServers(hosts, clock.wall())
    await servers.start()
    try:
        yield SmtpClient("probe.example.net", clock, dial=servers.dial, authorities=servers.pem), servers
    finally:
        await servers.stop()


async def say(writer: asyncio.StreamWriter, octets: bytes) -> None:
    writer.write(octets)
    await writer.drain()


async def until(reader: asyncio.StreamReader, verb: bytes) -> None:
    """Read lines up to this command."""
    while not (await reader.readuntil(b"\n")).startswith(verb):
        pass


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def to_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"220 mx.example.com\r\n")
    await until(reader, b"EHLO")
    await say(writer, EHLO)
    await until(reader, b"STARTTLS")


def server_context() -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with a good certificate, for scripted peers."""
    return MailServers({(FIRST, 25): Behaviour()}, time.time()).servers[FIRST, 25]._context
