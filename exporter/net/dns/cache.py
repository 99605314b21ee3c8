"""Keeps DNS answers for as long as their zones allow, up to a limit (RFC 1035 section 3.2.1, RFC 2308 section 5).

Checks ask many of the same questions, and resolvers need not answer each of them again. But a person who has just
corrected a record must see the effect soon:

- An answer is kept for its TTL, but at most LONGEST seconds, and a "no" at most LONGEST_ABSENCE seconds.
- A failure is kept for FAILURE seconds. A question that our own rate limit stopped is not kept at all.
- Beyond the limit, answers whose time is over are removed; if there are none, those that were not used for longest.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from exporter.clock import Clock
from exporter.mail.dns import Question, Reply, Status

MOST = 10_000  # answers, of 0.7 KiB each: what many domains share is used again before 10,000 others come
LONGEST = 3600.0  # seconds an answer is kept, whatever its TTL
LONGEST_ABSENCE = 300.0  # seconds "no" is kept: who has just published a record should not wait for us
FAILURE = 5.0  # seconds without an answer: RFC 9520 section 3.2 wants failures kept for 1 s to 5 min
ROOM = 16  # the part of the places that is made free at once, so that the rest is not looked through each time


class _Kept(NamedTuple):
    reply: Reply
    ttl: int  # as it came
    since: float
    until: float


class Cache:
    """Keeps the latest reply to each question, and not more than `most`."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._kept: dict[Question, _Kept] = {}  # in the order of their last use

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question) -> Reply | None:
        """The kept reply, with the rest of its TTL; None if there is none."""
        kept = self._kept.pop(question, None)
        now = self._clock.monotonic()
        if kept is None or now >= kept.until:
            return None
        reply, left = kept.reply, max(0, kept.ttl - int(now - kept.since))
        if reply.ttl != left or reply.transport != "cache":
            reply = replace(reply, ttl=left, transport="cache", seconds=0.0)
            kept = kept._replace(reply=reply)
        self._kept[question] = kept
        return reply

    def put(self, reply: Reply) -> None:
        """Keep a reply for its time, by the rules above."""
        self._kept.pop(reply.question, None)
        seconds = _seconds(reply)
        if seconds <= 0:
            return
        now = self._clock.monotonic()
        if len(self._kept) >= self._most:
            self._make_room(now)
        self._kept[reply.question] = _Kept(reply, reply.ttl, now, now + seconds)

    def _make_room(self, now: float) -> None:
        for question in [question for question, kept in self._kept.items() if now >= kept.until]:
            del self._kept[question]
        more = len(self._kept) - self._most + max(1, self._most // ROOM)
        for question in [*islice(self._kept, max(0, more))]:
            del self._kept[question]


def _seconds(reply: Reply) -> float:
    if reply.status in (Status.RATE_LIMITED, Status.LOCAL_RESOURCES):
        return 0  # says nothing about the name, only about a moment of ours
    if not reply.status.conclusive:
        return FAILURE
    return min(reply.ttl, LONGEST if reply.exists else LONGEST_ABSENCE)
