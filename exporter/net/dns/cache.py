"""Keeps DNS answers for as long as their zones allow, up to a limit (RFC 1035 section 3.2.1, RFC 2308 section 5).

Checks ask many of the same questions, and resolvers need not answer each of them again. But a person who has just
corrected a record must see the effect soon:

- An answer is kept for its TTL, but at most LONGEST seconds, and a "no" at most LONGEST_ABSENCE seconds.
- A failure is kept for FAILURE seconds. A question that our own rate limit stopped is not kept at all.
- Beyond MOST answers, the oldest is removed.
"""

from __future__ import annotations

from dataclasses import replace

from exporter.clock import Clock
from exporter.mail.dns import Question, Reply, Status

MOST = 20_000
LONGEST = 3600.0  # seconds an answer is kept, whatever its TTL
LONGEST_ABSENCE = 300.0  # seconds "no" is kept: who has just published a record should not wait for us
FAILURE = 5.0  # seconds without an answer: RFC 9520 section 3.2 wants failures kept for 1 s to 5 min


class Cache:
    """Keeps the latest reply to each question. If there are too many, the oldest is removed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Question, tuple[Reply, float, float]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question) -> Reply | None:
        """The kept reply, with the rest of its TTL; None if there is none."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        reply, since, until = kept
        now = self._clock.monotonic()
        if now >= until:
            del self._kept[question]
            return None
        left = max(0, reply.ttl - int(now - since))
        return replace(reply, ttl=left, transport="cache", seconds=0.0)

    def put(self, reply: Reply) -> None:
        """Keep a reply for its time, by the rules above."""
        self._kept.pop(reply.question, None)
        seconds = _seconds(reply)
        if seconds <= 0:
            return
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        now = self._clock.monotonic()
        self._kept[reply.question] = (reply, now, now + seconds)


def _seconds(reply: Reply) -> float:
    if reply.status in (Status.RATE_LIMITED, Status.LOCAL_RESOURCES):
        return 0  # says nothing about the name, only about a moment of ours
    if not reply.status.conclusive:
        return FAILURE
    return min(reply.ttl, LONGEST if reply.exists else LONGEST_ABSENCE)
