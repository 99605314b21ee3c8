"""Turns findings into problems: what one change repairs is one problem, however many targets show it.

The problem: one wrong SPF record of a domain with 40 addresses makes 40 findings, each with a fix of its own, and one
mail host that is down hurts every domain that uses it. Whoever reads 40 rows misses the row beside them.

The idea: each rule declares its cause (facts.py), which is what has to change: a record, a host, an address or a name.
Findings of one rule with one cause are one problem, with one fix.

The rules:

- Only findings that fail a check count: accepted ones and information are no problems.
- A check that only combines the results of others (`concludes`) repeats their findings. Its own make no problem.
- A problem hurts the domains whose mail it affects: the target's own domain, those that a sender sends for, or those
  whose MX records name the host.
- Problems are sorted by severity, then by how many domains they hurt, then the newest first.
- A thousand domains without a DMARC record are a thousand problems, since each needs a record of its own. To read them
  one by one would bury all others. So more than FEW problems of one rule are shown as one group, apart those that hurt
  a single domain and those that hurt several. Groups are for people alone: `deliverability_problems` counts problems.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy
from exporter.engine.held import Held
from exporter.facts import Finding, Known, Labels, Rule, Severity
from exporter.model import Check, Target
from exporter.remedies import Remedy
from exporter.targets import Address, Authorisation, Domain, EhloProbe, Greeting, MailHost, Reputation

ProblemKey: TypeAlias = tuple[str, Labels]  # the id of its rule, and its cause

FEW = 3  # problems of one rule that are shown each by itself
EXAMPLES = 20  # problems of a group whose records are shown: all of them would be longer than a page

_GRAVITY = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Member:
    """One finding of a problem, and the target that has it."""

    check: Check
    target: Target
    effective: EffectiveFinding


@dataclass(frozen=True, slots=True)
class Problem:
    """Findings that one change repairs. `members` are never empty; `domains` are those whose mail it affects."""

    rule: Rule
    cause: Labels
    members: tuple[Member, ...]  # the oldest first
    domains: frozenset[str]
    severity: Severity  # that of the worst member
    known: Known = field(repr=False, compare=False)  # what else is held

    @property
    def key(self) -> ProblemKey:
        return self.rule.id, self.cause

    @property
    def since(self) -> float:
        """When the first member began, in unix seconds."""
        return self.members[0].effective.active.since

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(it.effective.finding for it in self.members)

    @property
    def text(self) -> str:
        return self.rule.text_of(self.findings)

    @property
    def fix(self) -> str:
        """One fix for all members."""
        return self.rule.fix_of(self.findings, self.known)

    @property
    def remedy(self) -> Remedy:
        """The same as data: records to set, and settings of mail servers."""
        return self.rule.remedy_of(self.findings, self.known)


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Problems of one rule and severity that are read as one. `problems` are never empty; they are in order."""

    problems: tuple[Problem, ...]

    @property
    def first(self) -> Problem:
        return self.problems[0]

    @property
    def rule(self) -> Rule:
        return self.first.rule

    @property
    def severity(self) -> Severity:
        return self.first.severity

    @property
    def domains(self) -> frozenset[str]:
        """Whose mail any of them affects. Sets that several of them share are looked at once."""
        return frozenset[str]().union(*{id(it.domains): it.domains for it in self.problems}.values())

    @property
    def since(self) -> float:
        """When the first of them began, in unix seconds."""
        return min(it.since for it in self.problems)

    @property
    def newest(self) -> float:
        """When the last of them began, in unix seconds."""
        return max(it.since for it in self.problems)

    @property
    def text(self) -> str:
        """What the first says, and how many more there are."""
        more = len(self.problems) - 1
        return f"{self.first.text} (and {more:,} more like it)" if more else self.first.text

    @property
    def fix(self) -> str:
        """That of the first, as an example for the others."""
        more = len(self.problems) - 1
        return f"{self.first.fix} Do the same for the other {more:,}." if more else self.first.fix

    @property
    def remedy(self) -> Remedy:
        """That of all of them, or of as many as fit on a page. Settings are there if they are the same for all."""
        made = [problem.remedy for problem in self.problems[:EXAMPLES]]
        return Remedy(
            records=tuple(dict.fromkeys(it for remedy in made for it in remedy.records)),
            settings=made[0].settings if all(it.settings == made[0].settings for it in made) else (),
            request="\n".join(dict.fromkeys(it.request for it in made if it.request)),
        )


def groups(found: Iterable[Problem]) -> list[ProblemGroup]:
    """The same problems as they are shown, in the same order: a group stands by the domains that all of it hurts."""
    alike: dict[tuple[str, Severity, bool], list[Problem]] = defaultdict(list)
    for problem in found:
        alike[problem.rule.id, problem.severity, len(problem.domains) > 1].append(problem)
    made = [
        ProblemGroup(tuple(it))
        for those in alike.values()
        for it in ([those] if len(those) > FEW else [[one] for one in those])
    ]
    return sorted(
        made, key=lambda it: (_GRAVITY[it.severity], -len(it.domains), -it.newest, it.rule.id, it.first.cause)
    )


