"""Fills a new state file with all that is known, in slices, because a fleet is much."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.net.dnsbl.client import DnsblClient

SLICE = 1000  # states saved before the loop may do other work


class Keeper(Protocol):
    """Whoever has a part of the file of its own."""

    def save_all(self) -> None: ...


class SavedAnew:
    def __init__(self, store: Store, keepers: Iterable[Keeper], blocklists: DnsblClient) -> None:
        self._store = store
        self._keepers = keepers
        self._blocklists = blocklists
        self._task: asyncio.Task[None] | None = None

    def begin(self, file: StateFile | None) -> None:
        """The file is a new one."""
        if self._task:
            self._task.cancel()  # it has begun with another
        self._task = asyncio.get_running_loop().create_task(self._save(file)) if file else None

    async def ended(self) -> None:
        """Wait until all is saved, if that has begun."""
        if self._task:
            await asyncio.wait([self._task])

    async def _save(self, file: StateFile) -> None:
        for keeper in self._keepers:
            keeper.save_all()
        file.save_blocklists(self._blocklists.snapshot())
        for count, key in enumerate(self._store.keys(), 1):
            if state := self._store.get(*key):
                file.save(state)
            if count % SLICE == 0:
                await asyncio.sleep(0)
