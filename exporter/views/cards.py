"""What is held, told to a person: one plain structure that the pages, the check command and JSON all show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from exporter import receivers
from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy
from exporter.engine.store import Store
from exporter.explain.runbook import rule
from exporter.model import Outcome, Severity, Verdict
from exporter.receivers import Ask, Demand, DemandAnswer, DemandState, Profile
from exporter.targets import Delivery

FIRST = (DemandState.UNMET, DemandState.CANNOT_TELL, DemandState.MET, DemandState.NOT_OBSERVABLE)
_ORDER = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}
_GRAVITY = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


def card(held: CheckState, policy: FindingPolicy, now: float) -> dict[str, Any]:
    """One check of one target: verdict, findings with their fix, measures, doubt and the latest evidence."""
    judged = sorted(held.judged(policy, now), key=lambda j: _GRAVITY[j.severity])
    return {
        "check": held.check.id,
        "question": held.check.question,
        "target": dict(held.target.identity),
        "title": held.target.title,
        "labels": dict(held.target.labels),
        "verdict": str(held.verdict(policy, now)),
        "severity": next((str(j.severity) for j in judged if j.fails), None),
        "findings": [_finding(j) for j in judged],
        "unknown": {"reason": str(held.doubt.reason), "detail": held.doubt.detail} if held.doubt else None,
        "measures": [
            {"name": r.metric.name, "help": r.metric.help, "labels": dict(r.labels), "value": r.value}
            for r in held.samples
        ],
        "records": [
            {
                "name": it.record.name,
                "texts": list(it.record.texts),
                "since": timestamp(it.since),
                "changes": [
                    {"at": timestamp(c.at), "before": list(c.before), "after": list(c.after)} for c in it.changes
                ],
            }
            for it in held.records
        ],
        "last_run": timestamp(held.last_run),
        "last_conclusive": timestamp(held.last_conclusive),
        "evidence": _evidence(held.latest),
        "earlier_trouble": _evidence(held.latest_trouble) if held.latest_trouble is not held.latest else None,
    }


def _finding(judged: EffectiveFinding) -> dict[str, Any]:
    finding = judged.finding
    accepted = judged.accepted_until
    return {
        "severity": str(judged.severity),
        "text": finding.text,
        "fix": finding.fix,
        "evidence": dict(finding.evidence),
        "since": timestamp(judged.standing.since),
        "accepted": None if accepted is None else ("for good" if accepted == float("inf") else timestamp(accepted)),
        **rule(finding.rule),
    }


def _evidence(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "started": timestamp(outcome.started),
        "seconds": round(outcome.duration, 4),
        "verdict": str(outcome.verdict),
        "exchanges": [
            {"asked": e.asked, "got": list(e.got), "via": e.via, "seconds": round(e.seconds, 4)}
            for e in outcome.transcript
        ],
    }


def timestamp(seconds: float) -> str | None:
    """RFC 3339 in UTC, or None for never."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def cards(store: Iterable[CheckState], policy: FindingPolicy, now: float) -> list[dict[str, Any]]:
    """Worst first: failures by severity, then what could not be told, then the rest."""
    told = [card(held, policy, now) for held in store]
    return sorted(told, key=_rank)


def _rank(told: dict[str, Any]) -> tuple[int, int, str, str]:
    gravity = _GRAVITY[Severity(told["severity"])] if told["severity"] else 9
    return _ORDER[Verdict(told["verdict"])], gravity, told["check"], told["title"]


def reception(profile: Profile, target: Delivery, ask: Ask) -> dict[str, Any]:
    """Will the receiver take mail of one domain? Each demand with its answer, and what follows."""
    judged = sorted(receivers.judge(profile, target.rests_on, ask), key=lambda pair: FIRST.index(pair[1].state))
    counts = {str(state): sum(answer.state is state for _, answer in judged) for state in DemandState}
    return {
        "receiver": profile.id,
        "name": profile.name,
        "question": profile.question,
        "domain": target.domain,
        "labels": dict(target.labels),
        "counts": counts,
        "state": str(next(state for state in FIRST if counts[state])),
        "demands": [_demand(profile, demand, answer) for demand, answer in judged],
    }


def _demand(profile: Profile, demand: Demand, answer: DemandAnswer) -> dict[str, Any]:
    return {
        "demand": demand.text,
        "state": str(answer.state),
        "finding": profile.finding(demand),
        "refusals": list(demand.refusals),
        "source": {"document": demand.source.document, "url": demand.source.url, "date": demand.source.date},
        "causes": [
            {"id": c.finding.id, "target": c.target, "title": c.title, "text": c.finding.text, "fix": c.finding.fix}
            for c in answer.causes
        ],
        "unknown": [
            {
                "check": t.check,
                "target": t.target,
                "title": t.title,
                "reason": str(t.doubt.reason),
                "detail": t.doubt.detail,
            }
            for t in answer.troubles
        ],
        "why": answer.why,
    }


def receptions(store: Store) -> list[dict[str, Any]]:
    """Every domain at every receiver that it wants to be taken by."""
    return [
        reception(receivers.shipped()[name], held.target, store.get)
        for held in store
        if isinstance(held.target, Delivery)
        for name in held.target.receivers
    ]
