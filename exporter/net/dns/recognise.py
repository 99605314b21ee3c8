"""Recognises answers of DNS that say the same as before, without reading them.

The problem: to decode an answer costs ten times as much as to receive it, and most answers never change.

The idea: a sweep (sweep.py) asks. What comes is compared octet by octet with an answer that was read before. Only the
id and the TTLs may differ, and no other field depends on them.

The rules:

- All who asked a question share what was heard last, by any of them. It counts for as long as the cache would keep it
  (cache.py), so this asks no more questions than a run does. If two have heard different answers lately, none counts.
- TTLs are masked at the places where the message that was read has them. If the rest is equal, the other message has
  them at the same places. Of the masked octets 64 bits are kept, keyed anew by each process.
- The flags of an OPT record stand where a TTL would, and are not masked.
- Name servers send the records of a set in turn. So up to LAYOUTS forms of an answer are known.
- A form that is not known is decoded. What the sweep leaves (truncated, refused, late, forged, without an answer) is
  asked as always, by `Resolver.ask`. Whatever has no conclusive answer then is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from exporter.clock import Clock
from exporter.mail.dns import Question
from exporter.net.dns import wire
from exporter.net.dns.cache import LONGEST, LONGEST_ABSENCE
from exporter.net.dns.frame import ttl_places
from exporter.net.dns.resolver import Resolver
from exporter.net.dns.sweep import PATIENCE
from exporter.net.trace import HeardAnswer, digest

LAYOUTS = 4

_ID, _TTL = bytes(2), bytes(4)


class _Layout(NamedTuple):
    """One form of an answer: its masked octets, and what they say. `longest`: seconds that it may be kept."""

    masked: int
    length: int
    ttls: tuple[int, ...]
    digest: int
    longest: float


class KnownAnswer:
    """What was heard last about a question, and until when that counts, in monotonic seconds."""

    __slots__ = ("_layouts", "digest", "query", "until", "users")

    def __init__(self, question: Question) -> None:
        self.query = wire.query(question)
        self.digest = 0
        self.until = float("-inf")
        self.users = 0
        self._layouts: tuple[_Layout, ...] = ()

    def hear(self, said: int, until: float) -> None:
        self.digest, self.until = said, until

    def recognise(self, message: bytes, now: float) -> bool:
        """Take in an answer to this question if its form is known."""
        for it in self._layouts:
            if it.length == len(message) and it.masked == _masked(message, it.ttls):
                shortest = min([int.from_bytes(message[at : at + 4]) for at in it.ttls], default=0)
                self.hear(it.digest, now + (min(shortest, it.longest) if shortest < 1 << 31 else 0.0))
                return True
        return False

    def read(self, message: bytes, now: float) -> bool:
        """Decode an answer to this question, and take it in if it is conclusive."""
        said = wire.decode(message, self.query)
        if not said.status.conclusive:
            return False
        exists = bool(said.records)
        longest = _longest(said.ttl, exists=exists)
        self.hear(digest(said), now + longest)
        places = ttl_places(message)
        new = _Layout(_masked(message, places), len(message), places, self.digest, LONGEST if exists else longest)
        self._layouts = (new, *self._layouts[: LAYOUTS - 1])
        return True


def _masked(message: bytes, ttls: tuple[int, ...]) -> int:
    octets = bytearray(message)
    octets[:2] = _ID
    for at in ttls:
        octets[at : at + 4] = _TTL
    return hash(bytes(octets))


def _longest(ttl: int, *, exists: bool) -> float:
    return min(ttl, LONGEST if exists else LONGEST_ABSENCE)


class KnownAnswers:
    """The answers that traces rest on. Each question is there once, for as long as a trace holds it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[Question, KnownAnswer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def hold(self, heard: HeardAnswer) -> KnownAnswer:
        """Share what a run has heard. Each `hold` wants a `release`."""
        answer = self._answers.get(heard.question)
        if answer is None:
            answer = self._answers[heard.question] = KnownAnswer(heard.question)
        now = self._clock.monotonic()
        agree = answer.digest == heard.digest or answer.until <= now
        answer.users += 1
        answer.hear(heard.digest, now + _longest(heard.ttl, exists=heard.exists) if agree else float("-inf"))
        return answer

    def release(self, answers: Iterable[KnownAnswer]) -> None:
        for answer in answers:
            answer.users -= 1
            if not answer.users:
                self._answers.pop(answer.query.question, None)

    async def renew(self, answers: Iterable[KnownAnswer], resolver: Resolver) -> tuple[set[KnownAnswer], float]:
        """Ask what is not known by now. Return those without a conclusive answer, and how long the slowest took."""
        now = self._clock.monotonic()
        due = [it for it in answers if it.until <= now]
        if not due:
            return set(), 0.0

        def settles(place: int, message: bytes) -> bool:
            answer = due[place]
            return answer.recognise(message, now) or answer.read(message, now)

        left = await resolver.sweep([it.query for it in due], settles)
        if not left:
            return set(), min(PATIENCE, self._clock.monotonic() - now)
        replies = await asyncio.gather(*(resolver.ask(due[place].query.question) for place in left))
        unknown = set()
        for place, reply in zip(left, replies, strict=True):
            if reply.status.conclusive:
                due[place].hear(digest(reply), now + _longest(reply.ttl, exists=reply.exists))
            else:
                unknown.add(due[place])
        return unknown, max(PATIENCE, *(reply.seconds for reply in replies))
