"""Doors of mail hosts that are proven shut, remembered for checks that ask about more than one host.

Proven means that connections are refused, or that nobody has said a word for so long that it is a fact (smtp.py says
when); a single timeout is neither. A host that greets us is not shut, even if it only ever says "try again later": to
others it may say something else. What was seen counts for two rounds of visits, as the latest one may have ended
without proof of anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.clock import Clock
from exporter.facts import IP
from exporter.net.smtp.probe import SmtpResult

EVERY = 1800.0  # seconds between two visits, unless configured otherwise
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Unreachable:
    """`since` is unix seconds; `how` says in words what a client meets."""

    since: float
    how: str


@dataclass(frozen=True, slots=True)
class _Seen:
    at: float  # monotonic
    shut: Unreachable


class UnreachableHosts:
    """By address and port. `every` is how many seconds lie between two visits to a host; it may change at any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[IP, int], _Seen] = {}
        self.interval = EVERY

    def look(self, ip: IP, port: int) -> Unreachable | None:
        """None: not proven to be shut, or not lately."""
        seen = self._seen.get((ip, port))
        return seen.shut if seen and not self._stale(seen) else None

    def learn(self, port: int, met: SmtpResult) -> None:
        key, now = (met.ip, port), self._clock.monotonic()
        if met.refused:
            since, how = self._clock.wall(), "refuses connections"
        elif met.silence and not met.greeting:
            since, how = met.silence.since, "does not answer"
        else:
            if met.greeting or not (met.doubt or met.passed_over):
                self._seen.pop(key, None)
            return
        before = self.look(*key)
        self._seen.pop(key, None)  # so that it goes in at the end: they are in order of age
        self._seen[key] = _Seen(now, Unreachable(before.since if before else since, how))
        while self._stale(self._seen[oldest := next(iter(self._seen))]):
            del self._seen[oldest]

    def _stale(self, seen: _Seen) -> bool:
        return self._clock.monotonic() - seen.at > ROUNDS * self.interval
