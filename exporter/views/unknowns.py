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
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.check_state import CheckState
from exporter.facts import Doubt, Reason
from exporter.model import Target
from exporter.text import listed
from exporter.views.words import reason_title

FEW = 3  # targets: one more, and what they share is the cause
NAMED = 3
_QUESTION = re.compile(r"\S+ [A-Z0-9]+: ")  # the name and the type that DNS was asked for

_Open: TypeAlias = tuple[Doubt, CheckState]


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
    found = [(doubt, state) for state in states if (doubt := state.doubt)]
    rows, left = _apart(found, lambda doubt, _: (doubt.reason, doubt.detail), most=1)
    alike, left = _apart(left, lambda doubt, _: (doubt.reason, _QUESTION.sub("", doubt.detail, count=1)), most=FEW)
    here = _by((it for it in left if it[0].reason.from_here), lambda doubt, state: (doubt.reason, state.check.id))
    left = [it for it in left if not it[0].reason.from_here]
    by_target = _by(left, lambda doubt, state: (doubt.reason, _subject(state.target)))
    many: dict[tuple[Reason, frozenset[str]], list[list[_Open]]] = defaultdict(list)
    for some in by_target:
        many[some[0][0].reason, frozenset(state.check.id for _, state in some)].append(some)
    for same in many.values():
        rows += [[it for some in same for it in some]] if len(same) > FEW else same
    made = map(gathered, (*rows, *alike, *here))
    return sorted(made, key=lambda it: (-len(it.states), it.states[0].check.id))


def gathered(some: Iterable[_Open]) -> Unknown:
    """One row of these, of which there is at least one."""
    ordered = sorted(some, key=lambda it: it[1].check.id)
    (doubt, _), *_ = Counter(it for it, _ in ordered).most_common(1)
    return Unknown(doubt, tuple(state for _, state in ordered))


def _apart(
    some: Iterable[_Open], key: Callable[[Doubt, CheckState], Hashable], most: int
) -> tuple[list[list[_Open]], list[_Open]]:
    """Those whose key more than so many targets share, and the rest."""
    shared: list[list[_Open]] = []
    left: list[_Open] = []
    for alike in _by(some, key):
        if len({_subject(state.target) for _, state in alike}) > most:
            shared.append(alike)
        else:
            left += alike
    return shared, left


def _by(some: Iterable[_Open], key: Callable[[Doubt, CheckState], Hashable]) -> list[list[_Open]]:
    made: dict[Hashable, list[_Open]] = defaultdict(list)
    for doubt, state in some:
        made[key(doubt, state)].append((doubt, state))
    return list(made.values())


def _subject(target: Target) -> str:
    """The domain, address, mail host or list that a target is about. Its senders and keys belong to it."""
    identity = dict(target.identity)
    return next((identity[it] for it in ("domain", "ip", "mail_host", "blocklist") if it in identity), target.title)
