"""Whose fault is the silence of a web server: its own only while our way out is proven, and after a while."""

from __future__ import annotations

import errno
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from exporter.demo.nameserver import ZoneData
from exporter.demo.website import WebServers
from exporter.facts import IP
from exporter.net.https import HttpsClient
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver
from tests.support.web import HERE, NAME, OTHER, THERE, URL, ZONE


class Web:
    """Two web hosts at one client, whose answers a test changes."""

    def __init__(self, clock: FakeClock, https: HttpsClient) -> None:
        self.clock, self.https = clock, https
        self.down: set[str] = set()
        self.trouble: Exception = TimeoutError()
        self.status = 200

    async def answer(self, request: web.BaseRequest) -> web.Response:
        return web.Response(status=self.status if request.host == NAME else 200)

    async def runs(self, *urls: str, every: float = 1200.0) -> int:
        """So many runs; how many of them found the first URL silent."""
        told = 0
        for _ in range(6):
            self.clock.pass_(every)
            for url in urls[1:]:
                await self.https.get(url)
            got = await self.https.get(urls[0], deadline=2)
            assert got.silence is None or got.doubt is not None
            told += got.silence is not None
        return told


@asynccontextmanager
async def two_hosts(zone: str = ZONE) -> AsyncIterator[Web]:
    clock = FakeClock()
    it: Web

    async def answer(request: web.BaseRequest) -> web.Response:
        return await it.answer(request)

    servers = WebServers({HERE: (NAME, answer), THERE: (OTHER, answer)}, time.time())
    await servers.start()

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        if str(ip) in it.down:
            raise it.trouble
        return await servers.dial(ip, port)

    https = HttpsClient(MemoryResolver(ZoneData(zone)), clock, dial=dial, authorities=servers.pem)
    it = Web(clock, https)
    try:
        yield it
    finally:
        await servers.stop()


ELSEWHERE = f"https://{OTHER}/"


async def test_silence_is_a_fact_after_four_runs_over_an_hour_while_another_host_answers() -> None:
    async with two_hosts() as it:
        it.down.add(str(HERE))
        assert await it.runs(URL, ELSEWHERE) == 3
        it.down.clear()
        assert await it.runs(URL, ELSEWHERE) == 0


async def test_a_clock_that_is_put_right_meanwhile_changes_nothing() -> None:
    async with two_hosts() as it:
        it.status = 500
        await it.https.get(URL)
        it.clock.step_wall(-1e9)
        began = it.clock.wall()
        assert await it.runs(URL) == 4
        silence = (await it.https.get(URL)).silence
        assert silence
        assert silence.since == pytest.approx(began)


async def test_silence_is_nobody_s_fault_while_nobody_answers() -> None:
    async with two_hosts() as it:
        await it.https.get(ELSEWHERE)
        it.down |= {str(HERE), str(THERE)}
        assert await it.runs(URL, ELSEWHERE) == 0
        assert await it.runs(URL) == 0


async def test_many_silent_runs_within_less_than_an_hour_are_too_short() -> None:
    async with two_hosts() as it:
        it.down.add(str(HERE))
        assert await it.runs(URL, ELSEWHERE, every=600) == 0
        assert await it.runs(URL, ELSEWHERE, every=600) == 6


@pytest.mark.parametrize(("status", "found"), [(500, 3), (503, 3), (429, 0), (404, 0)])
async def test_who_answers_500_for_an_hour_needs_nobody_to_prove_our_way(status: int, found: int) -> None:
    async with two_hosts() as it:
        it.status = status
        assert await it.runs(URL) == found
        it.status = 200
        assert (await it.https.get(URL)).silence is None


async def test_a_network_that_we_cannot_reach_is_charged_to_nobody() -> None:
    async with two_hosts() as it:
        it.down.add(str(HERE))
        it.trouble = OSError(errno.ENETUNREACH, "Network is unreachable")
        assert await it.runs(URL, ELSEWHERE) == 0


async def test_a_host_with_ipv6_alone_is_not_charged_with_silence() -> None:
    """Who answers over IPv4 proves nothing of our way over IPv6."""
    async with two_hosts(f"{NAME}. AAAA 2001:db8::80\n{OTHER}. A {THERE}\n") as it:
        it.down.add("2001:db8::80")
        assert await it.runs(URL, ELSEWHERE) == 0


async def test_who_is_not_asked_any_more_is_forgotten() -> None:
    async with two_hosts() as it:
        it.status = 500
        for number in range(3):
            await it.https.get(f"{URL}{number}")
        it.clock.pass_(90_000)
        await it.https.get(URL)
        assert len(it.https._silent._urls) == 1
