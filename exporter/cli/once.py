"""Everything that is configured, evaluated once, with a bar that shows how far it is."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
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
from exporter.facts import Doubt, Reason
from exporter.model import Target
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.interfaces import DnsClient
from exporter.targets import OwnResolver

SILENT = (Reason.NETWORK, Reason.DNS_TIMEOUT, Reason.DNS_REFUSED)  # what a resolver that is of no use says


class ResolverFailsError(Exception):
    """The resolver answers nothing, not even its own test."""

    def __init__(self, doubt: Doubt) -> None:
        super().__init__(doubt.detail)


async def evaluated(
    known: Catalogue,
    settings: Settings,
    enabled: frozenset[str],
    clock: Clock,
    discover: Callable[[list[Target], DnsClient], Awaitable[list[Target]]] | None = None,
) -> Store:
    """These checks of everything that is configured, once. The resolver comes first.

    `discover` gets the targets then, and returns those that are looked at.

    Raise ResolverFailsError if it answers nothing: then nothing can be told of anybody.
    """
    world = clients.open_clients(settings, DnsblClient(clock, patience=0.0), clock)
    bar = _progress_bar(sys.stderr)
    row = bar.add_task("", total=None)
    eyes = [target for target in settings.targets if isinstance(target, OwnResolver)]
    others = [target for target in settings.targets if not isinstance(target, OwnResolver)]
    progress, store = partial(_show, bar, row), Store()
    first = store if enabled.issuperset(known.looking_at(OwnResolver)) else Store()
    try:
        with bar:
            plan = Plan(known, eyes, settings.running.__contains__, first)
            await Sweep(plan, first, world.net, clock, progress).run()
            for state in first:
                if state.doubt and state.doubt.reason in SILENT:
                    raise ResolverFailsError(state.doubt)
            if discover:
                others = await discover(others, world.dns)
            plan = Plan(known, others, enabled.__contains__, store)
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
