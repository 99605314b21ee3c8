"""What the state file says of one check of one target: to JSON, and back.

The problem: a file can be damaged, changed by hand, or written by another version. What is read back is served as a
verdict, and its texts become labels. So nothing of it may be believed unseen.

The rules:

- A row counts as a whole. If any part of it is not what `written` makes, the pair is evaluated anew.
- Times and numbers are finite, and times are years that a calendar has.
- Texts are safe to show, whatever stands in the file.
- What a newer or older version may have written is no damage: unknown rules and metrics are left out, an unknown reason
  becomes "pending", and evidence that a sentence has gained is shown as an ellipsis.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple, get_type_hints

from exporter.check_state import PENDING, CheckState, RecordChange, RecordHistory
from exporter.confirmation import LOOKS, ActiveFinding, EndedFinding
from exporter.engine.catalogue import Catalogue
from exporter.engine.departed import Kept
from exporter.facts import Doubt, Finding, Labels, Metric, Reason, Record, Rule, Sample, Severity, shared_sample
from exporter.model import Check, Target
from exporter.text import printable

LONGEST = 1 << 22  # characters of one row
LATEST = 253_402_300_799.0  # the last second of the year 9999: no calendar shows later times
PORTS = 65_535
_ENCODE = json.JSONEncoder().encode
UNSOUND = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


class SavedState(NamedTuple):
    """What a row says of a pair."""

    findings: tuple[ActiveFinding, ...]
    ended: tuple[EndedFinding, ...]
    samples: tuple[Sample, ...]
    records: tuple[RecordHistory, ...]
    found: tuple[Target, ...]
    doubt: Doubt | None
    last_run: float
    last_conclusive: float
    again: float
    ahead: tuple[tuple[float, float], ...]

    def of(self, new: CheckState) -> CheckState:
        """The state of that pair."""
        return CheckState(
            new.check,
            new.target,
            findings=self.findings,
            samples=self.samples,
            doubt=self.doubt,
            last_run=self.last_run,
            last_conclusive=self.last_conclusive,
            records=self.records,
            found=self.found,
            again=self.again,
            ended=self.ended,
            looks=new.looks,
            ahead=self.ahead,
        )


NOTHING_SAVED = SavedState((), (), (), (), (), PENDING, 0.0, 0.0, 0.0, ())


def written(state: CheckState) -> str:
    """As JSON. Transcripts are not saved. What is empty is left out, but for what older versions want to read."""
    body: dict[str, Any] = {
        "findings": [
            [it.finding.id, it.finding.severity, it.finding.evidence, it.since, _looks(it)] for it in state.findings
        ],
        "readings": [[r.metric.name, r.labels, r.value] for r in state.samples],
        "doubt": [state.doubt.reason, state.doubt.detail] if state.doubt else None,
        "last_run": state.last_run,
        "last_conclusive": state.last_conclusive,
    }
    more = {
        "ended": state.ended and _ended(state.ended),
        "records": state.records and _records(state.records),
        "again": state.again,
        "ahead": state.ahead,
    }
    body |= {name: said for name, said in more.items() if said}
    if state.found or state.check.finds:
        body["found"] = [[type(target).__name__, _own(target)] for target in state.found]
    return _ENCODE(body)


def written_of_departed(kept: Kept) -> str:
    """As JSON, so that a version that keeps nothing of them reads a pair without a run."""
    pending = {"findings": [], "readings": [], "doubt": [PENDING.reason, PENDING.detail]}
    never = {"last_run": 0.0, "last_conclusive": 0.0}
    known = {"ended": _ended(kept.findings), "records": _records(kept.records)}
    return json.dumps({"left": kept.at, **pending, **never, **known})


def _ended(ended: Iterable[EndedFinding]) -> list[Any]:
    return [[*it.key, it.since, it.at, it.turns, *([True] if it.left else [])] for it in ended]


def _records(records: Iterable[RecordHistory]) -> list[Any]:
    return [
        [it.record.name, it.record.texts, it.record.digest, it.since, [[c.before, c.after, c.at] for c in it.changes]]
        for it in records
    ]


def departed(body: Mapping[str, Any]) -> Kept | None:
    """What is kept of a pair that left; None if the row is of one that is there. Raise one of UNSOUND as `read`."""
    if "left" not in body:
        return None
    return Kept(moment(body["left"]), *_past(body))


def loaded(saved: str) -> dict[str, Any]:
    """One row, for `departed` and `read`. Raise one of UNSOUND if it is none."""
    if len(saved) > LONGEST:
        raise ValueError(f"it has {len(saved)} characters")
    body = json.loads(saved)
    if not isinstance(body, dict):
        raise TypeError(f"{type(body).__name__} is no row")
    return body


def _past(body: Mapping[str, Any]) -> tuple[tuple[EndedFinding, ...], tuple[RecordHistory, ...]]:
    ended, records = body.get("ended", ()), body.get("records", ())
    return (
        tuple([_ended_finding(*it) for it in ended]) if ended else (),
        tuple([_remembered(*it) for it in records]) if records else (),
    )


def read(body: Mapping[str, Any], check: Check, catalogue: Catalogue) -> SavedState:
    """Raise one of UNSOUND unless it is what some version of `written` made."""
    ended, records = _past(body)
    findings: tuple[ActiveFinding, ...] = ()
    if body["findings"]:
        findings = tuple(
            _active(_finding(catalogue.rules[rule], severity, evidence), moment(since), *looks)
            for rule, severity, evidence, since, *looks in body["findings"]
            if rule in catalogue.rules
        )
    samples: tuple[Sample, ...] = ()
    if body["readings"]:
        known = catalogue.metrics_by_name
        made = [_sample(known[name], value, labels) for name, labels, value in body["readings"] if name in known]
        samples = tuple([sample for sample in made if sample])
    found, ahead = body.get("found", ()), body.get("ahead", ())
    return SavedState(
        findings,
        ended,
        samples,
        records,
        tuple([_found(check, *it) for it in found]) if found else (),
        _doubt(*body["doubt"]) if body["doubt"] else None,
        # older files do not have the found targets: the check runs at once
        moment(body["last_run"]) if "found" in body or not check.finds else 0.0,
        moment(body["last_conclusive"]),
        moment(body.get("again", 0.0)),
        tuple([(moment(held), moment(told)) for held, told in ahead]) if ahead else (),
    )


def moment(saved: Any) -> float:
    """Unix seconds. Raise ValueError or TypeError for anything that is no time."""
    if type(saved) is float and 0.0 <= saved <= LATEST:
        return saved
    seconds = _number(saved)
    if not 0.0 <= seconds <= LATEST:
        raise ValueError(f"{seconds:g} is no time")
    return seconds


def _number(saved: Any) -> float:
    if isinstance(saved, bool) or not isinstance(saved, int | float):
        raise TypeError(f"{type(saved).__name__} is no number")
    number = float(saved)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number")
    return number


def text_of(saved: Any) -> str:
    """Safe to show. Raise TypeError unless it is a text."""
    if not isinstance(saved, str):
        raise TypeError(f"{type(saved).__name__} is no text")
    return saved if saved.isprintable() else printable(saved, len(saved))


def texts_of(saved: Any) -> tuple[str, ...]:
    """Raise TypeError unless it is a list of texts."""
    if not isinstance(saved, list):
        raise TypeError(f"{type(saved).__name__} is no list")
    return tuple(map(text_of, saved))


def labels_of(saved: Any) -> Labels:
    """Raise TypeError or ValueError unless it is a list of pairs of texts."""
    return tuple([(text_of(name), text_of(value)) for name, value in saved])


def _finding(rule: Rule, severity: Any, saved: Any) -> Finding:
    evidence = dict(labels_of(saved))
    if missing := set(rule.subjects) - evidence.keys():
        raise KeyError(*missing)
    whole = dict.fromkeys(rule.fields, "…") | evidence
    return Finding(rule, tuple(sorted(whole.items())), Severity(severity))


def _ended_finding(rule: Any, subject: Any, since: Any, at: Any, turns: Any, left: Any = False) -> EndedFinding:
    if not isinstance(left, bool):
        raise TypeError(f"{type(left).__name__} is no yes or no")
    return EndedFinding((text_of(rule), labels_of(subject)), moment(since), moment(at), tuple(map(moment, turns)), left)


def _looks(active: ActiveFinding) -> list[Any]:
    return [active.confirmed, active.bad, active.good, active.looked, active.well, active.turns]


def _active(finding: Finding, since: float, looks: Any = None) -> ActiveFinding:
    """A finding of an older version has no looks: it was exposed to alerts, so it counts as confirmed."""
    if looks is None:
        return ActiveFinding(finding, since, confirmed=True, bad=LOOKS)
    confirmed, bad, good, looked, well, turns = looks
    if not (isinstance(confirmed, bool) and bad in range(LOOKS + 1) and good in range(LOOKS + 1)):
        raise ValueError("these are no looks")
    times = tuple(map(moment, turns))
    return ActiveFinding(finding, since, confirmed, int(bad), int(good), moment(looked), moment(well), times)


def _sample(metric: Metric, value: Any, saved: Any) -> Sample | None:
    labels = labels_of(saved)
    sample = shared_sample(metric, _number(value), labels)
    return sample if tuple(name for name, _ in labels) == metric.labels else None


def _doubt(reason: Any, detail: Any) -> Doubt:
    return Doubt(Reason(reason), text_of(detail)) if reason in set(Reason) else PENDING


def _remembered(name: Any, texts: Any, digest: Any, since: Any, changes: Any) -> RecordHistory:
    made = tuple([RecordChange(texts_of(before), texts_of(after), moment(at)) for before, after, at in changes])
    return RecordHistory(Record(text_of(name), texts_of(texts), text_of(digest)), moment(since), made)


def _own(target: Target) -> Mapping[str, Any]:
    """The fields of this kind of target. The fields that all kinds share come from the configuration."""
    shared = {field.name for field in fields(Target)}
    return {field.name: getattr(target, field.name) for field in fields(target) if field.name not in shared}


@cache
def _kinds(check: Check) -> Mapping[str, tuple[type[Target], Mapping[str, Any]]]:
    """The kinds of target that a check finds, by name, with the types of their fields."""
    return {kind.__name__: (kind, get_type_hints(kind)) for kind in check.finds}


def _found(check: Check, name: Any, own: Any) -> Target:
    """Raise one of UNSOUND unless it is a target of a kind that the check finds."""
    kind, types = _kinds(check)[name]
    for key, value in own.items():
        if type(value) is not types[key]:
            raise ValueError(f"{name} has another {key}")
        if (isinstance(value, str) and text_of(value) != value) or (isinstance(value, int) and not 0 <= value <= PORTS):
            raise ValueError(f"{name} has no such {key}")
    return kind(**own)
