"""Recognises that a run would only find the same again, so that the result of the last one stays.

The idea: a run leaves a trace (net/trace.py, where it stands why that is sound). When it is due again, its questions
are asked, and if all answers are the same, nothing is evaluated.

The rules:

- The checks of one target are due together, and share many questions. So all of them that are due about now are looked
  at in one go.
- A run without doubt whose trace can be compared is kept. A trace is for one target as it is configured: if anything of
  that changes, it is gone. It lives in memory only, so another version starts without.
- At least every FULL seconds a pair is evaluated, by chance up to a quarter earlier, so that they stay apart.
- What was asked for by hand, and what confirms a change, is always evaluated. So is a pair of which anything waits:
  for another look, for the resolver's test, or to be forgotten (`CheckState.stood`).
- Any difference, any doubt and any answer that took long leads to the plain evaluation. So does whatever happens to the
  trace while the answers are on their way.
- The evidence stays that of the run that was evaluated.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from exporter.check_state import Key
from exporter.clock import Clock
from exporter.mail.spf.limits import MOST_SECONDS
from exporter.model import Check, Outcome, Target
from exporter.net.dns.recognise import KnownAnswer, KnownAnswers
from exporter.net.dns.resolver import Resolver
from exporter.net.trace import Read, Trace

log = logging.getLogger(__name__)

FULL = 6 * 3600.0  # seconds
SPREAD = 0.25  # part of them


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What the latest result of a pair rests on. `digest` is that of all answers, `until` in monotonic seconds."""

    check: Check
    target: Target
    answers: tuple[KnownAnswer, ...]
    digest: int
    reads: tuple[Read, ...]
    begin: float
    end: float
    until: float

    @property
    def key(self) -> Key:
        return self.check.id, self.target.key

    def fits(self, target: Target, now: float) -> bool:
        """Is it of this very target, and need it not be evaluated yet? `now` is in monotonic seconds."""
        return now < self.until and (self.target is target or self.target == target)

    def holds(self, now: float) -> bool:
        """Is all that it rests on the same, as far as is known? `now` is in unix seconds."""
        same = self.begin <= now < self.end and _together(self.answers) == self.digest
        return same and all(read.holds for read in self.reads)


Together: TypeAlias = list[_Kept]


class Again(NamedTuple):
    """The checks of a target whose latest results hold again, and the keys of those that have to be evaluated.

    `at` is when that was known, in unix seconds, and `took` how many seconds that needed.
    """

    same: list[Check]
    differ: list[Key]
    at: float
    took: float


def _together(answers: Iterable[KnownAnswer]) -> int:
    return hash(tuple([answer.digest for answer in answers]))


class Unchanged:
    """What the latest results of all pairs rest on. `era` moves when all is forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[_Kept, ...]] = {}  # by the key of the target
        self._answers = KnownAnswers(clock)
        self.era = 0

    def keep(self, outcome: Outcome, trace: Trace | None, era: int) -> None:
        """Take in a run that was evaluated, and in which era it began."""
        check, target = outcome.check, outcome.target
        self.forget((check.id, target.key))
        if trace is None or outcome.doubts or outcome.again is not None or era != self.era:
            return
        answers = tuple([self._answers.hold(heard) for heard in trace.heard])
        digest = hash(tuple([heard.digest for heard in trace.heard]))
        early = zlib.crc32(f"{check.id}/{target.key}".encode("utf-8", "surrogatepass")) / 2**32 * SPREAD
        until = self._clock.monotonic() + FULL * (1 - early)
        made = _Kept(check, target, answers, digest, trace.reads, trace.begin, trace.end, until)
        self._kept[target.key] = (*self._kept.get(target.key, ()), made)

    def forget(self, key: Key) -> None:
        """Evaluate this pair at its next run."""
        of_target = self._kept.get(key[1], ())
        left = tuple([it for it in of_target if it.check.id != key[0]])
        if len(left) == len(of_target):
            return
        self._answers.release(answer for it in of_target if it not in left for answer in it.answers)
        if left:
            self._kept[key[1]] = left
        else:
            del self._kept[key[1]]

    def forget_all(self) -> None:
        """What was answered so far cannot be believed, or others answer now."""
        self.era += 1
        self._kept.clear()
        self._answers = KnownAnswers(self._clock)

    def together(self, key: Key, target: Target, may: Callable[[Key], bool]) -> Together:
        """What can be looked at in one go: this pair and others of its target; nothing if this pair cannot.

        `may` says of another pair whether it is due, and leaves its run to us.
        """
        now = self._clock.monotonic()
        fit = [it for it in self._kept.get(key[1], ()) if it.fits(target, now)]
        first = next((it for it in fit if it.check.id == key[0]), None)
        return [first, *[it for it in fit if it is not first and may(it.key)]] if first else []

    async def again(self, looked: Together, resolver: Resolver) -> Again:
        """Look whether all that these pairs rest on is the same."""
        since = self._clock.monotonic()
        try:
            same = await self._same(looked, resolver, since)
        except Exception:  # a bug of ours must not keep a target from being looked at
            log.exception("the latest results of %s could not be compared", looked[0].target.key)
            same = []
        differ = [it.key for it in looked if it not in same]
        for key in differ:
            self.forget(key)
        return Again([it.check for it in same], differ, self._clock.wall(), self._clock.monotonic() - since)

    async def _same(self, looked: Together, resolver: Resolver, since: float) -> Together:
        asked = dict.fromkeys([answer for it in looked for answer in it.answers])
        unknown, slowest = await self._answers.renew(asked, resolver)
        now, current = self._clock.wall(), self._kept.get(looked[0].target.key, ())
        return [
            it
            for it in looked
            if it in current
            and unknown.isdisjoint(it.answers)
            and slowest * len(it.answers) <= MOST_SECONDS
            and it.holds(now)
        ]
