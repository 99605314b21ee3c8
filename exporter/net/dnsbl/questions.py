"""Asks one question of one list, and counts what comes of it: against its quota, and for its conduct."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from exporter.clock import Clock
from exporter.facts import Doubt
from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.conduct import Conduct, Heard
from exporter.net.dnsbl.list_state import ListState
from exporter.net.interfaces import Asker

_NOT_THE_LISTS_FAULT = (Status.RATE_LIMITED, Status.NETWORK, Status.LOCAL_RESOURCES)


class Since(NamedTuple):
    """When something was asked first: its place among all questions to all lists, and the monotonic seconds."""

    place: int
    at: float


class ListQuestions:
    """The way to all lists, and their states. `revision` changes whenever a snapshot would be different."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.revision = 0
        self.lists: dict[str, ListState] = {}
        self.places = count(1)  # of all questions to all lists, and of their ends

    def state(self, blocklist: Blocklist) -> ListState:
        kept, zone = self.lists.get(blocklist.name), digest(blocklist.zone)
        if kept is None or kept.digest != zone:
            kept = self.lists[blocklist.name] = ListState(zone)
        kept.budget.limit = blocklist.queries_per_day
        return kept

    async def ask(
        self,
        net: Asker,
        blocklist: Blocklist,
        kept: ListState,
        name: str,
        rdtype: str,
        *,
        fresh: bool = False,
        test: bool = False,
        since: Since | None = None,
    ) -> Reply:
        """`since`: the same was asked then, and it is still open."""
        budget, conduct = kept.budget, kept.conduct
        if not budget.consume(self.clock.monotonic(), test=test):
            detail = f"the {budget.limit} questions a day for {blocklist.name} are spent"
            net.transcript.note(f"{blocklist.hide(name)} {rdtype}", (f"not asked: {detail}",))
            return Reply(Question(blocklist.name, rdtype), Status.RATE_LIMITED, detail=detail)
        place, asked = since or (next(self.places), self.clock.monotonic())
        reply = await net.query(name, rdtype, fresh=fresh, hide=blocklist.hide)
        if reply.transport == "cache":
            budget.refund()
            return reply
        self.note_use(kept)
        if reply.status.conclusive:
            conduct.answered(place, next(self.places), self.clock.monotonic())
        elif reply.status not in _NOT_THE_LISTS_FAULT:
            now = self.clock.monotonic()
            conduct.unanswered(place, next(self.places), asked, now, self._others(blocklist.name))
            conduct.why = Doubt(reply.status.reason, blocklist.hide(reply.detail or reply.status))
        return reply

    def note_use(self, kept: ListState) -> None:
        """A question was counted. A crash may forget a hundredth of the day's count."""
        budget = kept.budget
        if budget.limit and budget.used % max(1, budget.limit // 100) == 0:
            self.revision += 1

    def settle(self, blocklist: Blocklist, conduct: Conduct) -> None:
        """Decide whose fault it was that the list gave no answer, as far as that can be told."""
        if conduct.undecided:
            conduct.settle(self._others(blocklist.name))

    def _others(self, name: str) -> list[Heard]:
        """What the other lists have answered of late."""
        return [kept.conduct.heard for of, kept in self.lists.items() if of != name]


@lru_cache(1024)
def digest(zone: str) -> str:
    """Distinguishes zones without revealing them: a zone may contain a key."""
    return hashlib.sha256(zone.encode()).hexdigest()[:16]
