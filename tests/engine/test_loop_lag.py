"""The lag of the event loop is the longest hold since it was last asked for, however short the hold was."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from exporter.engine.loop_lag import BEAT, LoopLag, WatchedLoop
from tests.support.watch import LOOPS, run_on

HOLD = 0.3


async def beats(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(BEAT)


def hold(seconds: float) -> None:
    """Keep the processor busy: a real hold."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@pytest.mark.parametrize("loop", LOOPS)
def test_a_hold_is_told_in_full_and_once(loop: str) -> None:
    async def held() -> tuple[float, float]:
        lag = LoopLag()
        lag.start()
        await beats(2)
        hold(HOLD)
        await beats(2)
        told = lag.take()
        again = lag.take()
        lag.stop()
        return told, again

    told, again = run_on(loop, held)
    assert told >= HOLD - 1.5 * BEAT
    assert again == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_after_it_is_stopped_nothing_beats(loop: str) -> None:
    async def stopped() -> float:
        lag = LoopLag()
        lag.start()
        lag.stop()
        hold(2 * BEAT)
        await beats(2)
        return lag.take()

    assert run_on(loop, stopped) == 0


SHORT = 0.06  # seconds: little more than a beat
PHASES = [0.0, BEAT / 2, BEAT * 0.9]


async def held_at(phase: float) -> float:
    """What is told of a short hold that begins so many seconds after a beat."""
    lag = LoopLag()
    lag.start()
    await asyncio.sleep(phase)
    lag.take()
    hold(SHORT)
    await beats(2)
    told = lag.take()
    lag.stop()
    return told


def test_asyncio_tells_a_short_hold_in_full_whenever_it_begins() -> None:
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        assert all(runner.run(held_at(phase)) >= SHORT for phase in PHASES)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_hold_is_at_most_a_beat_longer_than_is_told(loop: str) -> None:
    for phase in PHASES:
        assert run_on(loop, partial(held_at, phase)) >= SHORT - BEAT - 0.002, "uvloop has milliseconds"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_hold_in_a_timer_that_is_due_with_the_beat_counts(loop: str) -> None:
    """uvloop does not look at the clock again between the two."""

    async def held() -> float:
        lag = LoopLag()
        asyncio.get_running_loop().call_later(BEAT, hold, HOLD)
        lag.start()
        await beats(3)
        told = lag.take()
        lag.stop()
        return told

    assert run_on(loop, held) >= HOLD - 0.002


def test_asyncio_needs_no_beat_and_tells_what_is_held_once() -> None:
    async def quiet() -> tuple[float, float]:
        lag = LoopLag()
        lag.start()
        hold(SHORT)
        await asyncio.sleep(0)
        told = lag.take()
        lag.stop()
        hold(SHORT)
        await asyncio.sleep(0)
        assert lag._handle is None
        return told, lag.take()

    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        told, stopped = runner.run(quiet())
    assert told >= SHORT
    assert stopped == 0
