"""All that is held, by check and target. The event loop is the only writer: views read at any time without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from exporter.check_state import CheckState, Key
from exporter.model import Check, Outcome, Target


class Store:
    """The CheckState of each pair. A pair that is not held (any more) takes no outcome in."""

    def __init__(self) -> None:
        self._held: dict[Key, CheckState] = {}

    def __iter__(self) -> Iterator[CheckState]:
        return iter(self._held.values())

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, key: Key) -> CheckState:
        return self._held[key]

    def get(self, check: str, target: str) -> CheckState | None:
        """What that check holds of the target with that key; None: it never looks at it."""
        return self._held.get((check, target))

    def record(self, outcome: Outcome) -> CheckState | None:
        """Take a run in; None if its target has left the configuration meanwhile."""
        key = outcome.check.id, outcome.target.key
        held = self._held.get(key)
        if held is None:
            return None
        # a reload during the run may have changed labels or acceptances: the newer target stays
        self._held[key] = replace(held.after(outcome), target=held.target)
        return self._held[key]

    def hold(self, check: Check, target: Target, recall: Callable[[CheckState], CheckState] = lambda new: new) -> bool:
        """Hold this pair from now on; tell whether that is news. `recall` may know a new one from a former life.

        What is known of a pair that is held already stays, under the check and target as they are now.
        """
        key = check.id, target.key
        held = self._held.get(key)
        if held is None:
            self._held[key] = recall(CheckState(check, target))
        elif held.target != target:
            self._held[key] = replace(held, target=target)
        else:
            return False
        return True

    def drop(self, key: Key) -> None:
        self._held.pop(key, None)

    def keys(self) -> set[Key]:
        return set(self._held)
