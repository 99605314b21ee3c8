"""Measures how late the event loop wakes up: whatever holds the loop delays every check, scrape and deadline.

A beat is due every BEAT seconds, so a hold is measured to that precision.
"""

from __future__ import annotations

import asyncio

BEAT = 0.05  # seconds


class LoopLag:
    """Must be started on the running loop."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + BEAT
        self._handle = loop.call_later(BEAT, self._beat)

    def stop(self) -> None:
        if self._handle:
            self._handle.cancel()

    def take(self) -> float:
        """How many seconds late the loop woke up at worst since this was last asked."""
        worst, self._worst = self._worst, 0.0
        return worst

    def _beat(self) -> None:
        self._worst = max(self._worst, asyncio.get_running_loop().time() - self._due)
        self.start()
