"""What is told of findings: to the log, line by line, and to the history."""

from __future__ import annotations

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.clock import Clock
from exporter.engine.finding_log import FindingLog
from exporter.engine.history import History
from exporter.model import Outcome


class Chronicle:
    """Passes each state on to those who remember what stood before it."""

    def __init__(self, clock: Clock) -> None:
        self._log = FindingLog(clock)
        self.history = History(clock)

    def hold(self, state: CheckState, policy: FindingPolicy) -> None:
        """Take in a state that is new here, or has changed by a reload."""
        self._log.hold(state, policy)
        self.history.hold(state, policy)

    def take(self, state: CheckState, policy: FindingPolicy) -> None:
        """Take in a state that a run or a test has changed."""
        self._log.take(state, policy)
        self.history.take(state, policy)

    def stood(self, state: CheckState, policy: FindingPolicy, took: float) -> None:
        """Take in a state in which a run of so many seconds has changed nothing but times."""
        self._log.stood(state, took)
        if state.target.accept or self.history.begins(state.key):
            self.take(state, policy)

    def ran(self, outcome: Outcome) -> None:
        self._log.ran(outcome)

    def forget(self, key: Key) -> None:
        """Its pair has left."""
        self._log.forget(key)
        self.history.forget(key)
