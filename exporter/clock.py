"""Two kinds of time, given to whoever needs them, so that tests can let time pass."""

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
