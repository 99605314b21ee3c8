"""Plain structures with what is known of a target. The pages, the `check` command and JSON all show the same ones.

Times are unix seconds; each view formats them itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from exporter import receivers
from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy, RecordHistory
from exporter.confirmation import LOOKS, ActiveFinding
from exporter.engine.held import Held
from exporter.engine.store import Store
from exporter.facts import Doubt, Finding, Known, Labels, Rule, Sample, Severity, Verdict
from exporter.model import Check, Target
from exporter.past_run import RunEvidence
from exporter.receivers import Ask, Demand, DemandAnswer, DemandState, Profile
from exporter.remedies import NOTHING, Remedy
from exporter.targets import Delivery

FIRST = (DemandState.UNMET, DemandState.CANNOT_TELL, DemandState.MET, DemandState.NOT_OBSERVABLE)
_ORDER = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}
_GRAVITY = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2, None: 3}


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """An active finding under the operator's policy."""

    rule: Rule
    severity: Severity
    text: str
    fix: str
    evidence: Labels
    since: float
    accepted_until: float | None  # None: not accepted; infinity: for good
    certainty: str = ""  # for people: what further looks have to decide
    remedy: Remedy = NOTHING  # of what is no problem: those have one for all their findings
    count: int = 1  # of findings with one cause, of which this one tells

    @property
    def accepted(self) -> bool:
        return self.accepted_until is not None


@dataclass(frozen=True, slots=True)
class Card:
    """One check of one target: verdict, findings with their fix, measures, doubt and the latest evidence.

    `severity` is that of the worst finding that fails; None if none fails.
    """

    check: Check
    target: Target
    verdict: Verdict
    severity: Severity | None
    findings: tuple[ShownFinding, ...]  # the worst first
    doubt: Doubt | None
    samples: tuple[Sample, ...]
    records: tuple[RecordHistory, ...]
    last_run: float | None  # None: never
    last_conclusive: float | None
    evidence: RunEvidence | None
    repeated: int  # later runs in which DNS gave the same answers as in that evidence
    earlier_trouble: RunEvidence | None  # of the latest run that did not pass, if later ones did

    @property
    def state(self) -> Severity | Verdict:
        """One word: the severity, or else the verdict."""
        return self.severity or self.verdict


@dataclass(frozen=True, slots=True)
class DemandCard:
    """One demand with its answer. `finding` is the id of the finding for it; None if there is none."""

    demand: Demand
    finding: str | None
    answer: DemandAnswer


@dataclass(frozen=True, slots=True)
class Reception:
    """Will the receiver take mail of one domain? Each demand with its answer, and the result."""

    profile: Profile
    target: Delivery
    state: DemandState  # the first of FIRST that a demand is in
    counts: Mapping[DemandState, int]  # demands in each state
    demands: tuple[DemandCard, ...]  # in the order of FIRST


def card(state: CheckState, policy: FindingPolicy, now: float) -> Card:
    effective = sorted(state.effective(policy, now), key=lambda j: _GRAVITY[j.severity])
    trouble = state.latest_trouble
    return Card(
        check=state.check,
        target=state.target,
        verdict=state.verdict(policy, now),
        severity=next((j.severity for j in effective if j.fails), None),
        findings=tuple(_finding(it, state) for it in effective),
        doubt=state.doubt,
        samples=state.samples,
        records=state.records,
        last_run=state.last_run or None,
        last_conclusive=state.last_conclusive or None,
        evidence=state.latest.opened() if state.latest else None,
        repeated=state.repeated,
        earlier_trouble=trouble.opened() if trouble and trouble is not state.latest else None,
    )


def joined(findings: Iterable[ShownFinding], known: Known) -> tuple[ShownFinding, ...]:
    """The same, but those of one rule with one cause are one, with one fix. That may rest on what else is `known`."""
    alike: dict[object, list[ShownFinding]] = {}
    for it in findings:
        about = None if it.rule.cause is None else tuple(pair for pair in it.evidence if pair[0] in it.rule.cause)
        alike.setdefault((it.rule.id, it.severity, it.accepted_until, about), []).append(it)
    return tuple(those[0] if len(those) == 1 else _one(those, known) for those in alike.values())


def _one(those: list[ShownFinding], known: Known) -> ShownFinding:
    rule = those[0].rule
    findings = [Finding(rule, it.evidence, it.severity) for it in those]
    text, fix = rule.text_of(findings), rule.fix_of(findings, known)
    return replace(those[0], text=text, fix=fix, since=min(it.since for it in those), count=len(those))


def _finding(effective: EffectiveFinding, state: CheckState) -> ShownFinding:
    finding = effective.finding
    return ShownFinding(
        rule=finding.rule,
        severity=effective.severity,
        text=finding.text,
        fix=finding.fix,
        evidence=finding.evidence,
        since=effective.active.since,
        accepted_until=effective.accepted_until,
        certainty=certainty(effective.active) if effective.fails else "",
        remedy=NOTHING if effective.fails else finding.rule.remedy_of([finding], Held([state])),
    )


def certainty(active: ActiveFinding) -> str:
    """For people: what further looks have to decide; empty if it is certain."""
    if active.good:
        return f"not seen in the last {active.good} of {LOOKS} looks"
    return "" if active.confirmed else f"seen in {active.bad} of {LOOKS} looks, not confirmed yet"


def cards(store: Iterable[CheckState], policy: FindingPolicy, now: float) -> list[Card]:
    """The cards, worst first: failures by severity, then doubts, then the rest."""
    return sorted((card(state, policy, now) for state in store), key=_rank)


def _rank(card: Card) -> tuple[int, int, str, str]:
    return _ORDER[card.verdict], _GRAVITY[card.severity], card.check.id, card.target.title


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
    """Each domain with each of its receivers."""
    return [
        reception(receivers.shipped()[name], state.check.id, state.target, store.get)
        for state in store
        if isinstance(state.target, Delivery)
        for name in state.target.receivers
    ]
