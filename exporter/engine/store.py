"""Holds the CheckState of each check and target. Only the event loop writes, so views read without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from exporter.check_state import CheckState, Key, WrongTimes
from exporter.confirmation import Looks
from exporter.engine.directory import Directory
from exporter.model import Check, Outcome, Target

DEFAULT_LOOKS = Looks()


class Store:
    """The CheckState of each pair. An outcome of a pair that is not in the store is ignored.

    `revision` moves when something that a summary says has changed: a finding, a doubt, a target. It stays when a run
    only says the same again. `census` moves when targets come or go, or when what they say of each other changes.
    """

    def __init__(self) -> None:
        self._states: dict[Key, CheckState] = {}
        self._directory = Directory()
        self.revision = 0
        self.census = 0

    def __iter__(self) -> Iterator[CheckState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, key: Key) -> CheckState:
        return self._states[key]

    def get(self, check: str, target: str) -> CheckState | None:
        """The state of that check of the target with that key; None if the check does not look at it."""
        return self._states.get((check, target))

    def labelled(self, name: str) -> Mapping[str, Mapping[Key, None]]:
        """The pairs by the value of that identity label of their target."""
        return self._directory.by_label.get(name, {})

    def pairs_of(self, name: str, value: str) -> Mapping[Key, None]:
        """The pairs whose target has that identity label. Those of targets without any are at NO_LABEL."""
        return self.labelled(name).get(value, {})

    def record(self, outcome: Outcome) -> CheckState | None:
        """Take the result of a run in. None if the pair has left the store meanwhile."""
        key = outcome.check.id, outcome.target.key
        state = self._states.get(key)
        if state is None:
            return None
        after = state.after(outcome)
        if after.target is not state.target:  # a reload during the run may have changed labels or acceptances
            after = replace(after, target=state.target)  # the newer target stays
        return self._put(key, state, after)

    def stand(self, key: Key, at: float) -> CheckState | None:
        """The latest outcome held again at that time, of a state that stands. None if the pair has left the store."""
        state = self._states.get(key)
        if state is None:
            return None
        stood = self._states[key] = state.stood(at)
        return stood

    def confirm(self, key: Key, tested: float) -> CheckState | None:
        """Take in what only waited for the resolver's test, which began at `tested`. None if nothing did."""
        return self._replace(key, lambda state: state.confirmed(tested))

    def unproven(self, key: Key) -> CheckState | None:
        """Begin to count looks again, because the resolver failed its test meanwhile. None if none was counted."""
        return self._replace(key, CheckState.unproven)

    def forget_missed(self, key: Key) -> CheckState:
        """Let go what the latest run did not find any more: who looks once has no later test to wait for."""
        state = self._states[key]
        if state.missed:
            kept = tuple(it for it in state.found if it not in state.missed)
            return self._put(key, state, replace(state, found=kept, missed=()))
        return state

    def take(self, state: CheckState) -> None:
        """Hold a pair as another store has it."""
        self.hold(state.check, state.target, lambda _: state, state.looks)
        self._put(state.key, self._states[state.key], state)

    def _replace(self, key: Key, change: Callable[[CheckState], CheckState]) -> CheckState | None:
        state = self._states.get(key)
        if state is None or (changed := change(state)) == state:
            return None
        return self._put(key, state, changed)

    def _put(self, key: Key, before: CheckState, after: CheckState) -> CheckState:
        self._states[key] = after
        found_others = before.found != after.found
        self.census += found_others
        self.revision += found_others or _tells_more(before, after)
        return after

    def accept(self, check: str, target: str, applied: Callable[[Target], Target]) -> CheckState | None:
        """Change what is accepted of the target of one pair. None if that is nothing new."""
        return self._replace((check, target), lambda state: replace(state, target=applied(state.target)))

    def move(self, key: Key, times: WrongTimes) -> CheckState | None:
        """Correct the times of one pair. None if none was wrong."""
        return self._replace(key, lambda state: state.moved(times))

    def hold(
        self,
        check: Check,
        target: Target,
        recall: Callable[[CheckState], CheckState] = lambda new: new,
        looks: Looks = DEFAULT_LOOKS,
    ) -> bool:
        """Keep a state of this pair from now on. True if the pair is new, or its target or looks have changed.

        `recall` may find the saved state of a new pair. A known pair keeps its state, with the new target.
        """
        key = check.id, target.key
        state = self._states.get(key)
        if state is None:
            self._states[key] = recall(CheckState(check, target, looks=looks))
            self._directory.add(key, target)
        elif (state.target, state.looks) != (target, looks):
            self._states[key] = replace(state, target=target, looks=looks)
        else:
            return False
        self.census += 1
        self.revision += 1
        return True

    def remove(self, key: Key) -> None:
        if state := self._states.pop(key, None):
            self._directory.remove(key, state.target)
            self.census += 1
            self.revision += 1

    def keys(self) -> set[Key]:
        return set(self._states)


def _tells_more(before: CheckState, after: CheckState) -> bool:
    """Does the later state say something else in a summary? That has no times of runs, and no counts of looks."""
    if before.doubt != after.doubt or before.target is not after.target or before.records != after.records:
        return True
    if not (before.findings or after.findings):
        return False
    return [(it.finding, it.since) for it in before.findings] != [(it.finding, it.since) for it in after.findings]
