"""How late the runs are, by check: which targets are overdue, and which run is longest ago.

The problem: to compare the age of every series with its interval costs an alert rule seconds in a large fleet.

The idea: runs end one after the other, so the exporter keeps their times in the order in which they came. A scrape
looks at the first ones.

The rules:

- A pair is overdue if no run of it has ended for INTERVALS intervals, the longest time of a run and SLACK seconds more.
  Before its first run, that time begins when the pair came.
- Times are monotonic seconds, so a wall clock that jumps makes nothing overdue.
- A time that is earlier than that of another pair came out of order: after a start, those of saved runs do. They are
  looked at one by one until the pair runs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from exporter.check_state import CheckState, Key
from exporter.clock import Clock

INTERVALS = 2
SLACK = 60.0  # seconds


class _OfCheck:
    """The targets of one check, with the times of their latest runs in monotonic seconds."""

    def __init__(self) -> None:
        self.ran: dict[str, float] = {}  # the earliest first
        self.unordered: dict[str, float] = {}
        self.came: dict[str, float] = {}  # targets that have never run, the oldest first
        self._latest = float("-inf")  # time in `ran`
        self._least = float("inf")  # time in `unordered`, or an earlier one
        self._gone = False  # is it perhaps an earlier one?

    def __bool__(self) -> bool:
        return bool(self.ran or self.unordered or self.came)

    def remove(self, target: str) -> None:
        self.ran.pop(target, None)
        self.came.pop(target, None)
        self._gone |= self.unordered.pop(target, None) == self._least

    def put(self, target: str, at: float) -> None:
        self.remove(target)
        if at < self._latest:
            self.unordered[target] = at
            self._least = min(self._least, at)
        else:
            self.ran[target] = self._latest = at

    def overdue(self, limit: float) -> int:
        count = sum(1 for times in (self.ran, self.came) for _ in takewhile(limit.__gt__, times.values()))
        return count + sum(map(limit.__gt__, self.unordered.values())) if self._earliest() < limit else count

    def oldest(self) -> float | None:
        at = min(self._earliest(), next(iter(self.ran.values()), float("inf")))
        return at if at < float("inf") else None

    def _earliest(self) -> float:
        """Of `unordered`. To look at all of them takes time, so that is done when the first one has gone."""
        if self._gone:
            self._least, self._gone = min(self.unordered.values(), default=float("inf")), False
        return self._least


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
            of_check.put(state.target.key, now - (self._clock.wall() - state.last_run))
        else:
            of_check.came.setdefault(state.target.key, now)

    def remove(self, key: Key) -> None:
        if of_check := self._checks.get(key[0]):
            of_check.remove(key[1])
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
