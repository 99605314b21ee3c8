"""Everything that is configured, evaluated once, with a bar that shows how far it is."""

from __future__ import annotations

import sys
from functools import partial
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from exporter import clients
from exporter.clock import Clock
from exporter.config import Settings
from exporter.engine.catalogue import Catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.net.dnsbl.client import DnsblClient


async def evaluated(known: Catalogue, settings: Settings, enabled: frozenset[str], clock: Clock) -> Store:
    """These checks of everything that is configured, once."""
    world = clients.open_clients(settings, DnsblClient(clock, patience=0.0), clock)
    bar = _progress_bar(sys.stderr)
    row = bar.add_task("", total=None)
    try:
        with bar:
            store = Store()
            plan = Plan(known, settings.targets, enabled.__contains__, store)
            progress = partial(_show, bar, row)
            await Sweep(plan, store, world.net, clock, progress).run()
            return store
    finally:
        await world.close()


def _show(bar: Progress, row: TaskID, done: int, total: int) -> None:
    bar.update(row, completed=done, total=total)


def _progress_bar(stream: TextIO) -> Progress:
    """Shown on a terminal only."""
    console = Console(file=stream)
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
