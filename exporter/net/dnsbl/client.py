"""Asks blocklists, tests their health, and remembers both. There is one DnsblClient per daemon.

The problem: a dead blocklist often still answers. Some dead lists list every address, some list none. One wrong answer
would be a false verdict about every target at once.

The idea: each list has two test points (RFC 5782 section 5), one that it must list and one that it must not list. A
list is healthy after a test with both right answers, until a fault is seen. Only a healthy list's answers count.

The rules:

- A list is tested before its first answer counts, and then every 6 hours. An unhealthy list is tested every hour, and
  is asked nothing else until it is healthy. IPv6 has test points of its own.
- A test without a result, such as a timeout, changes no condition.
- We keep the last conclusive answer for each subject and list. A list that is unhealthy or silent does not change it.
  A listing ends only when its list is healthy and says "no".
- A change counts only after a second look that says the same, and a good test: answers.py. A change is a new listing, a
  listing with other codes, or the end of one.
- The second look waits for the TTL of the first answer, because a resolver would only repeat it. A verdict says when
  the second look is due, and the subject is then looked at again: nothing waits inside a run.
- The second look asks several times, because servers behind one name may differ. All answers must agree.
- Answers that arrive during a test wait together for the next one.
- When a list turns out to list everything, its answers since the start of its last good test are void.
- An answer from the cache never changes what is kept; the question is asked again.
- A verdict waits only for lists that were believed when they were last tested, and that answer: conduct.py.
- An answer that no list gives, such as 127.0.0.1, is doubt about this subject alone if a test then goes well.
- A list may have a limit of questions a day, tests included. A part of it is reserved for tests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from exporter.clock import Clock
from exporter.facts import Doubt, Reason
from exporter.mail.dnsbl.blocklist import Blocklist, Listed, ListError, ListFault, NotListed
from exporter.net.dnsbl import plain
from exporter.net.dnsbl.answers import ListAnswer, Listing, agree, changes, same
from exporter.net.dnsbl.conduct import Conduct
from exporter.net.dnsbl.list_state import ListState, Step
from exporter.net.dnsbl.questions import ListQuestions, Since, Subject, digest
from exporter.net.dnsbl.recent_verdicts import RecentVerdicts
from exporter.net.dnsbl.snapshot import readable
from exporter.net.dnsbl.verdict import ListCondition, ListVerdict
from exporter.net.interfaces import Asker
from exporter.text import printable

log = logging.getLogger(__name__)

RECENT = 3 * 3600.0  # seconds; a "no" counts for so long if later questions get no answer
WIDTH = 8  # lists asked at once for one subject
PATIENCE = 900.0  # seconds that a second look waits at most, whatever the TTL
SECOND_LOOK = 3  # questions of one


class DnsblClient:
    """Never raises for what happens in DNS. `revision` changes whenever a snapshot would be different."""

    def __init__(self, clock: Clock, *, patience: float = PATIENCE) -> None:
        """`patience`: seconds that a second look may wait. With 0 it follows at once: for a client that runs once."""
        self.recent = RecentVerdicts()
        self._questions = ListQuestions(clock)
        self._clock = clock
        self._patience = patience
        self._subjects: frozenset[str] | None = None

    @property
    def revision(self) -> int:
        return self._questions.revision

    async def listed(self, net: Asker, subject: Subject, lists: Sequence[Blocklist]) -> list[ListVerdict]:
        """What each list that can hold the subject says of it now, in their order."""
        key, panel = str(subject), self._questions.panel(lists, subject)
        settled, since = await plain.ask(net, subject, key, panel, self._questions)
        found: list[ListVerdict | None] = [None] * len(panel.lists)
        for place in settled:
            found[place] = self._clean(key, panel.lists[place], panel.states[place])
        left = [place for place, verdict in enumerate(found) if verdict is None]
        upcoming = iter(left)

        async def work() -> None:
            for place in upcoming:
                found[place] = await self._one(net, subject, key, panel.lists[place], since.get(place))

        if left:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(WIDTH, len(left))):
                    group.create_task(work())
        if self._subjects is not None and key not in self._subjects:
            for kept in self._questions.lists.values():
                kept.forget(key)
        return [verdict for verdict in found if verdict]

    async def condition(self, net: Asker, blocklist: Blocklist, *, ipv6: bool = False) -> ListCondition:
        """The health of the list, with `ipv6` for IPv6 addresses, too. A test that is due is made first."""
        kept = self._questions.state(blocklist)
        six = blocklist.ipv6 and (ipv6 or kept.ipv6 is not None)
        families = [*([kept] if blocklist.ipv4 else []), *([kept.family(6)] if six or not blocklist.ipv4 else [])]
        tested = [await self._test_if_due(net, blocklist, family) for family in families]
        if not any(tested):
            net.transcript.note(f"test points of {blocklist.name}", ("tested not long ago, not due again",))
        now, conduct = self._clock.monotonic(), kept.conduct
        self._questions.settle(blocklist, conduct)
        main, *rest = families
        return ListCondition(
            fault=main.fault,
            unreliable=conduct.unreliable(now),
            unanswered=conduct.unanswered_lately,
            doubt=main.doubt or next((it.doubt for it in rest if it.doubt), None),
            ipv6=next((it.fault for it in rest if it.fault and not main.fault), None),
            suspects=len(conduct.suspects) if conduct.suspect(now) else 0,
            contradicted=len({key for _, key in conduct.contradictions}) if conduct.begins_nothing(now) else 0,
        )

    def budgets(self) -> dict[str, float]:
        """For each list with a ceiling, the part of its questions of the day that is left, 0 to 1."""
        now = self._clock.monotonic()
        left = {name: kept.budget.remaining(now) for name, kept in self._questions.lists.items()}
        return {name: ratio for name, ratio in left.items() if ratio is not None}

    def test_again(self) -> None:
        """Tests that went badly are due now, because the resolver had failed meanwhile. Its answers count no more."""
        self.recent = RecentVerdicts()
        for kept in self._questions.lists.values():
            kept.test_again()

    def keep_only(self, lists: Iterable[Blocklist], subjects: frozenset[str]) -> Iterator[None]:
        """Forget lists and subjects that are not named, in slices: between two, other work may be done.

        From now on, other subjects are forgotten after their run.
        """
        wanted = {blocklist.name: digest(blocklist.zone) for blocklist in lists}
        self._questions.lists = {
            name: kept for name, kept in self._questions.lists.items() if wanted.get(name) == kept.digest
        }
        self._subjects = subjects
        self.recent = RecentVerdicts()  # a list may have another zone now
        for kept in list(self._questions.lists.values()):
            for key in kept.known() - subjects:
                kept.forget(key)
            yield
        self._questions.revision += 1

    def snapshot(self) -> dict[str, Any]:
        """Plain data for JSON: health, listings and quotas. It contains no zone."""
        now = self._clock.monotonic()
        return {
            "at": self._clock.wall(),
            "lists": {name: kept.plain(now) for name, kept in self._questions.lists.items()},
        }

    def restore(self, saved: Any) -> None:
        """Start with a snapshot. If lists cannot be read, warn and start without them."""
        now, (kept, whole) = self._clock.monotonic(), readable(saved)
        if not whole:
            log.warning("a part of the saved blocklist state is unreadable: those lists are queried again")
        elapsed = max(0.0, self._clock.wall() - kept["at"])
        self._questions.replace({name: ListState.read(it, now, elapsed) for name, it in kept["lists"].items()})

    async def _one(
        self, net: Asker, subject: Subject, key: str, blocklist: Blocklist, since: Since | None
    ) -> ListVerdict:
        base = self._questions.state(blocklist)
        kept = base.family(4 if isinstance(subject, str) else subject.version)
        if kept is base or blocklist.ipv4:
            await self._test_if_due(net, blocklist, base)
        if kept is not base:
            await self._test_if_due(net, blocklist, kept)
        if kept.healthy:
            doubt = await self._ask(net, subject, key, blocklist, kept, since)
        else:
            doubt = _unhealthy(blocklist, kept.fault) if kept.fault else kept.doubt
            net.transcript.note(f"{key} in {blocklist.name}", (f"not asked: {doubt.detail}",) if doubt else ())
        return self._verdict(key, blocklist, kept, doubt)

    def _clean(self, key: str, blocklist: Blocklist, kept: ListState) -> ListVerdict:
        """The verdict after a plain "no": the same for all subjects of a list about which nothing else is known."""
        conduct, now = kept.conduct, self._clock.monotonic()
        if (
            conduct.recent
            or conduct.undecided
            or now < conduct.begins_nothing_until
            or now < conduct.suspect_until
            or not kept.healthy
            or key not in kept.clean
        ):
            return self._verdict(key, blocklist, kept, None)
        if kept.no is None or kept.no.blocklist is not blocklist:
            kept.no = self._verdict(key, blocklist, kept, None)
        return kept.no

    def _verdict(self, key: str, blocklist: Blocklist, kept: ListState, doubt: Doubt | None) -> ListVerdict:
        now, conduct = self._clock.monotonic(), kept.conduct
        self._questions.settle(blocklist, conduct)
        last = kept.latest(key)
        listing = last.listing if last else None
        due = last.again if last and last.wants_second_look else kept.more.get(key)
        wait = due - now if due is not None and kept.healthy else None
        settled = last is not None and not last.unconfirmed and not last.disputed
        return ListVerdict(
            blocklist,
            listing,
            clean=last is not None and settled and not listing and now - last.at < RECENT,
            quorum=kept.healthy and not conduct.absent(now) and not conduct.begins_nothing(now),
            doubt=doubt,
            again=self._patience if wait is not None and wait <= 0 else wait,  # it got no answer: not again at once
            suspect=conduct.suspect(now) and key in conduct.suspects,
        )

    async def _ask(
        self, net: Asker, subject: Subject, key: str, blocklist: Blocklist, kept: ListState, since: Since | None
    ) -> Doubt | None:
        """Ask, and keep the answer. Return why there is none, or why it does not count yet."""
        name, doubt = blocklist.question(subject), None
        last = kept.latest(key)
        if last and last.wants_second_look and self._clock.monotonic() < last.again:
            net.transcript.note(f"{key} in {blocklist.name}", ("not asked: it is too early for a second look",))
            return self._waiting(blocklist, last)
        if not kept.conduct.turn(self._clock.monotonic()):
            doubt = _resting(blocklist, kept.conduct)
            net.transcript.note(f"{key} in {blocklist.name}", (f"not asked: {doubt.detail}",))
            return doubt
        step = await self._look(net, blocklist, kept, key, name, since)
        while step is Step.FIRST:
            doubt = await self._confirm(net, blocklist, kept, key)
            last = kept.latest(key)
            if doubt or last is None or not last.wants_second_look:
                return doubt
            if self._clock.monotonic() < last.again:
                return self._waiting(blocklist, last)
            step = await self._look(net, blocklist, kept, key, name)
        if isinstance(step, Doubt):
            return step
        if step is Step.DISPUTED:
            return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{blocklist.name} contradicts what it has just said of {key}")
        if step is Step.REFUSED:
            return _contradicting(blocklist)
        if step is Step.AGREED:
            doubt = await self._confirm(net, blocklist, kept, key)
        if not doubt:
            await self._reason(net, blocklist, kept, key, name)
        return doubt

    async def _look(
        self, net: Asker, blocklist: Blocklist, kept: ListState, key: str, name: str, since: Since | None = None
    ) -> Step | Doubt:
        """Ask about the subject once, or several times for a second look, and keep the answer."""
        epoch, last = kept.epoch, kept.latest(key)
        second = last is not None and last.wants_second_look
        said: list[Listed | NotListed] = []
        again = 0.0
        for _ in range(SECOND_LOOK if second else 1):
            reply = await self._questions.ask(net, blocklist, kept, name, "A", fresh=second, since=since)
            since = None
            if reply.transport == "cache" and changes(last, blocklist, reply):
                reply = await self._questions.ask(net, blocklist, kept, name, "A", fresh=True)
            if not reply.status.conclusive:
                why = blocklist.hide(reply.detail or reply.status)
                return Doubt(reply.status.reason, f"{key} in {blocklist.name}: {why}")
            answer = blocklist.read(reply)
            if isinstance(answer, ListError):
                if answer.fault is ListFault.WRONG and await self._test_passes(net, blocklist, kept):
                    return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{key} in {blocklist.name}: {answer.detail}")
                if kept.fault:
                    return _unhealthy(blocklist, kept.fault)
                kept.refused(answer, self._clock.monotonic(), self._clock.wall())
                self._questions.revision += 1
                return _unhealthy(blocklist, answer)
            if kept.epoch != epoch or not kept.healthy:
                return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{blocklist.name} failed its self-test during the query")
            said.append(answer)
            again = self._clock.monotonic() + min(float(reply.ttl), self._patience)
            if last and not agree(last, _listing(answer, 0.0)):
                break
        now = self._clock.monotonic()
        known = [it for it in (last.listing, last.said) if it] if last else []
        new = [_listing(it, self._clock.wall()) for it in said]
        listings = [next((it for it in known if same(it, listing)), listing) for listing in new]
        step = kept.take(key, listings, now, again)
        after = kept.latest(key)
        if step is not Step.SETTLED or (last and (last.disputed or (after and last.listing != after.listing))):
            self._questions.revision += 1
        return step

    async def _test_passes(self, net: Asker, blocklist: Blocklist, kept: ListState) -> bool:
        """Test the list after a wrong answer. If the test is good, the answer is wrong about this subject only."""
        async with kept.lock:
            now = self._clock.monotonic()
            if not kept.healthy or not kept.may_confirm(now):
                return False
            kept.confirmations.append(now)
            await self._test(net, blocklist, kept)
            return kept.healthy and not kept.doubt

    def _waiting(self, blocklist: Blocklist, last: ListAnswer) -> Doubt:
        wait = max(0.0, last.again - self._clock.monotonic())
        return Doubt(Reason.PENDING, f"what {blocklist.name} newly says needs a second query, in {wait:.0f} s")

    async def _confirm(self, net: Asker, blocklist: Blocklist, kept: ListState, key: str) -> Doubt | None:
        """Make sure that a good test began after the answer. Return why not, if there is none."""
        async with kept.lock:  # whoever waited here may find the answer confirmed by another's test
            last = kept.latest(key)
            tested = last and last.wants_second_look and last.generation < kept.good
            if last and last.unconfirmed and kept.healthy and not tested:
                now = self._clock.monotonic()
                if not kept.may_confirm(now):
                    return Doubt(Reason.RATE_LIMITED, f"what {blocklist.name} newly says waits for its next self-test")
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
        reply = await self._questions.ask(net, blocklist, kept, name, "TXT")
        text = " ".join(text.text.decode("utf-8", "backslashreplace") for text in reply.texts)
        if text and key in kept.named:
            kept.add_text(key, printable(blocklist.hide(text)))
            self._questions.revision += 1

    async def _test_if_due(self, net: Asker, blocklist: Blocklist, kept: ListState) -> bool:
        ours = kept.doubt is not None and kept.doubt.reason is Reason.LOCAL_RESOURCES  # it says nothing of the list
        unknown = not (kept.healthy or kept.fault or (kept.doubt and not ours))
        under_way = kept.lock.locked() and unknown  # then every run waits for its result
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
        self._questions.revision += 1
        verdict: ListError | Doubt | None = Doubt(Reason.DEADLINE, f"the test of {blocklist.name} was broken off")
        base = self._questions.state(blocklist)
        ipv6 = kept is base.ipv6
        points = blocklist.test_points_ipv6 if ipv6 else blocklist.test_points
        try:
            listed, unlisted = [
                await self._questions.ask(net, blocklist, kept, point, "A", fresh=True, test=True) for point in points
            ]
            if ipv6:
                name = blocklist.control(generation)
                control = await self._questions.ask(net, blocklist, kept, name, "A", fresh=True, test=True)
                verdict = blocklist.judge_ipv6(listed, unlisted, control, _ipv4(blocklist, base))
            else:
                verdict = blocklist.judge(listed, unlisted)
        finally:
            kept.doubt = verdict if isinstance(verdict, Doubt) else None
        if isinstance(verdict, ListError):
            kept.mark_unhealthy(verdict, self._clock.wall())
        elif verdict is None:
            kept.mark_healthy(generation, self._clock.wall())


def _unhealthy(blocklist: Blocklist, error: ListError) -> Doubt:
    return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{blocklist.name} failed its self-test: {error.detail}")


def _resting(blocklist: Blocklist, conduct: Conduct) -> Doubt:
    why = conduct.why or Doubt(Reason.DNS_TIMEOUT, "no answer")
    return Doubt(why.reason, f"{blocklist.name} left {conduct.silent} questions in a row unanswered: {why.detail}")


def _contradicting(blocklist: Blocklist) -> Doubt:
    return Doubt(Reason.BLOCKLIST_UNHEALTHY, f"{blocklist.name} contradicts itself: nothing new of it counts today")


def _listing(said: Listed | NotListed | None, wall: float) -> Listing | None:
    return Listing(said.codes, said.meaning, said.severity, said.remedy, wall) if isinstance(said, Listed) else None


def _ipv4(blocklist: Blocklist, base: ListState) -> ListError | Doubt | None:
    """What the IPv4 test points have proved, for a list that may have none for IPv6."""
    if not blocklist.ipv4:
        return ListError(ListFault.DEAD, "the test point of IPv6 that must be listed is not")
    unknown = Doubt(Reason.PENDING, f"{blocklist.name} is not tested yet")
    return None if base.healthy else base.fault or base.doubt or unknown
