"""The listener of the HTTP server on both loops: handshakes that do not end, no files left, and what makes room."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trustme
import uvloop

from exporter.cli.serve import raise_file_limit
from exporter.engine.families import SENDER
from exporter.views.connection import Connection, Limits
from exporter.views.http_stats import Disconnection
from exporter.views.listener import RESERVE, SHARE, Tls, bound, no_tls
from tests.support.checks import EXAMPLE
from tests.support.http_clients import GET, ask, gone, opened
from tests.views.test_web import Site

LIMITS = Limits(head=0.3, idle=0.3, linger=0.05, stall=0.3, look=0.02, connections=8)
HEALTHY = GET.format("/-/healthy").encode()
Test: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    def on_its_loop(test: Test) -> None:
        async def in_time() -> None:
            async with asyncio.timeout(10):
                await test()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(in_time())

    return on_its_loop


@asynccontextmanager
async def listening(limits: Limits = LIMITS, tls: Tls = no_tls) -> AsyncIterator[Site]:
    site = Site(limits=limits)
    await site.web.start([("127.0.0.1", 0)])
    assert site.web._listener
    for sock in site.web._listener._listening:
        site.web._listener.listen(sock, tls)
    try:
        yield site
    finally:
        await site.web.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_handshake_that_does_not_end_is_ended_and_makes_room(run: Callable[[Test], None]) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    async def test() -> None:
        async with listening(tls=lambda: server) as site:
            url, stats = site.web.addresses[0], site.web.stats
            port = int(url.rpartition(":")[2])

            async def healthy() -> None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
                writer.write(HEALTHY)
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
                writer.close()

            await healthy()
            with opened(url, 20, b"") as silent, opened(url, 20, b"\x16\x03\x01\x02") as half:
                await healthy()
                assert stats.connections <= LIMITS.connections
                await until(lambda: all(gone(sock) for sock in (*silent, *half)))
            await until(lambda: sum(stats.rejected.values()) == 40)  # the sockets close before the tasks end
            assert (
                stats.rejected[Disconnection.TLS] + stats.rejected[Disconnection.SLOW_REQUEST] >= LIMITS.connections - 1
            )
            with opened(url, 5, b"GET / HTTP/1.1\r\n\r\n") as plain:
                await until(lambda: all(gone(sock) for sock in plain))
            await until(lambda: stats.connections == 0)
            assert sum(stats.rejected.values()) == 45
            await healthy()

    run(test)


@contextmanager
def no_more_files() -> Iterator[None]:
    """The process has opened as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(it.name) for it in Path("/proc/self/fd").iterdir())
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for it in taken:
            os.close(it)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_files_scrapes_are_served_and_the_loop_has_time(run: Callable[[Test], None]) -> None:
    many = RESERVE * 2

    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with listening(replace(LIMITS, connections=100, head=30, idle=30)) as site:
            port, stats = int(site.web.addresses[0].rpartition(":")[2]), site.web.stats
            clients = [socket.socket() for _ in range(many)]
            for client in clients:
                client.setblocking(False)
            with no_more_files():
                for client in clients[: RESERVE // 2]:
                    await loop.sock_connect(client, ("127.0.0.1", port))
                    await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert (await loop.sock_recv(client, 20)).startswith(b"HTTP/1.1 200 ")
                assert +stats.rejected == {}
                worked = time.thread_time()
                for client in clients[RESERVE // 2 :]:
                    await loop.sock_connect(client, ("127.0.0.1", port))
                await until(lambda: stats.rejected[Disconnection.NO_FILES] >= 3)
                assert time.thread_time() - worked < 0.2, "it does not try again and again at once"
            for client in clients:
                client.close()
            await until(lambda: stats.connections == 0)
            assert (await ask(site.web.addresses[0], HEALTHY)).startswith(b"HTTP/1.1 200 ")

    run(test)


def test_where_all_are_taken_the_oldest_that_asked_for_nothing_makes_room(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        async with listening(replace(LIMITS, head=30, idle=30)) as site:
            url, stats = site.web.addresses[0], site.web.stats
            with opened(url, 1, b"GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n") as (idle,):
                await until(lambda: stats.requests[200])
                with opened(url, 4, b"") as older, opened(url, 3, b"GET ") as newer:
                    await until(lambda: stats.connections == LIMITS.connections)
                    with opened(url, 4, b"GET "):
                        await until(lambda: stats.rejected[Disconnection.REPLACED] == 4)
                        assert all(gone(sock) for sock in older)
                        assert not any(gone(sock) for sock in (*newer, idle))
                await until(lambda: stats.connections <= 1)

    run(test)


def test_a_flood_from_one_address_drops_its_own_connections(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        async with listening() as site:
            url = site.web.addresses[0]
            with opened(url, 1, b"GET ") as (ours,), opened(url, LIMITS.connections, b"GET ", source="127.0.0.2"):
                await until(lambda: site.web.stats.rejected[Disconnection.REPLACED] >= 1)
                assert not gone(ours), "although it is the oldest of all that have asked for nothing"

    run(test)


def test_a_later_request_has_no_more_time_than_the_first_and_an_idle_client_some(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        async with listening(replace(LIMITS, idle=0.6)) as site:
            url, stats = site.web.addresses[0], site.web.stats
            with opened(url, 2, b"GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n") as (idle, slow):
                await until(lambda: stats.requests[200] == 2)
                slow.send(b"GET /")
                await until(lambda: gone(slow))
                assert not gone(idle)
                assert +stats.rejected == {Disconnection.SLOW_REQUEST: 1}
                await until(lambda: gone(idle))
                assert +stats.rejected == {Disconnection.SLOW_REQUEST: 1}, "an end that is no fault"

    run(test)


def test_half_bodies_make_room_like_half_heads(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        async with listening(replace(LIMITS, head=30)) as site:
            url, stats = site.web.addresses[0], site.web.stats
            with opened(url, 20, b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na"):
                await until(lambda: stats.rejected[Disconnection.REPLACED] == 20 - LIMITS.connections)
                assert (await ask(url, HEALTHY)).startswith(b"HTTP/1.1 200 ")

    run(test)


def test_slow_readers_of_one_address_leave_scrapes_to_others(run: Callable[[Test], None]) -> None:
    """They do read, and so are never cut off for reading nothing."""

    async def test() -> None:
        limits = replace(LIMITS, connections=40, scrapes=4, stall=30, patience=30)
        async with listening(limits) as site:
            url, stats = site.web.addresses[0], site.web.stats
            site.exposition.limit = 10**6
            for n in range(6000):  # more than the sockets' buffers hold
                site.exposition.relate(SENDER, replace(EXAMPLE, name=f"n{n}.example"), ("helo", "x" * 900))
            with opened(url, 10, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", buffer=4096):
                await until(lambda: stats.requests[503] == 7)
                scrape = GET.format("/metrics?name[]=deliverability_exporter_series").encode()
                assert (await ask(url, scrape)).startswith(b"HTTP/1.1 503 ")
                assert (await ask(url, scrape, source="127.0.0.2")).startswith(b"HTTP/1.1 200 ")

    run(test)


def test_what_the_listener_has_ended_is_not_kept(run: Callable[[Test], None]) -> None:
    """Whatever would be found by looking for all garbage alone: that is seldom done."""

    def left() -> int:
        return sum(isinstance(it, Connection) for it in gc.get_objects())

    async def test() -> None:
        async with listening(replace(LIMITS, idle=30)) as site:
            before = left()
            with opened(site.web.addresses[0], 3, b"GET "):
                await until(lambda: site.web.stats.rejected[Disconnection.SLOW_REQUEST] == 3)
                await until(lambda: left() <= before)

    gc.collect()
    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()


def test_a_body_has_no_more_time_than_a_head(run: Callable[[Test], None]) -> None:
    async def test() -> None:
        async with listening() as site:
            octets = b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na"
            assert (await ask(site.web.addresses[0], octets)).startswith(b"HTTP/1.1 408 ")

    run(test)


async def test_without_a_host_all_addresses_are_listened_on() -> None:
    sockets = bound(None, 0)
    assert "0.0.0.0" in {sock.getsockname()[0] for sock in sockets}
    for sock in sockets:
        sock.close()


def test_the_process_opens_as_many_files_as_it_may() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_are_no_more_than_a_part_of_the_files(run: Callable[[Test], None]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def test() -> None:
        async with listening(Limits()) as site:
            assert site.web.stats.most_connections == 200 // SHARE

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        run(test)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
