"""Writes to the log when a finding begins, is confirmed and ends, and each run for whoever looks for a fault of ours.

The rules:

- What counts is told at the level info. What is accepted or only informs is told at the level debug, as are runs.
- What stood before a restart has not begun, and what leaves the configuration has not ended.
- A resolver that lies brings a finding for each target. So at most MOST lines about findings are written in a minute,
  and the number of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy, Key
from exporter.clock import Clock
from exporter.facts import Labels
from exporter.model import Outcome

log = logging.getLogger(__name__)

MOST = 1000  # lines about findings
WINDOW = 60.0  # seconds in which they are counted


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is remembered of a finding: how it ends is not known any more when it has ended."""

    level: int
    severity: str
    since: float
    confirmed: bool


class FindingLog:
    """The findings that stand, as the log knows them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Key, dict[tuple[str, Labels], _Standing]] = {}
        self._window = float("-inf")
        self._told = 0

    def hold(self, state: CheckState, policy: FindingPolicy) -> None:
        """Take in what is known already. Nothing is told."""
        if standing := dict(_standing(state, policy, self._clock.wall())):
            self._known[state.key] = {key: it for key, (it, _) in standing.items()}

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)

    def take(self, state: CheckState, policy: FindingPolicy) -> None:
        """Tell what has begun, was confirmed and has ended since the last time."""
        if not state.findings and state.key not in self._known:
            return
        before, now = self._known.get(state.key, {}), dict(_standing(state, policy, self._clock.wall()))
        for key, (it, effective) in now.items():
            was = before.get(key)
            if was is None:
                self._tell("finding began", state, key, it, text=effective.finding.text)
            if it.confirmed and not (was and was.confirmed):
                self._tell("finding confirmed", state, key, it, text=effective.finding.text)
        for key, it in before.items():
            if key not in now:
                confirmed = "yes" if it.confirmed else "no"
                stood = f"{max(self._clock.wall() - it.since, 0):.0f}"
                self._tell("finding ended", state, key, it, confirmed=confirmed, stood_seconds=stood)
        if now:
            self._known[state.key] = {key: it for key, (it, _) in now.items()}
        else:
            self._known.pop(state.key, None)

    def stood(self, state: CheckState, took: float) -> None:
        """Tell that a run of so many seconds has ended, and nothing was evaluated."""
        if log.isEnabledFor(logging.DEBUG):
            whose = {"check": state.check.id, **dict(state.target.identity)}
            fields = {**whose, "seconds": f"{took:.3f}", "findings": str(len(state.findings))}
            log.debug("run ended, all unchanged", extra={"fields": fields})

    def ran(self, outcome: Outcome) -> None:
        """Tell that a run has ended."""
        if not log.isEnabledFor(logging.DEBUG):
            return
        fields = {
            "check": outcome.check.id,
            **dict(outcome.target.identity),
            "verdict": str(outcome.verdict),
            "seconds": f"{outcome.duration:.3f}",
            "findings": str(len(outcome.findings)),
        }
        if outcome.doubt:
            fields |= {"reason": str(outcome.doubt.reason), "detail": outcome.doubt.detail}
        log.debug("run ended", extra={"fields": fields})

    def _tell(self, what: str, state: CheckState, key: tuple[str, Labels], it: _Standing, **more: str) -> None:
        if not log.isEnabledFor(it.level):
            return
        now = self._clock.monotonic()
        if now - self._window >= WINDOW:
            if self._told > MOST:
                log.info("%d more events of findings were not written here", self._told - MOST)
            self._window, self._told = now, 0
        self._told += 1
        if self._told <= MOST:
            whose = {"check": state.check.id, **dict(state.target.identity)}
            fields = {**whose, "finding": key[0], **dict(key[1]), "severity": it.severity, **more}
            log.log(it.level, what, extra={"fields": fields})


def _standing(
    state: CheckState, policy: FindingPolicy, now: float
) -> Iterator[tuple[tuple[str, Labels], tuple[_Standing, EffectiveFinding]]]:
    for it in state.effective(policy, now):
        active = it.active
        level = logging.INFO if it.fails else logging.DEBUG
        yield it.finding.key, (_Standing(level, str(it.severity), active.since, active.confirmed), it)
