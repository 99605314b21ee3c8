"""What one look at some targets comes to: problems, what is unknown by its cause, and what receivers will say.

The problem: a look at one domain makes dozens of verdicts, and one at a fleet thousands. A person wants to know what to
change, and what was not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from exporter import receivers
from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.problems import Problem, ProblemGroup, groups, problems
from exporter.engine.store import Store
from exporter.facts import Severity, Verdict
from exporter.receivers import DemandState, Profile
from exporter.targets import Delivery
from exporter.views import cards
from exporter.views.unknowns import Unknown, unknowns

_UNSEEN = (DemandState.CANNOT_TELL, DemandState.NOT_OBSERVABLE)  # of the demand that says most


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one receiver does with the mail of the domains that send to it. They are sorted."""

    profile: Profile
    domains: tuple[str, ...]
    at_risk: tuple[str, ...]  # a demand is not met, or something critical is wrong
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discovered:
    """What DNS shows of who sends, for people and for programs."""

    told: str = ""
    facts: tuple[Mapping[str, object], ...] = ()


NOTHING_FOUND = Discovered()


@dataclass(frozen=True, slots=True)
class Report:
    """`problems` are in order: by severity, by how many domains they hurt, then the newest. Counts are of checks."""

    problems: tuple[Problem, ...]
    unknowns: tuple[Unknown, ...]
    prospects: tuple[Prospect, ...]
    unknown: int
    passed: int

    @property
    def groups(self) -> list[ProblemGroup]:
        """The problems as they are shown: many of one kind are one row."""
        return groups(self.problems)

    def count(self, severity: Severity) -> int:
        return sum(it.severity is severity for it in self.problems)

    @property
    def state(self) -> Severity | Verdict:
        """The worst that there is."""
        if self.problems:
            return self.problems[0].severity
        return Verdict.UNKNOWN if self.unknown else Verdict.PASS


def supposed(states: Iterable[CheckState]) -> list[CheckState]:
    """What was judged of likely senders, as if they were known to send. It counts nowhere."""
    return [replace(it, target=replace(it.target, likely=False)) for it in states if it.target.likely]


def report(store: Store, policy: FindingPolicy, now: float) -> Report:
    """What counts: without likely senders."""
    judging = [state for state in store if not state.check.concludes and not state.target.likely]
    verdicts = [state.verdict(policy, now) for state in judging]
    found = tuple(problems(store, policy, now))
    return Report(
        problems=found,
        unknowns=tuple(unknowns(judging)),
        prospects=tuple(_prospects(store, found)),
        unknown=sum(it is Verdict.UNKNOWN for it in verdicts),
        passed=sum(it is Verdict.PASS for it in verdicts),
    )


def _prospects(store: Store, found: Iterable[Problem]) -> list[Prospect]:
    hurt = frozenset[str]().union(*(it.domains for it in found if it.severity is Severity.CRITICAL))
    by_receiver: dict[str, dict[str, DemandState]] = defaultdict(dict)
    for state in store:
        if isinstance(target := state.target, Delivery):
            for name in target.receivers:
                by_receiver[name][target.domain] = (
                    DemandState.UNMET  # at risk, whatever the demands come to: they are costly to judge
                    if target.domain in hurt
                    else cards.reception(receivers.shipped()[name], state.check.id, target, store.get).state
                )
    return [
        Prospect(
            receivers.shipped()[name],
            domains=tuple(sorted(states)),
            at_risk=tuple(sorted(it for it in states if states[it] is DemandState.UNMET)),
            unknown=tuple(sorted(it for it in states if states[it] in _UNSEEN)),
        )
        for name, states in by_receiver.items()
    ]
