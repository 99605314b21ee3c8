"""Holds the CheckState of each check and target. Only the event loop writes, so views read without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from exporter.check_state import CheckState, Key, WrongTimes
from exporter.confirmation import Looks
from exporter.model import Check, Outcome, Target

DEFAULT_LOOKS = Looks()


class Store:
    """The CheckState of each pair. An outcome of a pair that is not in the store is ignored."""

    def __init__(self) -> None:
        self._states: dict[Key, CheckState] = {}

    def __iter__(self) -> Iterator[CheckState]:
        return iter(self._states.values())

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, key: Key) -> CheckState:
        return self._states[key]

    def get(self, check: str, target: str) -> CheckState | None:
        """The state of that check of the target with that key; None if the check does not look at it."""
        return self._states.get((check, target))

    def record(self, outcome: Outcome) -> CheckState | None:
        """Take the result of a run in. None if the pair has left the store meanwhile."""
        key = outcome.check.id, outcome.target.key
        state = self._states.get(key)
        if state is None:
            return None
        # a reload during the run may have changed labels or acceptances: the newer target stays
        self._states[key] = replace(state.after(outcome), target=state.target)
        return self._states[key]

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
            state = self._states[key] = replace(state, found=kept, missed=())
        return state

    def take(self, state: CheckState) -> None:
        """Hold a pair as another store has it."""
        self._states[state.key] = state

    def _replace(self, key: Key, change: Callable[[CheckState], CheckState]) -> CheckState | None:
        state = self._states.get(key)
        if state is None or (changed := change(state)) == state:
            return None
        self._states[key] = changed
        return changed

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
        elif (state.target, state.looks) != (target, looks):
            self._states[key] = replace(state, target=target, looks=looks)
        else:
            return False
        return True

    def remove(self, key: Key) -> None:
        self._states.pop(key, None)

    def keys(self) -> set[Key]:
        return set(self._states)
