"""Clients that break off, stay for ever or read nothing leave nothing behind at the demonstration's mail servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import pytest

from exporter.demo import mailserver
from exporter.demo.mailserver import Behaviour, MailServer, MailServers, SmtpFault
from tests.support.torture import size
from tests.support.watch import LOOPS, run_on, watching

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20
HALF = {  # a conversation that ends at each point
    "connects": [],
    "half a line": [b"EHL"],
    "says EHLO": [b"EHLO x.example.com\r\n"],
    "says STARTTLS": [b"EHLO x.example.com\r\n", b"STARTTLS\r\n"],
    "half a hello": [b"EHLO x.example.com\r\n", b"STARTTLS\r\n", CLIENT_HELLO],
    "no hello": [b"STARTTLS\r\n", b"\x00" * 1000],
}


@asynccontextmanager
async def one(longest: float, *, port: int = 25, fault: SmtpFault | None = None) -> AsyncIterator[MailServer]:
    key = ip_address("192.0.2.1"), port
    servers = MailServers({key: Behaviour(fault=fault)}, time.time(), longest=longest)
    await servers.start()
    try:
        yield servers.servers[key]
    finally:
        await servers.stop()


async def client(server: MailServer, said: list[bytes]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*server.address)
    for octets in said:
        writer.write(octets)
        await writer.drain()
        await asyncio.sleep(0)
    return reader, writer


async def ended(server: MailServer) -> None:
    async with asyncio.timeout(10):
        while server._open:
            await asyncio.sleep(0.005)


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("port", [25, 465])
def test_sessions_that_break_off_anywhere_leave_nothing(loop: str, port: int) -> None:
    async def attack() -> None:
        for fault in (None, SmtpFault.TLS_ALERT):
            async with one(60.0, port=port, fault=fault) as server:
                async with watching() as watched:
                    for number in range(size(5, 1000)):
                        for said in HALF.values():
                            _, writer = await client(server, said)
                            writer.transport.abort() if number % 2 else writer.close()
                    await ended(server)
                assert (watched.tasks, watched.files) == (0, 0), watched

    run_on(loop, attack)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("port", [25, 465])
def test_who_stays_is_shown_out(loop: str, port: int) -> None:
    async def attack() -> None:
        async with one(0.2, port=port) as server:
            async with watching() as watched:
                there = [await client(server, said) for said in HALF.values()]
                await ended(server)
                for reader, writer in there:
                    with suppress(ConnectionError):
                        await reader.read()
                    writer.close()
            assert (watched.tasks, watched.files) == (0, 0), watched

    run_on(loop, attack)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_reads_nothing_is_shown_out(loop: str) -> None:
    async def attack() -> None:
        async with one(0.3) as server:
            _, writer = await asyncio.open_connection(*server.address, limit=1)
            writer.write(b"EHLO x.example.com\r\n" * 900)
            while not server._open:
                await asyncio.sleep(0)
            await ended(server)
            writer.transport.abort()

    run_on(loop, attack)


async def test_nobody_can_talk_for_ever_or_come_without_end() -> None:
    async with one(60.0) as server:
        reader, writer = await client(server, [b"NOOP\r\n" * (mailserver._MOST_LINES + 10)])
        assert (await reader.read()).endswith(b"421 4.7.0 too many commands [demo]\r\n")
        writer.close()
        assert len(server.sessions[0]) <= mailserver._MOST_LINES + 1
        many = [await asyncio.open_connection(*server.address) for _ in range(mailserver._MOST_OPEN + 50)]
        async with asyncio.timeout(10):
            assert b"" in [await reader.read(3) for reader, _ in many], "the last ones are sent away"
        assert len(server._open) <= mailserver._MOST_OPEN
        for _, writer in many:
            writer.transport.abort()
        await ended(server)
