"""A loop whose time is a clock that jumps, and the real daemon on it: a day of a small world takes seconds.

Everything is real but the time and the weather: sockets on loopback, TLS, the resolver with its repetitions, the
schedule, the state file. When no socket has anything to read, the clock goes straight to the next timer. Both ends of
each connection are on the same loop, so what was sent can be read at once and no time passes on the way.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from exporter.engine.disk_thread import DiskThread
from tests.support.clock import FakeClock

T = TypeVar("T")

A_MOMENT = 0.01  # real seconds for a thread that works
FOR_EVER = 20.0  # real seconds without a timer and without anything to read: nothing will ever happen


class _Jumping(selectors.EpollSelector):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            ready = super().select(FOR_EVER)
            assert ready, "the simulation waits for nothing"
            return ready
        if any(map(_works, threading.enumerate())):
            return super().select(A_MOMENT)
        self._clock.pass_(timeout)
        return ready


def _works(thread: threading.Thread) -> bool:
    """Is the loop about to hear of it? No time passes in threads."""
    return bool(thread.waiting) if isinstance(thread, DiskThread) else thread.name == "files"


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its time is that of the clock. What a thread would do is done at once, as no time passes in threads."""

    def __init__(self, clock: FakeClock) -> None:
        self._simulated = clock
        super().__init__(_Jumping(clock))

    def time(self) -> float:
        return self._simulated.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # the same, without a thread
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  (whoever waits gets it, as from a thread)
            done.set_exception(error)
        return done


def simulate(clock: FakeClock, story: Coroutine[Any, Any, T]) -> T:
    """Run the story on a loop of its own. Tasks that it leaves behind are cancelled."""
    loop = SimulatedLoop(clock)
    try:
        return loop.run_until_complete(story)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
