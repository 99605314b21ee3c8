"""Remembers which mail hosts are proven to be unreachable, for checks that read about several hosts.

An address is proven to be unreachable if it refuses connections, or if its silence has become a fact (client.py has the
rules). A single timeout proves nothing. A host that greets us is reachable, even if it always answers "try again
later": it may answer others differently.

A proof is good for ROUNDS intervals of the check, because the latest visit may have ended without a result.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.clock import Clock, began_at
from exporter.facts import IP
from exporter.net.smtp.probe import SmtpResult

EVERY = 1800.0  # seconds between two visits, unless configured otherwise
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Unreachable:
    """`since` is in unix seconds. `how` says what happens to a client that connects."""

    since: float
    how: str


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float  # monotonic, as `began`
    began: float
    how: str


class UnreachableHosts:
    """By address and port. `interval` is in seconds between two visits to a host; it may change at any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[IP, int], _Seen] = {}
        self.interval = EVERY

    def look(self, ip: IP, port: int) -> Unreachable | None:
        """None if nothing is proven, or not lately."""
        seen = self._seen.get((ip, port))
        return Unreachable(began_at(self._clock, seen.began), seen.how) if seen and not self._stale(seen) else None

    def learn(self, port: int, met: SmtpResult) -> None:
        key, now = (met.ip, port), self._clock.monotonic()
        if met.refused:
            began, how = now, "refuses connections"
        elif met.silence and not met.greeting:
            began, how = now - (self._clock.wall() - met.silence.since), "does not answer"
        else:
            if met.greeting or not (met.doubt or met.passed_over):
                self._seen.pop(key, None)
            return
        before = self._seen.pop(key, None)  # so that it goes in at the end: they are in order of age
        self._seen[key] = _Seen(now, before.began if before and not self._stale(before) else began, how)
        while self._stale(self._seen[oldest := next(iter(self._seen))]):
            del self._seen[oldest]

    def _stale(self, seen: _Seen) -> bool:
        return self._clock.monotonic() - seen.at > ROUNDS * self.interval
