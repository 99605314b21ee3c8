"""What happens when a check of a target is due: is all as it was, or what is it now, and who must know?"""

from __future__ import annotations

from collections.abc import Callable

from exporter.check_state import CheckState, Key
from exporter.clients import Clients
from exporter.clock import Clock
from exporter.engine.actions import Actions
from exporter.engine.chronicle import Chronicle
from exporter.engine.confirmations import Confirmations
from exporter.engine.evaluate import evaluate
from exporter.engine.plan import Plan
from exporter.engine.schedule import Schedule
from exporter.engine.store import Store
from exporter.engine.unchanged import Together, Unchanged
from exporter.model import Check, Outcome, Target
from exporter.views.own_metrics import OwnHealth

NEWS_PAUSE = 1.0  # seconds from a change of a result to the runs that read it


class Runs:
    """The runs of the daemon. `clients` and `plan` are those of the configuration in force.

    `changed` is called with each state after a run, and the one before it; `stood` with a state in which a run has
    changed nothing but times, and the seconds that it took.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        clock: Clock,
        own: OwnHealth,
        chronicle: Chronicle,
        changed: Callable[[CheckState, CheckState], None],
        stood: Callable[[CheckState, float], None],
    ) -> None:
        self.clients: Clients | None = None
        self.plan = plan
        self.unchanged = Unchanged(clock)
        self._store = store
        self._clock = clock
        self._own = own
        self._chronicle = chronicle
        self._changed = changed
        self._stood = stood
        self._together: dict[Key, Together] = {}  # by the key of a run that is about to begin
        self._schedule: Schedule
        self._actions: Actions
        self._confirmations: Confirmations

    def lead(self, schedule: Schedule, actions: Actions, confirmations: Confirmations) -> None:
        """Take these parts, which know of runs themselves."""
        self._schedule, self._actions, self._confirmations = schedule, actions, confirmations

    def prepare(self, check: Check, target: Target) -> None:
        """Take the runs of other checks of the target that are due upon this one, before they begin."""
        key = check.id, target.key
        if self._may_stand(key) and (together := self.unchanged.together(key, target, self._joins)):
            self._together[key] = together

    async def run(self, check: Check, target: Target) -> None:
        """Recognise that all is as it was, or evaluate; then take the result in."""
        clients, key = self.clients, (check.id, target.key)
        together = self._together.pop(key, None)
        if clients is None or self.plan.too_early(check, target):
            return
        if together and await self._stands_again(key, together, clients):
            return
        known = self._store.get(*key)
        past_cache = self._actions.wants_fresh(key)
        past_cache = past_cache or (known is not None and known.next_look(self._confirmations.policy) is not None)
        self._actions.looked_fresh(key)
        net, era = clients.net(self._store, fresh=past_cache), self.unchanged.era
        outcome = await evaluate(check, target, lambda: net, self._clock)
        self.unchanged.keep(outcome, net.trace, era)
        self._take(outcome)

    def _may_stand(self, key: Key) -> bool:
        """Does nobody ask for a run of this pair, and wait for nothing of it?"""
        state = self._store.get(*key)
        return state is not None and state.stands and not self._actions.wants_fresh(key)

    def _joins(self, key: Key) -> bool:
        """May this pair be looked at now, together with another of its target?"""
        return self._may_stand(key) and self._schedule.claim(key)

    async def _stands_again(self, key: Key, together: Together, clients: Clients) -> bool:
        """Does the result of this pair hold again? Those of the others that do not are evaluated soon."""
        again = await self.unchanged.again(together, clients.dns)
        left = {*again.differ}
        for check in again.same:
            same = check.id, key[1]
            if not self._may_stand(same):  # somebody has asked for it meanwhile
                left.add(same)
            elif state := self._store.stand(same, again.at):
                self._own.count_unchanged(check, again.took)
                self._stood(state, again.took)
        for other in left - {key}:
            self._schedule.run_soon(other, 0.0)
        return key not in left

    def _take(self, outcome: Outcome) -> None:
        """Keep the result. Whoever reads it or waits for it gets to know."""
        self._own.count(outcome)
        self._chronicle.ran(outcome)
        before = self._store.get(outcome.check.id, outcome.target.key)
        state = self._store.record(outcome)
        if state is None or before is None:
            return
        self._changed(state, before)
        for wait in (outcome.again, state.next_look(self._confirmations.policy)):
            if wait is not None:
                self._schedule.look_again(state.key, wait)
        self._confirmations.take(state, outcome)
        state = self._store.get(*state.key) or state  # it may have been confirmed
        self._schedule.run_dependents(sorted(self.plan.dependents(before, state)), NEWS_PAUSE)
