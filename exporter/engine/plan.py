"""Which check looks at which target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from exporter.engine.catalogue import Catalogue
from exporter.model import Check, Target

Pair: TypeAlias = tuple[Check, Target]


def pairs(catalogue: Catalogue, targets: Iterable[Target], enabled: Callable[[str], bool]) -> list[Pair]:
    """Which check looks at which target."""
    return [
        (check, target)
        for target in targets
        for check in catalogue.checks.values()
        if isinstance(target, check.over) and enabled(check.id) and check.id not in target.off
    ]
