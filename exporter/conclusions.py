"""When it is the turn of checks that ask nobody and rest on what others hold.

Such a check has a pace of its own, but whoever reads two verdicts side by side wants them to agree: news about a
target is followed at once by what rests on it. And nothing is concluded from what has not been looked at yet.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter import receivers
from exporter.model import Known, Reason, Target
from exporter.store import Key, Store
from exporter.targets import Delivery


class Conclusions:
    """What rests on each target."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._others = receivers.checks()
        self._resting: dict[str, set[Key]] = {}

    def clear(self) -> None:
        """Of an old configuration."""
        self._resting.clear()

    def learn(self, key: Key, target: Target) -> None:
        """A pair that is wanted; most rest on nothing."""
        if isinstance(target, Delivery):
            for rests_on in target.rests_on:
                self._resting.setdefault(rests_on, set()).add(key)

    def too_early(self, target: Target) -> bool:
        """Does it rest on what has not run yet? Then its turn comes with the news of that."""
        rests_on = target.rests_on if isinstance(target, Delivery) else ()
        held = (self._store.known(check, key) for key in rests_on for check in self._others)
        return any(known and known.doubt and known.doubt.reason is Reason.PENDING for known in held)

    def after(self, key: Key, before: Known | None) -> Iterable[Key]:
        """Whose turn it is once this pair has run; `before` is what was known of it."""
        check, target = key
        if check not in self._others or _gist(before) == _gist(self._store.known(*key)):
            return ()
        return self._resting.get(target, ())


def _gist(known: Known | None) -> object:
    """What is concluded from; that a finding has been confirmed is no news."""
    return known and ({(f.id, f.severity) for f in known.findings}, known.doubt and known.doubt.reason)
