"""Runs what waits for a disk, one after the other, so that the event loop need not.

The thread is a daemon: a disk that hangs for ever keeps neither the loop nor the end of the process waiting. Python
would wait for an executor of its library.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_Job: TypeAlias = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class DiskThread(Thread):
    """One thread, which has begun. It ends with `end`, once its work is done. `waiting`: jobs that are not done."""

    def __init__(self) -> None:
        super().__init__(name="state", daemon=True)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.waiting = 0
        self.start()

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What it returns or raises is the result of the future."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.waiting += 1
        self._jobs.put((work, future))
        return future

    def end(self) -> None:
        self._jobs.put(None)

    def run(self) -> None:
        while job := self._jobs.get():
            work, future = job
            try:
                told = work()
            except Exception as error:  # noqa: BLE001  (whoever waits for the future gets it)
                self._tell(future, future.set_exception, error)
            else:
                self._tell(future, future.set_result, told)

    def _tell(self, future: asyncio.Future[Any], tell: Callable[[Any], None], what: Any) -> None:
        def told() -> None:
            self.waiting -= 1
            if not future.done():
                tell(what)

        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            future.get_loop().call_soon_threadsafe(told)
