"""What is kept of one blocklist: its answers, its health, and how many questions it has been asked.

The problem: an answer may arrive before, during or after a test of the list. We must know which test confirms which
answer, also after a restart.

The idea: events are ordered by a counter, not by time. Each test of the list increments `generation`, and each answer
carries the generation at its arrival. A good test confirms the answers with a lower generation than its own.

The rules:

- For a subject that is not listed, only the time of the "no" is kept: a fleet has very many of them.
- For a listed subject two answers are kept: the latest, and the one that counted when the last good test began.
- When the list turns out to list everything, the second answer replaces the first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from exporter.facts import Doubt, Reason, Severity
from exporter.mail.dnsbl.blocklist import ListError, ListFault

HOUR, DAY = 3600.0, 86400.0
TEST_HEALTHY = 6 * HOUR  # between tests, by what the last one said
TEST_UNHEALTHY = HOUR
TEST_INCONCLUSIVE = HOUR / 2
MOST_CONFIRMATIONS = 12  # tests an hour for what waits, besides those above
WINDOW = 20  # a list that left half of this many questions unanswered is unreliable,
SILENT = 4  # or this many in a row
SILENT_FOR = HOUR  # over this long
SET_ASIDE = 100  # questions of the day kept for tests; a tenth of the ceiling at most

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Listing:
    """The subject is listed. `since` is unix seconds, `text` is the list's own text."""

    codes: tuple[str, ...]
    meaning: str
    severity: Severity
    remedy: str
    since: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """One conclusive answer (`said`; None means "no"), and what counted then (`listing`). If they differ, it waits."""

    generation: int
    at: float  # monotonic seconds
    said: Listing | None = None
    listing: Listing | None = None

    @property
    def unconfirmed(self) -> bool:
        """Must a good test still confirm it?"""
        return self.said != self.listing


