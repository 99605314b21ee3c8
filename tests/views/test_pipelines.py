"""JUnit XML and SARIF hold what was found, and nothing of it breaks their form."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from functools import partial

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.store import Store
from exporter.facts import Reason
from exporter.targets import Domain
from exporter.views import pipelines
from tests.support.checks import BROKEN, NOTE, ODD, SAMPLE, outcome

HOSTILE = "a\x00\x1b]\ud800 <b>&\"'"


def looked(*states: CheckState) -> Store:
    store = Store()
    for it in states:
        store.hold(it.check, it.target, partial(_recalled, it))
    return store


def _recalled(saved: CheckState, _new: CheckState) -> CheckState:
    return saved


def state(name: str, *facts: object, doubt: Reason | None = None) -> CheckState:
    target = Domain(name=name, mail_from=(name,))
    return CheckState(SAMPLE, target).after(outcome(*facts, target=target, doubt=doubt))  # type: ignore[arg-type]  # facts


STORE = looked(
    state("bad.example", BROKEN(what=HOSTILE), ODD(what="it"), NOTE(what="x")),
    state("late.example", doubt=Reason.DNS_TIMEOUT),
    state("good.example", NOTE(what="x")),
)


def test_junit_counts_failures_and_what_could_not_be_told() -> None:
    text = pipelines.as_junit(STORE, FindingPolicy(), 0)
    suite = ET.fromstring(text)
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "3",
        "failures": "1",
        "skipped": "1",
        "errors": "0",
    }
    cases = {case.get("name"): case for case in suite}
    failures = [it.get("type") for it in cases["bad.example"]]
    assert failures == ["sample.broken", "sample.odd"], "information is no failure"
    assert [it.tag for it in cases["late.example"]] == ["skipped"]
    assert [*cases["good.example"]] == []


def test_sarif_has_a_result_for_each_problem_with_its_rule() -> None:
    told = json.loads(pipelines.as_sarif(STORE, FindingPolicy(), 0))
    (run,) = told["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert told["version"] == "2.1.0"
    assert [(it["ruleId"], it["level"]) for it in run["results"]] == [
        ("sample.broken", "error"),
        ("sample.odd", "warning"),
    ]
    assert [rules[it["ruleIndex"]] for it in run["results"]] == [it["ruleId"] for it in run["results"]]
    assert run["results"][0]["locations"][0]["logicalLocations"] == [
        {"fullyQualifiedName": "bad.example", "kind": "resource"}
    ]
