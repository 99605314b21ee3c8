"""The lag of the event loop is the longest hold since it was last asked for, however short the hold was."""

from __future__ import annotations

import asyncio
import time

import pytest

from exporter.engine.loop_lag import BEAT, LoopLag
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
