"""What a restart makes of saved times and of looks that were due: with wrong clocks, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.check_state import CheckState
from exporter.config import load
from exporter.engine import catalogue
from exporter.engine.families import SINCE
from exporter.engine.state_file import StateFile
from exporter.facts import Doubt, Reason
from tests.engine.test_state_file import CHECK, ran
from tests.support.checks import HOST
from tests.support.clock import FakeClock
from tests.support.household import Household
from tests.support.simulation import simulate
from tests.worlds.world import HOME, World

CATALOGUE = catalogue.load()
CONFIG = """
resolver: {nameservers: ["127.0.0.1:9"]}
blocklists: []
schedule: {default: 1h}
senders: [{name: out, addresses: [192.0.2.1], helo: mail.example.com}]
"""
KEY = ("ptr", "ip=192.0.2.1")
TRUE = 1_780_000_000.0
DAY = 86400.0


async def saved(home: Path, *states: CheckState) -> None:
    file = await StateFile.open(home / "state", CATALOGUE)
    for state in states:
        file.save(state)
    await file.close()


@asynccontextmanager
async def restarted(home: Path, clock: FakeClock) -> AsyncIterator[Daemon]:
    (home / "config.yaml").write_text(CONFIG)
    read = partial(load, home / "config.yaml", CATALOGUE)
    daemon = Daemon(read, clients.open_clients, CATALOGUE, clock, state_path=home / "state")
    clock.pass_(1.0)
    await daemon.start([("127.0.0.1", 0)])
    try:
        yield daemon
    finally:
        await daemon.stop()


def since(daemon: Daemon) -> float:
    (active,) = daemon.store[KEY].findings
    return active.since


def exposed(daemon: Daemon) -> float:
    (line,) = (it for it in daemon.exposition._lines[SINCE].values() if it)
    return float(line.split()[-1])


async def put_right(daemon: Daemon, clock: FakeClock, seconds: float) -> None:
    clock.step_wall(seconds)
    daemon.clock_steps.jumped(seconds)
    await asyncio.gather(*daemon.clock_steps.tasks)


def sure(state: CheckState) -> CheckState:
    """The same, with confirmed findings."""
    return replace(state, findings=tuple(replace(it, confirmed=True) for it in state.findings))


def found_at(at: float) -> CheckState:
    return sure(CheckState(CHECK, HOST).after(ran(at)))


async def test_a_finding_that_a_fast_clock_dated_gets_older_from_the_restart_on(tmp_path: Path) -> None:
    """The clock of the process before was two days fast; it has been put right meanwhile."""
    await saved(tmp_path, found_at(TRUE + 2 * DAY))
    clock = FakeClock(TRUE)
    async with restarted(tmp_path, clock) as daemon:
        began = since(daemon)
        assert TRUE <= began <= clock.wall()
        clock.pass_(3600)
        daemon.exposition.put(daemon.store[KEY])
        assert clock.wall() - exposed(daemon) > 3599
        daemon._state_file.save(daemon.store[KEY]) if daemon._state_file else None
    async with restarted(tmp_path, clock) as daemon:
        assert since(daemon) == began, "another restart takes no age from it"
        clock.pass_(3 * DAY)
        await put_right(daemon, clock, 30)
        assert since(daemon) == began, "a small step later brings nothing back"


async def test_a_machine_that_boots_with_an_old_clock_keeps_the_true_ages(tmp_path: Path) -> None:
    """It has no clock of its own, and NTP corrects it after minutes."""
    true = found_at(TRUE - 9 * DAY)
    await saved(tmp_path, true)
    old = 946_684_800.0
    clock = FakeClock(old)
    async with restarted(tmp_path, clock) as daemon:
        assert old <= since(daemon) <= clock.wall(), "never in the future"
        assert due(daemon) == 0.0, "who knows how old it is: it is looked at now"
        clock.pass_(120)
        await put_right(daemon, clock, TRUE - clock.wall())
        held = daemon.store[KEY]
        assert since(daemon) == TRUE - 9 * DAY
        assert (held.last_run, held.last_conclusive) == (TRUE - 9 * DAY, TRUE - 9 * DAY)
        assert exposed(daemon) == TRUE - 9 * DAY


async def test_an_old_clock_that_is_put_right_between_two_restarts_costs_no_age_either(tmp_path: Path) -> None:
    await saved(tmp_path, found_at(TRUE - 9 * DAY))
    clock = FakeClock(946_684_800.0)
    async with restarted(tmp_path, clock) as daemon:
        assert daemon._state_file
        daemon._state_file.save(daemon.store[KEY])
    async with restarted(tmp_path, FakeClock(TRUE)) as daemon:
        assert since(daemon) == TRUE - 9 * DAY


async def test_a_fast_clock_that_is_put_back_leaves_no_time_in_the_future(tmp_path: Path) -> None:
    await saved(tmp_path, found_at(TRUE + 2 * DAY))
    clock = FakeClock(TRUE + 2 * DAY + 60)
    async with restarted(tmp_path, clock) as daemon:
        await put_right(daemon, clock, -2 * DAY)
        assert since(daemon) <= clock.wall()


def due(daemon: Daemon) -> float:
    wait = daemon.schedule.due_in(KEY)
    assert wait is not None
    return wait


@pytest.mark.parametrize("again", [None, 60.0, 600.0])
async def test_a_second_look_that_was_due_before_a_restart_does_not_wait_for_the_next_hour(
    tmp_path: Path, again: float | None
) -> None:
    pending = replace(ran(TRUE), doubts=(Doubt(Reason.PENDING, "it wants a second look"),), again=again)
    await saved(tmp_path, sure(CheckState(CHECK, HOST).after(pending)))
    clock = FakeClock(TRUE + 300)
    async with restarted(tmp_path, clock) as daemon:
        assert due(daemon) == {None: 0.0, 60.0: 1.0, 600.0: pytest.approx(299)}[again]


async def test_what_is_fresh_and_certain_waits_for_its_time(tmp_path: Path) -> None:
    await saved(tmp_path, found_at(TRUE))
    clock = FakeClock(TRUE + 300)
    async with restarted(tmp_path, clock) as daemon:
        assert due(daemon) > 60


@pytest.mark.parametrize(("passed", "wait"), [(20.0, 39.0), (300.0, 1.0)])
async def test_a_look_that_was_to_confirm_a_finding_does_not_wait_for_the_next_hour(
    tmp_path: Path, passed: float, wait: float
) -> None:
    await saved(tmp_path, CheckState(CHECK, HOST).after(ran(TRUE)))
    clock = FakeClock(TRUE + passed)
    async with restarted(tmp_path, clock) as daemon:
        assert due(daemon) == pytest.approx(wait, abs=0.1)


def test_a_finding_that_was_confirmed_without_a_test_of_the_resolver_is_confirmed_after_a_restart(
    tmp_path: Path,
) -> None:
    """Where that test is switched off, the last look itself confirms: it is that which has to be saved."""
    zone = (HOME / "postfix-vps.zone").read_text().replace("mail._domainkey", "old._domainkey")
    world = World("no-key", zone, tmp_path)
    world.config.write_text((HOME / "postfix-vps.yaml").read_text() + "checks: {resolver: {enabled: false}}\n")

    def confirmed(house: Household) -> list[bool]:
        assert house.daemon
        return [it.confirmed for it in house.daemon.store["dkim", "domain=acme-home.com,selector=mail"].findings]

    async def story() -> list[bool]:
        async with Household(world, clock, "no key", tmp_path / "state") as house:
            while confirmed(house) != [True]:
                await house.live(5)
            await house.end()
            await house.begin()
            return confirmed(house)

    clock = FakeClock()
    assert simulate(clock, story()) == [True]
