"""The sections of the state file that have entries by name, and what reads an entry of each.

An entry is a row by itself: if it cannot be read, it is lost and nothing else is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from exporter.engine import acknowledgement, events
from exporter.engine.state_copy import ACKNOWLEDGED, HISTORY

LONGEST_ENTRY = 1 << 16  # characters


class Entry(Protocol):
    """What a section has under one name."""

    def written(self) -> Any:
        """As json.dumps takes it."""


SECTIONS: Mapping[str, Callable[[Any, Any], Entry]] = {HISTORY: events.read, ACKNOWLEDGED: acknowledgement.read}


def read_entry(section: str, name: Any, body: Any) -> Entry:
    """Raise one of UNSOUND (state_rows.py) unless it is an entry of that section."""
    if len(body) > LONGEST_ENTRY:
        raise ValueError(f"it has {len(body)} characters")
    return SECTIONS[section](name, json.loads(body))


def entry_row(section: str, name: str, entry: Entry | None) -> tuple[str, tuple[Any, ...]]:
    """The statement that writes the entry, or removes what is there, and its values."""
    if entry is None:
        return f"DELETE FROM {section} WHERE name = ?", (name,)  # noqa: S608  (it is one of SECTIONS)
    return f"REPLACE INTO {section} VALUES (?, ?)", (name, json.dumps(entry.written()))  # noqa: S608  (as above)
