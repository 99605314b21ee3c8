"""A fault is there and the weather is bad: it is found two cycles after the weather is fair, and nothing else stands.

The oracle is the fault's own expectation in tests/worlds/sick, which says all that follows from it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import dns.rcode
import pytest

from tests.support.clock import FakeClock
from tests.support.household import MINUTE, Diary, Household
from tests.support.simulation import simulate
from tests.support.torture import FULL, seed, size
from tests.support.weather import HTTPS, SMTP
from tests.worlds.sick.fault import Fault
from tests.worlds.sick.test_sick import ALWAYS, FAULTS

pytestmark = [pytest.mark.long, pytest.mark.torture]

COUNT = size(3, 1000)
PARTS = size(1, 20)  # tests, so that several processes share the work
CYCLE = 20 * MINUTE  # what every check is configured to
WEATHER = 1.5 * CYCLE
BLIP = 1.5 * CYCLE  # no alert fires for a finding that is gone by then
BAD = 0.3  # the part of the time, or of the datagrams, that is bad
SHORT = [  # rules that a few seconds of `make test` shall see
    "ptr.missing-88.99.40.10",
    "smtp_tls.no-starttls-mx2.acme-lab.com",
    "zone.lame-acme-lab.com",
]

Sky = Callable[[Household, bool, random.Random], Awaitable[None]]  # told whether this minute is bad


async def loss(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.loss = BAD


async def silence(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.dead = {0, 1} if bad else set()


async def servfail(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.rcode = dns.rcode.SERVFAIL if bad else None


async def one_dead(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.dead = {chance.randrange(2)}


async def slow(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.delay = 1.4 if bad else 0.0


async def shut(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.shut = {SMTP, HTTPS} if bad else set()


async def outage(house: Household, bad: bool, chance: random.Random) -> None:
    house.weather.network = not bad


async def restarts(house: Household, bad: bool, chance: random.Random) -> None:
    if chance.random() < BAD / 5:
        await house.end()
        await house.begin()


SKIES: list[Sky] = [loss, silence, servfail, one_dead, slow, shut, outage, restarts]


def plantable(fault: Fault) -> bool:
    """Those whose expectation after one look is that after hours: silence, for one, becomes a fact of its own.

    The end of a signature is a date of the machine's clock, which is not the time here.
    """
    return not fault.unknown and fault.sweeps == 1 and not fault.finds.startswith("zone.signature-expiring ")


def expected(fault: Fault) -> set[str]:
    return (ALWAYS - set(fault.ends)) | {fault.finds} | set(fault.follows)


async def story(fault: Fault, clock: FakeClock, folder: Path, sky: Sky, number: int) -> tuple[Diary, set[str]]:
    chance = random.Random(f"{seed()} {number}")
    worst = -1.0
    bad = False

    async def script(passed: float) -> None:
        nonlocal worst, bad
        if passed - worst >= MINUTE:
            worst, bad = passed, chance.random() < BAD
            await sky(house, bad, chance)

    state = folder / "state.sqlite"
    async with Household(fault.world(folder), clock, f"{seed()} {number}", state, cycle=CYCLE) as house:
        await house.live(WEATHER, script)
        house.weather.clear()
        diary = await house.live(2 * CYCLE + MINUTE)
        return diary, house.standing()


@pytest.mark.parametrize("part", range(PARTS))
def test_planted_faults_are_found(part: int, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    faults = [fault for fault in FAULTS if plantable(fault) and (FULL or fault.name in SHORT)]
    assert FULL or len(faults) == len(SHORT), "each of these is there under this name"
    missed, false, blips = [], [], 0
    numbers = range(part, COUNT, PARTS)
    for number in numbers:
        chance = random.Random(f"{seed()} plant {number}")
        fault, sky = faults[number % len(faults)], chance.choice(SKIES)
        folder = tmp_path / str(number)
        folder.mkdir()
        clock = FakeClock()
        diary, standing = simulate(clock, story(fault, clock, folder, sky, number))
        name = f"{number} {fault.name} under {sky.__name__}"
        missed += [f"{name}: {it}" for it in expected(fault) - standing]
        late = standing - expected(fault)
        stood = diary.targets | diary.ours
        strange = {" ".join(it): age for it, age in stood.items() if " ".join(it) not in expected(fault) | late}
        early = {it for it, age in strange.items() if age > BLIP}
        blips += len(strange) - len(early)
        false += [f"{name}: {it}" for it in late] + [f"{name}: {it} meanwhile" for it in early]
    record_property("planted", len(numbers))
    record_property("missed", len(missed))
    record_property("false", len(false))
    record_property("false until the next run", blips)
    assert (missed, false) == ([], [])
