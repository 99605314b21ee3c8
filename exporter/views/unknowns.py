"""What could not be told, by its cause.

The problem: a domain whose DNS fails makes nine checks unknown, and a resolver that fails makes thousands so. A person
wants to read the cause once.

The rules:

- One sentence about several targets is one cause: the same question failed for all of them.
- Where the same server fails in the same way for many targets, the server is the cause. So is this machine, for few.
- Otherwise the target is the cause: all its checks that are unknown for one reason are one row.
- Many targets with the same checks unknown for the same reason are one row.
- Each check is named.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exporter.check_state import CheckState
from exporter.facts import Doubt, Reason
from exporter.model import Target
from exporter.text import listed
from exporter.views.words import reason_title

FEW = 3  # targets: one more, and what they share is the cause
NAMED = 3
_QUESTION = re.compile(r"\S+ [A-Z0-9]+: ")  # the name and the type that DNS was asked for


class _Open(NamedTuple):
    doubt: Doubt
    state: CheckState
    subject: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Checks that could not tell, for one cause. `doubt` says what most of them say. Sorted by check."""

    doubt: Doubt
    states: tuple[CheckState, ...]

    @property
    def checks(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(dict.fromkeys(it.check.id for it in self.states))

    @property
    def targets(self) -> tuple[str, ...]:
        """Their titles."""
        return tuple(dict.fromkeys(it.target.title for it in self.states))

    def told(self, name: Callable[[str], str]) -> str:
        """`DNS SERVFAIL for example.net: 9 checks (BIMI, DANE, ...)`. `name` says what people call a check."""
        if len(self.checks) == 1:
            return f"{name(self.checks[0])}: {self.doubt.detail}"
        whose = listed(dict.fromkeys(_subject(it.target) for it in self.states), NAMED)
        reason = reason_title(self.doubt.reason)
        names = ", ".join(map(name, self.checks))
        return f"{reason[:1].upper()}{reason[1:]} for {whose}: {len(self.states):,} checks ({names})"


def unknowns(states: Iterable[CheckState]) -> list[Unknown]:
    """The most common first. It costs time in proportion to the states, and may run in a thread."""
    found = [_Open(doubt, state, _subject(state.target)) for state in states if (doubt := state.doubt)]
    rows, left = _apart(found, lambda it: (it.doubt.reason, it.doubt.detail), most=1)
    alike, left = _apart(left, lambda it: (it.doubt.reason, _QUESTION.sub("", it.doubt.detail, count=1)), most=FEW)
    here = _by((it for it in left if it.doubt.reason.from_here), lambda it: (it.doubt.reason, it.state.check.id))
    by_target = _by((it for it in left if not it.doubt.reason.from_here), lambda it: (it.doubt.reason, it.subject))
    many: dict[tuple[Reason, frozenset[str]], list[list[_Open]]] = defaultdict(list)
    for some in by_target:
        many[some[0].doubt.reason, frozenset(it.state.check.id for it in some)].append(some)
    for same in many.values():
        rows += [[it for some in same for it in some]] if len(same) > FEW else same
    made = (gathered([it.doubt for it in some], [it.state for it in some]) for some in (*rows, *alike, *here))
    return sorted(made, key=lambda it: (-len(it.states), it.states[0].check.id))


def gathered(doubts: Sequence[Doubt], states: Sequence[CheckState]) -> Unknown:
    """One row of these, of which there is at least one."""
    (common, _), *_ = Counter(it.detail for it in doubts).most_common(1)
    said = next(it for it in doubts if it.detail == common)
    return Unknown(said, tuple(sorted(states, key=lambda it: it.check.id)))


def _apart(some: Iterable[_Open], key: Callable[[_Open], Hashable], most: int) -> tuple[list[list[_Open]], list[_Open]]:
    """Those whose key more than so many targets share, and the rest."""
    shared: list[list[_Open]] = []
    left: list[_Open] = []
    for alike in _by(some, key):
        if len({it.subject for it in alike}) > most:
            shared.append(alike)
        else:
            left += alike
    return shared, left


def _by(some: Iterable[_Open], key: Callable[[_Open], Hashable]) -> list[list[_Open]]:
    made: dict[Hashable, list[_Open]] = defaultdict(list)
    for it in some:
        made[key(it)].append(it)
    return list(made.values())


def _subject(target: Target) -> str:
    """The domain, address, mail host or list that a target is about. Its senders and keys belong to it."""
    identity = dict(target.identity)
    return next((identity[it] for it in ("domain", "ip", "mail_host", "blocklist") if it in identity), target.title)
