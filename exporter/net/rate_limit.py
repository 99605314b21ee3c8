"""Limits how fast questions leave: one rate for all together, and lower rates for the zones that need one.

The problem: a resolver loses questions that come in a burst, and a blocklist blocks clients that ask too fast.
So questions must wait, in order, without a loop that looks again and again.

The idea: a token bucket without tokens (the generic cell rate algorithm, ITU-T I.371). It keeps one number: the moment
at which the next question is exactly on time. A question that comes too early takes the next free moment, moves the
number on by one interval, and sleeps until its moment. So the first question that comes is the first that leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from exporter.clock import Clock
from exporter.mail.dns import Question

BURST = 0.05  # seconds' worth of questions that may leave at once: more would overflow a resolver's socket


class TokenBucket:
    """Allows `rate` questions a second, and a burst of as many as fit into BURST seconds (at least one)."""

    __slots__ = ("_due", "_gap", "_slack")

    def __init__(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError("a rate must be above zero")
        self._gap = 1 / rate
        self._slack = max(0.0, BURST - self._gap)
        self._due = float("-inf")

    def take(self, now: float, latest: float = float("inf")) -> float | None:
        """Take the next free moment, and return it. If it is after `latest`, take nothing and return None."""
        moment, due = now, now - self._slack
        if self._due > due:
            due = self._due
            if due > now:
                moment = due
        if moment > latest:
            return None
        self._due = due + self._gap
        return moment


class RateLimiter:
    """Limits all questions together (`everything`), and those under each zone (the longest match decides).

    Who asks many questions at once takes moments of the buckets, and waits for them by itself: first for its zone's.
    """

    def __init__(self, clock: Clock, per_second: float, zones: Mapping[str, float] | None = None) -> None:
        """Raise ValueError for a rate that is not above zero."""
        self._clock = clock
        self.everything = TokenBucket(per_second)
        self._zones = {zone: TokenBucket(rate) for zone, rate in (zones or {}).items()}
        self._depths = sorted({zone.count(".") + 1 for zone in self._zones}, reverse=True)

    async def acquire(self, question: Question, latest: float) -> bool:
        """Wait until the question may leave; False at once if that is after `latest` (monotonic seconds).

        It waits for its zone first, so a question for a slow zone does not delay others.
        """
        zone = self.zone(question.name)
        return (zone is None or await self._wait(zone, latest)) and await self._wait(self.everything, latest)

    def charge(self, question: Question) -> None:
        """Count a repetition. It cannot wait, so later questions wait longer."""
        now = self._clock.monotonic()
        self.everything.take(now)
        zone = self.zone(question.name)
        if zone is not None:
            zone.take(now)

    async def _wait(self, bucket: TokenBucket, latest: float) -> bool:
        now = self._clock.monotonic()
        moment = bucket.take(now, latest)
        if moment is None:
            return False
        if moment > now:
            await asyncio.sleep(moment - now)
        return True

    def zone(self, name: str) -> TokenBucket | None:
        """What limits the questions for that name, besides the limit of all."""
        if name in self._zones:
            return self._zones[name]
        for depth in self._depths:
            labels = name.rsplit(".", depth)
            suffix = name if len(labels) <= depth else name[len(labels[0]) + 1 :]
            bucket = self._zones.get(suffix)
            if bucket is not None:
                return bucket
        return None
