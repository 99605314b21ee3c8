"""What is held, told to a person: the plain structures that the pages, the check command and JSON all show.

Times are unix seconds; who shows them decides how they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from exporter import receivers
from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy, RecordHistory
from exporter.engine.store import Store
from exporter.facts import Doubt, Labels, Rule, Sample, Severity, Verdict
from exporter.model import Check, Exchange, Outcome, Target
from exporter.receivers import Ask, Demand, DemandAnswer, DemandState, Profile
from exporter.targets import Delivery

FIRST = (DemandState.UNMET, DemandState.CANNOT_TELL, DemandState.MET, DemandState.NOT_OBSERVABLE)
_ORDER = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}
_GRAVITY = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2, None: 3}
_DIGITS = 4  # of shown seconds: a tenth of a millisecond


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding that stands, under the operator's policy."""

    rule: Rule
    severity: Severity
    text: str
    fix: str
    evidence: Labels
    since: float
    accepted_until: float | None  # None: not accepted; infinity: for good

    @property
    def accepted(self) -> bool:
        return self.accepted_until is not None


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """What one run asked and saw, and what it said by itself."""

    started: float
    seconds: float
    verdict: Verdict
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One check of one target: verdict, findings with their fix, measures, doubt and the latest evidence.

    `severity` is that of the gravest finding that fails; None if none does.
    """

    check: Check
    target: Target
    verdict: Verdict
    severity: Severity | None
    findings: tuple[ShownFinding, ...]  # the gravest first
    doubt: Doubt | None
    samples: tuple[Sample, ...]
    records: tuple[RecordHistory, ...]
    last_run: float | None  # None: never
    last_conclusive: float | None
    evidence: RunEvidence | None
    earlier_trouble: RunEvidence | None  # of the latest run that did not pass, if later ones did

    @property
    def state(self) -> Severity | Verdict:
        """In one word: how grave it is, or else the verdict."""
        return self.severity or self.verdict


@dataclass(frozen=True, slots=True)
class DemandCard:
    """One demand with its answer. `finding` is the id of the finding that it is not met; None: nothing finds that."""

    demand: Demand
    finding: str | None
    answer: DemandAnswer


@dataclass(frozen=True, slots=True)
class Reception:
    """Will the receiver take mail of one domain? Each demand with its answer, and what follows."""

    profile: Profile
    target: Delivery
    state: DemandState  # the first of FIRST that a demand is in
    counts: Mapping[DemandState, int]  # demands in each state
    demands: tuple[DemandCard, ...]  # in the order of FIRST


def card(held: CheckState, policy: FindingPolicy, now: float) -> Card:
    judged = sorted(held.judged(policy, now), key=lambda j: _GRAVITY[j.severity])
    return Card(
        check=held.check,
        target=held.target,
        verdict=held.verdict(policy, now),
        severity=next((j.severity for j in judged if j.fails), None),
        findings=tuple(map(_finding, judged)),
        doubt=held.doubt,
        samples=held.samples,
        records=held.records,
        last_run=held.last_run or None,
        last_conclusive=held.last_conclusive or None,
        evidence=_evidence(held.latest),
        earlier_trouble=_evidence(held.latest_trouble) if held.latest_trouble is not held.latest else None,
    )


def _finding(judged: EffectiveFinding) -> ShownFinding:
    finding = judged.finding
    return ShownFinding(
        rule=finding.rule,
        severity=judged.severity,
        text=finding.text,
        fix=finding.fix,
        evidence=finding.evidence,
        since=judged.standing.since,
        accepted_until=judged.accepted_until,
    )


def _evidence(outcome: Outcome | None) -> RunEvidence | None:
    if outcome is None:
        return None
    return RunEvidence(
        started=outcome.started,
        seconds=round(outcome.duration, _DIGITS),
        verdict=outcome.verdict,
        exchanges=tuple(replace(it, seconds=round(it.seconds, _DIGITS)) for it in outcome.transcript),
    )


def cards(store: Iterable[CheckState], policy: FindingPolicy, now: float) -> list[Card]:
    """Worst first: failures by severity, then what could not be told, then the rest."""
    return sorted((card(held, policy, now) for held in store), key=_rank)


def _rank(told: Card) -> tuple[int, int, str, str]:
    return _ORDER[told.verdict], _GRAVITY[told.severity], told.check.id, told.target.title


def reception(profile: Profile, check: str, target: Delivery, ask: Ask) -> Reception:
    """`check` is the id of the one that judges it."""
    judged = sorted(receivers.judge(profile, target.rests_on, ask), key=lambda pair: FIRST.index(pair[1].state))
    counts = {state: sum(answer.state is state for _, answer in judged) for state in DemandState}
    return Reception(
        profile=profile,
        target=target,
        state=next(state for state in FIRST if counts[state]),
        counts=counts,
        demands=tuple(DemandCard(demand, profile.finding(demand, check), answer) for demand, answer in judged),
    )


def receptions(store: Store) -> list[Reception]:
    """Every domain at every receiver that it wants to be taken by."""
    return [
        reception(receivers.shipped()[name], held.check.id, held.target, store.get)
        for held in store
        if isinstance(held.target, Delivery)
        for name in held.target.receivers
    ]
