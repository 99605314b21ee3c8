"""Wall time and monotonic time, as an object, so that tests can move both."""

from __future__ import annotations

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
