"""The paths of the keys in what `check --format json` prints, as docs/command-line.md writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Their keys are names of labels, values and so on.
_OPEN = (".target", ".labels", ".cause", "findings[].evidence", ".counts", ".fill_in")
_AS_ELSEWHERE = (
    "summary",
    "verdicts[].earlier_trouble",
    "if_it_sends.problems",
    "if_it_sends.verdicts",
    "change.breaks",
    "change.heals",
    "change.stays",
    "change.unknown",
)


def key_paths(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from key_paths(one, f"{at}[]")
    elif isinstance(value, dict) and not at.endswith(_OPEN):
        for key, inner in value.items():
            yield (path := f"{at}.{key}".lstrip("."))
            if path not in _AS_ELSEWHERE:
                yield from key_paths(inner, path)
