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
    known: Known = field(repr=False, compare=False)  # what else is held

    @property
    def severity(self) -> Severity:
        """That of the worst member."""
        return worst(it.effective.severity for it in self.members)

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
        """Whose mail any of them affects."""
        return frozenset[str]().union(*(it.domains for it in self.problems))

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
    """Which domains a target's faults hurt. Built from all states of one moment."""

    def __init__(self, states: Iterable[CheckState]) -> None:
        self._by_sender: dict[str, set[str]] = defaultdict(set)
        self._by_host: dict[tuple[str, int], set[str]] = defaultdict(set)
        senders: dict[object, set[str]] = defaultdict(set)
        for state in states:
            match state.target:
                case Authorisation(domain=domain, sender=sender):
                    self._by_sender[sender].add(domain)
                case Greeting(sender=sender, ip=ip):
                    senders[ip].add(sender)
                case Domain(name=name):
                    for found in state.found:
                        if isinstance(found, MailHost):
                            self._by_host[found.host, found.port].add(name)
        self._by_ip = {ip: set().union(*(self._by_sender[it] for it in those)) for ip, those in senders.items()}

    def domains(self, target: Target) -> frozenset[str]:
        """None for a target that is not of one domain more than of all, such as the resolver."""
        match target:
            case Greeting(sender=sender) | EhloProbe(sender=sender):
                return frozenset(self._by_sender.get(sender, ()))
            case Address(ip=ip) | Reputation(subject=ip) if ip in self._by_ip:
                return frozenset(self._by_ip[ip])
            case MailHost(host=host, port=port):
                return frozenset(self._by_host.get((host, port), ()))
        return frozenset(value for label, value in target.identity if label == "domain")


def problems(states: Iterable[CheckState], policy: FindingPolicy, now: float) -> list[Problem]:
    """The problems of these states, the worst first. `now` is unix seconds."""
    states = list(states)
    affected, held = Affected(states), Held(states)
    members: dict[ProblemKey, list[Member]] = defaultdict(list)
    for state in states:
        for key, effective in failing(state, policy, now):
            members[key].append(Member(state.check, state.target, effective))
    found = [_problem(about, those, affected, held) for (_, about), those in members.items()]
    return sorted(found, key=lambda it: (_GRAVITY[it.severity], -len(it.domains), -it.since, it.rule.id, it.cause))


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
    ordered = sorted(members, key=lambda it: (it.effective.active.since, it.target.title))
    hurt = frozenset[str]().union(*(affected.domains(it.target) for it in members))
    return Problem(members[0].effective.finding.rule, about, tuple(ordered), hurt, held)
