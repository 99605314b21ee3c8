"""One plan and one dependency graph: the daemon walks them by events, `check` walks them once, and both agree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from exporter import clients
from exporter.app import Daemon
from exporter.check_state import CheckState, Key
from exporter.clock import SystemClock
from exporter.demo.world import PAUSE, DemoWorld
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import Labels, Reason, Severity
from exporter.net.dnsbl.client import DnsblClient

CATALOGUE = catalogue.load()
LATEST = 90.0  # seconds until the daemon must have come to the same; it takes less than ten


class Said(NamedTuple):
    """What is held of a pair, without times."""

    findings: frozenset[tuple[str, Labels, Severity]]
    reason: Reason | None
    samples: frozenset[tuple[str, Labels]]
    found: frozenset[str]


def said(states: Iterable[CheckState]) -> dict[Key, Said]:
    return {
        state.key: Said(
            frozenset((*active.finding.key, active.finding.severity) for active in state.findings),
            state.doubt.reason if state.doubt else None,
            frozenset((sample.metric.name, sample.labels) for sample in state.samples),
            frozenset(target.key for target in state.found),
        )
        for state in states
    }


async def test_the_daemon_and_check_come_to_the_same_about_everything() -> None:
    clock = SystemClock()
    async with DemoWorld(clock) as demo:
        settings = demo.settings(CATALOGUE)
        open_clients = partial(clients.open_clients, dial=demo.dial, authorities=demo.authorities, pause=PAUSE)
        store = Store()
        world = open_clients(settings, DnsblClient(clock, patience=0.0), clock)
        try:
            plan = Plan(CATALOGUE, settings.targets, settings.running.__contains__, store)
            await Sweep(plan, store, world.net, clock).run()
        finally:
            await world.close()
        once = said(store)

        daemon = Daemon(lambda _files: settings, open_clients, CATALOGUE, clock)
        await daemon.start([("127.0.0.1", 0)])
        try:
            async with asyncio.timeout(LATEST):
                while said(daemon.store) != once:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            daily = said(daemon.store)
            assert {key: daily.get(key) for key in once | daily if daily.get(key) != once.get(key)} == {
                key: once.get(key) for key in once | daily if daily.get(key) != once.get(key)
            }
        finally:
            await daemon.stop()
    assert len(once) > 400
    assert any(state.findings for state in once.values())
    assert any(state.reason for state in once.values())
