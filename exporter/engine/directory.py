"""Finds pairs by the labels of their target, so that nobody searches all of a fleet for those of one domain."""

from __future__ import annotations

from exporter.check_state import Key
from exporter.model import Target

NO_LABEL = ("", "")


class Directory:
    """Pairs by the name and the value of each identity label. A target without any is at NO_LABEL."""

    def __init__(self) -> None:
        self.by_label: dict[str, dict[str, dict[Key, None]]] = {}

    def add(self, key: Key, target: Target) -> None:
        for name, value in target.identity or (NO_LABEL,):
            self.by_label.setdefault(name, {}).setdefault(value, {})[key] = None

    def remove(self, key: Key, target: Target) -> None:
        for name, value in target.identity or (NO_LABEL,):
            pairs = self.by_label[name][value]
            del pairs[key]
            if not pairs:
                del self.by_label[name][value]
