"""Collects all checks with their rules and metrics: each module in exporter/checks is one check."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from types import ModuleType

from exporter import checks
from exporter.facts import Metric, Rule
from exporter.model import Check, Door, Options, Target

MAIN = "check"  # the file of a folder that has the check itself


@dataclass(frozen=True)
class CatalogueEntry:
    """One check with the rules and metrics declared in its file or folder."""

    check: Check
    rules: tuple[Rule, ...]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class Catalogue:
    entries: tuple[CatalogueEntry, ...]

    @cached_property
    def checks(self) -> dict[str, Check]:
        return {entry.check.id: entry.check for entry in self.entries}

    @cached_property
    def options(self) -> dict[str, type[Options]]:
        """The configuration keys of single checks, by check."""
        return {check.id: check.options for check in self.checks.values() if check.options}

    def through(self, door: Door) -> tuple[str, ...]:
        """The ids of the checks that go through this door, at every run or at some."""
        return tuple(check.id for check in self.checks.values() if door in check.doors)

    def looking_at(self, kind: type[Target]) -> tuple[str, ...]:
        """The ids of the checks that look at this kind of target. They may look at others too."""
        return tuple(check.id for check in self.checks.values() if issubclass(kind, check.over))

    @cached_property
    def rules(self) -> dict[str, Rule]:
        return {rule.id: rule for entry in self.entries for rule in entry.rules}

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(metric for entry in self.entries for metric in entry.metrics)

    @cached_property
    def metrics_by_name(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in self.metrics}

    def over(self, *kinds: type[Target]) -> tuple[CatalogueEntry, ...]:
        """The entries whose check looks at one of these kinds of target only, in the order of the kinds."""
        return tuple(entry for kind in kinds for entry in self.entries if entry.check.over == (kind,))


@cache
def load() -> Catalogue:
    """The catalogue of this version. Raise ValueError if a check breaks the naming rules, which is a bug."""
    names = sorted(module.name for module in pkgutil.iter_modules(checks.__path__))
    made = Catalogue(tuple(_entry(name) for name in names))
    order(made)
    return made


def order(made: Catalogue) -> tuple[str, ...]:
    """The ids of the checks, each after those that it reads. Raise ValueError for a circle or an unknown id."""
    graph = {check.id: check.after for check in made.checks.values()}
    unknown = sorted(frozenset().union(*graph.values()) - graph.keys())
    if unknown:
        raise ValueError(f"checks come after what there is not: {', '.join(unknown)}")
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ValueError(f"these checks come after each other: {', '.join(error.args[1])}") from None


def modules(name: str) -> tuple[ModuleType, ...]:
    """The modules of a check: its file, or the files of its folder with `check.py` first."""
    whole = importlib.import_module(f"{checks.__name__}.{name}")
    if not hasattr(whole, "__path__"):
        return (whole,)
    parts = sorted((part.name for part in pkgutil.iter_modules(whole.__path__)), key=lambda part: (part != MAIN, part))
    return tuple(importlib.import_module(f"{whole.__name__}.{part}") for part in parts)


def _entry(name: str) -> CatalogueEntry:
    parts = modules(name)
    found = getattr(parts[0], name, None)
    if not isinstance(found, Check) or found.id != name:
        raise ValueError(f"{parts[0].__name__} must define the check {name!r}")
    declared = tuple(dict.fromkeys(rule for part in parts for rule in _rules(part)))
    strangers = [rule.id for rule in declared if not rule.id.startswith(f"{name}.")]
    if strangers:
        raise ValueError(f"the check {name} declares rules of another: {', '.join(strangers)}")
    metrics = dict.fromkeys(value for part in parts for value in vars(part).values() if isinstance(value, Metric))
    return CatalogueEntry(found, declared, tuple(metrics))


def _rules(module: ModuleType) -> Iterator[Rule]:
    """The rules among the constants of a module. Rules that are made from data are in a mapping by their id."""
    for value in vars(module).values():
        if isinstance(value, Rule):
            yield value
        elif isinstance(value, Mapping):
            yield from (rule for rule in value.values() if isinstance(rule, Rule))
