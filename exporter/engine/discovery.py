"""Keeps the targets that checks find, such as the MX hosts of our domains.

The same host may be found through many domains, and through different ones from day to day. So for each found target we
remember which targets lead to it. It exists while at least one of them does.

- Its labels are those that all of them share. A check is switched off for it if it is switched off for all of them.
- The finds of a run in doubt do not count. Where a domain's MX records cannot be read, its last known hosts stay.
- A target that is also configured stays as it is configured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from exporter.check_state import CheckState, Key
from exporter.facts import Labels
from exporter.model import Target


class Changes(NamedTuple):
    """What one result changed: targets that are new or have other labels, and targets without a finder."""

    added: list[Target]
    removed: list[Target]


class FoundTargets:
    """The found targets, each once, with the labels that all targets share which lead to it."""

    def __init__(self, configured: Iterable[Target]) -> None:
        self._configured = {target.key for target in configured}
        self._found: dict[str, _Found] = {}
        self._leads: dict[Key, tuple[Target, dict[str, Target]]] = {}

    @property
    def keys(self) -> list[str]:
        """Of the found targets that are not configured."""
        return [key for key in self._found if key not in self._configured]

    def get(self, key: str) -> Target | None:
        """The found target with that key; None if it is not found any more, or configured."""
        return self._found[key].target if key in self._found and key not in self._configured else None

    def learn(self, state: CheckState) -> Changes:
        """Take in the state of one pair."""
        now = {target.key: target for target in state.found}
        finder, before = self._leads.get(state.key, (state.target, {}))
        if (finder is state.target or finder == state.target) and before == now:
            return Changes([], [])
        told = {key: self._found[key].target for key in before | now if key in self._found}
        self._leads[state.key] = state.target, now
        for key in before:
            self._found[key].part(finder)
        for key, target in now.items():
            self._found.setdefault(key, _Found(target)).join(state.target)
        touched = [key for key in before | now if key not in self._configured]
        found = {key: self._found[key] for key in touched}
        added = [it.target for key, it in found.items() if it.finders and it.target is not told.get(key)]
        removed = [it.target for it in found.values() if not it.finders]
        for key in before.keys() - now.keys():
            if not self._found[key].finders:
                del self._found[key]
        return Changes(added, removed)

    def leading_to(self, key: str) -> frozenset[str]:
        """The keys of the targets whose runs found this one."""
        return frozenset(self._found[key].finders) if key in self._found else frozenset()


class _Found:
    """The targets that lead to one found target, by key.

    Labels are counted, so that those of any one finder tell which ones all of them share.
    """

    def __init__(self, target: Target) -> None:
        self.finders: dict[str, Target] = {}
        self._target = self._made = target
        self._labels: Counter[tuple[str, str]] = Counter()
        self._off: Counter[str] = Counter()

    def join(self, finder: Target) -> None:
        self.finders[finder.key] = finder
        if finder.labels or finder.off:
            self._labels.update(finder.labels)
            self._off.update(finder.off)

    def part(self, finder: Target) -> None:
        self.finders.pop(finder.key, None)
        self._labels.subtract(finder.labels)
        self._off.subtract(finder.off)
        for pair in finder.labels:
            if not self._labels[pair]:
                del self._labels[pair]

    @property
    def target(self) -> Target:
        """The same object as before if nothing of it has changed."""
        count, any_one = len(self.finders), next(iter(self.finders.values()), self._target)
        labels: Labels = tuple(sorted(pair for pair in any_one.labels if self._labels[pair] == count))
        off = frozenset(check for check in any_one.off if self._off[check] == count)
        if (self._made.labels, self._made.off) != (labels, off):
            self._made = replace(self._target, labels=labels, off=off)
        return self._made
