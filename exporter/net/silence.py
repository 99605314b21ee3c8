"""Remembers who gives no usable answer, and decides when silence is a fact.

The problem: when nothing comes back, the other side may be down, or our own network.

The idea: silence is charged to the other side only after several runs over an hour, each while somebody else's answer
proved that our own way out is open. The proof is never older than that hour, so an outage of our own proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class _SilentUrl:
    began: float  # monotonic
    seen: float
    silence: Silence


class SilentUrls:
    """Which URLs are silent, and which web servers have answered us lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._urls: dict[str, _SilentUrl] = {}
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

    def spoke(self, url: str) -> None:
        """The URL has given a usable answer, with whatever content."""
        self._urls.pop(url, None)

    def silent(self, url: str) -> Silence | None:
        """Count one more run without a usable answer. The silence, once it is a fact."""
        now, before = self._clock.monotonic(), self._urls.pop(url, None)
        began, runs = (before.began, before.silence.runs) if before else (now, 0)
        silence = Silence(began_at(self._clock, began), runs + 1)
        self._urls[url] = _SilentUrl(began, now, silence)  # at the end: they are in order of age
        while now - self._urls[oldest := next(iter(self._urls))].seen > DAY:
            del self._urls[oldest]
        return silence if silence.lasts(now - began) else None
