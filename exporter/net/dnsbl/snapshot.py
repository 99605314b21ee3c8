"""What can be believed of a saved snapshot of the blocklists: the file that held it may be damaged."""

from __future__ import annotations

import math
from typing import Any

from exporter.net.dnsbl.answers import DAY
from exporter.net.dnsbl.list_state import ListState

MOST = 2.0**40  # no number of a snapshot is greater: seconds, questions, tests
LONGEST = 2 * DAY  # seconds that anything is in force, or may be due from now
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)


def readable(saved: Any) -> tuple[dict[str, Any], bool]:
    """What can be read of a snapshot, list by list, and whether that is all of it."""
    try:
        at, told = float(saved["at"]), saved["lists"].items()
    except _UNREADABLE:
        return {"at": 0.0, "lists": {}}, False
    whole = math.isfinite(at)
    lists: dict[str, Any] = {}
    for name, kept in told:
        try:
            _check(name)
            _check(kept)
            ListState.read(kept, 0.0, 0.0)
        except _UNREADABLE:
            whole = False
        else:
            lists[name] = kept
    return {"at": at if math.isfinite(at) else 0.0, "lists": lists}, whole


def _check(saved: Any, name: str = "") -> None:
    """Raise ValueError for a number or a text that no snapshot has, such as one of the future."""
    if isinstance(saved, dict):
        for key, value in saved.items():
            _check(key)
            _check(value, key)
    elif isinstance(saved, list):
        for value in saved:
            _check(value, name)
    elif isinstance(saved, str):
        saved.encode()  # UnicodeEncodeError is a ValueError: nobody could be shown this
    elif isinstance(saved, int | float):
        least = -LONGEST if name == "again_ago" else 0.0
        if not least <= saved <= (LONGEST if name.endswith("_for") else MOST):
            raise ValueError(f"{name} cannot be {saved}")
