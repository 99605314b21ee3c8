"""Remembers who gives no usable answer, and decides when silence is a fact.

The problem: when nothing comes back, the other side may be down, or our own network.

The idea: silence is charged to the other side only after several runs over an hour, each while somebody else's answer
proved that our own way out is open. The proof is never older than that hour, so an outage of our own proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from exporter.clock import Clock, began_at

SILENT_RUNS = 4
SILENT_SECONDS = 3600.0
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Runs without a usable reply, since when (unix seconds). In each of them, our way out was proven."""

    since: float
    runs: int

    def lasts(self, seconds: float) -> bool:
        """Is it a fact about the other side, if it has lasted for so many seconds?"""
        return self.runs >= SILENT_RUNS and seconds >= SILENT_SECONDS


@dataclass(frozen=True, slots=True)
class _Quiet:
    began: float  # monotonic
    seen: float
    runs: int


Key = TypeVar("Key")


class Silences(Generic[Key]):
    """Who is silent, and for how long. A silence in which nobody looked for a day is over: what was, is not known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet: dict[Key, _Quiet] = {}  # in order of `seen`

    def __len__(self) -> int:
        return len(self._quiet)

    def seen(self, who: Key) -> float | None:
        """When the silence that lasts was noticed last, in monotonic seconds."""
        quiet = self._quiet.get(who)
        return quiet.seen if quiet and self._clock.monotonic() - quiet.seen <= DAY else None

    def spoke(self, who: Key) -> None:
        """It has given a usable answer, with whatever content."""
        self._quiet.pop(who, None)

    def silent(self, who: Key) -> Silence | None:
        """Count one more run without a usable answer. The silence, once it is a fact."""
        now = self._clock.monotonic()
        while self._quiet and now - self._quiet[oldest := next(iter(self._quiet))].seen > DAY:
            del self._quiet[oldest]
        before = self._quiet.pop(who, None)
        quiet = _Quiet(before.began, now, before.runs + 1) if before else _Quiet(now, now, 1)
        self._quiet[who] = quiet
        silence = Silence(began_at(self._clock, quiet.began), quiet.runs)
        return silence if silence.lasts(now - quiet.began) else None


class SilentUrls:
    """Which URLs are silent, and which web servers have answered us lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._urls = Silences[str](clock)
        self.spoke, self.silent = self._urls.spoke, self._urls.silent
        self._answered: dict[str, float] = {}  # the two hosts that answered last, the latest at the end

    def answered(self, host: str) -> None:
        self._answered.pop(host, None)
        self._answered[host] = self._clock.monotonic()
        while len(self._answered) > 2:
            del self._answered[next(iter(self._answered))]

    def proven(self, host: str, lately: float = SILENT_SECONDS) -> bool:
        """Has a host other than this one answered us within so many seconds?"""
        now = self._clock.monotonic()
        return any(other != host and now - at <= lately for other, at in self._answered.items())
