"""Wall time and monotonic time, as an object, so that tests can move both; and turns of the loop that end in time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
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

    Whoever has work calls `wait` before it. Once a turn has lasted LONGEST, work waits in a row, and each further turn
    begins AT_ONCE pieces of it.
    """

    LONGEST = 0.01  # seconds
    AT_ONCE = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: float | None = None  # None: nobody has worked in this turn
        self._row: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Return when it is the caller's turn."""
        now, loop = self._clock.monotonic(), asyncio.get_running_loop()
        if self._began is None:
            self._began = now
            loop.call_soon(self._next)
        if self._row or now - self._began >= self.LONGEST:
            self._row.append(loop.create_future())
            await self._row[-1]

    def _next(self) -> None:
        """A turn has ended."""
        self._began = None
        for _ in range(min(self.AT_ONCE, len(self._row))):
            waiting = self._row.popleft()
            if not waiting.done():
                waiting.set_result(None)
        if self._row:
            self._began = self._clock.monotonic()
            asyncio.get_running_loop().call_soon(self._next)
