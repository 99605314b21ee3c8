"""Every second the schedule compares its clocks and measures how late the loop is; here on a loop whose time jumps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zlib import crc32

import pytest

from exporter.engine.schedule import STOPPED, TICK, Job, Schedule, _EachTick
from tests.engine.test_schedule import Runs, add_all, pass_time, plans, settle
from tests.support.clock import FakeClock
from tests.support.simulation import simulate


def test_each_jump_is_told_once_within_a_second_or_two_and_drift_is_not(caplog: pytest.LogCaptureFixture) -> None:
    clock, jumps = FakeClock(), list[float]()

    async def story() -> None:
        schedule = Schedule(Runs(), clock, on_jump=jumps.append)
        schedule.start()
        schedule._scheduler.pause()
        for _ in range(100):
            clock.step_wall(0.5)
            await asyncio.sleep(TICK)
        clock.step_wall(2.0)  # as much as is allowed
        await asyncio.sleep(2 * TICK)
        assert jumps == []
        clock.step_wall(-3600.0)
        await asyncio.sleep(2 * TICK)
        assert jumps == pytest.approx([-3600.0])
        clock.step_wall(7200.0)
        await asyncio.sleep(10 * TICK)
        await schedule.drain(1)

    simulate(clock, story())
    assert jumps == pytest.approx([-3600.0, 7200.0])
    assert [record.getMessage() for record in caplog.records] == [
        "the wall clock jumped by -3600 s; every job is woken",
        "the wall clock jumped by +7200 s; every job is woken",
    ]


async def test_a_jump_wakes_apscheduler_now() -> None:
    """It would else do nothing until the wall clock is where it was."""
    clock, jumps = FakeClock(), list[float]()
    schedule = Schedule(Runs(), clock, on_jump=jumps.append)
    add_all(schedule, plans(1))
    schedule.start()
    (job,) = schedule._scheduler.get_jobs()
    job.modify(next_run_time=datetime.now(UTC) + timedelta(hours=1))
    clock.step_wall(-3600)
    before = datetime.now(UTC)
    schedule._look_at_clocks()
    woken = job.next_run_time
    await schedule.drain(1)
    assert before <= woken <= datetime.now(UTC) + timedelta(seconds=TICK)


def test_a_tick_follows_the_last_one_by_a_second_of_now() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert _EachTick().get_next_fire_time(None, now) == now
    assert _EachTick().get_next_fire_time(now - timedelta(hours=1), now) == now + timedelta(seconds=TICK)


async def test_the_schedule_is_alive_while_it_ticks() -> None:
    clock = FakeClock()
    schedule = Schedule(Runs(), clock)
    clock.pass_(STOPPED * 2)
    alive = [schedule.alive]  # there is nothing to do
    schedule.start()
    add_all(schedule, plans(1))
    for seconds in (0, STOPPED - 1, 1):
        clock.pass_(seconds)
        alive.append(schedule.alive)
    schedule.tick("sample")
    alive.append(schedule.alive)
    await schedule.drain(1)
    assert alive == [True, True, True, False, True]


async def test_the_grid_is_where_the_hash_of_the_target_says() -> None:
    """A restart makes no herd. The checks of one target are due together, because they share questions."""
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=1000.0)
    schedule.add(job)
    phase = crc32(b"domain=d0.example.com") / 2**32 * 1000.0
    assert job.key == ("sample", "domain=d0.example.com")
    wait = schedule.due_in(job.key)
    assert wait is not None
    due = clock.monotonic() + wait
    assert clock.monotonic() < due <= clock.monotonic() + 1000.0
    assert due % 1000.0 == pytest.approx(phase)


async def test_missed_intervals_are_whole_ones_and_add_up() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=10)
    schedule.add(job)
    for _ in range(2):
        wait = schedule.due_in(job.key)
        assert wait is not None
        clock.pass_(wait + 29.0)
        schedule.tick("sample")
        await settle()
    assert schedule.skipped == {("sample", "missed"): 4}


async def test_one_that_left_does_not_hold_up_those_behind_it() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    jobs = plans(40, at_once=True)
    add_all(schedule, jobs)
    for job in jobs[:5]:
        schedule.remove(job.key)
        schedule.remove(job.key)  # who is not there any more may leave again
    runs.gate.clear()
    schedule.tick("sample")
    await settle()
    assert len(runs.names) == 32
    waiting = list(schedule._queues["sample"].waiting)
    for entry in waiting[:2]:
        schedule.remove(("sample", entry.target.key))
    runs.gate.set()
    await settle()
    assert len(waiting) == 3
    assert len(runs.names) == 33, "35 were there, and two of them left while they waited"
    assert schedule.idle


async def test_the_next_run_starts_when_another_ends_and_not_at_a_tick() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    add_all(schedule, plans(40, at_once=True))
    schedule.tick("sample")
    await settle()
    assert len(runs.names) == 40


async def test_runs_have_the_name_of_their_pair() -> None:
    names = []

    async def run(check: object, target: object) -> None:
        task = asyncio.current_task()
        names.append(task and task.get_name())

    schedule = Schedule(run, FakeClock())
    add_all(schedule, plans(1, at_once=True))
    schedule.tick("sample")
    await settle()
    assert names == ["sample:domain=d0.example.com"]


async def test_draining_waits_for_what_it_has_cancelled() -> None:
    """A run may have to close connections."""
    ended = []

    async def run(check: object, target: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            ended.append(True)

    schedule = Schedule(run, FakeClock())
    add_all(schedule, plans(3, at_once=True))
    schedule.tick("sample")
    await settle()
    await schedule.drain(0.01)
    assert ended == [True] * 3


@pytest.mark.parametrize("asked", [0.0, 0.5])
async def test_another_look_is_not_sooner_than_the_next_tick(asked: float) -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=1000.0)
    schedule.add(job)
    schedule.look_again(job.key, asked)
    schedule.tick("sample")
    await settle()
    assert runs.names == []
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 1


async def test_who_asks_for_a_run_that_comes_anyway_changes_nothing() -> None:
    schedule = Schedule(Runs(), FakeClock())
    (job,) = plans(1, interval=1000.0)
    schedule.add(job)
    before = schedule.due_in(job.key)
    schedule.look_again(job.key, 2000.0)
    schedule.run_soon(job.key, 2000.0)
    schedule.look_again(("sample", "nobody"), 1.0)
    schedule.run_soon(("sample", "nobody"), 1.0)
    schedule.add(Job(job.check, job.target, job.interval))
    assert schedule.due_in(job.key) == before
    assert sum(map(len, schedule._queues["sample"].slots.values())) == 1
