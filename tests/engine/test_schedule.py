"""Each target is looked at once per interval: no herd, no overlap, nothing skipped silently, whatever the clocks do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exporter.engine.schedule import DEPENDENTS_PER_SECOND, JUMP, MOST_RELEASED, RUNS_AT_ONCE, Job, Schedule
from exporter.model import Check, Target
from exporter.targets import Domain
from tests.support.checks import EXAMPLE, SAMPLE
from tests.support.clock import FakeClock


class Runs:
    """Counts the runs; while `gate` is closed they do not end."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.now = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, check: Check, target: Target) -> None:
        self.names.append(target.title)
        self.now += 1
        self.most = max(self.most, self.now)
        await self.gate.wait()
        self.now -= 1


def plans(count: int, interval: float = 60, *, at_once: bool = False) -> list[Job]:
    targets = [Domain(name=f"d{i}.example.com", mail_from=()) for i in range(count)]
    return [Job(SAMPLE, target, interval, at_once) for target in targets]


def add_all(schedule: Schedule, wanted: list[Job]) -> None:
    for job in wanted:
        schedule.add(job)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def pass_time(schedule: Schedule, clock: FakeClock, seconds: int) -> None:
    for _ in range(seconds):
        clock.pass_(1)
        schedule.tick("sample")
        await settle()


async def test_what_has_no_verdict_runs_at_once() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    add_all(schedule, plans(5, at_once=True))
    schedule.tick("sample")
    await settle()
    assert len(runs.names) == 5


async def test_every_target_runs_once_per_interval_spread_over_it() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    add_all(schedule, plans(200))
    busiest = 0
    for _ in range(60):
        before = len(runs.names)
        await pass_time(schedule, clock, 1)
        busiest = max(busiest, len(runs.names) - before)
    assert sorted(runs.names) == sorted({*runs.names})
    assert len(runs.names) == 200
    assert busiest < 20, "the phase of each key spreads them"
    await pass_time(schedule, clock, 60 * 9)
    assert len(runs.names) == 2000, "no drift over ten intervals"
    assert not schedule.skipped


async def test_the_phase_survives_a_reload_and_a_restart() -> None:
    firsts = []
    for _ in range(2):
        clock, runs = FakeClock(), Runs()
        schedule = Schedule(runs, clock)
        add_all(schedule, plans(10))
        add_all(schedule, plans(10))
        await pass_time(schedule, clock, 60)
        firsts.append(runs.names)
    assert firsts[0] == firsts[1]


async def test_a_target_never_overlaps_itself_and_the_skipped_run_is_counted() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    add_all(schedule, plans(1, interval=10, at_once=True))
    await pass_time(schedule, clock, 31)
    assert len(runs.names) == 1
    assert schedule.skipped == {("sample", "overlap"): 3}
    runs.gate.set()
    await pass_time(schedule, clock, 10)
    assert len(runs.names) == 2


async def test_a_stalled_loop_runs_late_once_and_counts_what_it_missed() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    add_all(schedule, plans(1, interval=10))
    await pass_time(schedule, clock, 10)
    clock.pass_(39)  # of four times that it was due, one is made up for
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 2
    assert schedule.skipped["sample", "missed"] == 3
    await pass_time(schedule, clock, 10)
    assert len(runs.names) == 3


async def test_no_more_than_a_lane_runs_at_once_and_all_get_their_turn() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    add_all(schedule, plans(RUNS_AT_ONCE * 3, at_once=True))
    schedule.tick("sample")
    await settle()
    assert runs.most == RUNS_AT_ONCE
    runs.gate.set()
    await settle()
    assert len(runs.names) == RUNS_AT_ONCE * 3
    assert runs.most == RUNS_AT_ONCE


async def test_a_target_that_left_is_not_run_and_one_that_changed_runs_at_once() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    add_all(schedule, plans(2, interval=1000))
    changed = replace(EXAMPLE, name="d0.example.com", receives_mail=False)
    job = Job(SAMPLE, changed, 1000)
    schedule.add(job)
    schedule.remove(("sample", "domain=d1.example.com"))
    schedule.tick("sample")
    await settle()
    assert runs.names == ["d0.example.com"]
    await pass_time(schedule, clock, 1000)
    assert set(runs.names) == {"d0.example.com"}


