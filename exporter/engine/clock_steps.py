"""Corrects the times of what is known after the wall clock was put right, so that no age is absurd."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.check_state import CheckState, WrongTimes
from exporter.clock import Clock
from exporter.engine.departures import Departures
from exporter.engine.history import History
from exporter.engine.store import Store

SLICE = 50  # states before the loop may do other work


class ClockSteps:
    """The corrections that go on. `changed` is called with each state that has other times."""

    def __init__(
        self,
        store: Store,
        departures: Departures,
        history: History,
        clock: Clock,
        changed: Callable[[CheckState], None],
    ) -> None:
        self._store = store
        self._departures = departures
        self._history = history
        self._clock = clock
        self._changed = changed
        self._began = clock.wall()  # unix seconds, corrected when the clock is
        self.tasks: set[asyncio.Task[None]] = set()

    def jumped(self, seconds: float) -> None:
        """The clock was put forward by so many seconds: all times since our start were wrong by that."""
        times = WrongTimes(seconds, self._began, self._clock.wall() - seconds)
        self._began += seconds
        task = asyncio.get_running_loop().create_task(self._mend(times))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _mend(self, times: WrongTimes) -> None:
        self._departures.move(times)
        for _ in self._history.move(times):
            await asyncio.sleep(0)
        for count, key in enumerate(self._store.keys(), 1):
            if state := self._store.move(key, times):
                self._changed(state)
            if count % SLICE == 0:
                await asyncio.sleep(0)
