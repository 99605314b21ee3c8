"""What one row of a list shows of a problem: bounded, however many targets it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.engine.problems import Problem, ProblemGroup
from exporter.explain.notices import notice
from exporter.facts import Doubt, Labels
from exporter.model import Check, Target
from exporter.receivers import Ask
from exporter.remedies.forms import forms
from exporter.text import counted, listed
from exporter.views import cards
from exporter.views.fleet.room import Room
from exporter.views.fleet.summary import id_of

MEMBERS = 12  # targets named in one row
ALL_MEMBERS = 200  # if the row is the only one
LABELS = 4
FIRST = 8  # problems of one kind that are named
NAMED = 4  # domains in the line of a kind
ASKED = 100  # members whose latest run is looked at


class Paste(StrEnum):
    """Where the records and settings are shown that repair a problem."""

    NOTHING = ""
    HERE = "here"
    ELSEWHERE = "elsewhere"  # on a page that has room
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem with its merged text and fix, and the first of its targets."""

    problem: Problem
    id: str
    check: Check
    text: str
    fix: str
    targets: tuple[Target, ...]
    more: int  # targets that are left out
    labels: Labels  # of owners
    certainty: str  # what further looks have to decide, of the oldest finding
    doubt: Doubt | None  # of the latest run, if none of its targets had a better one
    paste: Paste
    open: bool = False  # its targets are shown at once

    @property
    def domain(self) -> str | None:
        """The only one that it hurts."""
        return next(iter(self.problem.domains)) if len(self.problem.domains) == 1 else None

    @property
    def count(self) -> int:
        """Of targets."""
        return len(self.targets) + self.more


def row(problem: Problem, get: Ask, room: Room | None = None, *, alone: bool = False) -> ProblemRow:
    """`get` returns the state of a check of a target. With `room`, what to paste is shown while there is some."""
    targets = list({it.target.key: it.target for it in problem.members}.values())
    states = (get(it.check.id, it.target.key) for it in problem.members[:ASKED])
    doubts = [state.doubt if state else None for state in states]
    most = ALL_MEMBERS if alone else MEMBERS
    labels = dict.fromkeys(pair for it in targets for pair in it.labels)
    return ProblemRow(
        problem,
        id_of(problem),
        problem.members[0].check,
        problem.text,
        problem.fix,
        tuple(targets[:most]),
        max(0, len(targets) - most),
        tuple(labels)[:LABELS],
        cards.certainty(problem.members[0].effective.active),
        doubts[0] if all(doubts) else None,
        _paste(problem, room, alone=alone),
        open=alone,
    )


def _paste(problem: Problem, room: Room | None, *, alone: bool) -> Paste:
    remedy = problem.remedy
    if not remedy:
        return Paste.NOTHING
    if room is None or (len(remedy.records) > MEMBERS and not alone):
        return Paste.ELSEWHERE
    if len(remedy.records) <= ALL_MEMBERS:
        lines = (line for it in remedy.settings for line in (it.server, it.where, *it.lines))
        if room.takes(*(it.text for it in forms(remedy.records)), *lines, remedy.request):
            return Paste.HERE
    return Paste.TOO_LONG if alone else Paste.ELSEWHERE


@dataclass(frozen=True, slots=True)
class KindRow:
    """Several problems that are read as one, such as a record that many domains lack."""

    group: ProblemGroup
    title: str
    impact: str
    who: str  # the first domains that they hurt, or else the targets
    domains: int
    first: tuple[ProblemRow, ...]


def kind(group: ProblemGroup, get: Ask) -> KindRow:
    """`get` returns the state of a check of a target."""
    told, domains = notice(group.rule), group.domains
    return KindRow(
        group,
        told.title,
        told.impact,
        listed(sorted(domains) or dict.fromkeys(it.members[0].target.title for it in group.problems), NAMED),
        len(domains),
        tuple(row(it, get) for it in group.problems[:FIRST]),
    )


def verdict(name: str, problems: Iterable[Problem], checks: int, unknown: int, pending: int) -> str:
    """One sentence about a target."""
    found = list(problems)
    critical = sum(it.severity == "critical" for it in found)
    warnings = len(found) - critical
    told = " and ".join(
        counted(number, noun) for number, noun in ((critical, "critical problem"), (warnings, "warning")) if number
    )
    if critical:
        return f"{name} is at risk: {told}."
    if warnings:
        return f"{name} has {told}, and no critical problem."
    if unknown:
        return f"No problem found for {name}, but {unknown} of {checks} checks are unknown."
    if pending:
        return f"No problem found for {name} so far: {checks - pending} of {checks} checks have run."
    return f"No problem found for {name}: {'its check passes' if checks == 1 else f'all {checks} checks pass'}."
