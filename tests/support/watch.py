"""Watches the event loop of this process under attack: who holds it, and what a scrape takes meanwhile."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.store import Store
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from exporter.views.web import Web, WebContext
from tests.support.checks import BROKEN, LISTED, NOTE, ODD, SAMPLE, SIZE
from tests.support.clock import FakeClock

T = TypeVar("T")

LOOPS = ["asyncio", "uvloop"]
_BEAT = 0.005  # seconds
_SETTLED = 2.0  # seconds in which what has ended is put away
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CATALOGUE = Catalogue((CatalogueEntry(SAMPLE, (BROKEN, ODD, NOTE, LISTED), (SIZE,)),))


@dataclass
class Watched:
    """Seconds and octets. `held` is the worst time on the processor between two beats of the loop.

    `late` is the same by the clock, so whatever else runs on this machine is in it.
    """

    held: float = 0.0
    late: float = 0.0
    memory: int = 0  # that came in addition, at worst
    scrapes: list[float] = field(default_factory=list)
    files: int = 0  # left over
    tasks: int = 0  # left over


def run_on(loop: str, what: Callable[[], Coroutine[None, None, T]]) -> T:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra") if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        return runner.run(what())


@asynccontextmanager
async def watching() -> AsyncIterator[Watched]:
    """The figures are complete at the end. /metrics is served on this loop, and scraped from another thread."""
    found, over = Watched(), threading.Event()
    web = _served()
    await web.start([("127.0.0.1", 0)])
    await asyncio.to_thread(_get, web.addresses[0])  # uvloop opens a file with the first connection, and keeps it
    before_tasks, before_files, before_memory = len(asyncio.all_tasks()), _files(), _resident()
    scraper = threading.Thread(target=_scrape, args=(web.addresses[0], found.scrapes, over))
    beat = asyncio.create_task(_beat(found, before_memory))
    scraper.start()
    try:
        yield found
    finally:
        over.set()
        await asyncio.to_thread(scraper.join)
        beat.cancel()
        await asyncio.wait([beat])
        until = time.monotonic() + _SETTLED
        while time.monotonic() < until and (_files() > before_files or len(asyncio.all_tasks()) > before_tasks):
            await asyncio.sleep(_BEAT)
        found.tasks = len(asyncio.all_tasks()) - before_tasks
        found.files = max(0, _files() - before_files)
        await web.stop()


def _served() -> Web:
    clock, store = FakeClock(), Store()
    return Web(
        WebContext(
            store=store,
            exposition=Exposition(_CATALOGUE, clock, 1000, OwnHealth),
            catalogue=_CATALOGUE,
            clock=clock,
            alive=lambda: True,
            notices=list,
        )
    )


async def _beat(found: Watched, memory: int) -> None:
    while True:
        wall, held = time.perf_counter(), time.thread_time()
        await asyncio.sleep(_BEAT)
        found.late = max(found.late, time.perf_counter() - wall - _BEAT)
        found.held = max(found.held, time.thread_time() - held)
        found.memory = max(found.memory, _resident() - memory)


def _scrape(url: str, took: list[float], over: threading.Event) -> None:
    while not over.wait(0.02):
        since = time.perf_counter()
        _get(url)
        took.append(time.perf_counter() - since)


def _get(url: str) -> None:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("GET", "/metrics", headers={"Connection": "close"})
    assert connection.getresponse().read()
    connection.close()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
