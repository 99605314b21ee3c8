"""Recognises that a run would only find the same again, and gives the outcome of the last one in its place.

The idea: a run leaves a trace (net/trace.py, where it stands why that is sound). When it is due again, its questions
are asked, and if all answers are the same, nothing is evaluated.

The rules:

- The checks of one target are due together, and share many questions. So all of them that are due about now are looked
  at in one go.
- A run without doubt whose trace can be compared is kept. A trace is for one target as it is configured: if anything of
  that changes, it is gone. It lives in memory only, so another version starts without.
- At least every FULL seconds a pair is evaluated, by chance up to a quarter earlier, so that they stay apart.
- What was asked for by hand, and what confirms a change, is always evaluated.
- Any difference, any doubt and any answer that took long leads to the plain evaluation. So does whatever happens to the
  trace while the answers are on their way.
- The evidence stays that of the run that was evaluated.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from exporter.check_state import Key
from exporter.clock import Clock
from exporter.mail.spf.limits import MOST_SECONDS
from exporter.model import Outcome, Target
from exporter.net.dns.recognise import KnownAnswer, KnownAnswers
from exporter.net.dns.resolver import Resolver
from exporter.net.trace import Read, Trace

log = logging.getLogger(__name__)

FULL = 6 * 3600.0  # seconds
SPREAD = 0.25  # part of them


@dataclass(frozen=True, slots=True)
class _Kept:
    """An outcome, and what it rests on. `digest` is that of all answers, `until` in monotonic seconds."""

    outcome: Outcome
    answers: tuple[KnownAnswer, ...]
    digest: int
    reads: tuple[Read, ...]
    begin: float
    end: float
    until: float

    def holds(self, now: float) -> bool:
        """Is all that it rests on the same, as far as is known? `now` is in unix seconds."""
        same = self.begin <= now < self.end and _together(self.answers) == self.digest
        return same and all(read.holds for read in self.reads)


Together: TypeAlias = dict[Key, _Kept]


class SameAgain(NamedTuple):
    """An outcome that holds again at that time (unix seconds), and how many seconds it took to know."""

    key: Key
    of: Outcome
    at: float
    took: float

    @property
    def outcome(self) -> Outcome:
        return replace(self.of, started=self.at - self.took, duration=self.took)


def _together(answers: Iterable[KnownAnswer]) -> int:
    return hash(tuple([answer.digest for answer in answers]))


class Unchanged:
    """The latest outcomes of all pairs that have a trace. `era` moves when all are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, dict[str, _Kept]] = {}  # by the key of the target, and by check
        self._answers = KnownAnswers(clock)
        self.era = 0

    def keep(self, outcome: Outcome, trace: Trace | None, era: int) -> None:
        """Take in a run that was evaluated, and in which era it began."""
        target, check = outcome.target.key, outcome.check.id
        self.forget((check, target))
        if trace is None or outcome.doubts or outcome.again is not None or era != self.era:
            return
        answers = tuple([self._answers.hold(heard) for heard in trace.heard])
        digest = hash(tuple([heard.digest for heard in trace.heard]))
        early = zlib.crc32(f"{check}/{target}".encode("utf-8", "surrogatepass")) / 2**32 * SPREAD
        until = self._clock.monotonic() + FULL * (1 - early)
        made = _Kept(replace(outcome, transcript=()), answers, digest, trace.reads, trace.begin, trace.end, until)
        self._kept.setdefault(target, {})[check] = made

    def forget(self, key: Key) -> None:
        """Evaluate this pair at its next run."""
        check, target = key
        of_target = self._kept.get(target, {})
        if kept := of_target.pop(check, None):
            self._answers.release(kept.answers)
            if not of_target:
                del self._kept[target]

    def forget_all(self) -> None:
        """What was answered so far cannot be believed, or others answer now."""
        self.era += 1
        self._kept.clear()
        self._answers = KnownAnswers(self._clock)

    def together(self, key: Key, target: Target, may: Callable[[Key], bool]) -> Together:
        """What can be looked at in one go: this pair and others of its target; nothing if this pair cannot.

        `may` says of another pair whether it is due, and leaves its run to us.
        """
        now, of_target = self._clock.monotonic(), self._kept.get(key[1], {})
        kept = of_target.get(key[0])
        if kept is None or not _fits(kept, target, now):
            return {}
        looked = {key: kept}
        for check, other in of_target.items():
            if other is not kept and _fits(other, target, now) and may((check, key[1])):
                looked[check, key[1]] = other
        return looked

    async def again(self, looked: Together, resolver: Resolver) -> tuple[list[SameAgain], list[Key]]:
        """The outcomes of these pairs that are the same again, and the keys of the others."""
        try:
            same = await self._same(looked, resolver, self._clock.monotonic())
        except Exception:  # a bug of ours must not keep a target from being looked at
            log.exception("the latest results of %s could not be compared", next(iter(looked))[1])
            same = {}
        differ = [it for it in looked if it not in same]
        for it in differ:
            self.forget(it)
        return [*same.values()], differ

    async def _same(self, looked: Together, resolver: Resolver, since: float) -> dict[Key, SameAgain]:
        asked = dict.fromkeys([answer for it in looked.values() for answer in it.answers])
        unknown, slowest = await self._answers.renew(asked, resolver)
        took, now = self._clock.monotonic() - since, self._clock.wall()
        return {
            key: SameAgain(key, it.outcome, now, took)
            for key, it in looked.items()
            if self._kept.get(key[1], {}).get(key[0]) is it
            and unknown.isdisjoint(it.answers)
            and slowest * len(it.answers) <= MOST_SECONDS
            and it.holds(now)
        }


def _fits(kept: _Kept, target: Target, now: float) -> bool:
    return now < kept.until and (kept.outcome.target is target or kept.outcome.target == target)
