"""The HTTP server alone, as a process: short limits, so that attacks on it need not last, and a large /metrics.

`daemon(through=(sys.executable, *PROGRAM))` of tests/support/daemon.py starts it. It tells how late its loop is.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from dataclasses import replace

import uvloop

from exporter.clock import SystemClock
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.families import SENDER
from exporter.engine.store import Store
from exporter.views.connection import Limits
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from exporter.views.web import Web, WebContext
from tests.support.checks import BROKEN, EXAMPLE, LISTED, NOTE, ODD, SAMPLE, SIZE

PROGRAM = ("-m", "tests.support.web_process")
LIMITS = Limits(head=0.5, idle=1.0, linger=0.1, stall=0.6, response=3.0, patience=0.2, look=0.05, connections=64)
TICK = 0.005  # seconds


async def serve(megabytes: int) -> None:
    loop = asyncio.get_running_loop()
    catalogue = Catalogue((CatalogueEntry(SAMPLE, (BROKEN, ODD, NOTE, LISTED), (SIZE,)),))
    own = OwnHealth()
    exposition = Exposition(catalogue, SystemClock(), 10**6, lambda: own)
    for number in range(megabytes * 5000):
        exposition.relate(SENDER, replace(EXAMPLE, name=f"n{number}.example"), ("helo", "x" * 130))
    store = Store()
    for number in range(50):
        store.hold(SAMPLE, replace(EXAMPLE, name=f"n{number}.example"))
    views = WebContext(store, exposition, catalogue, SystemClock(), lambda: True, list)
    web = Web(views, LIMITS)
    own.http = web.stats
    await web.start([("127.0.0.1", 0)])
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    sys.stderr.write(f'msg="listens on {web.addresses[0]}"\n')
    while not ended.is_set():
        due, worked = loop.time() + TICK, time.thread_time()
        await asyncio.sleep(TICK)
        # it is not the loop that is late where the machine has given the time to another process
        own.loop_lag = max(own.loop_lag, min(loop.time() - due, time.thread_time() - worked))
    await web.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=0)
    parser.add_argument("--asyncio", action="store_true")
    given, _ = parser.parse_known_args()
    with asyncio.Runner(loop_factory=None if given.asyncio else uvloop.new_event_loop) as runner:
        runner.run(serve(given.megabytes))
