"""Finds problems, domains and addresses of a fleet by a selection. It takes breaths: a fleet is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from exporter.check_state import CheckState
from exporter.engine.problems import Problem
from exporter.facts import Doubt, Labels
from exporter.views.fleet.selection import Selection
from exporter.views.fleet.summary import RANKS, AddressRow, DomainRow, Fleet, Level, id_of, ip_of
from exporter.views.unknowns import Unknown, gathered
from exporter.views.words import check_title

T = TypeVar("T")
Order = Callable[[Any], Any]

BREATH = 300  # rows looked at before the loop may do other work
FEW = 20  # members of a problem whose sentence a search reads

PROBLEM_ORDERS: dict[str, Order | None] = {  # None: as the summary has them, by severity, then domains, then the newest
    "": None,
    "newest": lambda it: -it.since,
    "oldest": lambda it: it.since,
    "domains": lambda it: -len(it.domains),
    "targets": lambda it: -len(it.members),
}
DOMAIN_ORDERS: dict[str, Order] = {
    "": lambda it: (RANKS[it.mark], -it.problems, -(it.since or 0), it.name),
    "name": lambda it: it.name,
    "problems": lambda it: (-it.problems, it.name),
    "newest": lambda it: (-(it.since or 0), it.name),
    "oldest": lambda it: (it.since or float("inf"), it.name),
}
ADDRESS_ORDERS: dict[str, Order] = {
    "": lambda it: (RANKS[it.mark], -it.problems, -len(it.domains), it.ip),
    "address": lambda it: (":" in it.ip, [int(part, 16) if part else 0 for part in it.ip.replace(".", ":").split(":")]),
    "sender": lambda it: (it.senders, it.ip),
    "domains": lambda it: (-len(it.domains), it.ip),
}


class Search:
    """What a selection finds in a fleet."""

    def __init__(self, fleet: Fleet, selection: Selection) -> None:
        self._fleet, self._selection = fleet, selection

    async def problems(self) -> list[Problem]:
        """In the order of the selection."""
        wanted = self._selection
        # What is asked for by name may be a domain that a problem hurts, and no part of the problem itself.
        named = {word: self._named(word) for word in wanted.words}
        owned = {pair: self._owned(pair) for pair in wanted.pairs}
        found = [it async for it in _breathing(self._fleet.problems) if self._has(it, named, owned)]
        key = PROBLEM_ORDERS.get(wanted.sort)
        return sorted(found, key=key) if key else found

    async def unknowns(self) -> list[Unknown]:
        """In each, the checks and targets that are wanted. The order is that of the summary."""
        wanted = self._selection
        if wanted.finding or wanted.problem:
            return []
        made = []
        for it in self._fleet.unknowns:
            states = [state async for state in _breathing(it.states) if self._is_open(state, it.doubt)]
            if states:
                made.append(
                    it
                    if len(states) == len(it.states)
                    else gathered([state.doubt or it.doubt for state in states], states)
                )
        return made

    def _is_open(self, state: CheckState, doubt: Doubt) -> bool:
        wanted, target = self._selection, state.target
        if wanted.check not in ("", state.check.id):
            return False
        names = (*target.identity, *target.labels)
        told = ""
        if wanted.words:
            why = state.doubt or doubt
            told = f"{state.check.id} {check_title(state.check.id)} {why.reason} unknown {why.detail} {doubt.detail}"
            told = f"{told} {_told_of(target.identity, target.labels)}".lower()
        return (
            all(word in told for word in wanted.words)
            and all(pair in names for pair in wanted.pairs)
            and (not wanted.domain or ("domain", wanted.domain) in target.identity)
            and (not wanted.sender or ("sender", wanted.sender) in target.identity)
        )

    async def domains(self) -> list[DomainRow]:
        """In the order of the selection."""
        wanted, names = self._selection, self._fleet.census.domains
        among: set[str] | None = None
        for word in wanted.words:
            among = _both(among, self._named(word) | self._hurt(partial(_speaks_of, word=word)))
            await asyncio.sleep(0)
        for pair in wanted.pairs:
            among = _both(among, self._owned(pair))
        if wanted.check or wanted.finding or wanted.problem:
            among = _both(among, self._hurt(self._is_wanted))
        if wanted.sender:
            among = _both(among, self._sent_by(wanted.sender))
        if wanted.domain:
            among = _both(among, {wanted.domain} & names.keys())
        rows = [
            it
            async for it in _breathing(self._fleet.domains)
            if (among is None or it.name in among) and wanted.severity in ("", it.mark)
        ]
        return sorted(rows, key=DOMAIN_ORDERS.get(wanted.sort, DOMAIN_ORDERS[""]))

    async def addresses(self) -> list[AddressRow]:
        wanted, at = self._selection, set[str]()
        if wanted.check or wanted.finding or wanted.problem or wanted.words:
            for problem in self._fleet.problems:
                if self._is_wanted(problem) and all(_speaks_of(problem, word) for word in wanted.words):
                    at.update(filter(None, (ip_of(member.target) for member in problem.members)))
            await asyncio.sleep(0)
        narrow = bool(wanted.check or wanted.finding or wanted.problem)
        rows = [
            it
            async for it in _breathing(self._fleet.addresses)
            if wanted.severity in ("", it.mark)
            and wanted.sender in ("", *it.senders)
            and (not wanted.domain or wanted.domain in it.domains)
            and all(_is(pair, (("ip", it.ip), *it.labels), "sender", it.senders) for pair in wanted.pairs)
            and (not narrow or it.ip in at)
            and (it.ip in at or all(word in _address_text(it) for word in wanted.words))
        ]
        return sorted(rows, key=ADDRESS_ORDERS.get(wanted.sort, ADDRESS_ORDERS[""]))

    def _is_wanted(self, problem: Problem) -> bool:
        """By the filters that are about the problem itself, but for its severity."""
        wanted = self._selection
        return (
            wanted.finding in ("", problem.rule.id)
            and wanted.check in ("", problem.members[0].check.id)
            and (not wanted.problem or wanted.problem == id_of(problem))
        )

    def _has(self, problem: Problem, named: dict[str, set[str]], owned: dict[tuple[str, str], set[str]]) -> bool:
        wanted = self._selection
        return (
            wanted.severity in ("", problem.severity)
            and self._is_wanted(problem)
            and (
                not wanted.domain or wanted.domain in problem.domains or _of_members(problem, ("domain", wanted.domain))
            )
            and (not wanted.sender or _of_members(problem, ("sender", wanted.sender)))
            and all(
                word in self._text(problem) or not problem.domains.isdisjoint(domains)
                for word, domains in named.items()
            )
            and all(
                _of_members(problem, pair) or not problem.domains.isdisjoint(domains) for pair, domains in owned.items()
            )
        )

    def _text(self, problem: Problem) -> str:
        """All that a word may be found in, in small letters. It is made once."""
        texts, key = self._fleet.texts, id_of(problem)
        if key not in texts:
            checks = {it.check.id for it in problem.members}
            told = [problem.rule.id, problem.severity, *checks, *map(check_title, checks)]
            told += (value for _, value in problem.cause)
            told.append(problem.rule.text_of(problem.findings[:FEW]))
            told += dict.fromkeys(_told_of(it.target.identity, it.target.labels) for it in problem.members)
            texts[key] = "\n".join(told).lower()
        return texts[key]

    def _named(self, word: str) -> set[str]:
        """The domains whose name or owner has the word."""
        return {
            name
            for name, labels in self._fleet.census.domains.items()
            if word in name or (labels and word in _told_of((), labels))
        }

    def _owned(self, pair: tuple[str, str]) -> set[str]:
        if pair[0] == "domain":
            return {pair[1]} & self._fleet.census.domains.keys()
        if pair[0] == "sender":
            return self._sent_by(pair[1])
        return {name for name, labels in self._fleet.census.domains.items() if pair in labels}

    def _sent_by(self, sender: str) -> set[str]:
        return set().union(*(it.domains for it in self._fleet.addresses if sender in it.senders))

    def _hurt(self, wanted: Callable[[Problem], bool]) -> set[str]:
        """The domains that such problems hurt."""
        sets = {id(it.domains): it.domains for it in self._fleet.problems if wanted(it)}
        return set().union(*sets.values())


def _both(among: set[str] | None, more: set[str]) -> set[str]:
    return more if among is None else among & more


def _speaks_of(problem: Problem, word: str) -> bool:
    check = problem.members[0].check.id
    return word in problem.rule.id or word == problem.severity or word in check_title(check).lower()


def _of_members(problem: Problem, pair: tuple[str, str]) -> bool:
    return any(pair in (*it.target.identity, *it.target.labels) for it in problem.members)


def _is(pair: tuple[str, str], labels: Labels, name: str, values: Collection[str]) -> bool:
    return pair in labels or (pair[0] == name and pair[1] in values)


def _told_of(identity: Labels, labels: Labels) -> str:
    return " ".join([*(value for _, value in identity), *(f"{name}={value}" for name, value in labels)]).lower()


def _address_text(row: AddressRow) -> str:
    return f"{row.ip} {' '.join(row.senders)} {' '.join(row.names)} {row.mark} {_told_of((), row.labels)}".lower()


async def _breathing(rows: Sequence[T]) -> AsyncIterator[T]:
    for count, row in enumerate(rows, 1):
        yield row
        if count % BREATH == 0:
            await asyncio.sleep(0)


def severities(rows: Iterable[DomainRow]) -> dict[Level, int]:
    """How many there are of each."""
    counts = dict.fromkeys(Level, 0)
    for row in rows:
        counts[row.mark] += 1
    return counts