@dataclass(slots=True)
class ListState:
    """Times are monotonic seconds, except `since`: people see it, so it is unix seconds."""

    digest: str  # of the zone that was asked: another zone under the same name starts anew
    limit: int | None = None  # questions a day
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by the one test that runs
    generation: int = 0  # tests begun
    good: int = 0  # the generation of the last good test
    good_at: float = NEVER  # when that began
    fault: ListError | None = None
    since: float | None = None  # of its health, or of its fault
    epoch: int = 0  # changes of health
    tested: float = NEVER  # when the last test began
    doubt: Doubt | None = None  # why that proved nothing
    confirmations: deque[float] = field(default_factory=deque)
    day: float = NEVER
    used: int = 0
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))  # was it answered?
    silent: int = 0
    silent_since: float = 0.0
    clean: dict[str, float] = field(default_factory=dict)
    named: dict[str, tuple[ListAnswer, ListAnswer | None]] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        return self.good > 0 and self.fault is None

    def unreliable(self, now: float) -> bool:
        silent = self.silent >= SILENT and now - self.silent_since >= SILENT_FOR
        return silent or self.recent.count(False) * 2 >= WINDOW

    def due(self, now: float) -> bool:
        """Is it time for a test?"""
        interval = TEST_HEALTHY if self.healthy and not self.doubt else TEST_INCONCLUSIVE
        return now - self.tested >= (TEST_UNHEALTHY if self.fault else interval)

    def may_confirm(self, now: float) -> bool:
        while self.confirmations and now - self.confirmations[0] >= HOUR:
            self.confirmations.popleft()
        return len(self.confirmations) < MOST_CONFIRMATIONS

    def consume_quota(self, now: float, *, test: bool) -> bool:
        """Take one question from the quota of the day. False if none is left."""
        if now - self.day >= DAY:
            self.day, self.used = now, 0
        if self.limit is not None:
            aside = 0 if test else min(SET_ASIDE, self.limit // 10)
            if self.used + aside >= self.limit:
                return False
        self.used += 1
        return True

    def quota_remaining(self, now: float) -> float | None:
        """The part of the day's quota that is left, 0 to 1; None if there is no quota."""
        if self.limit is None:
            return None
        return 1.0 if now - self.day >= DAY else max(0.0, 1 - self.used / self.limit)

    def answered(self) -> None:
        self.recent.append(True)
        self.silent = 0

    def unanswered(self, now: float) -> None:
        self.recent.append(False)
        self.silent_since = self.silent_since if self.silent else now
        self.silent += 1

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
        """Go back to the answers that counted when the last good test began."""
        self.clean = {key: at for key, at in self.clean.items() if at < self.good_at}
        for key, (latest, fallback) in list(self.named.items()):
            if latest.generation < self.good:
                continue
            del self.named[key]
            if fallback and fallback.listing:
                self.named[key] = (fallback, fallback)
            elif fallback:
                self.clean[key] = fallback.at

    def latest(self, key: str) -> ListAnswer | None:
        """The latest answer about a subject. If a good test has confirmed it since, it counts now."""
        pair = self.named.get(key)
        if pair is None:
            at = self.clean.get(key)
            return None if at is None else ListAnswer(0, at)
        latest, _ = pair
        if latest.unconfirmed and latest.generation < self.good:
            latest = replace(latest, listing=latest.said)
            self.named[key] = (latest, latest)
        return latest

    def keep(self, key: str, new: ListAnswer) -> None:
        before, fallback = self.latest(key), None
        if key in self.named:
            fallback = before if before and before.generation < self.good else self.named[key][1]
        elif before and before.at < self.good_at:
            fallback = before
        self.forget(key)
        if new.said or new.listing or (fallback and fallback.listing):
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

    def forget(self, key: str) -> None:
        self.clean.pop(key, None)
        self.named.pop(key, None)

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
            "day_ago": now - self.day if self.day > NEVER else None,
            "used": self.used,
            "named": {key: [_plain(answer, now) for answer in pair] for key, pair in self.named.items()},
        }

    @classmethod
    def read(cls, saved: Any, now: float, elapsed: float) -> ListState:
        """Raise KeyError, TypeError or ValueError for what `plain` did not write."""

        def moment(ago: float | None) -> float:
            return NEVER if ago is None else now - elapsed - float(ago)

        return cls(
            digest=str(saved["digest"]),
            generation=int(saved["generation"]),
            good=int(saved["good"]),
            good_at=moment(saved["good_ago"]),
            fault=ListError(ListFault(saved["fault"][0]), str(saved["fault"][1])) if saved["fault"] else None,
            since=None if saved["since"] is None else float(saved["since"]),
            tested=moment(saved["tested_ago"]),
            doubt=Doubt(Reason(saved["doubt"][0]), str(saved["doubt"][1])) if saved["doubt"] else None,
            confirmations=deque(map(moment, saved["confirmed_ago"])),
            day=moment(saved["day_ago"]),
            used=int(saved["used"]),
            named={
                str(key): (
                    _answer(latest, moment(latest["ago"])),
                    _answer(fallback, moment(fallback["ago"])) if fallback else None,
                )
                for key, (latest, fallback) in saved["named"].items()
            },
        )


def _plain(answer: ListAnswer | None, now: float) -> dict[str, Any] | None:
    if answer is None:
        return None
    listings = {name: asdict(listing) for name, listing in _listings(answer) if listing}
    return {"generation": answer.generation, "ago": now - answer.at, **listings}


def _listings(answer: ListAnswer) -> tuple[tuple[str, Listing | None], ...]:
    return ("said", answer.said), ("listing", answer.listing)


def _answer(saved: Any, at: float) -> ListAnswer:
    said, listing = (_listing(saved[name]) if name in saved else None for name in ("said", "listing"))
    return ListAnswer(int(saved["generation"]), at, said, listing)


def _listing(saved: Any) -> Listing:
    return Listing(
        codes=tuple(map(str, saved["codes"])),
        meaning=str(saved["meaning"]),
        severity=Severity(saved["severity"]),
        remedy=str(saved["remedy"]),
        since=float(saved["since"]),
        text=str(saved["text"]),
    )
