"""Wall time and monotonic time, as an object, so that tests can move both; and turns of the loop that end in time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time is for what is shown, monotonic time for everything that waits."""

    def wall(self) -> float: ...
    def monotonic(self) -> float: ...


class SystemClock:
    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def began_at(clock: Clock, moment: float) -> float:
    """The wall time of a monotonic moment before now, by the wall clock as it is now: it may have been put right."""
    return clock.wall() - (clock.monotonic() - moment)


class Turns:
    """Divides work that many answers wake at once among turns of the loop.

    The problem: answers come in bursts, and each wakes a run. The loop serves all that woke before it looks at anything
    else, and a hundred runs take a tenth of a second.

    Whoever has work calls `wait` before it. If the turn has already lasted LONGEST, the work waits for the next one.
    """

    LONGEST = 0.01  # seconds

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: float | None = None  # None: nobody has worked in this turn

    async def wait(self) -> None:
        """Return when there is time left in a turn."""
        while True:
            now = self._clock.monotonic()
            if self._began is None:
                self._began = now
                asyncio.get_running_loop().call_soon(self._end)
            if now - self._began < self.LONGEST:
                return
            await asyncio.sleep(0)

    def _end(self) -> None:
        self._began = None
