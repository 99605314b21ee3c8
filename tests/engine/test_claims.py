"""A run may do that of another check of its target, too: then that one is not started, and nothing is lost."""

from __future__ import annotations

import pytest

from exporter.engine.schedule import ABOUT, Schedule
from tests.engine.test_schedule import Runs, pass_time, plans, settle
from tests.support.clock import FakeClock


async def test_what_is_due_about_now_can_be_claimed_once_and_is_due_an_interval_later() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, interval=100)
    schedule.add(job)
    due = schedule.due_in(job.key)
    assert due is not None
    assert not schedule.claim(job.key), "it is not due yet"
    clock.pass_(due - ABOUT / 2)
    assert schedule.claim(job.key)
    assert not schedule.claim(job.key)
    assert schedule.due_in(job.key) == pytest.approx(100 + ABOUT / 2)
    await pass_time(schedule, clock, 10)
    assert not runs.names


async def test_what_waits_can_be_claimed_and_what_runs_cannot() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    waits, runs_already = plans(2, at_once=True)
    schedule.add(runs_already)
    schedule.tick("sample")
    await settle()
    schedule.add(waits)
    schedule.tick("sample")
    assert schedule.claim(waits.key)
    assert not schedule.claim(waits.key)
    assert not schedule.claim(runs_already.key)
    runs.gate.set()
    await settle()
    assert len(runs.names) == 1
    assert schedule.idle
    schedule.run_soon(waits.key, 0)
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 2


async def test_whoever_claims_in_vain_has_it_run_all_the_same() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    (job,) = plans(1, at_once=True)
    schedule.add(job)
    schedule.tick("sample")
    assert schedule.claim(job.key)
    schedule.run_soon(job.key, 0)
    await settle()
    assert not runs.names
    await pass_time(schedule, clock, 1)
    assert len(runs.names) == 1


async def test_nobody_claims_what_an_old_run_of_the_same_pair_does() -> None:
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    (job,) = plans(1, at_once=True)
    schedule.add(job)
    schedule.tick("sample")
    await settle()
    schedule.remove(job.key)
    schedule.add(job)
    assert not schedule.claim(job.key)
    runs.gate.set()
    await settle()
    assert schedule.claim(job.key)
