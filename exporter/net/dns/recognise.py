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
- Name servers send the records of a set in turn. So up to FORMS forms of an answer are known.
- A form that is not known is decoded. What the sweep leaves (truncated, refused, late, forged, without an answer) is
  asked as always, by `Resolver.ask`. Whatever has no conclusive answer then is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from exporter.clock import Clock
from exporter.mail.dns import Question
from exporter.net.dns import wire
from exporter.net.dns.cache import LONGEST, LONGEST_ABSENCE
from exporter.net.dns.frame import ttl_places
from exporter.net.dns.resolver import Resolver
from exporter.net.dns.sweep import PATIENCE
from exporter.net.trace import HeardAnswer, digest

FORMS, FIELDS = 4, 5

_ID, _TTL = bytes(2), bytes(4)
_LONG_AGO = float("-inf")


class KnownAnswer:
    """What was heard last about a question, and until when that counts, in monotonic seconds.

    There is one for each question of a fleet, so it keeps no more of the question than the tail of the query. `forms`
    has FIELDS for each form of the answer that is known: its masked octets as 64 bits, its length, the places of its
    TTLs, its digest, and for how many seconds it may be kept.
    """

    __slots__ = ("digest", "forms", "tail", "until", "users")

    def __init__(self, tail: bytes) -> None:
        self.tail = tail
        self.digest = 0
        self.until = _LONG_AGO
        self.users = 0
        self.forms: tuple[Any, ...] = ()

    def hear(self, said: int, until: float) -> None:
        self.digest, self.until = said, until

    def recognise(self, message: bytes, now: float) -> bool:
        """Take in an answer to this question if its form is known."""
        forms = self.forms
        for at in range(0, len(forms), FIELDS):
            masked, length, ttls, said, longest = forms[at : at + FIELDS]
            if length == len(message) and masked == _masked(message, ttls):
                shortest = min([int.from_bytes(message[at : at + 4]) for at in ttls], default=0)
                self.hear(said, now + (min(shortest, longest) if shortest < 1 << 31 else 0.0))
                return True
        return False


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
        self._answers: dict[bytes, KnownAnswer] = {}  # by the tail of the query
        self._alike: dict[bytes, wire.Query] = {}  # a query of each type, by the octets of the type
        self._odd: dict[bytes, Question] = {}  # whose names are not told by their octets alone
        self._places: dict[tuple[int, ...], tuple[int, ...]] = {}  # of TTLs: equal ones are one object

    def __len__(self) -> int:
        return len(self._answers)

    def hold(self, heard: HeardAnswer) -> KnownAnswer:
        """Share what a run has heard. Each `hold` wants a `release`."""
        query = wire.query(heard.question)
        answer = self._answers.get(query.tail)
        if answer is None:
            answer = self._answers[query.tail] = KnownAnswer(query.tail)
            self._alike.setdefault(query.asked[-4:], query)
            if self.query(answer).question != heard.question:
                self._odd[query.tail] = heard.question
        now = self._clock.monotonic()
        agree = answer.digest == heard.digest or answer.until <= now
        answer.users += 1
        answer.hear(heard.digest, now + _longest(heard.ttl, exists=heard.exists) if agree else _LONG_AGO)
        return answer

    def release(self, answers: Iterable[KnownAnswer]) -> None:
        for answer in answers:
            answer.users -= 1
            if not answer.users:
                self._answers.pop(answer.tail, None)
                self._odd.pop(answer.tail, None)

    def query(self, answer: KnownAnswer) -> wire.Query:
        """The query for an answer that is held."""
        tail = answer.tail
        if tail in self._odd:
            return wire.query(self._odd[tail])
        asked = tail[_BEFORE:-_AFTER]
        like = self._alike[asked[-4:]]
        return like._replace(question=Question(_name(asked), like.question.rdtype), asked=asked, tail=tail)

    def read(self, answer: KnownAnswer, message: bytes, now: float) -> bool:
        """Decode an answer to this question, and take it in if it is conclusive."""
        said = wire.decode(message, self.query(answer))
        if not said.status.conclusive:
            return False
        exists = bool(said.records)
        longest = _longest(said.ttl, exists=exists)
        answer.hear(digest(said), now + longest)
        found = ttl_places(message)
        places = self._places.setdefault(found, found)
        new = _masked(message, places), len(message), places, answer.digest, LONGEST if exists else float(longest)
        answer.forms = (*new, *answer.forms[: (FORMS - 1) * FIELDS])
        return True

    async def renew(self, answers: Iterable[KnownAnswer], resolver: Resolver) -> tuple[set[KnownAnswer], float]:
        """Ask what is not known by now. Return those without a conclusive answer, and how long the slowest took."""
        now = self._clock.monotonic()
        due = [it for it in answers if it.until <= now]
        if not due:
            return set(), 0.0

        def settles(place: int, message: bytes) -> bool:
            answer = due[place]
            return answer.recognise(message, now) or self.read(answer, message, now)

        queries = [self.query(it) for it in due]
        left = await resolver.sweep(queries, settles)
        if not left:
            return set(), min(PATIENCE, self._clock.monotonic() - now)
        replies = await asyncio.gather(*(resolver.ask(queries[place].question) for place in left))
        unknown = set()
        for place, reply in zip(left, replies, strict=True):
            if reply.status.conclusive:
                due[place].hear(digest(reply), now + _longest(reply.ttl, exists=reply.exists))
            else:
                unknown.add(due[place])
        return unknown, max(PATIENCE, *(reply.seconds for reply in replies))


def _name(asked: bytes) -> str:
    labels, at = [], 0
    while size := asked[at]:
        labels.append(asked[at + 1 : at + 1 + size])
        at += 1 + size
    return b".".join(labels).decode("latin-1") or "."


_PROBE = wire.query(Question("a", "A"))
_BEFORE = _PROBE.tail.index(_PROBE.asked)  # octets of a tail before the question
_AFTER = len(_PROBE.tail) - _BEFORE - len(_PROBE.asked)
