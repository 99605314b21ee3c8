"""The command, with a beat in its loop that tells how long the loop was held: for daemon.py, not by hand.

It beats from the start. SIGUSR1 begins anew; SIGUSR2 ends it, and writes to the file in STALLS what was found since.
A hold is told on the clock, and as CPU time of the thread: that one does not count what other processes took.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

BEAT = 0.001  # seconds
LATE = 0.02  # seconds after which the stack is looked at


class Watch:
    """Must be made on the running loop."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._main = threading.get_ident()
        self._handle: asyncio.TimerHandle | None = None
        self._begin()
        self._loop.add_signal_handler(signal.SIGUSR1, self._begin)
        self._loop.add_signal_handler(signal.SIGUSR2, self._end)
        threading.Thread(target=self._look, daemon=True).start()

    def _begin(self) -> None:
        if self._handle:
            self._handle.cancel()
        self._worst = self._worst_cpu = 0.0
        self._blame: Counter[str] = Counter()
        self._at, self._cpu = time.monotonic(), time.thread_time()
        self._handle = self._loop.call_later(BEAT, self._beat)

    def _beat(self) -> None:
        at, cpu = time.monotonic(), time.thread_time()
        self._worst = max(self._worst, at - self._at - BEAT)
        self._worst_cpu = max(self._worst_cpu, cpu - self._cpu)
        self._at, self._cpu = at, cpu
        self._handle = self._loop.call_later(BEAT, self._beat)

    def _end(self) -> None:
        if self._handle:
            self._handle.cancel()
            self._handle = None
        found = {"wall": self._worst, "cpu": self._worst_cpu, "blame": self._blame.most_common(5)}
        new = self._told.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.replace(self._told)

    def _look(self) -> None:
        while True:
            time.sleep(LATE / 2)
            frame = sys._current_frames().get(self._main)  # noqa: SLF001  (there is no other way)
            late = self._handle is not None and time.monotonic() - self._at > LATE
            if late and frame and "runners" not in frame.f_code.co_filename:  # there it waits for its turn
                stack = [f"{Path(it.filename).name}:{it.lineno} {it.name}" for it in traceback.extract_stack(frame)]
                self._blame[" < ".join(reversed(stack[-4:]))] += 1


def main() -> int:
    told = Path(os.environ["STALLS"])

    def with_watch(run: Callable[..., Any]) -> Callable[..., Any]:
        async def watched(main_: Coroutine[Any, Any, Any]) -> Any:
            watch = Watch(told)
            try:
                return await main_
            finally:
                del watch

        return lambda main_, **how: run(watched(main_), **how)

    asyncio.run = with_watch(asyncio.run)
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415  (as in exporter/cli/run.py)

        uvloop.run = with_watch(uvloop.run)
    from exporter.__main__ import main as command  # noqa: PLC0415  (it shall find the loops above)

    return command()


if __name__ == "__main__":
    sys.exit(main())
