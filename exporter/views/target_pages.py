"""The page of a target: one sentence, its lights, its problems with their fix, then each check with its evidence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from exporter import receivers
from exporter.check_state import CheckState, FindingPolicy
from exporter.clock import Clock
from exporter.engine.directory import NO_LABEL
from exporter.engine.problems import Problem
from exporter.engine.store import Store
from exporter.facts import Known, Labels
from exporter.model import Light
from exporter.receivers import Profile
from exporter.targets import Authorisation, Delivery, MailHost
from exporter.views import cards
from exporter.views.fleet import rows
from exporter.views.fleet.lights import OF_ADDRESSES, LightBoard, shown
from exporter.views.fleet.room import CutCard, Room, cut
from exporter.views.fleet.selection import Paged, Selection
from exporter.views.fleet.summary import RANKS, Fleet, Level, Summary

PROBLEMS = 10  # on the page of a target
EVERY = 500  # states whose history and actions are on a page
CARDS = 30
BREATH = 500  # states looked at before the loop may do other work
RECORDS = 25_000  # characters to paste
ROOM = 45_000  # characters of text that the cards of one page may have
NAMED = 6  # senders and mail hosts


class PageNotFoundError(Exception):
    """There is no such page."""


@dataclass(frozen=True, slots=True)
class Around:
    """What belongs to a domain: who sends its mail, and who takes mail for it. Each the first few, and how many."""

    senders: tuple[str, ...]
    sender_count: int
    hosts: tuple[MailHost, ...]
    host_count: int


class TargetPages:
    """`render` makes a page of a template."""

    def __init__(
        self,
        store: Store,
        summary: Summary,
        clock: Clock,
        policy: Callable[[], FindingPolicy],
        render: Callable[..., Awaitable[str]],
    ) -> None:
        self._store, self._summary, self._clock = store, summary, clock
        self._policy, self._render = policy, render

    async def target(self, path: str, selection: Selection) -> str:
        """All targets that have the labels in the path, or whose key it is."""
        asked = _labels(path)
        states = []
        for count, state in enumerate(self._with_labels(path, asked), 1):
            states.append(state)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        if not states:
            raise PageNotFoundError(f"no target {path[:200]!r} is configured")
        fleet = await self._summary.with_fixes()
        total = len(states)
        states = [it for it in states if it.check.id == selection.check] or states
        states.sort(key=lambda it: (RANKS[fleet.mark(it.key)], it.check.id, it.target.key))
        await asyncio.sleep(0)
        title = " ".join(value or name for name, value in asked)
        domain = asked[0][1] if [name for name, _ in asked] == ["domain"] else ""
        board = LightBoard(self._store, fleet)
        pairs = board.around(domain) if domain else dict.fromkeys(it.key for it in states)
        await asyncio.sleep(0)
        marks = Counter(fleet.mark(key) for key in pairs)
        found = list(_problems(fleet, {it.target.key for it in states}, domain))
        await asyncio.sleep(0)
        paged = Paged.of(states, selection.page, CARDS)
        made = self._cards(paged.rows, fleet.held)
        room = Room(RECORDS)
        deliveries = [it.target for it in states if isinstance(it.target, Delivery)]
        anchors = {it.card.check.light: it.anchor for it in reversed(made)}
        return await self._render(
            "target.html",
            title=title,
            domain=domain,
            sentence=rows.verdict(title, found, len(pairs), marks[Level.UNKNOWN], marks[Level.PENDING]),
            worst=min(marks, key=RANKS.__getitem__) if not found else Level(found[0].severity),
            lights=self._shown_lights(board, domain, asked),
            anchors=anchors,
            around=self._around(states) if domain else None,
            labels=tuple(dict.fromkeys(pair for it in states[:PROBLEMS] for pair in it.target.labels)),
            problems=[rows.row(it, self._store.get, room) for it in found[:PROBLEMS]],
            more_problems=max(0, len(found) - PROBLEMS),
            shown=made,
            every=states[:EVERY],
            alone=len(states) < total,
            paged=paged,
            receivers=[(profile, it.domain) for it in deliveries for profile in _profiles(it)],
            selection=selection,
            path=path,
        )

    def _with_labels(self, path: str, asked: Labels) -> Iterator[CheckState]:
        fewest = min((self._store.pairs_of(name, value) for name, value in asked), key=len)
        wanted = frozenset(asked)
        for key in dict.fromkeys((*fewest, *self._store.pairs_of(*NO_LABEL))):
            state = self._store.get(*key)  # None: it has left meanwhile
            if state and (state.target.key == path or wanted <= {*state.target.identity}):
                yield state

    def _shown_lights(self, board: LightBoard, domain: str, asked: Labels) -> list[tuple[Light, Level | None]]:
        if domain:
            return shown(board.of_domain(domain))
        if [name for name, _ in asked] == ["ip"]:
            return shown(board.of_address(asked[0][1]), OF_ADDRESSES)
        return []

    def _around(self, states: Iterable[CheckState]) -> Around:
        senders = dict.fromkeys(it.target.sender for it in states if isinstance(it.target, Authorisation))
        hosts = dict.fromkeys(host for it in states for host in it.found if isinstance(host, MailHost))
        return Around(tuple(senders)[:NAMED], len(senders), tuple(hosts)[:NAMED], len(hosts))

    def _cards(self, states: Iterable[CheckState], known: Known) -> list[CutCard]:
        room, policy, now = Room(ROOM), self._policy(), self._clock.wall()
        return [cut(cards.card(state, policy, now), room, known) for state in states]


def _labels(path: str) -> Labels:
    """The labels in a path behind /targets/, such as `domain=example.com,sender=out`.

    A part without `=` is a name without a value; the key `resolver` is one.
    """
    pairs = (part.partition("=") for part in path.split(","))
    return tuple((name, value) for name, _, value in pairs)


def _profiles(target: Delivery) -> list[Profile]:
    return [receivers.shipped()[name] for name in target.receivers]


def _problems(fleet: Fleet, keys: set[str], domain: str) -> Iterator[Problem]:
    """Those that the targets are part of, or that hurt the domain. The order is that of the fleet."""
    for it in fleet.problems:
        if domain in it.domains or any(member.target.key in keys for member in it.members):
            yield it
