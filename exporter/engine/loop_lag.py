"""Measures how late the event loop looks for what is next: whatever holds the loop delays every check and scrape.

The problem: to wake up often, and to see how late that was, costs more than all scrapes. To do so seldom misses holds.

The rules:

- asyncio asks its selector each time that it has nothing left to do. So `WatchedLoop` measures each hold in full, and
  each sleep that took longer than it should. No timer is needed.
- uvloop has no such place. There a beat is due every BEAT seconds. A hold is told as long as it was, less BEAT at most.
"""

from __future__ import annotations

import asyncio
import selectors
from time import monotonic

BEAT = 0.05  # seconds: each beat wakes the process, at 70 us of CPU


class _Watching(selectors.DefaultSelector):
    """`worst`: seconds of the longest hold so far, or by which a sleep was too long."""

    def __init__(self) -> None:
        super().__init__()
        self.worst = 0.0
        self._woke = monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        asked = monotonic()
        ready = super().select(timeout)
        woke = monotonic()
        due = asked + timeout if timeout else woke
        self.worst = max(self.worst, asked - self._woke, woke - due)
        self._woke = woke
        return ready


class WatchedLoop(asyncio.SelectorEventLoop):
    """The loop of asyncio, which knows how late it was."""

    def __init__(self) -> None:
        self._watching = _Watching()
        super().__init__(self._watching)

    def take(self) -> float:
        """How many seconds late it was at worst since this was last asked."""
        worst, self._watching.worst = self._watching.worst, 0.0
        return worst


class LoopLag:
    """Must be started on the running loop."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._loop: WatchedLoop | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(loop, WatchedLoop):
            self._loop = loop
            loop.take()
        else:
            self._expect(loop)

    def stop(self) -> None:
        self._loop = None
        if self._handle:
            self._handle.cancel()

    def take(self) -> float:
        """How many seconds late the loop was at worst since this was last asked."""
        worst, self._worst = self._worst, 0.0
        return self._loop.take() if self._loop else worst

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = monotonic() + BEAT  # the loop's own time is that of when it woke up
        self._handle = loop.call_later(BEAT, self._beat)

    def _beat(self) -> None:
        self._worst = max(self._worst, monotonic() - self._due)
        self._expect(asyncio.get_running_loop())
