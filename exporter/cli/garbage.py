"""Keeps collections of garbage short: the loop stands still meanwhile.

The problem: a collection of everything walks all that a fleet holds, which takes a second.

The idea: whatever a collection of everything has left is in use. It is set aside, so the next one walks only what has
come since then.

What is set aside and becomes a circle of garbage later is not found. So what we hold makes no circles, and what others
make of their connections is taken apart when it closes. Templates make circles, so nothing is set aside while a page is
made. Some circles of libraries are left all the same: every THOROUGH seconds one collection walks everything.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EVERY = 4  # collections of the middle generation to one of everything: 30,000 new objects, about 10 ms
THOROUGH = 6 * 3600.0


@contextmanager
def short_collections(
    in_circles: Callable[[], int] = lambda: 0, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Until the end, keep them short. Nothing is set aside while `in_circles` says that circles are in use."""
    last = monotonic()

    def set_aside(phase: str, told: dict[str, Any]) -> None:
        nonlocal last
        if told["generation"] < 2:
            return
        if phase == "start" and monotonic() - last >= THOROUGH:
            last = monotonic()
            gc.unfreeze()
        elif phase == "stop" and not in_circles():
            gc.freeze()

    before = gc.get_threshold()
    gc.set_threshold(*before[:2], EVERY)
    gc.callbacks.append(set_aside)
    try:
        yield
    finally:
        gc.callbacks.remove(set_aside)
        gc.set_threshold(*before)


@contextmanager
def no_collections() -> Iterator[None]:
    """While all that is made will stay. It is set aside at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
