"""The life of a finding: what may alert, and when, if records break, flap, or the resolver lies about all of them.

The daemon is real, and so are its clients and the world's servers; only the time jumps (tests/support/simulation.py).
An alert waits on the age of the `since` series, so what has none wakes nobody.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dns.name
import dns.rcode
import pytest

from exporter.demo.nameserver import records
from exporter.engine.families import FINDING, SINCE
from exporter.publish.thresholds import Thresholds, seconds
from tests.support.clock import FakeClock
from tests.support.exposed import lines_of
from tests.support.household import HOUR, MINUTE, Household
from tests.support.simulation import simulate
from tests.support.torture import FULL, seed
from tests.worlds.sick.fault import CONFIG, ZONE
from tests.worlds.world import CATALOGUE, World

pytestmark = [pytest.mark.long, pytest.mark.torture]

Said = Callable[[str, object], None]

MX = ("acme-lab.com", "MX", ("10 mail.acme-lab.com.", "20 mx2.acme-lab.com."))
SPF = ("acme-lab.com", "TXT", ('"v=spf1 a:mail.acme-lab.com include:spf.provider-mail.net -all"',))
PTR = ("10.40.99.88.in-addr.arpa", "PTR", ("mail.acme-lab.com.",))
GONE = {"MX": "mx.nowhere", "TXT": "spf.missing", "PTR": "ptr.missing"}
WRONG_BEFORE = {"dkim.retired-still-published", "dmarc.missing"}  # in this zone
WRONG = ZONE.replace("_dmarc.acme-parked.net. ", "_gone.acme-parked.net. ") + (
    "\ns0._domainkey.acme-lab.com. CNAME s1._domainkey.acme-lab.com.\n"
)
PERIOD = 17 * MINUTE + 20  # of blips: each meets another part of the interval
_RULE = re.compile(r'check="(\w+)".*finding="([^"]+)"')
_OWN = {rule.id for rule in CATALOGUE.rules.values() if rule.id.startswith("resolver.")}


def put(house: Household, entry: tuple[str, str, tuple[str, ...]], *, there: bool) -> None:
    name, kind, data = entry
    if bool(house.small.zone.find(dns.name.from_text(name), kind).answer) == there:
        return
    house.small.zone.put(records(name, kind, *(data if there else ())))


@dataclass
class Course:
    """What the series said, every few seconds. Times are seconds since the begin."""

    seen: dict[str, float] = field(default_factory=dict)  # when a finding was first there, by series
    since: dict[str, list[list[float]]] = field(default_factory=dict)  # from when to when it had a `since`

    async def look(self, house: Household, passed: float) -> None:
        for series in _series(house, FINDING):
            self.seen.setdefault(series.partition(',severity="')[0], passed)
        for series in _series(house, SINCE):
            spans = self.since.setdefault(series, [])
            if not spans or passed - spans[-1][1] > seconds(Thresholds().keep_firing):
                spans.append([passed, passed])
            spans[-1][1] = passed

    def notices(self) -> dict[str, int]:
        """By rule, how often an alert would begin: one that is back while its alert is kept firing does not."""
        return {rule(series): len(spans) for series, spans in self.since.items()}


def _series(house: Household, family: str) -> list[str]:
    return [line.partition("{")[2].rpartition("}")[0] for line in _lines(house, family)]


def _lines(house: Household, family: str) -> list[str]:
    """What a scrape shows of it. Scraping every few seconds of a day would take most of the time."""
    assert house.daemon
    return lines_of(family, house.daemon.exposition)


def age(house: Household, series: str) -> float:
    return house.clock.wall() - next(float(line.split()[-1]) for line in _lines(house, SINCE) if series in line)


def rule(series: str) -> str:
    found = _RULE.search(series)
    assert found
    return found[2]


def standing(house: Household, family: str) -> set[str]:
    return {rule(series) for series in _series(house, family)} - _OWN


def changes(house: Household) -> list[str]:
    assert house.daemon
    return [it.record.name for state in house.daemon.store for it in state.records if it.changes or it.news]


def live(folder: Path, story: Callable[[Household], Awaitable[None]], zone: str = ZONE) -> None:
    (folder / "life.yaml").write_text(CONFIG)
    clock = FakeClock()

    async def lived() -> None:
        async with Household(World("life", zone, folder), clock, f"{seed()}", folder / "state") as house:
            await story(house)

    simulate(clock, lived())


@pytest.mark.parametrize("entry", [MX, SPF, PTR] if FULL else [SPF], ids=lambda it: it[1])
def test_a_fault_is_confirmed_within_five_minutes_of_its_first_look(
    entry: tuple[str, str, tuple[str, ...]], tmp_path: Path, record_property: Said
) -> None:
    times = 12 if FULL else 1
    took: list[float] = []

    async def story(house: Household) -> None:
        await house.live(20 * MINUTE)
        for number in range(times):
            course = Course()
            await house.live(number * 47.0)  # it breaks at another time of the interval
            put(house, entry, there=False)
            await house.live(22 * MINUTE, partial(course.look, house))
            ours = next(series for series in course.since if rule(series) == GONE[entry[1]])
            took.append(course.since[ours][0][0] - course.seen[ours])
            put(house, entry, there=True)
            if FULL:
                await house.live(2 * HOUR)
                assert standing(house, SINCE) == set()

    live(tmp_path, story)
    record_property("seconds from the first look to the confirmation, at most", round(max(took)))
    assert len(took) == times
    assert max(took) <= 5 * MINUTE


@pytest.mark.parametrize("entry", [MX, SPF, PTR] if FULL else [PTR], ids=lambda it: it[1])
def test_a_blip_never_alerts(entry: tuple[str, str, tuple[str, ...]], tmp_path: Path, record_property: Said) -> None:
    """A record is away for two minutes, at any time of the interval; then for one look alone."""
    course, blips = Course(), 90 if FULL else 6

    async def story(house: Household) -> None:
        await house.live(20 * MINUTE)

        async def script(passed: float) -> None:
            await course.look(house, passed)
            put(house, entry, there=not 30 <= passed % PERIOD < 30 + 2 * MINUTE)

        await house.live(blips * PERIOD, script)
        put(house, entry, there=True)

    live(tmp_path, story)
    record_property("blips, and findings that were seen in them", f"{blips}, {len(course.seen)}")
    assert course.seen, "some look met a blip"
    assert course.notices() == {}


@pytest.mark.parametrize(
    ("wrong", "right", "most"),
    [(15, 15, 1), *([(30, 15, 2), (5, 5, 2), (20, 20, 4)] if FULL else [])],
)
def test_what_flaps_begins_few_alerts(
    wrong: float, right: float, most: int, tmp_path: Path, record_property: Said
) -> None:
    """A record is away and there by turns, for so many minutes each."""
    course, hours, period = Course(), 24.0 if FULL else 1.3, (wrong + right) * MINUTE

    async def story(house: Household) -> None:
        await house.live(20 * MINUTE)

        async def script(passed: float) -> None:
            await course.look(house, passed)
            put(house, SPF, there=passed % period >= wrong * MINUTE)

        await house.live(hours * HOUR, script)

    live(tmp_path, story)
    begun = {series: spans for series, spans in course.since.items() if rule(series) == GONE["TXT"]}
    notices = max((len(spans) for spans in begun.values()), default=0)
    record_property("notices", notices)
    assert notices <= most
    if (wrong, right) == (15, 15):
        (spans,) = begun.values()
        (begin, end), *_ = spans
        assert begin <= 2 * HOUR
        assert end >= hours * HOUR - MINUTE, "it stays"


@pytest.mark.parametrize("wait", [2.0, 62.0, 121.0, 185.0, 600.0] if FULL else [62.0])
@pytest.mark.parametrize("hours", [-2, -1, 1, 2] if FULL else [-1])
def test_a_clock_that_is_put_right_meanwhile_changes_nothing(
    hours: float, wait: float, tmp_path: Path, record_property: Said
) -> None:
    """Ages are those that a clock which was never wrong would show, and nothing is confirmed sooner or later.

    `wait` is seconds from the first look to the correction.
    """
    course, wrong = Course(), 0.0

    async def story(house: Household) -> None:
        nonlocal wrong
        await house.live(20 * MINUTE)
        stepped = False

        async def script(passed: float) -> None:
            nonlocal stepped
            await course.look(house, passed)
            if not stepped and course.seen and passed >= min(course.seen.values()) + wait:
                house.clock.step_wall(hours * HOUR)
                stepped = True

        put(house, SPF, there=False)
        await house.live(35 * MINUTE, script)
        ours = next(series for series in course.since if rule(series) == GONE["TXT"])
        assert len(course.since[ours]) == 1, "it is confirmed once, and stays"
        assert course.since[ours][0][0] - course.seen[ours] <= 5 * MINUTE
        wrong = abs(age(house, ours) - (35 * MINUTE - course.seen[ours]))
        put(house, SPF, there=True)
        await house.live(HOUR if FULL else 15 * MINUTE)
        assert standing(house, SINCE) == set()
        assert changes(house) != []

    live(tmp_path, story)
    record_property("seconds by which an age was wrong", round(wrong, 1))
    assert wrong <= 10.0


RCODES = {"nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL, "silence": None}


@pytest.mark.parametrize("minutes", [20, 30, 50] if FULL else [20])
@pytest.mark.parametrize("answer", RCODES if FULL else ["nxdomain"])
def test_a_resolver_that_lies_begins_and_ends_nothing(
    answer: str, minutes: float, tmp_path: Path, record_property: Said
) -> None:
    """Two things were wrong before. It lies at another time of the interval each time."""
    times = 3 if FULL else 1
    begun: set[str] = set()
    slowest = 0.0

    async def story(house: Household) -> None:
        nonlocal slowest
        await house.live(HOUR if FULL else 20 * MINUTE)
        before, seen_before = standing(house, SINCE), standing(house, FINDING)
        assert before == seen_before == WRONG_BEFORE
        assert house.daemon
        pairs = house.daemon.store.keys()
        over = minutes * MINUTE

        async def script(passed: float) -> None:
            nonlocal slowest
            wrong = passed < over
            house.weather.rcode = RCODES[answer] if wrong else None
            house.weather.dead = {0, 1} if wrong and answer == "silence" else set()
            assert house.daemon
            assert pairs == house.daemon.store.keys(), "the mail hosts that MX records named stay"
            assert before <= standing(house, SINCE), "nothing ends"
            begun.update(standing(house, SINCE) - before)
            if not wrong and standing(house, FINDING) != seen_before:
                slowest = max(slowest, passed - over)

        for number in range(times):
            await house.live(number * 147.0)
            await house.live(over + (75 if FULL else 6) * MINUTE, script)
            assert standing(house, FINDING) == seen_before
            assert changes(house) == []

    live(tmp_path, story, WRONG)
    record_property("findings confirmed by lies", len(begun))
    record_property("seconds from the recovery until all is as before", round(slowest))
    assert begun == set()
    assert slowest <= 5 * MINUTE


@pytest.mark.skipif(not FULL, reason="the lie above is the short one")
@pytest.mark.parametrize("answer", RCODES)
def test_a_restart_while_the_resolver_lies_changes_nothing(answer: str, tmp_path: Path) -> None:
    """It lies for half an hour; the exporter starts again in the middle, and once more just after."""

    async def story(house: Household) -> None:
        await house.live(HOUR)
        before = standing(house, SINCE)
        assert before == WRONG_BEFORE

        async def script(passed: float) -> None:
            wrong = passed < 30 * MINUTE
            house.weather.rcode = RCODES[answer] if wrong else None
            house.weather.dead = {0, 1} if wrong and answer == "silence" else set()
            if 0 <= passed % (16 * MINUTE) < 4.9 and 0 < passed < 40 * MINUTE:
                await house.end()
                await house.begin()
            assert standing(house, SINCE) == before

        await house.live(2 * HOUR, script)
        assert standing(house, FINDING) == before
        assert changes(house) == []

    live(tmp_path, story, WRONG)
