"""When it is the turn of checks that rest on what others hold.

Such a check has a pace of its own, but whoever reads two verdicts side by side wants them to agree: news about a
target is followed at once by what rests on it. And nothing is concluded from what has not been looked at yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exporter import receivers
from exporter.checks.mta_sts import mta_sts
from exporter.checks.smtp_tls import smtp_tls
from exporter.engine.store import Key, Store
from exporter.model import Known, Reason, Target
from exporter.targets import Delivery, MailHost


class Dependencies:
    """What rests on each target. `leading_to` tells the keys of the domains whose mail goes to a host."""

    def __init__(self, store: Store, leading_to: Callable[[MailHost], Iterable[str]]) -> None:
        self._store = store
        self._leading_to = leading_to
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
        now = self._store.known(*key)
        if check in self._others and _gist(before) != _gist(now):
            return self._resting.get(target, ())
        host = self._store[key].target
        # A policy names hosts; that nothing stands against one of them changes nothing, nor that nothing is known.
        if check == smtp_tls.id and isinstance(host, MailHost) and _found(before) != _found(now):
            return {(mta_sts.id, domain) for domain in self._leading_to(host)}
        return ()


def _gist(known: Known | None) -> object:
    """What is concluded from; that a finding has been confirmed is no news."""
    return known and ({(f.id, f.severity) for f in known.findings}, known.doubt and known.doubt.reason)


def _found(known: Known | None) -> object:
    return {finding.key for finding in known.findings} if known else set()
