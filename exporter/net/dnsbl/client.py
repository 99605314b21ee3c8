"""Asks blocklists, tests their health, and remembers both. There is one DnsblClient per daemon.

The problem: a dead blocklist often still answers. Some dead lists list every address, some list none. One wrong answer
would be a false verdict about every target at once.

The idea: each list has two test points (RFC 5782 section 5), one that it must list and one that it must not list. A
list is healthy after a test with both right answers, until a fault is seen. Only a healthy list's answers count.

The rules:

- A list is tested before its first answer counts, and then every 6 hours. An unhealthy list is tested every hour, and
  is asked nothing else until it is healthy.
- A test without a result, such as a timeout, changes no condition.
- We keep the last conclusive answer for each subject and list. A list that is unhealthy or silent does not change it.
  A listing ends only when its list is healthy and says "no".
- A change counts only after a good test that began after the answer arrived, because the list may have died since its
  last test. A change is a new listing, a listing with other codes, or the end of one.
- Answers that arrive during a test wait together for the next one.
- When a list turns out to list everything, its answers since the start of its last good test are void.
- An answer from the cache never changes what is kept; the question is asked again.
- A list may have a limit of questions a day, tests included. A part of it is reserved for tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

from exporter.clock import Clock
from exporter.facts import Doubt, Reason, worst
from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist, Listed, ListError, NotListed
from exporter.net.dnsbl.list_state import NEVER, ListAnswer, Listing, ListState
from exporter.net.dnsbl.recent_verdicts import RecentVerdicts
from exporter.net.interfaces import Asker
from exporter.text import printable

log = logging.getLogger(__name__)

Subject: TypeAlias = IPv4Address | IPv6Address | str

RECENT = 3 * 3600.0  # seconds; as long as this, a kept "no" stands in for a question that got no answer
WIDTH = 8  # lists asked at once for one subject
OTHERS_ANSWERED = 600.0  # seconds; if no other list answered meanwhile, our own resolver may be at fault

_NOT_THE_LISTS_FAULT = (Status.RATE_LIMITED, Status.NETWORK)


@dataclass(frozen=True, slots=True)
class ListVerdict:
    """What one list says of one subject now. `clean`: its latest answer is a recent "no". `quorum`: it is needed."""

    blocklist: Blocklist
    listing: Listing | None
    clean: bool
    quorum: bool
    doubt: Doubt | None


@dataclass(frozen=True, slots=True)
class ListCondition:
    """The health of one list. `unanswered` counts its recent questions without an answer."""

    fault: ListError | None
    unreliable: bool
    unanswered: int
    doubt: Doubt | None


def resting_on(verdicts: Sequence[ListVerdict]) -> int:
    """How many lists the verdict is based on."""
    return sum(1 for it in verdicts if it.listing or (it.quorum and it.clean))


def missing(verdicts: Sequence[ListVerdict]) -> Iterator[Doubt]:
    """Why we cannot say that the subject is on no list: a list that the verdict needs has not answered lately."""
    if not any(it.quorum for it in verdicts):
        names = ", ".join(it.blocklist.name for it in verdicts)
        yield Doubt(
            Reason.BLOCKLIST_UNHEALTHY, f"none of the lists can be believed: {names}" if names else "no list holds it"
        )
        return
    silent = [it for it in verdicts if it.quorum and not it.listing and not it.clean]
    first = worst(it.doubt or Doubt(Reason.PENDING, f"{it.blocklist.name} was not asked yet") for it in silent)
    if first:
        yield Doubt(first.reason, f"{len(silent)} of {len(verdicts)} lists gave no usable answer: {first.detail}")


class DnsblClient:
    """Never raises for what happens in DNS. `revision` changes whenever a snapshot would be different."""

    def __init__(self, clock: Clock) -> None:
        self.revision = 0
        self.recent = RecentVerdicts()
        self._clock = clock
        self._lists: dict[str, ListState] = {}
        self._subjects: frozenset[str] | None = None
        self._answered = ("", NEVER), ("", NEVER)  # the two lists that answered last, and when

    async def listed(self, net: Asker, subject: Subject, lists: Sequence[Blocklist]) -> list[ListVerdict]:
        """What each list that can hold the subject says of it now, in their order."""
        asked = [blocklist for blocklist in lists if blocklist.holds(subject)]
        key = str(subject)
        found: dict[int, ListVerdict] = {}
        left = iter(enumerate(asked))

        async def work() -> None:
            for place, blocklist in left:
                found[place] = await self._one(net, subject, key, blocklist)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(WIDTH, len(asked))):
                group.create_task(work())
        if self._subjects is not None and key not in self._subjects:
            for kept in self._lists.values():
                kept.forget(key)
        return [found[place] for place in range(len(asked))]

    async def condition(self, net: Asker, blocklist: Blocklist) -> ListCondition:
        """The health of the list. A test that is due is made first."""
        kept = self._state_of(blocklist)
        if not await self._test_if_due(net, blocklist, kept):
            net.transcript.note(f"test points of {blocklist.name}", ("tested not long ago, not due again",))
        unreliable = kept.unreliable(self._clock.monotonic())
        return ListCondition(kept.fault, unreliable, kept.recent.count(False), kept.doubt)

    def budgets(self) -> dict[str, float]:
        """For each list with a ceiling, the part of its questions of the day that is left, 0 to 1."""
        now = self._clock.monotonic()
        left = {name: kept.quota_remaining(now) for name, kept in self._lists.items()}
        return {name: ratio for name, ratio in left.items() if ratio is not None}

    def keep_only(self, lists: Iterable[Blocklist], subjects: Iterable[Subject]) -> None:
        """Forget lists and subjects that are not named. From now on, other subjects are forgotten after their run."""
        wanted = {blocklist.name: _digest(blocklist.zone) for blocklist in lists}
        self._lists = {name: kept for name, kept in self._lists.items() if wanted.get(name) == kept.digest}
        self._subjects = frozenset(map(str, subjects))
        for kept in self._lists.values():
            for key in (kept.clean.keys() | kept.named.keys()) - self._subjects:
                kept.forget(key)
        self.revision += 1

    def snapshot(self) -> dict[str, Any]:
        """Plain data for JSON: health, listings and quotas. It contains no zone."""
        now = self._clock.monotonic()
        return {"at": self._clock.wall(), "lists": {name: kept.plain(now) for name, kept in self._lists.items()}}

    def restore(self, saved: Any) -> None:
        """Start with a snapshot. If it cannot be read, warn and start without it."""
        now = self._clock.monotonic()
        try:
            elapsed = max(0.0, self._clock.wall() - float(saved["at"]))
            self._lists = {str(name): ListState.read(kept, now, elapsed) for name, kept in saved["lists"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            log.warning("saved blocklist state cannot be read (%s): the lists are asked anew", type(error).__name__)

    async def _one(self, net: Asker, subject: Subject, key: str, blocklist: Blocklist) -> ListVerdict:
        kept = self._state_of(blocklist)
        await self._test_if_due(net, blocklist, kept)
        if kept.healthy:
            doubt = await self._ask(net, subject, key, blocklist, kept)
        else:
            doubt = _unhealthy(blocklist, kept.fault) if kept.fault else kept.doubt
            net.transcript.note(f"{key} in {blocklist.name}", (f"not asked: {doubt.detail}",) if doubt else ())
        now = self._clock.monotonic()
        last = kept.latest(key)
        listing = last.listing if last else None
        clean = last is not None and not listing and not last.unconfirmed and now - last.at < RECENT
        return ListVerdict(blocklist, listing, clean, kept.fault is None and not kept.unreliable(now), doubt)

    async def _ask(self, net: Asker, subject: Subject, key: str, blocklist: Blocklist, kept: ListState) -> Doubt | None:
        """Ask, and keep the answer. Return why there is none, or why it does not count yet."""
        name, epoch = blocklist.question(subject), kept.epoch
        reply = await self._query(net, blocklist, kept, name, "A")
        if reply.transport == "cache" and _changes(kept.latest(key), blocklist, reply):
            reply = await self._query(net, blocklist, kept, name, "A", fresh=True)
        if not reply.status.conclusive:
            why = blocklist.hide(reply.detail or reply.status)
            return Doubt(reply.status.reason, f"{key} in {blocklist.name}: {why}")
        said = blocklist.read(reply)
        if isinstance(said, ListError):
            kept.refused(said, self._clock.monotonic(), self._clock.wall())
            self.revision += 1
            return _unhealthy(blocklist, said)
        if kept.epoch != epoch or not kept.healthy:
            return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{blocklist.name} could not be believed while it was asked")
        if self._keep(kept, key, said):
            doubt = await self._confirm(net, blocklist, kept, key)
            if doubt:
                return doubt
        await self._reason(net, blocklist, kept, key, name)
        return None

    async def _confirm(self, net: Asker, blocklist: Blocklist, kept: ListState, key: str) -> Doubt | None:
        """Make sure that a good test began after the answer. Return why not, if there is none."""
        async with kept.lock:  # whoever waited here may find the answer confirmed by another's test
            last = kept.latest(key)
            if last and last.unconfirmed and kept.healthy:
                now = self._clock.monotonic()
                if not kept.may_confirm(now):
                    return Doubt(Reason.RATE_LIMITED, f"what {blocklist.name} says anew waits for its next test")
                kept.confirmations.append(now)
                await self._test(net, blocklist, kept)
        if kept.fault:
            return _unhealthy(blocklist, kept.fault)
        last = kept.latest(key)
        return kept.doubt if last and last.unconfirmed else None

    async def _reason(self, net: Asker, blocklist: Blocklist, kept: ListState, key: str, name: str) -> None:
        """Ask for the list's own text about a listing, until it gives one. It is only evidence, so no doubt."""
        last = kept.latest(key)
        if not last or not last.listing or last.listing.text:
            return
        reply = await self._query(net, blocklist, kept, name, "TXT")
        text = " ".join(text.text.decode("utf-8", "backslashreplace") for text in reply.texts)
        if text and key in kept.named:
            kept.add_text(key, printable(blocklist.hide(text)))
            self.revision += 1

    async def _test_if_due(self, net: Asker, blocklist: Blocklist, kept: ListState) -> bool:
        under_way = kept.lock.locked() and not kept.healthy  # then every run waits for its result
        if not under_way and not kept.due(self._clock.monotonic()):
            return False
        async with kept.lock:
            if not kept.due(self._clock.monotonic()):
                return False
            await self._test(net, blocklist, kept)
            return True

    async def _test(self, net: Asker, blocklist: Blocklist, kept: ListState) -> None:
        """Ask for both test points, and set the health. The caller holds the lock."""
        generation = kept.begin_test(self._clock.monotonic())
        self.revision += 1
        listed, unlisted = blocklist.test_points
        verdict: ListError | Doubt | None = Doubt(Reason.DEADLINE, f"the test of {blocklist.name} was broken off")
        try:
            verdict = blocklist.judge(
                await self._query(net, blocklist, kept, listed, "A", fresh=True, test=True),
                await self._query(net, blocklist, kept, unlisted, "A", fresh=True, test=True),
            )
        finally:
            kept.doubt = verdict if isinstance(verdict, Doubt) else None
        if isinstance(verdict, ListError):
            kept.mark_unhealthy(verdict, self._clock.wall())
        elif verdict is None:
            kept.mark_healthy(generation, self._clock.wall())

    async def _query(
        self,
        net: Asker,
        blocklist: Blocklist,
        kept: ListState,
        name: str,
        rdtype: str,
        *,
        fresh: bool = False,
        test: bool = False,
    ) -> Reply:
        if not kept.consume_quota(self._clock.monotonic(), test=test):
            detail = f"the {kept.limit} questions a day for {blocklist.name} are spent"
            net.transcript.note(f"{blocklist.hide(name)} {rdtype}", (f"not asked: {detail}",))
            return Reply(Question(blocklist.name, rdtype), Status.RATE_LIMITED, detail=detail)
        reply = await net.query(name, rdtype, fresh=fresh, hide=blocklist.hide)
        if reply.transport == "cache":
            kept.used -= 1
            return reply
        if kept.limit and kept.used % max(1, kept.limit // 100) == 0:
            self.revision += 1  # a crash may forget this much of the day's count
        now = self._clock.monotonic()
        if reply.status.conclusive:
            kept.answered()
            first, second = self._answered
            self._answered = (blocklist.name, now), second if first[0] == blocklist.name else first
        elif reply.status not in _NOT_THE_LISTS_FAULT and self._others_answer(blocklist.name, now):
            kept.unanswered(now)
        return reply

    def _others_answer(self, name: str, now: float) -> bool:
        return any(other != name and now - at < OTHERS_ANSWERED for other, at in self._answered)

    def _keep(self, kept: ListState, key: str, said: Listed | NotListed) -> bool:
        """Keep the answer. True if it must be confirmed."""
        before = kept.latest(key)
        known = [listing for listing in (before.listing, before.said) if listing] if before else []
        new: Listing | None = None
        if isinstance(said, Listed):
            now = Listing(said.codes, said.meaning, said.severity, said.remedy, self._clock.wall())
            new = next((listing for listing in known if listing.codes == said.codes), now)
        answer = ListAnswer(kept.generation, self._clock.monotonic(), new, before.listing if before else None)
        if answer.unconfirmed or (before and before.unconfirmed):
            self.revision += 1
        kept.keep(key, answer)
        return answer.unconfirmed

    def _state_of(self, blocklist: Blocklist) -> ListState:
        kept, digest = self._lists.get(blocklist.name), _digest(blocklist.zone)
        if kept is None or kept.digest != digest:
            kept = self._lists[blocklist.name] = ListState(digest)
        kept.limit = blocklist.queries_per_day
        return kept


@lru_cache(1024)
def _digest(zone: str) -> str:
    """Tells one zone from another without telling the zone."""
    return hashlib.sha256(zone.encode()).hexdigest()[:16]


def _unhealthy(blocklist: Blocklist, error: ListError) -> Doubt:
    return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{blocklist.name} cannot be believed: {error.detail}")


def _changes(before: ListAnswer | None, blocklist: Blocklist, reply: Reply) -> bool:
    """Would the answer change what is kept? A fault, and the first answer, count as a change."""
    if not reply.status.conclusive:
        return False
    said = blocklist.read(reply)
    if before is None or isinstance(said, ListError):
        return True
    if isinstance(said, Listed):
        return before.unconfirmed or before.listing is None or before.listing.codes != said.codes
    return before.unconfirmed or before.listing is not None
