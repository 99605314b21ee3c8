"""Whatever a web server does, a GET ends in time and keeps little, and scrapes are answered meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.facts import IP
from exporter.net.https import Fetched, HttpsClient
from tests.support.hostile_web import hostile_web, kinds
from tests.support.memory import MemoryResolver
from tests.support.torture import FULL, size
from tests.support.watch import LOOPS, Watched, run_on, watching
from tests.support.web import OWN_NETWORK, URL, ZONE

KINDS = kinds()
DEADLINE = 2.0 if FULL else 0.6
AT_ONCE = size(1, 25)  # of each kind
GRACE, HELD, SCRAPE = 0.25, 0.1, 0.3  # seconds
KEPT = 2**20  # octets for a GET


@pytest.fixture(scope="module")
def web() -> Iterator[tuple[bytes, dict[str, int]]]:
    with hostile_web() as it:
        yield it


async def attack(authority: bytes, ports: list[int]) -> tuple[Watched, list[Fetched], float]:
    """One GET to each port, all at once. The last figure is the seconds that the longest took."""

    def client(port: int) -> HttpsClient:
        async def dial(ip: IP, real: int) -> tuple[str, int]:
            return (str(ip), real) if ip in OWN_NETWORK or ip.version == 6 else ("127.0.0.1", port)

        return HttpsClient(MemoryResolver(ZoneData(ZONE)), dial=dial, authorities=authority)

    clients = {port: client(port) for port in sorted(set(ports))}
    for each in clients.values():
        each._context = next(iter(clients.values()))._made()  # as one daemon would: reading all roots takes a while
    took = 0.0

    async def get(port: int) -> Fetched:
        nonlocal took
        since = time.perf_counter()
        got = await clients[port].get(URL, redirects=3, deadline=DEADLINE)
        took = max(took, time.perf_counter() - since)
        return got

    async with watching() as watched:
        got = await asyncio.gather(*map(get, ports))
    return watched, got, took


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
def test_no_web_server_holds_the_loop_or_outlasts_the_deadline(
    web: tuple[bytes, dict[str, int]], loop: str, record_property: Callable[[str, object], None]
) -> None:
    authority, ports = web
    rounds = [[name] * AT_ONCE for name in KINDS] if FULL else [list(KINDS)]
    every, longest = [], 0.0
    for names in rounds:
        watched, got, took = run_on(loop, partial(attack, authority, [ports[name] for name in names]))
        for name, fetched in zip(names, got, strict=True):
            ended = fetched.failure or str(fetched.status)
            assert ended in {*KINDS[name].ends.split(), "timeout"}, (name, fetched)
        stolen = watched.late - min(watched.held, watched.late)  # by whatever else runs on this machine
        assert took <= DEADLINE + GRACE + stolen, (names, took, watched)
        assert watched.held <= HELD, (names, watched)
        assert max(watched.scrapes) <= SCRAPE + 2 * stolen, (names, watched)
        assert watched.memory <= KEPT * len(names), (names, watched)
        assert (watched.files, watched.tasks) == (0, 0), (names, watched)
        every.append(watched)
        longest = max(longest, took)
    record_property(f"GETs of hostile web servers, {loop}", sum(map(len, rounds)))
    record_property("seconds of the longest GET beyond its deadline", round(longest - DEADLINE, 3))
    record_property("seconds that the loop was held at worst", round(max(it.held for it in every), 3))
    record_property("seconds that the loop was late at worst", round(max(it.late for it in every), 3))
    record_property("seconds of the longest scrape", round(max(max(it.scrapes) for it in every), 3))
