"""Counts targets, verdicts and problems while they change, so that neither a scrape nor a dashboard scans all series.

A target is what people call one: the domain example.com is one, however many checks look at it. A problem is what one
change repairs (engine/problems.py), and not a group of problems that pages show as one row: a thousand domains without
a DMARC record are a thousand. Its severity is that of its worst finding.

While a new configuration is put in force in slices, what was true before is shown. So no scrape sees a part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeVar

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.engine.families import CHECKS, PROBLEMS, TARGETS
from exporter.engine.problems import ProblemKey, failing, worst
from exporter.facts import Labels, Reason, Severity

T = TypeVar("T")

STATUSES = ("fail", "pending", "unknown", "pass")  # in order of precedence


def status(state: CheckState, policy: FindingPolicy, now: float) -> str:
    """The one status of a check of a target: the first of STATUSES that applies."""
    if state.ok(policy, now) is False:
        return "fail"
    if state.doubt:
        return "pending" if state.doubt.reason is Reason.PENDING else "unknown"
    return "pass"


# what a pair counts as: its check with a status, its target, and its part in problems
_Counted: TypeAlias = tuple[Labels, Labels, tuple[tuple[ProblemKey, Severity], ...]]


class Totals:
    """How many targets, checks and problems there are. `by` are names of labels by which they are counted, too."""

    def __init__(self) -> None:
        self.by: tuple[str, ...] = ()
        self._of: dict[str, dict[str, _Counted]] = {}  # by check and target
        self._alike: Counter[_Counted] = Counter()  # pairs
        self._same: dict[_Counted, _Counted] = {}  # what many pairs count as is one object
        self._checks: Counter[Labels] = Counter()
        self._pairs: dict[Labels, Counter[str]] = {}  # of each target
        self._members: dict[tuple[str, ProblemKey], Counter[Severity]] = {}  # by check and problem
        self._problems: Counter[Labels] = Counter()
        self._before: list[tuple[str, Labels, int]] | None = None  # shown while a configuration is put in force
        self._latest: list[tuple[str, Labels, int]] | None = None  # None: something has changed since

    def __len__(self) -> int:
        return len(self._checks) + len(self._pairs) + len(self._problems)

    def put(self, state: CheckState, policy: FindingPolicy, now: float) -> None:
        target = state.target
        more = tuple((name, value) for name, value in target.labels if name in self.by)
        verdict = (("check", state.check.id), ("status", status(state, policy, now)), *more)
        failures = tuple((problem, it.severity) for problem, it in failing(state, policy, now))
        counted = (verdict, (("kind", target.kind), *more), failures)
        if self._of.get(state.check.id, {}).get(target.key) != counted:
            self.remove(state.key)
            self._add(state.key, self._same.setdefault(counted, counted))

    def _add(self, key: Key, counted: _Counted) -> None:
        self._latest = None
        verdict, target, failures = counted
        self._of.setdefault(key[0], {})[key[1]] = counted
        self._alike[counted] += 1
        for problem, severity in failures:
            self._part(key[0], problem, severity, 1)
        self._checks[verdict] += 1
        self._pairs.setdefault(target, Counter())[key[1]] += 1

    def remove(self, key: Key) -> None:
        counted = self._of.get(key[0], {}).pop(key[1], None)
        if counted is None:
            return
        self._latest = None
        verdict, target, failures = counted
        if _less(self._alike, counted):
            del self._same[counted]
        for problem, severity in failures:
            self._part(key[0], problem, severity, -1)
        _less(self._checks, verdict)
        if _less(self._pairs[target], key[1]) and not self._pairs[target]:
            del self._pairs[target]

    def _part(self, check: str, problem: ProblemKey, severity: Severity, more: int) -> None:
        """Count one finding more or less of a problem."""
        members = self._members.setdefault((check, problem), Counter())
        if members:
            _less(self._problems, _labels(check, problem, members))
        members[severity] += more
        if not members[severity]:
            del members[severity]
        if members:
            self._problems[_labels(check, problem, members)] += 1
        else:
            del self._members[check, problem]

    def hold(self) -> None:
        """Show what is true now until `release`."""
        self._before = self._now()

    def release(self) -> None:
        self._before = None

    def rows(self) -> Sequence[tuple[str, Labels, int]]:
        """Family, labels and number of each combination that occurs; the same object until something changes."""
        return self._now() if self._before is None else self._before

    def _now(self) -> list[tuple[str, Labels, int]]:
        if self._latest is None:
            self._latest = list(self._rows())
        return self._latest

    def _rows(self) -> Iterator[tuple[str, Labels, int]]:
        yield from ((TARGETS, labels, len(those)) for labels, those in sorted(self._pairs.items()))
        yield from ((PROBLEMS, labels, count) for labels, count in sorted(self._problems.items()))
        yield from ((CHECKS, labels, count) for labels, count in sorted(self._checks.items()))


def _labels(check: str, problem: ProblemKey, members: Counter[Severity]) -> Labels:
    return ("check", check), ("finding", problem[0]), ("severity", worst(members))


def _less(counter: Counter[T], key: T) -> bool:
    """Count one less. Was it the last one?"""
    counter[key] -= 1
    if counter[key]:
        return False
    del counter[key]
    return True
