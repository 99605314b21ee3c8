"""The pages of receivers: what each requires, and which domains fail it. Lists read what the check has held."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from exporter import receivers
from exporter.check_state import CheckState
from exporter.engine.store import Store
from exporter.facts import Doubt
from exporter.receivers import Cause, Demand, DemandState, OpenQuestion, Profile
from exporter.targets import Delivery
from exporter.views import cards
from exporter.views.cards import DemandCard, Reception
from exporter.views.fleet.room import Room, brief
from exporter.views.fleet.selection import Paged, Selection
from exporter.views.fleet.summary import Fleet, Level, Summary
from exporter.views.target_pages import PageNotFoundError

ROWS = 50
BREATH = 500  # states looked at before the loop may do other work
MOST_CAUSES = 20  # shown of one demand
TEXT = 400  # octets of one text in a list
ROOM = 90_000  # characters of text on the page of one domain


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """One receiver: how many domains send to it. `at_risk` fail one of its demands, or have a critical problem."""

    profile: Profile
    domains: int
    at_risk: int


@dataclass(frozen=True, slots=True)
class HeldReception:
    """What the check holds of one domain: the demands that are not met with their causes, or why that is unknown."""

    target: Delivery
    state: DemandState  # MET: no problem was found, which is no promise
    unmet: tuple[tuple[Demand, str], ...]
    doubts: tuple[Doubt, ...]
    critical: bool  # something else is critically wrong, which no demand names


class ReceiverPages:
    """`render` makes a page of a template."""

    def __init__(self, store: Store, summary: Summary, render: Callable[..., Awaitable[str]]) -> None:
        self._store, self._summary, self._render = store, summary, render

    async def all(self) -> str:
        domains = dict.fromkeys(receivers.shipped(), 0)
        at_risk = dict.fromkeys(receivers.shipped(), 0)
        fleet = await self._summary.current()
        hurt = _hurt(fleet)
        for count, (state, target) in enumerate(self._deliveries(fleet), 1):
            active = {it.finding.id for it in state.findings}
            for name in target.receivers:
                profile = receivers.shipped()[name]
                domains[name] += 1
                fails = any(profile.finding(demand, state.check.id) in active for demand in profile.demands)
                at_risk[name] += fails or target.domain in hurt
            if count % BREATH == 0:
                await asyncio.sleep(0)
        rows = [ReceiverRow(profile, domains[name], at_risk[name]) for name, profile in receivers.shipped().items()]
        return await self._render("receivers.html", rows=rows)

    async def one(self, name: str, selection: Selection) -> str:
        """The domains that send to this receiver, the worst first."""
        profile = _profile(name)
        found, totals = list[HeldReception](), Counter[DemandState]()
        demands: dict[str, dict[str, Demand]] = {}
        fleet = await self._summary.current()
        hurt = _hurt(fleet)
        for count, (state, target) in enumerate(self._deliveries(fleet), 1):
            if profile.id in target.receivers:
                by_finding = demands.setdefault(state.check.id, _by_finding(profile, state.check.id))
                it = _held(by_finding, state, target, critical=target.domain in hurt)
                totals[it.state] += 1
                if _wanted(it, selection):
                    found.append(it)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        found.sort(key=lambda it: (cards.FIRST.index(it.state), -len(it.unmet), it.target.domain))
        paged = Paged.of(found, selection.page, ROWS)
        return await self._render(
            "receiver.html", profile=profile, paged=paged, totals=totals, selection=selection, most=TEXT
        )

    async def reception(self, name: str, domain: str) -> str:
        """What a receiver demands of mail of one domain."""
        profile = _profile(name)
        keys = self._store.pairs_of("domain", domain)
        found = next(
            (
                (state.check.id, state.target)
                for state in (self._store[key] for key in keys)
                if isinstance(state.target, Delivery) and profile.id in state.target.receivers
            ),
            None,
        )
        if found is None:
            raise PageNotFoundError(f"{domain[:200]!r} has no {profile.id} among its receivers")
        await asyncio.sleep(0)
        made = cards.reception(profile, *found, self._store.get)
        critical = domain in _hurt(await self._summary.current()) and made.state is not DemandState.UNMET
        return await self._render("reception.html", reception=made, shown=list(_shown(made)), critical=critical)

    def _deliveries(self, fleet: Fleet) -> Iterator[tuple[CheckState, Delivery]]:
        for key in fleet.census.deliveries:
            state = self._store.get(*key)
            if state and isinstance(state.target, Delivery):
                yield state, state.target


def _hurt(fleet: Fleet) -> set[str]:
    """The domains with a critical problem."""
    return {it.name for it in fleet.domains if it.mark is Level.CRITICAL}


def _shown(reception: Reception) -> Iterator[tuple[DemandCard, list[Cause], list[OpenQuestion], int]]:
    """Each demand with those causes and troubles that there is room for, and how many are left out."""
    room = Room(ROOM)
    for card in reception.demands:
        answer = card.answer
        causes = [it for it in answer.causes[:MOST_CAUSES] if room.takes(it.title, it.finding.text, it.finding.fix)]
        troubles = [it for it in answer.troubles[:MOST_CAUSES] if room.takes(it.title, it.doubt.detail)]
        yield card, causes, troubles, len(answer.causes) + len(answer.troubles) - len(causes) - len(troubles)


def _by_finding(profile: Profile, check: str) -> dict[str, Demand]:
    named = ((profile.finding(demand, check), demand) for demand in profile.demands)
    return {finding: demand for finding, demand in named if finding}


def _held(by_finding: dict[str, Demand], state: CheckState, target: Delivery, *, critical: bool) -> HeldReception:
    unmet = tuple(
        (by_finding[it.finding.id], brief(dict(it.finding.evidence).get("causes", ""), TEXT))
        for it in state.findings
        if it.finding.id in by_finding
    )
    doubts = () if unmet or critical else tuple(_doubts(by_finding, state))
    return HeldReception(
        target,
        DemandState.UNMET if unmet or critical else DemandState.CANNOT_TELL if doubts else DemandState.MET,
        unmet,
        doubts[:3],
        critical and not unmet,
    )


def _doubts(by_finding: dict[str, Demand], state: CheckState) -> Iterator[Doubt]:
    """Those of the latest run that leave a demand of this receiver open. One that names none leaves all open."""
    if state.doubt is None:
        return
    told = state.latest.doubts if state.latest and state.latest.doubts else (state.doubt,)
    mine = (it for it in told if it.left_open is None or any(rule in by_finding for rule, _ in it.left_open))
    yield from dict.fromkeys(mine)  # one may leave several demands open


def _wanted(it: HeldReception, selection: Selection) -> bool:
    labels = (("domain", it.target.domain), *it.target.labels)
    told = " ".join((it.target.domain, *(f"{name}={value}" for name, value in it.target.labels))).lower()
    return (
        selection.severity in ("", it.state)
        and all(word in told for word in selection.words)
        and all(pair in labels for pair in selection.pairs)
        and selection.domain in ("", it.target.domain)
    )


def _profile(name: str) -> Profile:
    profile = receivers.shipped().get(name)
    if profile is None:
        raise PageNotFoundError(f"no such receiver; there are {', '.join(receivers.shipped())}")
    return profile
