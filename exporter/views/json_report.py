"""What `check --format json` prints. Other people's programs read its keys, so the keys must not change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from exporter import __version__
from exporter.check_state import CheckState, FindingPolicy, RecordHistory
from exporter.engine.difference import Difference
from exporter.engine.problems import Problem, groups, problems
from exporter.engine.store import Store
from exporter.facts import Doubt, Rule, Sample, Verdict
from exporter.model import Exchange
from exporter.net.planned.records import PlannedRecords
from exporter.past_run import RunEvidence
from exporter.receivers import Cause, DemandState, OpenQuestion
from exporter.remedies import Remedy, blanks_in
from exporter.remedies.forms import forms
from exporter.views import cards
from exporter.views.cards import Card, DemandCard, Reception, ShownFinding
from exporter.views.report import NOTHING_FOUND, Discovered, supposed
from exporter.views.times import timestamp, until

SCHEMA = 1  # changes when a key goes or changes its meaning

JsonObject: TypeAlias = Mapping[str, object]  # what json.dumps takes; an enum is written as the text that it is


def as_json(
    store: Store,
    policy: FindingPolicy,
    now: float,
    notes: Sequence[str],
    exit_code: int,
    discovered: Discovered = NOTHING_FOUND,
    *,
    stopped: tuple[int, int] | None = None,
    plan: PlannedRecords | None = None,
    change: Difference | None = None,
) -> str:
    """Each verdict with its evidence, in the same words as the pages. What may not send stands apart.

    `plan` and `change`: of planned records.
    """
    shown = cards.cards((it for it in store if not it.target.likely), policy, now)
    perhaps = supposed(store)
    found = problems(store, policy, now)
    body: dict[str, object] = {
        "schema": SCHEMA,
        "version": __version__,
        "exit": exit_code,
        "summary": _summary(it.verdict for it in shown),
        "notes": list(notes),
        "groups": _groups(found),
        "problems": [_problem(problem) for problem in found],
        "verdicts": [_card(card) for card in shown],
        "receivers": [_reception(reception) for reception in cards.receptions(store)],
        "discovered": discovered.facts,
        "if_it_sends": {
            "problems": [_problem(problem) for problem in problems(perhaps, policy, now)],
            "verdicts": [_card(card) for card in cards.cards(perhaps, policy, now)],
        },
    }
    if stopped:
        body["stopped"] = _stopped(stopped)
    if plan:
        body["planned"] = _plan(plan)
    if change:
        body["change"] = _change(change)
    return json.dumps(body, indent=2, ensure_ascii=False)


def line(state: CheckState, policy: FindingPolicy, now: float) -> str:
    """One result, as one line. A later line about the same check and target replaces it.

    What counts only if the machine sends is of another type.
    """
    kind, (shown, *_) = ("result_if_it_sends", supposed([state])) if state.target.likely else ("result", [state])
    return _line(kind, _card(cards.card(shown, policy, now)))


def last_lines(
    store: Store,
    policy: FindingPolicy,
    now: float,
    notes: Sequence[str],
    exit_code: int,
    discovered: Discovered = NOTHING_FOUND,
    stopped: tuple[int, int] | None = None,
) -> Iterator[str]:
    """What follows the results: each problem, and the end."""
    for problem in problems(store, policy, now):
        yield _line("problem", _problem(problem))
    end: dict[str, object] = {
        "version": __version__,
        "exit": exit_code,
        "summary": _summary(it.verdict(policy, now) for it in store if not it.target.likely),
        "notes": list(notes),
        "discovered": discovered.facts,
    }
    yield _line("end", end | ({"stopped": _stopped(stopped)} if stopped else {}))


def _line(kind: str, body: JsonObject) -> str:
    return json.dumps({"schema": SCHEMA, "kind": kind, **body}, ensure_ascii=False)


def _summary(verdicts: Iterable[Verdict]) -> JsonObject:
    counts = Counter(verdicts)
    return {verdict: counts[verdict] for verdict in Verdict}


def _stopped(counts: tuple[int, int]) -> JsonObject:
    return {"done": counts[0], "total": counts[1]}


def _plan(plan: PlannedRecords) -> JsonObject:
    return {
        "files": [{"file": it.name, "zone": it.zone, "sets": len(it.sets), "records": it.count} for it in plan.files],
        "removed": [{"name": it.name, "type": it.rdtype} for it in sorted(plan.removed)],
    }


def _change(change: Difference) -> JsonObject:
    return {
        "breaks": [_problem(it) for it in change.breaks],
        "heals": [_problem(it) for it in change.heals],
        "stays": [_problem(it) for it in change.stays],
        "unknown": [
            {"check": it.check.id, "target": dict(it.target.identity), "title": it.target.title, **_doubt(it.doubt)}
            for it in change.blinded
            if it.doubt
        ],
    }


def failed(why: str, exit_code: int, *, in_lines: bool = False) -> str:
    """Nothing could be looked at, for this reason. `in_lines`: as the last of the lines."""
    if in_lines:
        return _line("end", {"version": __version__, "exit": exit_code, "notes": [why]})
    nothing: JsonObject = {"groups": [], "problems": [], "verdicts": [], "receivers": []}
    told = {"schema": SCHEMA, "version": __version__, "exit": exit_code, "notes": [why], **nothing}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _groups(found: Sequence[Problem]) -> list[JsonObject]:
    """As they are shown. `problems` are the places of theirs in the list of all."""
    places = {(it.rule.id, it.cause): place for place, it in enumerate(found)}
    return [
        {
            "id": group.rule.id,
            "severity": group.severity,
            "text": group.text,
            "fix": group.fix,
            "fill_in": blanks_in(group.fix),
            "domains": len(group.domains),
            "problems": [places[it.rule.id, it.cause] for it in group.problems],
        }
        for group in groups(found)
    ]


def _problem(problem: Problem) -> JsonObject:
    return {
        "id": problem.rule.id,
        "severity": problem.severity,
        "text": problem.text,
        "why": problem.rule.why,
        "fix": problem.fix,
        **_remedy(problem.remedy, problem.fix),
        "reference": problem.rule.ref,
        "cause": dict(problem.cause),
        "domains": sorted(problem.domains),
        "members": [
            {"check": it.check.id, "target": dict(it.target.identity), "title": it.target.title}
            for it in problem.members
        ],
    }


def _remedy(remedy: Remedy, fix: str) -> JsonObject:
    made = forms(remedy.records)
    return {
        "records": [
            {
                "action": it.action,
                "name": it.name,
                "type": it.type,
                "ttl": it.ttl,
                "add": it.add,
                "remove": it.remove,
                "keep": it.keep,
            }
            for it in remedy.records
        ],
        "record_forms": {it.key: it.text for it in made},
        "settings": [{"server": it.server, "where": it.where, "lines": it.lines} for it in remedy.settings],
        "request": remedy.request or None,
        "fill_in": remedy.blanks | blanks_in("\n".join((fix, *(form.text for form in made)))),
    }


def _card(card: Card) -> JsonObject:
    return {
        "check": card.check.id,
        "question": card.check.question,
        "target": dict(card.target.identity),
        "title": card.target.title,
        "labels": dict(card.target.labels),
        "verdict": card.verdict,
        "severity": card.severity,
        "findings": [_finding(finding) for finding in card.findings],
        "unknown": _doubt(card.doubt) if card.doubt else None,
        "measures": [_sample(sample) for sample in card.samples],
        "records": [_record(record) for record in card.records],
        "last_run": timestamp(card.last_run),
        "last_conclusive": timestamp(card.last_conclusive),
        "evidence": _evidence(card.evidence) if card.evidence else None,
        "earlier_trouble": _evidence(card.earlier_trouble) if card.earlier_trouble else None,
    }


def _finding(finding: ShownFinding) -> JsonObject:
    return {
        "severity": finding.severity,
        "text": finding.text,
        "fix": finding.fix,
        "fill_in": blanks_in(finding.fix),
        "evidence": dict(finding.evidence),
        "since": timestamp(finding.since),
        "accepted": None if finding.accepted_until is None else until(finding.accepted_until),
        **_rule(finding.rule),
    }


def _rule(rule: Rule) -> JsonObject:
    return {
        "id": rule.id,
        "default_severity": rule.severity,
        "why": rule.why,
        "reference": rule.ref,
        "refusals": rule.refusals,
    }


def _doubt(doubt: Doubt) -> JsonObject:
    return {"reason": doubt.reason, "detail": doubt.detail}


def _sample(sample: Sample) -> JsonObject:
    metric = sample.metric
    return {"name": metric.name, "help": metric.help, "labels": dict(sample.labels), "value": sample.value}


def _record(record: RecordHistory) -> JsonObject:
    return {
        "name": record.record.name,
        "texts": record.record.texts,
        "since": timestamp(record.since),
        "changes": [{"at": timestamp(it.at), "before": it.before, "after": it.after} for it in record.changes],
    }


def _evidence(run: RunEvidence) -> JsonObject:
    return {
        "started": timestamp(run.started),
        "seconds": run.seconds,
        "verdict": run.verdict,
        "exchanges": [_exchange(exchange) for exchange in run.exchanges],
    }


def _exchange(exchange: Exchange) -> JsonObject:
    return {"asked": exchange.asked, "got": exchange.got, "via": exchange.via, "seconds": exchange.seconds}


def _reception(reception: Reception) -> JsonObject:
    return {
        "receiver": reception.profile.id,
        "name": reception.profile.name,
        "question": reception.profile.question,
        "domain": reception.target.domain,
        "labels": dict(reception.target.labels),
        "counts": {_key(state): count for state, count in reception.counts.items()},
        "state": _key(reception.state),
        "demands": [_demand(demand) for demand in reception.demands],
    }


def _demand(card: DemandCard) -> JsonObject:
    demand, answer = card.demand, card.answer
    return {
        "demand": demand.text,
        "state": _key(answer.state),
        "finding": card.finding,
        "refusals": demand.refusals,
        "source": {"document": demand.source.document, "url": demand.source.url, "date": demand.source.date},
        "causes": [_cause(cause) for cause in answer.causes],
        "unknown": [_trouble(trouble) for trouble in answer.troubles],
        "why": answer.why,
    }


def _key(state: DemandState) -> str:
    return state.replace(" ", "_")


def _cause(cause: Cause) -> JsonObject:
    finding = cause.finding
    return {
        "id": finding.id,
        "target": cause.target.key,
        "title": cause.title,
        "text": finding.text,
        "fix": finding.fix,
    }


def _trouble(trouble: OpenQuestion) -> JsonObject:
    return {
        "check": trouble.check,
        "target": trouble.target.key,
        "title": trouble.title,
        **_doubt(trouble.doubt),
    }