async def test_a_target_that_changed_while_it_ran_runs_again() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    first = Job(SAMPLE, EXAMPLE, 1000, at_once=True)
    schedule.add(first)
    schedule.tick("sample")
    await settle()
    schedule.add(Job(SAMPLE, replace(EXAMPLE, receives_mail=False), 1000))
    runs.gate.set()
    await settle()
    schedule.tick("sample")
    await settle()
    assert len(runs.names) == 2


async def test_what_leaves_and_comes_back_while_it_waits_or_runs_is_not_run_twice_at_once() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    jobs = plans(RUNS_AT_ONCE + 1, interval=1000, at_once=True)
    add_all(schedule, jobs)
    schedule.tick("sample")
    await settle()
    (waiting,) = {it.target.title for it in jobs} - set(runs.names)
    running = runs.names[0]
    back = [it for it in jobs if it.target.title in (waiting, running)]
    for job in back:
        schedule.remove(job.key)
        schedule.add(job)
    await pass_time(schedule, clock, 2)
    assert runs.most == RUNS_AT_ONCE
    assert len(runs.names) == RUNS_AT_ONCE, "the one that runs is not run beside itself"
    runs.gate.set()
    await pass_time(schedule, clock, 2)
    assert sorted(runs.names) == sorted([running, *(it.target.title for it in jobs)])


async def test_a_run_that_cannot_be_taken_in_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(check: Check, target: Target) -> None:
        raise RuntimeError("ours")

    clock = FakeClock()
    schedule = Schedule(broken, clock)
    add_all(schedule, plans(1, interval=10))
    await pass_time(schedule, clock, 20)
    assert len(caplog.records) == 2
    assert schedule.idle


async def test_draining_lets_runs_end_and_starts_no_more() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    add_all(schedule, plans(RUNS_AT_ONCE + 5, at_once=True))
    schedule.tick("sample")
    await settle()
    asyncio.get_running_loop().call_soon(runs.gate.set)
    await schedule.drain(5)
    assert len(runs.names) == RUNS_AT_ONCE
    assert runs.now == 0


async def test_draining_cancels_what_does_not_end() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    add_all(schedule, plans(1, at_once=True))
    schedule.tick("sample")
    await settle()
    await schedule.drain(0.01)
    assert runs.now == 1, "it never got past the gate"


async def test_apscheduler_itself_ticks_each_kind_on_the_loop() -> None:
    """The real scheduler, not our tick: a coroutine job, awaited, on this loop."""
    ran = asyncio.Event()

    async def run(check: Check, target: Target) -> None:
        ran.set()

    schedule = Schedule(run, FakeClock())
    add_all(schedule, plans(1, at_once=True))
    schedule.start()
    async with asyncio.timeout(5):
        await ran.wait()
    assert schedule.alive
    await schedule.drain(1)


async def test_no_run_begins_before_what_the_start_waits_for_is_done() -> None:
    ran = asyncio.Event()

    async def run(check: Check, target: Target) -> None:
        ran.set()

    schedule, first = Schedule(run, FakeClock()), asyncio.get_running_loop().create_future()
    add_all(schedule, plans(1, at_once=True))
    schedule.start(after=first)
    await settle()
    assert schedule.alive
    assert not ran.is_set()
    first.set_result(None)
    async with asyncio.timeout(5):
        await ran.wait()
    await schedule.drain(1)


async def test_what_the_start_waits_for_may_end_after_the_stop() -> None:
    schedule, first = Schedule(Runs(), FakeClock()), asyncio.get_running_loop().create_future()
    schedule.start(after=first)
    await schedule.drain(1)
    first.set_result(None)
    await settle()
    assert not schedule._scheduler.running


