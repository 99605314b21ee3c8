"""What a look has found in the formats that pipelines read: JUnit XML and SARIF.

JUnit: one test case for each check of each target, named by both. What fails is a failure, what could not be told is
skipped, and says why. SARIF (OASIS, version 2.1.0): one result for each problem, whose rule is the finding. What is
wrong with a machine of which nobody has said that it sends is skipped there, and a note here.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from exporter import __version__
from exporter.check_state import FindingPolicy
from exporter.engine.problems import Problem, problems
from exporter.engine.store import Store
from exporter.facts import Rule, Severity, Verdict
from exporter.text import printable
from exporter.views import cards
from exporter.views.cards import Card
from exporter.views.report import supposed

_LEVELS: Mapping[Severity, str] = {Severity.CRITICAL: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_NAME = "deliverability-exporter"
ONLY_IF = "only if it sends"


def as_junit(store: Store, policy: FindingPolicy, now: float) -> str:
    """The suite is the look; its test cases are in the order of the cards, the worst first."""
    counted = (it for it in store if not it.check.concludes and not it.target.likely)
    shown, perhaps = cards.cards(counted, policy, now), cards.cards(supposed(store), policy, now)
    counts = {verdict: sum(card.verdict is verdict for card in shown) for verdict in Verdict}
    suite = ET.Element(
        "testsuite",
        name=_NAME,
        tests=str(len(shown) + len(perhaps)),
        failures=str(counts[Verdict.FAIL]),
        errors="0",
        skipped=str(counts[Verdict.UNKNOWN] + sum(card.verdict is not Verdict.PASS for card in perhaps)),
    )
    for card in shown:
        _case(suite, card)
    for card in perhaps:
        _case(suite, card, counts=False)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, card: Card, *, counts: bool = True) -> None:
    case = ET.SubElement(suite, "testcase", classname=card.check.id, name=_safe(card.target.title))
    if card.evidence:
        case.set("time", f"{card.evidence.seconds:.3f}")
    failing = [it for it in card.findings if it.severity.fails and not it.accepted]
    if failing and not counts:
        told = "; ".join(f"{it.text} [{it.rule.id}]" for it in failing)
        ET.SubElement(case, "skipped", message=_safe(f"{ONLY_IF}: {told}"))
        return
    for finding in failing:
        message = f"{finding.severity}: {finding.text} [{finding.rule.id}]"
        ET.SubElement(case, "failure", type=finding.rule.id, message=_safe(message)).text = _safe(finding.fix)
    if card.verdict is Verdict.UNKNOWN and card.doubt:
        ET.SubElement(case, "skipped", message=_safe(f"{card.doubt.reason}: {card.doubt.detail}"))


def _safe(text: str) -> str:
    """XML 1.0 has no place for control characters, and none for surrogates."""
    return printable(text, len(text))


def as_sarif(store: Store, policy: FindingPolicy, now: float) -> str:
    found, perhaps = problems(store, policy, now), problems(supposed(store), policy, now)
    rules = {problem.rule.id: problem.rule for problem in (*found, *perhaps)}
    places = {id_: place for place, id_ in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": _NAME,
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in rules.values()],
            }
        },
        "results": [
            *(_result(problem, places[problem.rule.id]) for problem in found),
            *(_note(problem, places[problem.rule.id]) for problem in perhaps),
        ],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _note(problem: Problem, place: int) -> Mapping[str, object]:
    result = dict(_result(problem, place))
    return result | {"level": "note", "message": {"text": f"{ONLY_IF}: {problem.text}. Fix: {problem.fix}"}}


def _rule(rule: Rule) -> Mapping[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.id},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why} Source: {rule.ref}."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(problem: Problem, place: int) -> Mapping[str, object]:
    titles = dict.fromkeys(it.target.title for it in problem.members)
    return {
        "ruleId": problem.rule.id,
        "ruleIndex": place,
        "level": _LEVELS[problem.severity],
        "message": {"text": f"{problem.text}. Fix: {problem.fix}"},
        "locations": [
            {"logicalLocations": [{"fullyQualifiedName": title, "kind": "resource"} for title in titles]},
        ],
        "partialFingerprints": {"problem/v1": json.dumps([problem.rule.id, problem.cause])},
    }
