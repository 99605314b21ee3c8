"""A day of bad weather over a healthy set-up: no page about a target, and of ourselves exactly what is so.

The daemon is real, and so are its clients and the world's servers; only the time jumps (tests/support/simulation.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import dns.rcode
import pytest

from tests.support.clock import FakeClock
from tests.support.household import HOUR, MINUTE, POLICY_HOST, Diary, Found, Household
from tests.support.simulation import simulate
from tests.support.torture import FULL, seed
from tests.support.weather import HTTPS, SMTP, ListMood
from tests.worlds.sick.fault import HOME, ZONE
from tests.worlds.world import World

pytestmark = [pytest.mark.long, pytest.mark.torture]

LISTS = {"spamhaus-zen": "zen.spamhaus.org", "spamhaus-dbl": "dbl.spamhaus.org", "psbl": "psbl.surriel.com"}
MORE = {"spamcop": "bl.spamcop.net", "blocklist-de": "bl.blocklist.de", "surbl": "multi.surbl.org"}

LAME = """
acme-lab.com.  NS  ns3.dns-host.test.
ns3.dns-host.test.  A  185.77.53.53
; server: ns3.dns-host.test 185.77.53.53 acme-lab.com lame
"""

Script = Callable[[Household, float], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """`right` are findings about targets that are true in this weather, `ours` those about the resolver and lists."""

    name: str
    script: Script
    right: frozenset[Found] = frozenset()
    ours: frozenset[Found] = frozenset()
    text: str = ""  # further lines of the zone
    state: bool = False


def between(passed: float, *spans: tuple[float, float]) -> bool:
    return any(begin * HOUR <= passed < end * HOUR for begin, end in spans)


async def loses(house: Household, passed: float) -> None:
    house.weather.loss = 0.3


async def flaps(house: Household, passed: float) -> None:
    """At the same minutes of each hour, so that some runs meet it each time."""
    house.weather.dead = {0, 1} if passed % (10 * MINUTE) < 2 * MINUTE else set()


async def fails(house: Household, passed: float) -> None:
    house.weather.rcode = dns.rcode.SERVFAIL if between(passed, (0.5, 0.9), (12, 12.5)) else None


async def denies(house: Household, passed: float) -> None:
    """While no list is tested: one that is would be called dead until its next test."""
    house.weather.rcode = dns.rcode.NXDOMAIN if between(passed, (1, 1.5), (14, 14.5)) else None


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


def greylists(minutes: float) -> Script:
    """All day, whoever introduces himself in the first minutes of an hour shall come again later."""

    async def script(house: Household, passed: float) -> None:
        at: tuple[str, int] = house.greylister.sockets[0].getsockname()
        strict = passed % HOUR < minutes * MINUTE
        house.weather.instead = dict.fromkeys(house.small.mail.servers, at) if strict else {}

    return script


async def policy_fails(house: Household, passed: float) -> None:
    """The web server of the MTA-STS policy answers 500; its certificate is good."""
    house.weather.instead = {(POLICY_HOST, HTTPS): house.failing.addresses[POLICY_HOST]} if passed >= HOUR else {}


async def nothing(house: Household, passed: float) -> None:
    """What is wrong is in the zone."""


def of_lists(rule: str, *names: str) -> frozenset[Found]:
    return frozenset((f"blocklist_health.{rule}", name) for name in names)


WORLD = (*LISTS, "spamcop", "surbl")
NO_CONVERSATION = frozenset(("smtp_tls.unreachable", host) for host in ("mail.acme-lab.com", "mx2.acme-lab.com"))
CASES = [
    Case("loss", loses),
    Case("flaps", flaps),
    Case("servfail", fails),
    Case("nxdomain", denies, ours=frozenset({("resolver.denies", "exporter")})),
    Case("five-lists-name-the-world", lists(ListMood.WORLD, *WORLD), ours=of_lists("lists-the-world", *WORLD)),
    Case(
        "spamhaus-refuses",
        lists(ListMood.REFUSES, "spamhaus-zen", "spamhaus-dbl"),
        ours=of_lists("refuses-resolver", "spamhaus-zen", "spamhaus-dbl"),
    ),
    Case("a-list-empties", lists(ListMood.EMPTY, "spamhaus-zen"), ours=of_lists("dead", "spamhaus-zen")),
    Case("a-list-falls-silent", lists(ListMood.SILENT, "psbl"), ours=of_lists("unreliable", "psbl")),
    Case("outages", outages),
    Case("one-resolver-dead", one_dead),
    Case("slow", slow),
    Case("truncated-without-tcp", truncates),
    Case("port-25-closed", closed),
    Case("no-ipv6", no_ipv6),
    Case("clock-steps", steps),
    Case("restarts", restarts),
    Case("restarts-with-state", restarts, state=True),
    Case("reloads", reloads),
    Case("greylists", greylists(20)),
    Case("holds-no-conversation", greylists(60), right=NO_CONVERSATION),
    Case("policy-host-fails", policy_fails, right=frozenset({("mta_sts.policy-unreachable", "acme-lab.com")})),
    Case("lame-server", nothing, right=frozenset({("zone.lame", "acme-lab.com")}), text=LAME),
]
SHORT = {"servfail", "spamhaus-refuses"}  # in `make test`
HOURS = 24.0 if FULL else 1.0


def play(case: Case, folder: Path, span: float) -> Diary:
    config = (HOME / "healthy.yaml").read_text().replace("blocklists: [spamhaus-zen, spamhaus-dbl]\n", "")
    (folder / "day.yaml").write_text(config)
    clock = FakeClock()

    async def story() -> Diary:
        state = folder / "state.sqlite" if case.state else None
        async with Household(World("day", ZONE + case.text, folder), clock, f"{seed()} {case.name}", state) as house:
            return await house.live(span, lambda passed: case.script(house, passed))

    return simulate(clock, story())


@pytest.mark.parametrize("case", [it for it in CASES if FULL or it.name in SHORT], ids=lambda case: case.name)
def test_a_day(case: Case, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    diary = play(case, tmp_path, HOURS * HOUR)
    record_property("false pages", len(diary.pages - case.right))
    record_property("longest minutes of a finding", round(max(diary.targets.values(), default=0.0) / MINUTE))
    assert case.name != "servfail" or diary.doubts, "the bad weather was felt"
    told = f"{diary.targets} {diary.ours} {diary.doubts}"
    assert diary.pages == case.right, told
    assert set(diary.ours) == (case.ours if FULL or case.name != "spamhaus-refuses" else set(diary.ours) & case.ours), (
        told
    )