async def test_an_end_at_the_moment_of_a_tick_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """APScheduler logs a trace for each job that it has begun and cancels."""
    schedule = Schedule(Runs(), FakeClock())
    add_all(schedule, plans(1, at_once=True))
    schedule.start()
    asyncio.get_running_loop().call_soon(schedule._scheduler._process_jobs)
    await schedule.drain(1)
    await settle()
    assert caplog.text == ""


async def test_a_herd_is_released_in_bounded_steps_and_nobody_is_lost() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    add_all(schedule, plans(MOST_RELEASED + 10, interval=3600, at_once=True))
    schedule.tick("sample")
    await settle_all(schedule)
    assert len(runs.names) == MOST_RELEASED
    schedule.tick("sample")
    await settle_all(schedule)
    assert len(runs.names) == MOST_RELEASED + 10
    assert not schedule.skipped


async def settle_all(schedule: Schedule) -> None:
    while not schedule.idle:
        await asyncio.sleep(0)


async def test_what_wants_to_run_again_soon_does_so_once_and_keeps_its_own_times() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=60, at_once=True)
    schedule.add(job)
    schedule.tick("sample")
    await settle()
    schedule.run_soon(job.key, 2)
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 1
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 2
    await pass_time(schedule, clock, 120)
    assert len(runs.names) == 4
    schedule.remove(job.key)
    schedule.run_soon(job.key, 2)
    await pass_time(schedule, clock, 5)
    assert len(runs.names) == 4


async def test_a_run_that_wants_another_look_gets_it_and_then_its_own_times() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=50, at_once=True)
    schedule.add(job)
    runs.gate.clear()
    schedule.tick("sample")
    await settle()
    schedule.look_again(job.key, 5)  # as it does while it runs
    runs.gate.set()
    await settle()
    await pass_time(schedule, clock, 4)
    assert len(runs.names) == 1
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 2
    schedule.look_again(job.key, 1000)
    await pass_time(schedule, clock, 120)
    assert len(runs.names) == 4, "later than its own time is no news"
    schedule.remove(job.key)
    schedule.look_again(job.key, 5)
    await pass_time(schedule, clock, 10)
    assert len(runs.names) == 4


async def test_news_during_a_run_is_followed_by_another_one() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=60, at_once=True)
    schedule.add(job)
    runs.gate.clear()
    schedule.tick("sample")
    await settle()
    schedule.run_soon(job.key, 1)
    await pass_time(schedule, clock, 5)
    assert runs.now == 1, "never beside itself"
    runs.gate.set()
    await settle()
    await pass_time(schedule, clock, 2)
    assert len(runs.names) == 2


async def test_news_that_concerns_a_fleet_makes_no_herd() -> None:
    """Ten thousand domains may share one mail host, and look at their policies when something is found there."""
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    wanted = plans(DEPENDENTS_PER_SECOND * 5, interval=100_000)
    add_all(schedule, wanted)
    schedule.run_dependents([job.key for job in wanted], 1)
    busiest = 0
    for _ in range(7):
        before = len(runs.names)
        await pass_time(schedule, clock, 1)
        await settle_all(schedule)
        busiest = max(busiest, len(runs.names) - before)
    assert len({*runs.names}) == DEPENDENTS_PER_SECOND * 5
    assert busiest <= DEPENDENTS_PER_SECOND + 1
    assert not schedule.skipped


async def test_a_jump_of_the_wall_clock_is_told_with_its_size() -> None:
    clock, jumps = FakeClock(), list[float]()
    schedule = Schedule(Runs(), clock, on_jump=jumps.append)
    schedule.start()
    clock.step_wall(JUMP)
    schedule._look_at_clocks()
    assert jumps == [], "clocks drift"
    clock.step_wall(-7200)
    schedule._look_at_clocks()
    schedule._look_at_clocks()
    assert jumps == [-7200]
    await schedule.drain(1)


async def test_another_interval_moves_the_next_run() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=36_000)
    schedule.add(job)
    schedule.add(replace(job, interval=60.0))
    wait = schedule.due_in(job.key)
    assert wait is not None
    assert 0 < wait <= 60
    await pass_time(schedule, clock, 60)
    assert len(runs.names) == 1
