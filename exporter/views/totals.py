"""Counts targets and verdicts while they change, so that neither a scrape nor a dashboard has to go over all series.

A target is what people call one: the domain example.com is one, however many checks look at it.

While a new configuration is put in force in slices, what was true before is shown. So no scrape sees a part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.engine.families import CHECKS, TARGETS
from exporter.facts import Labels, Reason

T = TypeVar("T")

STATUSES = ("fail", "pending", "unknown", "pass")  # in order of precedence


def status(state: CheckState, policy: FindingPolicy, now: float) -> str:
    """The one status of a check of a target: the first of STATUSES that applies."""
    if state.ok(policy, now) is False:
        return "fail"
    if state.doubt:
        return "pending" if state.doubt.reason is Reason.PENDING else "unknown"
    return "pass"


class Totals:
    """How many targets and checks there are. `by` are names of labels by which they are counted, too."""

    def __init__(self) -> None:
        self.by: tuple[str, ...] = ()
        self._of: dict[Key, tuple[Labels, tuple[Labels, str]]] = {}  # each pair's check, and its target
        self._checks: Counter[Labels] = Counter()
        self._pairs: Counter[tuple[Labels, str]] = Counter()  # by target
        self._targets: Counter[Labels] = Counter()
        self._before: list[tuple[str, Labels, int]] | None = None  # shown while a configuration is put in force
        self._same: dict[Labels, Labels] = {}  # equal labels of many pairs are one object

    def __len__(self) -> int:
        return len(self._checks) + len(self._targets)

    def put(self, state: CheckState, policy: FindingPolicy, now: float) -> None:
        target = state.target
        more = tuple((name, value) for name, value in target.labels if name in self.by)
        verdict = (("check", state.check.id), ("status", status(state, policy, now)), *more)
        counted = (verdict, ((("kind", target.kind), *more), target.key))
        if self._of.get(state.key) != counted:
            self.remove(state.key)
            self._add(state.key, *counted)

    def _add(self, key: Key, verdict: Labels, target: tuple[Labels, str]) -> None:
        verdict, target = self._one(verdict), (self._one(target[0]), target[1])
        self._of[key] = verdict, target
        self._checks[verdict] += 1
        self._pairs[target] += 1
        if self._pairs[target] == 1:
            self._targets[target[0]] += 1

    def _one(self, labels: Labels) -> Labels:
        return self._same.setdefault(labels, labels)

    def remove(self, key: Key) -> None:
        if key not in self._of:
            return
        verdict, target = self._of.pop(key)
        if _less(self._checks, verdict):
            del self._same[verdict]
        if _less(self._pairs, target) and _less(self._targets, target[0]):
            del self._same[target[0]]

    def hold(self) -> None:
        """Show what is true now until `release`."""
        self._before = list(self._rows())

    def release(self) -> None:
        self._before = None

    def rows(self) -> Iterable[tuple[str, Labels, int]]:
        """Family, labels and number of each combination that occurs."""
        return self._rows() if self._before is None else self._before

    def _rows(self) -> Iterator[tuple[str, Labels, int]]:
        yield from ((TARGETS, labels, count) for labels, count in sorted(self._targets.items()))
        yield from ((CHECKS, labels, count) for labels, count in sorted(self._checks.items()))


def _less(counter: Counter[T], key: T) -> bool:
    """Count one less. Was it the last one?"""
    counter[key] -= 1
    if counter[key]:
        return False
    del counter[key]
    return True
