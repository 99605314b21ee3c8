"""Confirms findings and changes of records, once the resolver has passed its own test after they were seen.

The problem: a resolver that lies, says "no such name" to everything for instance, shows every domain broken in each
look. So what the looks have made certain waits for one more test: that of the resolver itself (confirmation.py).

The rules:

- What waits asks for that test, which comes soon, but not more often than every PAUSE seconds. What has only begun to
  show asks for it too: a lie that is over before the last look has then been noticed.
- The test must have begun after the look ended, and must leave no doubt about the resolver.
- While the resolver fails, it is tested every AGAIN seconds, so that its recovery is noticed soon.
- When the resolver passes again after it failed, the looks of before count for nothing, and no answer of before is used
  any more. What they had begun to show is looked at again at once, within pace.
- If the operator has switched that test off, nothing waits for it. What the operator has made mere information, for a
  network without a way to the Internet's DNS, is no failure of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.clock import Clock
from exporter.confirmation import Looks
from exporter.engine.catalogue import Catalogue
from exporter.engine.schedule import Schedule
from exporter.engine.store import Store
from exporter.facts import Reason
from exporter.model import Check, Outcome
from exporter.targets import OwnResolver

SOON = 1.0  # seconds until the resolver is tested
PAUSE = 15.0  # seconds between two such tests
AGAIN = 60.0  # seconds from a test that failed to the next one
QUICK = 4.0  # seconds: looks come after a quarter and a half of them


def usual_looks(check: Check, interval: float) -> Looks:
    """How a check looks again, with its interval in seconds."""
    return _looks(interval, soon=check.asks_dns_alone)


def quick_looks(_check: Check, _interval: float) -> Looks:
    """For the demonstration, whose hosts suffer no harm: a finding is confirmed within seconds."""
    return Looks(QUICK)


_looks = lru_cache(100)(Looks)  # a fleet needs few different ones


class Confirmations:
    """The pairs that wait for the resolver's test. `changed` is called with each state that a test has changed."""

    def __init__(
        self,
        store: Store,
        schedule: Schedule,
        catalogue: Catalogue,
        clock: Clock,
        changed: Callable[[CheckState], None],
        recovered: Callable[[], None] = lambda: None,
    ) -> None:
        """`recovered` is called when the resolver passes its test again."""
        self.policy = FindingPolicy()
        self._store = store
        self._schedule = schedule
        self._clock = clock
        self._changed = changed
        self._recovered = recovered
        self._tests = [(check, OwnResolver().key) for check in catalogue.looking_at(OwnResolver)]
        self._waiting: set[Key] = set()
        self._unsettled: set[Key] = set()  # what is to be looked at again if the resolver turns out to have lied
        self._failed = False

    def hold(self, state: CheckState) -> None:
        """Take in a state that is new here, or has changed. The resolver's own comes after those that wait for it."""
        if state.key not in self._tests:
            self._note(state)
            return
        self._failed = self._failed or self._fails(state)  # as an earlier process saved it
        if self._failed or self._waiting:
            self._schedule.look_again(state.key, SOON)

    def take(self, state: CheckState, outcome: Outcome) -> None:
        """Take in a run and the state after it."""
        if state.key in self._tests:
            self._tested(outcome)
            if self._failed:
                self._schedule.look_again(state.key, AGAIN)
            return
        self._note(state)
        if state.awaits_test or state.unsettled(self.policy):
            self._test()

    def forget(self, key: Key) -> None:
        """Nobody waits for it any more."""
        self._waiting.discard(key)
        self._unsettled.discard(key)

    def _fails(self, state: CheckState) -> bool:
        """Did the resolver fail its latest test?"""
        doubted = state.doubt is not None and state.doubt.reason is not Reason.PENDING
        found = (it.finding for it in state.findings if not it.good)
        return doubted or any(it.rule.doubts and self.policy.counts(it) for it in found)

    def _note(self, state: CheckState) -> None:
        if state.awaits_test:
            self._waiting.add(state.key)
        if state.awaits_test or state.unsettled(self.policy):
            self._unsettled.add(state.key)
        else:
            self._unsettled.discard(state.key)

    def _test(self) -> None:
        tests = [known for key in self._tests if (known := self._store.get(*key))]
        for known in tests:
            since = self._clock.wall() - known.last_run
            self._schedule.run_soon(known.key, min(PAUSE, max(SOON, PAUSE - since)))
        if not tests:
            self._confirm(float("inf"))

    def _tested(self, outcome: Outcome) -> None:
        if outcome.doubts or any(it.rule.doubts and self.policy.counts(it) for it in outcome.findings):
            self._failed = True
        elif self._failed:
            self._failed = False
            self._recovered()
            self._begin_again()
        else:
            self._confirm(outcome.started)
            # what this very test has seen, such as a public resolver
            if sure := self._store.confirm((outcome.check.id, outcome.target.key), float("inf")):
                self._changed(sure)

    def _begin_again(self) -> None:
        self._waiting.clear()
        again = sorted(self._unsettled)
        for key in again:
            if state := self._store.unproven(key):
                self._changed(state)
        self._schedule.run_dependents(again, SOON)

    def _confirm(self, tested: float) -> None:
        waiting, self._waiting = self._waiting, set()
        for key in waiting:
            if sure := self._store.confirm(key, tested):
                self._changed(sure)
            if state := self._store.get(*key):
                self._note(state)
