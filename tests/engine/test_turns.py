"""Much work at once leaves turns of the loop to everybody else."""

from __future__ import annotations

import asyncio
import itertools

import pytest
import uvloop

from exporter.clock import Turns
from exporter.engine.slices import in_slices
from tests.support.clock import FakeClock

WORK = 0.003  # seconds


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_a_burst_of_answers_wakes_is_divided_among_turns(run: object) -> None:
    clock, beats, done = FakeClock(), [], []

    async def work(turns: Turns, number: int) -> None:
        await turns.wait()
        clock.pass_(WORK)
        done.append(number)

    async def burst() -> None:
        turns = Turns(clock)
        tasks = [asyncio.create_task(work(turns, number)) for number in range(100)]
        while not all(task.done() for task in tasks):
            beats.append(clock.monotonic())
            await asyncio.sleep(0)
            tasks[50].cancel()  # it waits: those behind it are not held up

    assert callable(run)
    run(burst())
    assert done == [*range(50), *range(51, 100)], "who came first is first"
    lasted = [after - before for before, after in itertools.pairwise(beats)]
    assert max(lasted) < 2 * (Turns.LONGEST + WORK), "of 0.3 s"
    assert len(beats) < 100, "a turn is used"


async def test_work_is_not_put_off_while_a_turn_has_time() -> None:
    turns = Turns(FakeClock())
    wait = turns.wait()
    with pytest.raises(StopIteration):
        wait.send(None)


async def test_all_items_are_given_out_and_others_have_turns() -> None:
    turns = 0

    async def give() -> list[int]:
        return [item async for item in in_slices(range(10), 3)]

    task = asyncio.create_task(give())
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert task.result() == list(range(10))
    assert turns >= 3
