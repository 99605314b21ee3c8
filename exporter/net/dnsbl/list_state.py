"""The state of one blocklist: its answers, its health, and how many questions it has been asked.

The problem: an answer may arrive before, during or after a test of the list. We must know which test confirms which
answer, also after a restart.

The idea: events are ordered by a counter, not by time. Each test of the list increments `generation`, and each answer
carries the generation at its arrival. A good test confirms the answers with a lower generation than its own.

The rules:

- For a subject that is not listed, only the time of the "no" is kept: a fleet has very many of them.
- For a listed subject two answers are kept: the latest, and the one that counted when the last good test began.
- When the list turns out to list everything, the second answer replaces the first. Unconfirmed changes are dropped.
- IPv6 has test points of its own (RFC 5782 section 5), so it has a state of its own: `ipv6`.

answers.py decides when a change counts. conduct.py watches how the list behaves over all subjects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from exporter.facts import Doubt, Reason
from exporter.mail.dnsbl.blocklist import ListError, ListFault
from exporter.net.dnsbl import answers
from exporter.net.dnsbl.answers import (
    DAY,
    HOUR,
    LOOKS_KEPT,
    NEVER,
    SUSPICION,
    ListAnswer,
    Listing,
    Look,
    agree,
    comes_and_goes,
    often_named,
    same,
)
from exporter.net.dnsbl.budget import QuestionBudget
from exporter.net.dnsbl.conduct import Conduct
from exporter.net.dnsbl.verdict import ListVerdict

TEST_HEALTHY = 6 * HOUR  # seconds between tests, by the result of the last one
TEST_UNHEALTHY = HOUR
TEST_INCONCLUSIVE = HOUR / 2
TEST_NOT_SENT = 60.0  # this machine could not ask: local_resources
MOST_CONFIRMATIONS = 12  # tests an hour to confirm changes, besides those above
LOOK_PAUSE = 60.0  # seconds between looks that shall tell how often a subject is named
TESTED_BEFORE = 60.0  # seconds before a second look, so that a good test need not be repeated after it


class Step(Enum):
    """What one answer means for a change that is under way."""

    SETTLED = "nothing changes"
    FIRST = "a change, which waits for another look"
    AGREED = "all looks that are needed have said the same"
    DISPUTED = "a second look has said something else"
    REFUSED = "a second look has said the same, but the list begins no listing now"


@dataclass(slots=True)
class ListState:
    """Times are monotonic seconds, except `since`: people see it, so it is unix seconds."""

    digest: str  # of the zone that was asked: another zone under the same name starts anew
    budget: QuestionBudget = field(default_factory=QuestionBudget)  # shared with `ipv6`, like the conduct
    conduct: Conduct = field(default_factory=Conduct)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the one test that runs
    generation: int = 0  # tests begun
    good: int = 0  # the generation of the last good test
    good_at: float = NEVER  # when that began
    fault: ListError | None = None
    since: float | None = None  # of its health, or of its fault
    epoch: int = 0  # changes of health
    tested: float = NEVER  # when the last test began
    doubt: Doubt | None = None  # why that test had no result
    confirmations: deque[float] = field(default_factory=deque)
    clean: dict[str, float] = field(default_factory=dict)
    named: dict[str, tuple[ListAnswer, ListAnswer | None]] = field(default_factory=dict)
    looks: dict[str, list[Look]] = field(default_factory=dict)  # at the subjects that it has named lately
    repeats: dict[str, float] = field(default_factory=dict)  # until when a resolver repeats the latest of them
    more: dict[str, float] = field(default_factory=dict)  # subjects that need more looks, and when the next one is due
    ipv6: ListState | None = None
    no: ListVerdict | None = field(default=None, compare=False)  # the one that all clean subjects share

    @property
    def healthy(self) -> bool:
        return self.good > 0 and self.fault is None

    def due(self, now: float) -> bool:
        """Is it time for a test?"""
        interval = TEST_HEALTHY if self.healthy and not self.doubt else TEST_INCONCLUSIVE
        if self.doubt and self.doubt.reason is Reason.LOCAL_RESOURCES:
            return now - self.tested >= TEST_NOT_SENT
        return now - self.tested >= (TEST_UNHEALTHY if self.fault else interval)

    def knows_more(self, key: str) -> bool:
        """Is there more about the subject than perhaps an earlier "no"?"""
        return key in self.named or key in self.looks or key in self.more

    def expects_no(self, key: str, now: float) -> bool:
        """Can it be asked about the subject at once, and would a "no" change nothing?"""
        return (
            self.good > 0
            and self.fault is None
            and (now - self.tested < TEST_HEALTHY if self.doubt is None else not self.due(now))
            and not self.conduct.rests
            and not (key in self.named or key in self.looks or key in self.more)
        )

    def test_again(self) -> None:
        """If the latest test went badly, another one is due now."""
        for kept in (self, self.ipv6):
            if kept and (kept.fault or kept.doubt):
                kept.tested = NEVER

    def may_confirm(self, now: float) -> bool:
        while self.confirmations and now - self.confirmations[0] >= HOUR:
            self.confirmations.popleft()
        return len(self.confirmations) < MOST_CONFIRMATIONS

    def begin_test(self, now: float) -> int:
        self.tested = now
        self.generation += 1
        return self.generation

    def mark_healthy(self, generation: int, wall: float) -> None:
        """The test of that generation went well."""
        if not self.healthy:
            self.fault, self.since = None, wall
            self.epoch += 1
        self.good, self.good_at = generation, self.tested

    def mark_unhealthy(self, error: ListError, wall: float) -> None:
        if self.fault is None or self.fault.fault is not error.fault:
            self.since = wall
            self.epoch += 1
        self.fault = error
        if error.fault is ListFault.WORLD:
            self._void()

    def refused(self, error: ListError, now: float, wall: float) -> None:
        """A plain answer showed the fault. It counts as a test, so the next test is due as after a test."""
        self.mark_unhealthy(error, wall)
        self.tested, self.doubt = now, None

    def _void(self) -> None:
        """Go back to the answers that counted when the last good test began. Unconfirmed changes are dropped."""
        self.clean = {key: at for key, at in self.clean.items() if at < self.good_at}
        for key, (_, fallback) in list(self.named.items()):
            latest = self.latest(key)
            counts = latest if latest and latest.generation < self.good else fallback
            if counts and counts.unconfirmed and not counts.listing:
                counts = fallback
            del self.named[key]
            if counts and counts.listing:
                counts = replace(counts, said=counts.listing, again=NEVER, second=None, disputed=False)
                self.named[key] = (counts, counts)
            elif counts and not counts.unconfirmed and not counts.disputed:
                self.clean[key] = counts.at
        self.looks = {
            key: before for key, looks in self.looks.items() if (before := [it for it in looks if it[0] < self.good_at])
        }

    def latest(self, key: str) -> ListAnswer | None:
        """The latest answer about a subject. A change counts once a second look and a good test have confirmed it."""
        pair = self.named.get(key)
        if pair is None:
            at = self.clean.get(key)
            return None if at is None else ListAnswer(0, at)
        latest, _ = pair
        if latest.unconfirmed and latest.second is not None and self._tested(latest, latest.second):
            latest = replace(latest, listing=latest.said)
            self.named[key] = (latest, latest)
        return latest

    def _tested(self, answer: ListAnswer, second: int) -> bool:
        """Has a good test begun after the first look, and shortly before the second or later?"""
        just_before = answer.generation < self.good and answer.second_at - self.good_at <= TESTED_BEFORE
        return second < self.good or just_before

    def take(self, key: str, said: Sequence[Listing | None], now: float, again: float) -> Step:
        """Keep the new answers of one look, of which the last counts.

        The next look may be made at `again` (monotonic seconds). If that is later than now, a resolver has repeated the
        first answer, and all but the first say nothing.
        """
        repeats = again > now
        last = self.latest(key)
        counts = last.listing if last else None
        self._note(key, said[:1] if repeats else said, now, again, listed=counts is not None)
        step = self._step(key, last, said[-1], now, again)
        after = self.latest(key)
        if after is None or after.unconfirmed or after.listing or answers.weight(self.looks.get(key, ())) < SUSPICION:
            self.more.pop(key, None)
        else:
            self.more[key] = max(again, now + LOOK_PAUSE)
        return step

    def _step(self, key: str, last: ListAnswer | None, said: Listing | None, now: float, again: float) -> Step:
        counts = last.listing if last else None
        if not counts and (often := often_named(self.looks.get(key, ()))):
            return self._agreed(key, ListAnswer(self.generation, now, often), now, again)
        if last and last.unconfirmed:
            if agree(last, said):
                said = replace(said, since=last.said.since) if said and last.said else said
                return self._agreed(key, replace(last, said=said), now, again)
            if not same(said, counts):  # it agrees with neither, so it is a first look again
                self.keep(key, ListAnswer(self.generation, now, said, counts, again))
                return Step.FIRST
            self.conduct.contradict(key, now)
            self.keep(key, ListAnswer(self.generation, now, counts, counts, disputed=True))
            return Step.DISPUTED
        if same(said, counts):
            self.keep(key, ListAnswer(self.generation, now, counts, counts))
            return Step.SETTLED
        if said and not counts and key in self.clean:
            self.conduct.name_anew(key, now, len(self.clean) - 1)
        self.keep(key, ListAnswer(self.generation, now, said, counts, again))
        return Step.FIRST

    def _agreed(self, key: str, answer: ListAnswer, now: float, again: float) -> Step:
        if not answer.said and comes_and_goes(self.looks.get(key, ())):
            self.keep(key, ListAnswer(self.generation, now, answer.listing, answer.listing, disputed=True))
            return Step.DISPUTED
        if answer.said and not answer.listing and self.conduct.begins_nothing(now):
            self.keep(key, ListAnswer(self.generation, now, disputed=True))
            return Step.REFUSED
        if answer.second is None:
            agreed = answer.agreed + 1
            if agreed < self.conduct.looks_wanted(now) and not often_named(self.looks.get(key, ())):
                self.keep(key, replace(answer, agreed=agreed, again=again))
                return Step.FIRST
            answer = replace(answer, agreed=agreed, second=self.generation, second_at=now)
        self.keep(key, answer)
        return Step.AGREED

    def _note(self, key: str, said: Sequence[Listing | None], now: float, again: float, *, listed: bool) -> None:
        """Remember the answers, unless they repeat one that was given before."""
        looks = [it for it in self.looks.pop(key, ()) if now - it[0] < DAY]
        if now >= self.repeats.get(key, NEVER):
            looks += [(now, listing) for listing in said]
            self.repeats[key] = again
        if listed or any(listing for _, listing in looks):
            self.looks[key] = looks[-LOOKS_KEPT:]
        else:
            self.repeats.pop(key, None)

    def keep(self, key: str, new: ListAnswer) -> None:
        before, fallback = self.latest(key), None
        if key in self.named:
            fallback = before if before and before.generation < self.good else self.named[key][1]
        elif before and before.at < self.good_at:
            fallback = before
        self._drop(key)
        if new.said or new.listing or new.disputed or (fallback and fallback.listing):
            self.named[key] = (new, fallback)
        else:
            self.clean[key] = new.at

    def add_text(self, key: str, text: str) -> None:
        """Add the list's own text to the listing that counts."""
        latest, fallback = self.named[key]
        if latest.listing and not latest.unconfirmed:
            listing = replace(latest.listing, text=text)
            with_text = replace(latest, said=listing, listing=listing)
            self.named[key] = (with_text, with_text if fallback is latest else fallback)

    def _drop(self, key: str) -> None:
        self.clean.pop(key, None)
        self.named.pop(key, None)

    def forget(self, key: str) -> None:
        self._drop(key)
        for kept in (self.looks, self.repeats, self.more):
            kept.pop(key, None)
        self.conduct.forget([key])
        if self.ipv6:
            self.ipv6.forget(key)

    def known(self) -> set[str]:
        """The subjects that have an answer or a look here."""
        own = self.clean.keys() | self.named.keys() | self.looks.keys()
        return own | (self.ipv6.known() if self.ipv6 else set())

    def family(self, version: int) -> ListState:
        """The state for addresses of this version of IP; 4 for domains, too."""
        if version == 4:
            return self
        if self.ipv6 is None:
            self.ipv6 = ListState(self.digest, budget=self.budget, conduct=self.conduct)
            for key in [key for key in self.named if ":" in key]:  # an older state has them among the others
                latest, _ = self.named.pop(key)
                if latest.listing:
                    counts = ListAnswer(0, latest.at, latest.listing, latest.listing)
                    self.ipv6.named[key] = (counts, counts)
        return self.ipv6

    def plain(self, now: float) -> dict[str, Any]:
        """For JSON, with times as seconds ago. A "no" is left out, because the next run asks again."""
        return {
            "digest": self.digest,
            "generation": self.generation,
            "good": self.good,
            "good_ago": now - self.good_at if self.good else None,
            "fault": [self.fault.fault, self.fault.detail] if self.fault else None,
            "since": self.since,
            "tested_ago": now - self.tested if self.tested > NEVER else None,
            "doubt": [self.doubt.reason, self.doubt.detail] if self.doubt else None,
            "confirmed_ago": [now - at for at in self.confirmations],
            "named": {key: answers.plain_pair(*pair, now) for key, pair in self.named.items()},
            "looks": {key: answers.plain_looks(looks, now) for key, looks in self.looks.items()},
            "day_ago": now - self.budget.day if self.budget.day > NEVER else None,
            "used": self.budget.used,
            "conduct": self.conduct.plain(now),
            "ipv6": self.ipv6.plain(now) if self.ipv6 else None,
        }

    @classmethod
    def read(cls, saved: Any, now: float, elapsed: float) -> ListState:
        """Raise KeyError, TypeError, AttributeError or ValueError for what no version of `plain` wrote."""
        then = now - elapsed
        day = saved["day_ago"]
        budget = QuestionBudget(day=NEVER if day is None else then - float(day), used=int(saved["used"]))
        conduct = Conduct.read(saved.get("conduct") or {}, then)
        made = cls._read(saved, then, budget, conduct)
        if saved.get("ipv6"):
            made.ipv6 = cls._read(saved["ipv6"], then, budget, conduct)
        return made

    @classmethod
    def _read(cls, saved: Any, then: float, budget: QuestionBudget, conduct: Conduct) -> ListState:
        def moment(ago: float | None) -> float:
            return NEVER if ago is None else then - float(ago)

        return cls(
            digest=str(saved["digest"]),
            budget=budget,
            conduct=conduct,
            generation=int(saved["generation"]),
            good=int(saved["good"]),
            good_at=moment(saved["good_ago"]),
            fault=ListError(ListFault(saved["fault"][0]), str(saved["fault"][1])) if saved["fault"] else None,
            since=None if saved["since"] is None else float(saved["since"]),
            tested=moment(saved["tested_ago"]),
            doubt=Doubt(Reason(saved["doubt"][0]), str(saved["doubt"][1])) if saved["doubt"] else None,
            confirmations=deque(map(moment, saved["confirmed_ago"])),
            named={
                str(key): (answers.read(latest, then), answers.read(fallback, then) if fallback else None)
                for key, (latest, fallback) in saved["named"].items()
            },
            looks={str(key): answers.read_looks(looks, then) for key, looks in saved.get("looks", {}).items()},
        )
