"""Runs the whole plan once, for a person or a CI job, with the daemon's checks, plan and store.

A result can bring new targets, and can make other results out of date. So the sweep goes in rounds:

1. all checks of the configured targets,
2. the checks of the targets that were found on the way,
3. the checks that read a result which has changed since they ran, until there are none left,
4. the checks that only combine the results of others.

A pair that is not due keeps the state that it has in the store, and is run only if a result that it reads has changed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from exporter.check_state import CheckState, Key
from exporter.clock import Clock
from exporter.engine.evaluate import evaluate
from exporter.engine.plan import Pair, Plan
from exporter.engine.store import Store
from exporter.net import Net
from exporter.net.interfaces import CheckStates

AT_ONCE = 32  # runs
MOST_RUNS = 3  # of one pair: two checks that change each other's results must not run for ever


class Sweep:
    """Runs the plan once. `progress(done, total)` is called when a run ends, `ended` with its state and its Net.

    `due` says whether a pair runs that the store has a state of. `reached` are all pairs that belong to this sweep.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        net: Callable[[CheckStates], Net],
        clock: Clock,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        *,
        due: Callable[[CheckState], bool] = lambda _state: True,
        ended: Callable[[CheckState, Net], None] = lambda _state, _net: None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._net = net
        self._clock = clock
        self._progress = progress
        self._due = due
        self._ended = ended
        self.reached: set[Key] = set()
        self._begun: Counter[Key] = Counter()
        self._wanted: dict[Key, Pair] = {}
        self._again: set[Key] = set()
        self._done = 0
        self._total = 0

    async def run(self) -> None:
        """Run everything."""
        todo = list(self._plan.configured())
        for pair in todo:
            self._hold(pair)
        last = [pair for pair in todo if pair[0].concludes]
        todo = [pair for pair in todo if not pair[0].concludes]
        self._total = len(last)
        while todo:
            await self._round(todo)
            todo = list(self._wanted.values()) or self._repeated()
            self._wanted.clear()
        self._total -= len(last)
        await self._round(last)

    def _repeated(self) -> list[Pair]:
        keys, self._again = sorted(self._again), set()
        states = [self._store[key] for key in keys if self._begun[key] < MOST_RUNS]
        return [(state.check, state.target) for state in states if not state.check.concludes]

    async def _round(self, some: Iterable[Pair]) -> None:
        todo = list(some)
        self._total += len(todo)
        slots = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._one(pair, slots) for pair in todo))

    async def _one(self, pair: Pair, slots: asyncio.Semaphore) -> None:
        check, target = pair
        key = check.id, target.key
        async with slots:
            self._begun[key] += 1
            before = self._store[key]
            state = before if self._begun[key] == 1 and not self._due(before) else await self._run(before)
            await asyncio.sleep(0)  # runs that wait for nobody would let nobody else go on, nor Ctrl-C
        self._done += 1
        self._progress(self._done, self._total)
        for new in self._plan.learn(state).added:
            self._hold(new)
            self._wanted[new[0].id, new[1].key] = new
        self._again |= {key for key in self._plan.dependents(before, state) if self._begun[key]}

    async def _run(self, before: CheckState) -> CheckState:
        net = self._net(self._store)
        outcome = await evaluate(before.check, before.target, lambda: net, self._clock)
        self._store.record(outcome)
        state = self._store.forget_missed(before.key)
        self._ended(state, net)
        return state

    def _hold(self, pair: Pair) -> None:
        self._store.hold(*pair)
        self.reached.add((pair[0].id, pair[1].key))
