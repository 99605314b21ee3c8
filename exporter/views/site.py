"""Makes each page as HTML. Work over all verdicts goes in slices, so that the event loop can do other work too."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from exporter import receivers
from exporter.check_state import CheckState, FindingPolicy
from exporter.clock import Clock
from exporter.engine.catalogue import Catalogue
from exporter.engine.problems import ProblemKey, failing, worst
from exporter.engine.store import Store
from exporter.explain import diagnosis
from exporter.explain.refusals import Refusals
from exporter.explain.smtp_status import LONGEST
from exporter.facts import Labels, Severity, Verdict
from exporter.receivers import DemandState, Profile
from exporter.targets import Delivery
from exporter.views import cards
from exporter.views.cards import Card, Reception
from exporter.views.pages import Pages
from exporter.views.totals import status

SHOWN = 200  # rows of one table; a fleet's page must stay a page
MOST_CAUSES = 20  # shown of one demand
FEW = 50  # domains judged for one receiver before the loop may do other work
KINDS = (Severity.CRITICAL, Severity.WARNING, Verdict.UNKNOWN, Verdict.PASS)  # of verdicts, the worst first
BREATH = 100  # states looked at before the loop may do other work
_Kind: TypeAlias = Severity | Verdict


class PageNotFoundError(Exception):
    """There is no such page."""


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """One receiver: how many domains send to it, and how many of them do not meet one of its demands."""

    profile: Profile
    domains: int
    unmet: int


class Site:
    """The pages of one daemon. `policy` and `notices` return the current ones. `root` is what links begin with."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        clock: Clock,
        policy: Callable[[], FindingPolicy],
        notices: Callable[[], list[str]],
        root: str = "",
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._policy = policy
        self._notices = notices
        self._root = root
        self._pages = Pages(root)
        self._refusals = Refusals(catalogue)

    async def overview(self, query: str) -> str:
        """All states whose check, name or label contains the query."""
        wanted = query.strip().lower()[:100]
        targets: set[str] = set()
        kinds: dict[_Kind, list[CheckState]] = {kind: [] for kind in KINDS}
        found, statuses = dict[ProblemKey, Severity](), Counter[str]()
        policy, now = self._policy(), self._clock.wall()
        async for state in self._each(lambda _: True):
            targets.add(state.target.key)
            if _matches(state, wanted):
                kinds[self._kind(state)].append(state)
                statuses[status(state, policy, now)] += 1
                for problem, it in failing(state, policy, now):
                    found[problem] = worst((it.severity, found.get(problem, it.severity)))
        critical, warning = (_first(kinds[kind]) for kind in (Severity.CRITICAL, Severity.WARNING))
        wrong = await self._carded([*critical, *warning][:SHOWN])
        rows = [(card, it) for card in wrong for it in card.findings if not it.accepted and it.severity.fails]
        return await self._page(
            "overview.html",
            query=wanted,
            problems=Counter(found.values()),
            statuses=statuses,
            notices=self._notices(),
            targets=len(targets),
            wrong=rows[:SHOWN],
            unknown=await self._carded(kinds[Verdict.UNKNOWN][:SHOWN]),
            passing=await self._carded(kinds[Verdict.PASS][:SHOWN]),
            left_out={
                "wrong": len(kinds[Severity.CRITICAL] + kinds[Severity.WARNING]) - len(wrong) + len(rows[SHOWN:]),
                "unknown": max(0, len(kinds[Verdict.UNKNOWN]) - SHOWN),
                "passing": max(0, len(kinds[Verdict.PASS]) - SHOWN),
            },
        )

    async def target(self, path: str) -> str:
        """All targets that have the labels in the path, or whose key it is."""
        asked = _labels(path)
        wanted = frozenset(asked)
        kinds: dict[_Kind, list[CheckState]] = {kind: [] for kind in KINDS}
        async for state in self._each(lambda state: state.target.key == path or wanted <= {*state.target.identity}):
            kinds[self._kind(state)].append(state)
        found = list(chain.from_iterable(kinds.values()))
        if not found:
            raise PageNotFoundError(f"no target {path[:200]!r} is configured")
        shown = found[:SHOWN]
        made = cards.cards(shown, self._policy(), self._clock.wall())
        title = " ".join(value or name for name, value in asked)
        links = [
            (receivers.shipped()[name], it.target.domain)
            for it in shown
            if isinstance(it.target, Delivery)
            for name in it.target.receivers
        ]
        left_out = len(found) - len(shown)
        return await self._page("target.html", title=title, cards=made, receivers=links, left_out=left_out)

    async def findings(self, query: str) -> str:
        """All findings there are, or the causes of the refusal in the query."""
        asked = query.strip()[:LONGEST]
        answer = diagnosis.explain(self._refusals.find(asked)) if asked else None
        return await self._page("findings.html", entries=self._catalogue.entries, asked=asked, answer=answer)

    async def finding(self, id_: str) -> str:
        """The runbook of a finding, and where it is active."""
        declared = self._catalogue.rules.get(id_)
        if declared is None:
            raise PageNotFoundError(f"no such finding; {self._root}/findings lists them all")
        active = [it async for it in self._each(lambda it: any(f.finding.rule is declared for f in it.findings))]
        left_out = max(0, len(active) - SHOWN)
        return await self._page("finding.html", rule=declared, cards=self._cards(active[:SHOWN]), left_out=left_out)

    async def receivers(self) -> str:
        domains = dict.fromkeys(receivers.shipped(), 0)
        unmet = dict.fromkeys(receivers.shipped(), 0)
        async for state in self._each(lambda state: bool(_wanted(state))):
            active = {it.finding.id for it in state.findings}
            for name in _wanted(state):
                profile = receivers.shipped()[name]
                domains[name] += 1
                unmet[name] += any(profile.finding(demand, state.check.id) in active for demand in profile.demands)
        rows = [ReceiverRow(profile, domains[name], unmet[name]) for name, profile in receivers.shipped().items()]
        return await self._page("receivers.html", rows=rows)

    async def receiver(self, name: str) -> str:
        """All domains that send to this receiver, the worst first."""
        profile = _profile(name)
        rows: list[Reception] = []
        for count, (check, target) in enumerate(await self._deliveries(profile), 1):
            rows.append(cards.reception(profile, check, target, self._store.get))
            if count % FEW == 0:
                await asyncio.sleep(0)
        rows.sort(key=lambda it: (cards.FIRST.index(it.state), -it.counts[DemandState.UNMET], it.target.domain))
        shown = rows[:SHOWN]
        totals = {state: sum(it.state is state for it in rows) for state in cards.FIRST}
        left_out = len(rows) - len(shown)
        return await self._page("receiver.html", profile=profile, rows=shown, totals=totals, left_out=left_out)

    async def reception(self, name: str, domain: str) -> str:
        """What a receiver demands of mail of one domain."""
        profile = _profile(name)
        found = next((it for it in await self._deliveries(profile) if it[1].domain == domain), None)
        if found is None:
            raise PageNotFoundError(f"{domain[:200]!r} has no {profile.id} among its receivers")
        reception = cards.reception(profile, *found, self._store.get)
        return await self._page("reception.html", reception=reception, most=MOST_CAUSES)

    def offer(self, **functions: object) -> None:
        """Let templates call these."""
        self._pages.offer(**functions)

    async def page(self, template: str, **context: object) -> str:
        """A page that another part of the views has filled."""
        return await self._page(template, **context)

    async def style(self) -> str:
        return await self._page("style.css")

    async def _each(self, wanted: Callable[[CheckState], bool]) -> AsyncIterator[CheckState]:
        for count, state in enumerate(list(self._store), 1):
            if wanted(state):
                yield state
            if count % BREATH == 0:
                await asyncio.sleep(0)

    async def _deliveries(self, profile: Profile) -> list[tuple[str, Delivery]]:
        """The targets whose mail goes to the receiver, each with the id of the check that judges it."""
        found = [(it.check.id, it.target) async for it in self._each(lambda state: profile.id in _wanted(state))]
        return [(check, target) for check, target in found if isinstance(target, Delivery)]

    def _kind(self, state: CheckState) -> _Kind:
        policy, now = self._policy(), self._clock.wall()
        verdict = state.verdict(policy, now)
        if verdict is not Verdict.FAIL:
            return verdict
        critical = any(j.fails and j.severity is Severity.CRITICAL for j in state.effective(policy, now))
        return Severity.CRITICAL if critical else Severity.WARNING

    def _cards(self, states: list[CheckState]) -> list[Card]:
        policy, now = self._policy(), self._clock.wall()
        return [cards.card(state, policy, now) for state in states]

    async def _carded(self, states: list[CheckState]) -> list[Card]:
        """The same, but first the event loop may do other work."""
        await asyncio.sleep(0)
        return self._cards(states)

    async def _page(self, template: str, **context: object) -> str:
        return await self._pages.render(template, self._clock.wall(), **context)


def _first(states: list[CheckState]) -> list[CheckState]:
    """The first by check and target, as many as one table shows."""
    return heapq.nsmallest(SHOWN, states, key=lambda state: (state.check.id, state.target.title))


def _labels(path: str) -> Labels:
    """The labels in a path behind /targets/, such as `domain=example.com,sender=out`.

    A part without `=` is a name without a value; the key `resolver` is one.
    """
    pairs = (part.partition("=") for part in path.split(","))
    return tuple((name, value) for name, _, value in pairs)


def _profile(name: str) -> Profile:
    profile = receivers.shipped().get(name)
    if profile is None:
        raise PageNotFoundError(f"no such receiver; there are {', '.join(receivers.shipped())}")
    return profile


def _wanted(state: CheckState) -> tuple[str, ...]:
    """The receivers that the mail of this target goes to."""
    return state.target.receivers if isinstance(state.target, Delivery) else ()


def _matches(state: CheckState, wanted: str) -> bool:
    words = (state.check.id, state.target.title, *(value for _, value in state.target.labels))
    return not wanted or any(wanted in word.lower() for word in words)
