"""Everything that is configured, evaluated once, with a bar that shows how far it is."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exporter import clients
from exporter.config import Settings
from exporter.engine import sweep
from exporter.engine.catalogue import Catalogue
from exporter.engine.store import Store
from exporter.model import Clock
from exporter.net.dnsbl.client import DnsblClient


async def evaluated(known: Catalogue, settings: Settings, enabled: frozenset[str], clock: Clock) -> Store:
    """These checks of everything that is configured, once."""
    world = clients.open_clients(settings, DnsblClient(clock), clock)
    bar = _progress_bar(sys.stderr)
    row = bar.add_task("", total=None)
    try:
        with bar:
            return await sweep.run(
                known,
                settings.targets,
                enabled.__contains__,
                world.net,
                clock,
                progress=lambda done, total: bar.update(row, completed=done, total=total),
            )
    finally:
        await world.close()


def _progress_bar(stream: TextIO) -> Progress:
    """Shown on a terminal only."""
    console = Console(file=stream)
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
