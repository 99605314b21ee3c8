"""A day of bad weather over a healthy set-up: no page about a target, and of ourselves exactly what is so.

The daemon is real, and so are its clients and the world's servers; only the time jumps (tests/support/simulation.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

import dns.rcode
import pytest

from tests.support.clock import FakeClock
from tests.support.household import DAY, HOUR, MINUTE, Diary, Found, Household
from tests.support.simulation import simulate
from tests.support.torture import FULL, seed
from tests.support.weather import HTTPS, SMTP, ListMood
from tests.worlds.sick.fault import HOME, ZONE
from tests.worlds.world import World

pytestmark = [pytest.mark.long, pytest.mark.torture]

LISTS = {"spamhaus-zen": "zen.spamhaus.org", "spamhaus-dbl": "dbl.spamhaus.org", "psbl": "psbl.surriel.com"}
MORE = {"spamcop": "bl.spamcop.net", "blocklist-de": "bl.blocklist.de", "surbl": "multi.surbl.org"}

Script = Callable[[Household, float], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """`right` are findings about targets that are true in this weather, `ours` those about the resolver and lists."""

    name: str
    script: Script
    right: frozenset[Found] = frozenset()
    ours: frozenset[Found] = frozenset()
    text: dict[str, str] = field(default_factory=dict)  # what stands instead in the zone
    state: bool = False


def between(passed: float, *spans: tuple[float, float]) -> bool:
    return any(begin * HOUR <= passed < end * HOUR for begin, end in spans)


async def loses(house: Household, passed: float) -> None:
    house.weather.loss = 0.3


async def flaps(house: Household, passed: float) -> None:
    house.weather.dead = {0, 1} if passed % (10 * MINUTE) < 2 * MINUTE else set()


async def fails(house: Household, passed: float) -> None:
    house.weather.rcode = dns.rcode.SERVFAIL if between(passed, (1, 1.5), (12, 12.5)) else None


async def denies(house: Household, passed: float) -> None:
    house.weather.rcode = dns.rcode.NXDOMAIN if between(passed, (1, 1.5), (12, 12.5)) else None


def lists(mood: ListMood, *names: str, begin: float = 0.5) -> Script:
    zones = {(LISTS | MORE)[name]: mood for name in names}

    async def script(house: Household, passed: float) -> None:
        house.weather.lists = zones if passed >= begin * HOUR else {}

    return script


async def outages(house: Household, passed: float) -> None:
    house.weather.network = not between(passed, (0.5, 0.5 + 1 / 6), (5, 7))


async def one_dead(house: Household, passed: float) -> None:
    house.weather.dead = {0}


async def slow(house: Household, passed: float) -> None:
    house.weather.delay = 1.5


async def truncates(house: Household, passed: float) -> None:
    house.weather.truncates, house.weather.tcp = passed >= HOUR, passed < HOUR


async def closed(house: Household, passed: float) -> None:
    house.weather.shut = {SMTP}


async def no_ipv6(house: Household, passed: float) -> None:
    house.weather.ipv6 = passed < HOUR


async def steps(house: Household, passed: float) -> None:
    for at, step in ((1, HOUR), (4, -HOUR), (8, -HOUR), (12, HOUR)):
        if at * HOUR <= passed < at * HOUR + 4.9:
            house.clock.step_wall(step)


async def restarts(house: Household, passed: float) -> None:
    house.weather.loss = 0.2
    if passed > MINUTE and passed % (40 * MINUTE) < 4.9:
        await house.end()
        await house.begin()


async def reloads(house: Household, passed: float) -> None:
    """For an hour in three, new clients every twenty seconds."""
    assert house.daemon
    assert house.settings
    if passed % (3 * HOUR) < HOUR and passed % 20 < 4.9:
        house.settings = replace(house.settings, dns_timeout=9.0 - house.settings.dns_timeout)
        assert await house.daemon.reload() == []


async def greylists(house: Household, passed: float) -> None:
    """Whoever introduces himself shall come again later, all day."""
    if passed:
        return

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx ESMTP\r\n")
        while line := await reader.readline():
            writer.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"450 4.7.1 greylisted, come again\r\n")
        writer.close()

    server = await house.keep(await asyncio.start_server(one, "127.0.0.1", 0))
    house.weather.instead = {it: server.sockets[0].getsockname() for it in house.small.mail.servers}


NOTHING: frozenset[Found] = frozenset()
CASES = [
    Case("loss", loses),
    Case("flaps", flaps),
    Case("servfail", fails),
    Case("nxdomain", denies, ours=frozenset({("resolver.denies", "exporter")})),
    Case("world", lists(ListMood.WORLD, *LISTS, "spamcop", "surbl")),
    Case("refuses", lists(ListMood.REFUSES, "spamhaus-zen", "spamhaus-dbl")),
    Case("empties", lists(ListMood.EMPTY, "spamhaus-zen")),
    Case("silent", lists(ListMood.SILENT, "psbl")),
    Case("outages", outages),
    Case("one-dead", one_dead),
    Case("slow", slow),
    Case("truncates", truncates),
    Case("closed", closed),
    Case("no-ipv6", no_ipv6),
    Case("steps", steps),
    Case("restarts", restarts),
    Case("restarts-with-state", restarts, state=True),
    Case("reloads", reloads),
    Case("greylists", greylists),
]


def play(case: Case, folder: Path, span: float) -> Diary:
    config = (HOME / "healthy.yaml").read_text().replace("blocklists: [spamhaus-zen, spamhaus-dbl]\n", "")
    (folder / "day.yaml").write_text(config)
    text = ZONE
    for old, new in case.text.items():
        text = text.replace(old, new)
    clock = FakeClock()

    async def story() -> Diary:
        state = folder / "state.sqlite" if case.state else None
        async with Household(World("day", text, folder), clock, f"{seed()} {case.name}", state) as house:
            return await house.live(span, lambda passed: case.script(house, passed))

    return simulate(clock, story())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_day(case: Case, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    diary = play(case, tmp_path, float(__import__("os").environ["DAYHOURS"]) * HOUR)
    print(case.name, diary)
    assert diary.pages == case.right
    assert set(diary.ours) == case.ours
