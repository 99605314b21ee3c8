"""What a state file said when it was opened, until somebody asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from exporter.check_state import Key
from exporter.engine.catalogue import Catalogue
from exporter.engine.departed import Kept
from exporter.engine.state_copy import HELD, TIMES
from exporter.engine.state_rows import UNSOUND, SavedState, departed, loaded, read
from exporter.engine.state_sections import SECTIONS, Entry, read_entry
from exporter.engine.state_times import Times, read_times, with_times

Sift: TypeAlias = Callable[[Any], tuple[Any, bool]]

BLOCKLISTS = "blocklists"


@dataclass
class StateReader:
    """What the file says. It is the RowReader of state_copy.py."""

    catalogue: Catalogue
    sift: Sift
    held: dict[Key, SavedState | None] = field(default_factory=dict)
    times: dict[Key, Times] = field(default_factory=dict)
    departed: dict[Key, Kept] = field(default_factory=dict)
    blocklists: Any = None
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def of(self) -> StateReader:
        """An empty one of this kind."""
        return StateReader(self.catalogue, self.sift)

    def take(self, table: str, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        try:
            if table in SECTIONS:
                return self._entry(table, *row)
            if table == TIMES:
                for key, times in read_times(*row).items():
                    self.times[key] = max(times, self.times.get(key, times))  # another version may divide otherwise
                return row
            return self._held(*row) if table == HELD else self._door(*row)
        except UNSOUND:
            return None

    def take_held(self, key: Key) -> SavedState | None:
        """What was saved of a pair, with the latest times; None if nothing was."""
        saved, times = self.held.pop(key, None), self.times.pop(key, None)
        if not self.held:  # an empty dict keeps the room that it had
            self.held.clear()
            self.times.clear()
        return with_times(saved, times) if saved and times else saved

    def _entry(self, section: str, name: Any, body: Any) -> tuple[Any, ...]:
        self.entries.setdefault(section, {})[name] = read_entry(section, name, body)
        return name, body

    def _held(self, check_id: Any, target: Any, body: Any) -> tuple[Any, ...] | None:
        if not (isinstance(check_id, str) and isinstance(target, str) and isinstance(body, str)):
            return None
        check = self.catalogue.checks.get(check_id)
        row = loaded(body)
        if kept := departed(row):
            self.departed[check_id, target] = kept
            return check_id, target, body
        self.held[check_id, target] = read(row, check, self.catalogue) if check else None
        return check_id, target, body

    def _door(self, name: Any, body: Any) -> tuple[Any, ...] | None:
        if name != BLOCKLISTS or not isinstance(body, str):
            return (name, body) if isinstance(name, str) and name != BLOCKLISTS else None
        self.blocklists, whole = self.sift(json.loads(body))
        return (name, body) if whole else (name, json.dumps(self.blocklists))
