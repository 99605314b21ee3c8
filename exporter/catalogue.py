"""Everything the product can ask and say: walks exporter/checks, so that a check exists by being there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

from exporter import checks
from exporter.model import Check, Measure, Rule


@dataclass(frozen=True)
class Entry:
    """One check with the rules and measures declared in its file."""

    check: Check
    rules: tuple[Rule, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Catalogue:
    entries: tuple[Entry, ...]

    @cached_property
    def checks(self) -> dict[str, Check]:
        return {entry.check.id: entry.check for entry in self.entries}

    @cached_property
    def rules(self) -> dict[str, Rule]:
        return {rule.id: rule for entry in self.entries for rule in entry.rules}

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(measure for entry in self.entries for measure in entry.measures)


def load() -> Catalogue:
    """Raise ValueError for a file that breaks the naming rules: a programming error, found by the tests."""
    modules = (module.name for module in pkgutil.iter_modules(checks.__path__))
    names = sorted(name for name in modules if not name.startswith("_"))  # else it is a part of another
    entries = tuple(_entry(importlib.import_module(f"{checks.__name__}.{name}"), name) for name in names)
    return Catalogue(entries)


def _entry(module: ModuleType, name: str) -> Entry:
    found = getattr(module, name, None)
    if not isinstance(found, Check) or found.id != name:
        raise ValueError(f"{module.__name__} must define the check {name!r}")
    declared = list(_rules(module))
    strangers = [rule.id for rule in declared if not rule.id.startswith(f"{name}.")]
    if strangers:
        raise ValueError(f"{module.__name__} declares rules of another check: {', '.join(strangers)}")
    measures = tuple(value for value in vars(module).values() if isinstance(value, Measure))
    return Entry(found, tuple(declared), measures)


def _rules(module: ModuleType) -> Iterator[Rule]:
    """Its constants, and those of a mapping by id: made from data, or declared in parts of it."""
    for name, value in vars(module).items():
        if isinstance(value, Rule):
            yield value
        elif name == "RULES_BY_ID":
            yield from value.values()
