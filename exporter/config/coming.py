"""What a new configuration means beside the one in force, found out by the thread that reads it.

The loop then has little to do: a target that has not changed is the very object that it was before, so that nobody
compares it again, and memory holds it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from operator import attrgetter
from typing import Any

from exporter.config import drops
from exporter.config.settings import Settings
from exporter.engine.catalogue import Catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.model import Target
from exporter.targets import looked_up


@dataclass(frozen=True, slots=True)
class ComingSettings:
    """Settings that are to be put in force. `refusal` says why they must be forced; None: they need not."""

    settings: Settings
    plan: Plan
    unchanged: frozenset[int]  # id() of each target that stays, and whose checks run as before
    subjects: frozenset[str]  # what blocklists are asked about
    refusal: str | None


def coming(settings: Settings, before: Settings | None, catalogue: Catalogue, store: Store) -> ComingSettings:
    """All that is known of them before they are in force. `before` is what is in force, None at the start."""
    unchanged: frozenset[int] = frozenset()
    if before:
        settings = replace(settings, targets=tuple(_shared(before.targets, settings.targets)))
        if (before.intervals, before.running) == (settings.intervals, settings.running):
            unchanged = frozenset(map(id, before.targets)).intersection(map(id, settings.targets))
    return ComingSettings(
        settings,
        Plan(catalogue, settings.targets, settings.running.__contains__, store),
        unchanged,
        frozenset(map(str, looked_up(settings.targets))),
        drops.refusal(before, settings) if before else None,
    )


def _shared(before: Iterable[Target], now: Iterable[Target]) -> Iterator[Target]:
    """The targets of now; of equal ones, those of before."""
    known = {(type(target), target.key): target for target in before}
    compared: dict[tuple[int, int], bool] = {}
    for target in now:
        old = known.get((type(target), target.key))
        yield old if old is not None and _equal(old, target, compared) else target


@cache
def _values(kind: Any) -> Any:
    return attrgetter(*(field.name for field in fields(kind)))


def _equal(old: Target, new: Target, compared: dict[tuple[int, int], bool]) -> bool:
    """As ==, but a tuple that many share, such as all blocklists, is compared once. `compared` remembers that."""
    kind: Any = type(new)
    values = _values(kind)
    for a, b in zip(values(old), values(new), strict=True):
        if a is b:
            continue
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) > 1:
            pair = id(a), id(b)
            if pair not in compared:
                compared[pair] = a == b
            if not compared[pair]:
                return False
        elif a != b:
            return False
    return True