def worst(severities: Iterable[Severity]) -> Severity:
    """Raise ValueError if there is none."""
    return min(severities, key=_GRAVITY.__getitem__)


class Affected:
    """Which domains a target's faults hurt. It is told all states of one moment before it is asked.

    Targets that hurt the same domains share one set: a thousand addresses of one sender need no thousand sets.
    """

    def __init__(self) -> None:
        self._by_sender: dict[str, set[str]] = defaultdict(set)
        self._by_host: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._senders: dict[str, set[str]] = defaultdict(set)  # by address
        self._made: dict[object, frozenset[str]] = {}

    def add(self, state: CheckState) -> None:
        target = state.target
        if isinstance(target, Authorisation):
            self._by_sender[target.sender].add(target.domain)
        elif isinstance(target, Greeting):
            self._senders[str(target.ip)].add(target.sender)
        elif state.found and isinstance(target, Domain):
            for found in state.found:
                if isinstance(found, MailHost):
                    self._by_host[found.host, found.port].add(target.name)

    def domains(self, target: Target) -> frozenset[str]:
        """None for a target that is not of one domain more than of all, such as the resolver."""
        match target:
            case Authorisation(domain=name):  # first, as there are most of them
                return self._one(name, (name,))
            case Greeting(sender=sender) | EhloProbe(sender=sender):
                return self._sent_by(frozenset((sender,)))
            case Address(ip=ip) | Reputation(subject=ip) if str(ip) in self._senders:
                return self.sent_from(str(ip))
            case MailHost(host=host, port=port):
                return self._one((host, port), self._by_host.get((host, port), ()))
        named = next((value for label, value in target.identity if label == "domain"), None)
        return frozenset() if named is None else self._one(named, (named,))

    def sent_from(self, ip: str) -> frozenset[str]:
        """The domains that this address sends for."""
        return self._sent_by(frozenset(self._senders.get(ip, ())))

    def _sent_by(self, senders: frozenset[str]) -> frozenset[str]:
        if senders not in self._made:
            self._made[senders] = frozenset().union(*(self._by_sender.get(it, ()) for it in senders))
        return self._made[senders]

    def _one(self, whose: object, domains: Iterable[str]) -> frozenset[str]:
        if whose not in self._made:
            self._made[whose] = frozenset(domains)
        return self._made[whose]


class Gathering:
    """Makes the problems of states, which are added one by one. So whoever has many can take breaths between."""

    def __init__(self, affected: Affected, held: Known, policy: FindingPolicy, now: float) -> None:
        """`now` is unix seconds."""
        self._affected, self._held, self._policy, self._now = affected, held, policy, now
        self._members: dict[ProblemKey, list[Member]] = defaultdict(list)

    def add(self, state: CheckState) -> None:
        if state.findings:
            self.take(state, state.effective(self._policy, self._now))

    def take(self, state: CheckState, effective: Iterable[EffectiveFinding]) -> None:
        """The same, if somebody has its findings under the policy already."""
        if not state.check.concludes:
            for it in effective:
                if it.fails:
                    key = it.finding.id, cause(it.finding, state.target)
                    self._members[key].append(Member(state.check, state.target, it))

    def problems(self) -> Iterator[Problem]:
        """In no order."""
        for (_, about), those in self._members.items():
            yield _problem(about, those, self._affected, self._held)


def problems(states: Iterable[CheckState], policy: FindingPolicy, now: float) -> list[Problem]:
    """The problems of these states, the worst first. `now` is unix seconds."""
    states = list(states)
    affected = Affected()
    gathering = Gathering(affected, Held(states), policy, now)
    for state in states:
        affected.add(state)
        gathering.add(state)
    return sorted(gathering.problems(), key=order)


def order(problem: Problem) -> tuple[int, int, float, str, Labels]:
    """Sorts problems: by severity, then by how many domains they hurt, then the newest first."""
    return _GRAVITY[problem.severity], -len(problem.domains), -problem.since, problem.rule.id, problem.cause


def failing(state: CheckState, policy: FindingPolicy, now: float) -> Iterator[tuple[ProblemKey, EffectiveFinding]]:
    """The findings of a state that are part of a problem, with what tells that problem from all others."""
    if state.findings and not state.check.concludes:
        for effective in state.effective(policy, now):
            if effective.fails:
                yield (effective.finding.id, cause(effective.finding, state.target)), effective


def cause(finding: Finding, target: Target) -> Labels:
    """What has to change: the evidence that the rule names as its cause, or else the target."""
    named = finding.rule.cause
    if named is None:
        return target.identity
    return tuple((name, value) for name, value in finding.evidence if name in named)


def _problem(about: Labels, members: list[Member], affected: Affected, held: Known) -> Problem:
    ordered = sorted(members, key=lambda it: (it.effective.active.since, it.target.key))
    first, *others = {id(it): it for it in (affected.domains(member.target) for member in members)}.values()
    hurt = first.union(*others) if others else first
    severity = worst(it.effective.severity for it in members)
    return Problem(members[0].effective.finding.rule, about, tuple(ordered), hurt, severity, held)
