"""How late the runs are, by check: which targets are overdue, and which run is longest ago.

The problem: to compare the age of every series with its interval costs an alert rule seconds in a large fleet.

The idea: the exporter keeps the times of the latest runs sorted. What is overdue goes to a second heap once, so a
scrape costs as much as what has become overdue since the last one.

The rules:

- A pair is overdue if no run of it has ended for INTERVALS intervals, the longest time of a run and SLACK seconds more.
  Before its first run, that time begins when the pair came.
- Times are monotonic seconds, so a wall clock that jumps makes nothing overdue.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from exporter.check_state import CheckState, Key
from exporter.clock import Clock
from exporter.engine.earliest import Earliest

INTERVALS = 2
SLACK = 60.0  # seconds


class _OfCheck:
    """The pairs of one check, with the times of their latest runs in monotonic seconds."""

    def __init__(self) -> None:
        self.waiting = Earliest()
        self.late = Earliest()  # what was before `limit`
        self.limit = float("-inf")
        self.came: dict[Key, float] = {}  # pairs that have never run, the oldest first

    def __bool__(self) -> bool:
        return bool(self.waiting or self.late or self.came)

    def remove(self, key: Key) -> None:
        self.waiting.remove(key)
        self.late.remove(key)
        self.came.pop(key, None)

    def ran(self, key: Key, at: float) -> None:
        self.remove(key)
        (self.late if at < self.limit else self.waiting).put(key, at)

    def overdue(self, limit: float) -> int:
        if limit < self.limit:  # the interval is longer now
            for key, at in self.late:
                self.waiting.put(key, at)
            self.late = Earliest()
        self.limit = limit
        for key, at in self.waiting.take_before(limit):
            self.late.put(key, at)
        return len(self.late) + sum(1 for _ in takewhile(lambda at: at < limit, self.came.values()))

    def oldest(self) -> float | None:
        return min((first[1] for it in (self.late, self.waiting) if (first := it.first())), default=None)


class Lateness:
    """When each pair last ended a run. `patience` is how many seconds after that it is overdue, by check."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: dict[str, _OfCheck] = {}
        self.patience: Mapping[str, float] = {}

    def put(self, state: CheckState) -> None:
        of_check = self._checks.setdefault(state.check.id, _OfCheck())
        now = self._clock.monotonic()
        if state.last_run:
            of_check.ran(state.key, now - (self._clock.wall() - state.last_run))
        else:
            of_check.came.setdefault(state.key, now)

    def remove(self, key: Key) -> None:
        if of_check := self._checks.get(key[0]):
            of_check.remove(key)
            if not of_check:
                del self._checks[key[0]]

    def overdue(self) -> dict[str, int]:
        """How many targets are overdue, by check."""
        now = self._clock.monotonic()
        return {
            check: of_check.overdue(now - self.patience.get(check, float("inf")))
            for check, of_check in sorted(self._checks.items())
        }

    def oldest(self) -> dict[str, float]:
        """When the run ended that is longest ago, in unix seconds, by check; not of what has never run."""
        ahead = self._clock.wall() - self._clock.monotonic()
        ends = ((check, of_check.oldest()) for check, of_check in sorted(self._checks.items()))
        return {check: round(at + ahead, 3) for check, at in ends if at is not None}


def patience(interval: float, timeout: float) -> float:
    """Seconds after the end of a run at which the next one is overdue."""
    return INTERVALS * interval + timeout + SLACK
