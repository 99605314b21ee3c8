"""Says which checks run on which targets, and which must run again because a result has changed.

The daemon and the `check` command use the same plan. A pair is one check and one target. It is in the plan if:

- the check is made for that kind of target,
- the check is enabled, and
- the check is not switched off for that target.

Targets are configured, or found by a run.

Some checks read the results of other checks, which they name in `after`. Each check has its own interval, so two
results that belong together could contradict each other for hours. So when the findings about a target change, the
checks that read them run again soon. A check that only combines results (`concludes`) also waits for the first run of
each check that it reads.

A domain that does not exist breaks all that is looked at of it. So when something of a domain breaks, the checks that
would see that (a rule of theirs `implies` it) run soon: the cause should be known before its consequences raise alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from exporter.check_state import CheckState, Key
from exporter.engine.catalogue import Catalogue
from exporter.engine.discovery import FoundTargets
from exporter.engine.store import Store
from exporter.facts import Dead, Reason
from exporter.model import Check, Target, TargetId

Pair: TypeAlias = tuple[Check, Target]


class PairChanges(NamedTuple):
    """What a run changed: pairs that are new or whose target has changed, and pairs that are gone."""

    added: list[Pair]
    removed: list[Pair]


def pairs(catalogue: Catalogue, targets: Iterable[Target], enabled: Callable[[str], bool]) -> list[Pair]:
    """Which check runs on which target."""
    return [
        (check, target)
        for target in targets
        for check in catalogue.checks.values()
        if isinstance(target, check.over) and enabled(check.id) and check.id not in target.off
    ]


class Plan:
    """The pairs of one configuration. `store` has their states."""

    def __init__(
        self, catalogue: Catalogue, targets: Iterable[Target], enabled: Callable[[str], bool], store: Store
    ) -> None:
        self._catalogue = catalogue
        self._targets = tuple(targets)
        self._enabled = enabled
        self._store = store
        self._found = FoundTargets(self._targets)
        self._checks: dict[tuple[type[Target], frozenset[str]], tuple[Check, ...]] = {}  # of targets with these `off`
        self._finders = {check.id for check in catalogue.checks.values() if check.finds}
        self._readers: dict[str, list[Check]] = {}  # by the check that is read
        for check in catalogue.checks.values():
            for read in check.after:
                self._readers.setdefault(read, []).append(check)
        self._see_death = {it.check.id for it in catalogue.entries if any(r.implies is Dead.DOMAIN for r in it.rules)}
        self._resting: dict[str, list[str]] = {}  # by the key of a target, the keys of those that rest on it
        for target in self._targets:
            for other in target.rests_on:
                self._resting.setdefault(other.key, []).append(target.key)

    @property
    def found(self) -> list[str]:
        """The keys of targets that are not configured."""
        return self._found.keys

    def found_pairs(self, key: str) -> list[Pair]:
        """The pairs of a target that is found now, and not configured."""
        target = self._found.get(key)
        return [(check, target) for check in self._checks_of(target)] if target else []

    def configured(self, targets: Iterable[Target] | None = None) -> Iterator[Pair]:
        """The pairs of these targets of the configuration, or of all."""
        for target in self._targets if targets is None else targets:
            for check in self._checks_of(target):
                yield check, target

    def _checks_of(self, target: Target) -> tuple[Check, ...]:
        kind = type(target), target.off
        if kind not in self._checks:
            self._checks[kind] = tuple(check for check, _ in pairs(self._catalogue, [target], self._enabled))
        return self._checks[kind]

    def learn(self, state: CheckState) -> PairChanges:
        """Take in the targets that a pair has found."""
        if state.check.id not in self._finders:
            return PairChanges([], [])
        changes = self._found.learn(state)
        return PairChanges(list(self.configured(changes.added)), list(self.configured(changes.removed)))

    def dependents(self, before: CheckState | None, now: CheckState) -> set[Key]:
        """The pairs that must run again because of what a run has changed."""
        if before and _tell_the_same(before, now):
            return set()  # as nearly always
        readers = self._readers.get(now.check.id, ())
        at_once = self._that_see_the_cause(before, now) | self._that_read_what_was_found(before, now)
        if not readers:
            return at_once
        key = now.target.key
        related = self._found.leading_to(key).union(self._resting.get(key, ()))
        news, doubted = _findings(before) != _findings(now), _reason(before) != _reason(now)
        due = [check for check in readers if news or (check.concludes and doubted)]
        found = {(check.id, other) for check in due for other in related}
        return at_once | {pair for pair in found if self._store.get(*pair)}

    def _that_read_what_was_found(self, before: CheckState | None, now: CheckState) -> set[Key]:
        """A target that is found may be known already, by way of another: then its results are news here."""
        new = {it.key for it in now.found} - {it.key for it in (before.found if before else ())}
        due = {
            (reader.id, now.target.key)
            for key in new
            for read, readers in self._readers.items()
            if (state := self._store.get(read, key)) and state.findings
            for reader in readers
        }
        return {pair for pair in due if self._store.get(*pair)}

    def _that_see_the_cause(self, before: CheckState | None, now: CheckState) -> set[Key]:
        if now.check.id in self._see_death or now.check.concludes or not _findings(now) - _findings(before):
            return set()
        about = tuple((name, value) for name, value in now.target.identity if name == "domain")
        found = {(check, TargetId(about).key) for check in self._see_death} if about else set()
        return {pair for pair in found if self._store.get(*pair)}

    def too_early(self, check: Check, target: Target) -> bool:
        """Does it combine results that are not there yet? It runs later, when they have changed."""
        if not check.concludes:
            return False
        read = (self._store.get(other, it.key) for it in target.rests_on for other in check.after)
        return any(state and state.doubt and state.doubt.reason is Reason.PENDING for state in read)


def _findings(state: CheckState | None) -> set[object]:
    """What other checks read of a pair. It does not change if a run finds the same again."""
    return {(active.finding.key, active.finding.severity) for active in state.findings} if state else set()


def _tell_the_same(before: CheckState, now: CheckState) -> bool:
    """Have both no findings, and is the rest that other checks read the same?"""
    found = before.findings or now.findings
    return not found and before.found == now.found and _reason(before) is _reason(now)


def _reason(state: CheckState | None) -> object:
    return state.doubt.reason if state and state.doubt else None
