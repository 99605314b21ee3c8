"""Work that Ctrl-C ends early, so that what is known by then can still be told."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

STOPPED = 128 + signal.SIGINT  # the exit code, as a shell has it
SECONDS = 10.0


async def finished(
    work: Coroutine[Any, Any, None], tick: Callable[[], None] = lambda: None, seconds: float = SECONDS
) -> bool:
    """Do the work to its end. False: the first Ctrl-C ended it; another one then ends the command, as usual.

    `tick` is called every so many seconds.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        loop.remove_signal_handler(signal.SIGINT)
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        while not (await asyncio.wait([task], timeout=seconds))[0]:
            tick()
        if stopped and task.cancelled():
            return False
        task.result()
        return True
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        task.cancel()
