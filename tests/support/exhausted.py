"""A process of its own in which the exporter runs out of files; the world that it looks at is another process.

`python -m tests.support.exhausted asyncio|uvloop SWEEPS STEP` prints as JSON what each sweep over config.example.yaml
told; of its targets, one in STEP is looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvloop

from exporter import clients
from exporter.clock import SystemClock
from exporter.demo.world import PAUSE, DemoWorld
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.net.dnsbl.client import DnsblClient

LIMIT = 128  # files


class LaterClock(SystemClock):
    """The real clock, and `later` seconds."""

    later = 0.0

    def wall(self) -> float:
        return super().wall() + self.later

    def monotonic(self) -> float:
        return super().monotonic() + self.later


@contextmanager
def only(free: int) -> Iterator[None]:
    """So many files can be opened, and no more."""
    held: list[int] = []
    with suppress(OSError):
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    for _ in range(free):
        os.close(held.pop())
    try:
        yield
    finally:
        for number in held:
            os.close(number)


async def swept(world: DemoWorld, sweeps: int, step: int) -> list[dict[str, Any]]:
    """First with all files, then in want of them, at last with all files again; half an hour lies between."""
    known, clock, told = catalogue.load(), LaterClock(), []
    settings = world.settings(known)
    opened = clients.open_clients(
        settings,
        DnsblClient(clock, patience=0.0),
        clock,
        dial=world.dial,
        authorities=world.authorities,
        pause=PAUSE,
    )

    async def sweep(own: clients.Clients) -> None:
        store = Store()
        plan = Plan(known, settings.targets[::step], settings.running.__contains__, store)
        await Sweep(plan, store, own.net, clock).run()
        told.append({" ".join(state.key): _told(state) for state in store})
        clock.later += 1800

    try:
        for number in range(sweeps):
            with only([0, 6, 1, 12][number % 4]):
                await sweep(opened)
        await sweep(opened)
    finally:
        await opened.close()
    return told


def _told(state: Any) -> dict[str, Any]:
    return {
        "findings": sorted(str(active.finding.key) for active in state.findings if active.finding.severity.fails),
        "reason": state.doubt.reason if state.doubt else None,
        "detail": state.doubt.detail if state.doubt else None,
    }


async def ended(process: int) -> None:
    """Until the process has ended. A thread that waits would not wake a loop whose epoll two processes share."""
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        await asyncio.sleep(0.02)


def main(loop: str, sweeps: int, step: int) -> None:
    make = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[loop]
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        world = DemoWorld(SystemClock())
        runner.run(world.__aenter__())
        exporter = os.fork()
        if exporter:
            runner.run(ended(exporter))
            os._exit(0)  # what the servers still do is of no interest
    os.closerange(3, 1024)  # the world's, in the copy of it that is not the world
    signal.set_wakeup_fd(-1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    with asyncio.Runner(loop_factory=make) as runner:
        sys.stdout.write(json.dumps(runner.run(swept(world, sweeps, step))))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
