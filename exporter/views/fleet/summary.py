"""One summary of all states: problems, what is unknown, and how each domain and each sending address is.

The problem: a page of a fleet is about everything that is known, but a view must not cost what a look at everything
costs, and must not block the loop.

The idea: one summary serves all pages. It is made in slices, when somebody looks, and kept while nothing changed.

The rules:

- The store says when something changed (`revision`). A run that only says the same again changes nothing.
- While much changes, a summary that was costly to make serves for a while: KEPT times as long as it took.
- Who is in the fleet changes seldom, and is kept apart (census.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2s
from typing import NamedTuple

from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy, Key
from exporter.clock import Clock
from exporter.engine.held import Held
from exporter.engine.problems import Gathering, Problem, order
from exporter.engine.store import Store
from exporter.facts import Labels, Reason, Severity
from exporter.model import Target
from exporter.targets import Address, Authorisation, EhloProbe, Greeting, Reputation
from exporter.views.fleet import census
from exporter.views.fleet.census import Census
from exporter.views.unknowns import Unknown, unknowns

BREATH = 500  # states or problems looked at before the loop may do other work
HASTE = 10_000  # states of which little is asked
MUCH = 10_000  # states from which on what fixes rest on is kept for REST seconds
REST = 15.0
KEPT = 20  # times as long as it took to make
COSTLY = 0.05  # seconds of making from which on a summary is kept although something changed


class Level(StrEnum):
    """How a check, an address or a domain is, in one word; the first that applies."""

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    PENDING = "pending"
    PASS = "pass"  # noqa: S105 (a mark, not a password)


RANKS = {mark: rank for rank, mark in enumerate(Level)}


class DomainRow(NamedTuple):
    """A domain in a list. `since` is when its oldest problem of that severity began; None: it has none."""

    name: str
    labels: Labels
    mark: Level
    problems: int
    since: float | None


class AddressRow(NamedTuple):
    """A sending address in a list."""

    ip: str
    senders: tuple[str, ...]
    names: tuple[str, ...]  # that it says in HELO/EHLO
    labels: Labels
    domains: frozenset[str]  # that it sends for
    mark: Level
    problems: int
    since: float | None


@dataclass(slots=True)
class Tally:
    """What is known against one domain or address."""

    mark: Level = Level.PASS
    problems: int = 0
    since: float | None = None

    def add(self, mark: Level, problems: int = 0, since: float | None = None) -> None:
        self.problems += problems
        if RANKS[mark] < RANKS[self.mark]:
            self.mark, self.since = mark, since
        elif mark is self.mark and since is not None and self.since is not None:
            self.since = min(self.since, since)


@dataclass(frozen=True)
class Fleet:
    """The summary. `marks` has every pair that does not simply pass; problems are in order."""

    revision: int
    policy: FindingPolicy
    held: Held
    census: Census
    problems: list[Problem]
    unknowns: list[Unknown]
    marks: Mapping[Key, Level]
    counts: Counter[Level]  # of checks
    domains: list[DomainRow]
    addresses: list[AddressRow]
    expires: float  # unix seconds: an acceptance ends
    took: float  # seconds
    made: float  # monotonic seconds
    texts: dict[str, str] = field(default_factory=dict)  # what a search of problems reads, once somebody searches

    @property
    def checks(self) -> int:
        return self.counts.total()

    def mark(self, key: Key) -> Level:
        return self.marks.get(key, Level.PASS)


class Summary:
    """Makes and keeps the summary of a store. `policy` returns the current one."""

    def __init__(self, store: Store, clock: Clock, policy: Callable[[], FindingPolicy]) -> None:
        self._store, self._clock, self._policy = store, clock, policy
        self._lock = asyncio.Lock()
        self._fleet: Fleet | None = None
        self._census: tuple[int, Census] | None = None
        self._held: tuple[int, float, Held] | None = None

    async def current(self) -> Fleet:
        async with self._lock:
            if self._fleet is None or not self._serves(self._fleet):
                self._fleet = await self._made()
            return self._fleet

    async def with_fixes(self) -> Fleet:
        """The same, ready to say how each problem is fixed: that rests on all records, which a thread looks through."""
        fleet = await self.current()
        if not fleet.held.ready:
            await asyncio.get_running_loop().run_in_executor(None, fleet.held.prepare)
        return fleet

    def _serves(self, fleet: Fleet) -> bool:
        same = fleet.revision == self._store.revision and fleet.policy is self._policy()
        if same and self._clock.wall() < fleet.expires:
            return True
        return fleet.took >= COSTLY and self._clock.monotonic() - fleet.made < KEPT * fleet.took

    async def _made(self) -> Fleet:
        began, now = self._clock.monotonic(), self._clock.wall()
        revision, policy = self._store.revision, self._policy()
        people = await self._people()
        states = list(self._store)
        held = await self._known(states, revision)
        gathering, counts, marks = Gathering(people.affected, held, policy, now), Counter[Level](), dict[Key, Level]()
        doubtful, expires = list[tuple[CheckState, Level]](), float("inf")
        for count, state in enumerate(await _those(states, lambda it: bool(it.findings) or it.doubt is not None), 1):
            effective = state.effective(policy, now)
            mark = _level(state, effective)
            if mark is not Level.PASS:
                counts[mark] += 1
                marks[state.key] = mark
            if mark in (Level.UNKNOWN, Level.PENDING):
                if not state.check.concludes:  # its doubts are those of others
                    doubtful.append((state, mark))
            else:
                gathering.take(state, effective)
            for it in state.target.accept:
                if it.until is not None and now < it.until < expires:
                    expires = it.until
            if count % BREATH == 0:
                await asyncio.sleep(0)
        counts[Level.PASS] = len(states) - len(marks)
        problems = await _in_order(gathering)
        tallies = await _tallies(people, problems, doubtful)
        return Fleet(
            revision=revision,
            policy=policy,
            held=held,
            census=people,
            problems=problems,
            unknowns=await _unknown(doubtful),
            marks=marks,
            counts=counts,
            domains=await _domains(people, tallies),
            addresses=await _addresses(people, problems, doubtful),
            expires=expires,
            took=self._clock.monotonic() - began,
            made=self._clock.monotonic(),
        )

    async def _known(self, states: Sequence[CheckState], revision: int) -> Held:
        """What fixes rest on. Where that is much, it may be a little older than the rest."""
        now = self._clock.monotonic()
        if self._held and self._held[0] != revision and (len(states) <= MUCH or now - self._held[1] > REST):
            self._held = None
        if self._held is None:
            telling = await _those(
                states, lambda it: bool(it.findings or it.records) or isinstance(it.target, Authorisation)
            )
            self._held = revision, now, Held(telling)
        return self._held[2]

    async def _people(self) -> Census:
        if self._census is None or self._census[0] != self._store.census:
            at = self._store.census
            self._census = at, await census.take(list(self._store))
        return self._census[1]


def _level(state: CheckState, effective: Iterable[EffectiveFinding]) -> Level:
    severities = [it.severity for it in effective if it.fails]
    if severities:
        return Level.CRITICAL if Severity.CRITICAL in severities else Level.WARNING
    if state.doubt is None:
        return Level.PASS
    return Level.PENDING if state.doubt.reason is Reason.PENDING else Level.UNKNOWN


def id_of(problem: Problem) -> str:
    """Short, and the same as long as the problem is: for URLs."""
    return blake2s(repr(problem.key).encode("utf-8", "replace"), digest_size=6).hexdigest()


async def _those(states: Sequence[CheckState], wanted: Callable[[CheckState], bool]) -> list[CheckState]:
    found: list[CheckState] = []
    for begin in range(0, len(states), HASTE):
        found += filter(wanted, states[begin : begin + HASTE])
        await asyncio.sleep(0)
    return found


async def _in_order(gathering: Gathering) -> list[Problem]:
    found = []
    for count, problem in enumerate(gathering.problems(), 1):
        found.append((order(problem), problem))
        if count % BREATH == 0:
            await asyncio.sleep(0)
    found.sort(key=lambda it: it[0])
    return [problem for _, problem in found]


async def _tallies(
    people: Census, problems: Iterable[Problem], doubtful: Iterable[tuple[CheckState, Level]]
) -> dict[str, Tally]:
    """By domain. What hurts the same domains is counted together first: a pool may send for all of them."""
    shared: dict[int, tuple[frozenset[str], Tally]] = {}
    known = ((it.domains, Level(it.severity), 1, it.since) for it in problems)
    open_ = ((people.affected.domains(state.target), mark, 0, None) for state, mark in doubtful)
    count = 0
    for told in (known, open_):
        for domains, mark, problem, since in told:
            shared.setdefault(id(domains), (domains, Tally()))[1].add(mark, problem, since)
            count += 1
            if count % BREATH == 0:
                await asyncio.sleep(0)
    tallies: dict[str, Tally] = {}
    for domains, tally in shared.values():
        for domain in domains:
            tallies.setdefault(domain, Tally()).add(tally.mark, tally.problems, tally.since)
            count += 1
            if count % BREATH == 0:
                await asyncio.sleep(0)
    return tallies


async def _unknown(doubtful: Iterable[tuple[CheckState, Level]]) -> list[Unknown]:
    await asyncio.sleep(0)
    states = [state for state, mark in doubtful if mark is Level.UNKNOWN]
    if len(states) <= BREATH:
        return unknowns(states)
    return await asyncio.get_running_loop().run_in_executor(None, unknowns, states)


async def _domains(people: Census, tallies: Mapping[str, Tally]) -> list[DomainRow]:
    rows = []
    for count, (name, labels) in enumerate(people.domains.items(), 1):
        it = tallies.get(name, _NOTHING)
        rows.append(DomainRow(name, labels, it.mark, it.problems, it.since))
        if count % BREATH == 0:
            await asyncio.sleep(0)
    return rows


async def _addresses(
    people: Census, problems: Iterable[Problem], doubtful: Iterable[tuple[CheckState, Level]]
) -> list[AddressRow]:
    tallies: dict[str, Tally] = {}
    for problem in problems:
        for ip in dict.fromkeys(filter(None, (ip_of(it.target) for it in problem.members))):
            tallies.setdefault(ip, Tally()).add(Level(problem.severity), 1, problem.since)
    await asyncio.sleep(0)
    for state, mark in doubtful:
        if doubted := ip_of(state.target):
            tallies.setdefault(doubted, Tally()).add(mark)
    await asyncio.sleep(0)
    rows = []
    for count, (ip, it) in enumerate(people.addresses.items(), 1):
        tally = tallies.get(ip, _NOTHING)
        rows.append(AddressRow(ip, *it, tally.mark, tally.problems, tally.since))
        if count % BREATH == 0:
            await asyncio.sleep(0)
    return rows


def ip_of(target: Target) -> str | None:
    """The sending address that a target is, or is about."""
    match target:
        case Address(ip=ip) | Greeting(ip=ip) | EhloProbe(ip=ip):
            return str(ip)
        case Reputation(subject=subject) if not isinstance(subject, str):
            return str(subject)
    return None


_NOTHING = Tally()
