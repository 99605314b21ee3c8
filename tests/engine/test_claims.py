"""A run may do that of another check of its target, too: then that one is not started, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.engine.schedule import ABOUT, RUNS_AT_ONCE, Job, Schedule
from exporter.model import Check, Target
from tests.engine.test_schedule import Runs, pass_time, plans, settle
from tests.support.checks import EXAMPLE, SAMPLE
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


async def full() -> tuple[FakeClock, Runs, Schedule, Job]:
    """As many runs as there may be, and one that waits."""
    clock, runs = FakeClock(), Runs()
    schedule = Schedule(runs, clock)
    runs.gate.clear()
    jobs = plans(RUNS_AT_ONCE + 1, at_once=True)
    for job in jobs:
        schedule.add(job)
    schedule.tick("sample")
    await settle()
    assert len(runs.names) == RUNS_AT_ONCE
    return clock, runs, schedule, jobs[-1]


async def test_what_waits_can_be_claimed_and_what_runs_cannot() -> None:
    clock, runs, schedule, waits = await full()
    assert schedule.claim(waits.key)
    assert not schedule.claim(waits.key)
    assert not schedule.claim(plans(1)[0].key)
    runs.gate.set()
    await settle()
    assert len(runs.names) == RUNS_AT_ONCE
    assert schedule.idle
    schedule.run_soon(waits.key, 0)
    await pass_time(schedule, clock, 1)
    assert runs.names[-1] == waits.target.title


async def test_whoever_claims_in_vain_has_it_run_all_the_same() -> None:
    clock, runs, schedule, waits = await full()
    assert schedule.claim(waits.key)
    schedule.run_soon(waits.key, 0)
    runs.gate.set()
    await settle()
    assert len(runs.names) == RUNS_AT_ONCE
    await pass_time(schedule, clock, 1)
    assert runs.names[-1] == waits.target.title


async def test_a_run_is_prepared_before_others_of_its_target_can_begin() -> None:
    clock, prepared, begun = FakeClock(), list[str](), list[str]()
    other = scripted_twin()

    def prepare(check: Check, target: Target) -> None:
        prepared.append(check.id)
        assert schedule.claim((other.id if check is SAMPLE else SAMPLE.id, target.key))

    async def run(check: Check, _: Target) -> None:
        begun.append(check.id)

    schedule = Schedule(run, clock, prepare=prepare)
    for check in (SAMPLE, other):
        schedule.add(Job(check, EXAMPLE, 60, at_once=True))
    for check in (SAMPLE, other):
        schedule.tick(check.id)
    await settle()
    assert prepared == begun == [SAMPLE.id]
    assert schedule.idle


def scripted_twin() -> Check:
    return replace(SAMPLE, id="twin")


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
