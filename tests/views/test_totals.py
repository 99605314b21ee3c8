"""Totals are those that a count of all verdicts would give, whatever has changed in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine import catalogue, families
from exporter.engine.problems import problems
from exporter.facts import Reason, Severity
from exporter.model import Target
from exporter.targets import Address, Domain, Reputation
from exporter.views.totals import STATUSES, Totals, status
from tests.support.checks import BROKEN, NOTE, SAMPLE, outcome

NOW, POLICY = 5000.0, FindingPolicy()
BAD, GOOD, DOUBTED = outcome(BROKEN(what="x")), outcome(NOTE(what="y")), outcome(doubt=Reason.DNS_TIMEOUT)
PENDING = CheckState(SAMPLE, Domain(name="a.example", mail_from=()))


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (PENDING, "pending"),
        (PENDING.after(GOOD), "pass"),
        (PENDING.after(BAD), "fail"),
        (PENDING.after(DOUBTED), "unknown"),
        (PENDING.after(GOOD).after(DOUBTED), "unknown"),
        (PENDING.after(BAD).after(DOUBTED), "fail"),
        (replace(PENDING.after(BAD), doubt=PENDING.doubt), "fail"),
        (replace(PENDING.after(GOOD), doubt=PENDING.doubt), "pending"),
    ],
)
def test_a_status_is_the_first_that_applies(state: CheckState, told: str) -> None:
    assert status(state, POLICY, NOW) == told
    assert told in STATUSES


def test_a_severity_that_the_operator_has_chosen_counts() -> None:
    assert status(PENDING.after(BAD), FindingPolicy({BROKEN.id: Severity.INFO}), NOW) == "pass"


def test_one_cause_is_one_problem_of_the_worst_severity_and_repeated_findings_are_none() -> None:
    totals = Totals()
    for name, finding in (("a", SHARED(what="x")), ("b", LESS), ("c", SHARED(what="z"))):
        target = Domain(name=f"{name}.example", mail_from=())
        totals.put(replace(PENDING.after(outcome(finding)), target=target), POLICY, NOW)
    assert problem_rows(totals) == {("check=sample", "finding=sample.broken", "severity=critical"): 2}
    totals.remove(("sample", "domain=a.example"))
    assert problem_rows(totals) == {
        ("check=sample", "finding=sample.broken", "severity=critical"): 1,
        ("check=sample", "finding=sample.broken", "severity=warning"): 1,
    }
    repeats = replace(PENDING, check=replace(SAMPLE, id="repeats", concludes=True))
    totals.put(replace(repeats.after(BAD), check=repeats.check), POLICY, NOW)
    assert len(problem_rows(totals)) == 2


def problem_rows(totals: Totals) -> dict[tuple[str, ...], int]:
    return {key[1:]: count for key, count in rows(totals).items() if key[0] == families.PROBLEMS}


def rows(totals: Totals) -> dict[tuple[str, ...], int]:
    return {(family, *(f"{name}={value}" for name, value in labels)): n for family, labels, n in totals.rows()}


def test_a_domain_is_one_target_however_many_checks_look_at_it() -> None:
    totals = Totals()
    for check in ("sample", "other"):
        totals.put(replace(PENDING, check=replace(SAMPLE, id=check)), POLICY, NOW)
    address = ip_address("192.0.2.1")
    for target in (Address(ip=address, helo=()), Reputation(subject=address, lists=())):
        totals.put(replace(PENDING, check=replace(SAMPLE, id=type(target).__name__), target=target), POLICY, NOW)
    assert {key: n for key, n in rows(totals).items() if key[0] == families.TARGETS} == {
        (families.TARGETS, "kind=domain"): 1,
        (families.TARGETS, "kind=sender_ip"): 1,
    }


def test_every_kind_of_target_has_a_name_for_people() -> None:
    kinds = {kind for entry in catalogue.load().entries for kind in entry.check.over}
    named = {kind.KIND for kind in kinds if kind is not Reputation}
    assert named == {
        "domain",
        "sender_ip",
        "sender_helo",
        "domain_sender",
        "dkim_selector",
        "mail_host",
        "registration",
        "blocklist",
        "resolver",
    }
    assert [Reputation(subject=it, lists=()).kind for it in ("a.example", ip_address("::1"))] == ["domain", "sender_ip"]


def test_what_was_before_is_shown_until_a_configuration_is_in_force() -> None:
    totals = Totals()
    totals.put(PENDING, POLICY, NOW)
    before = rows(totals)
    totals.hold()
    totals.put(replace(PENDING, target=Domain(name="b.example", mail_from=())), POLICY, NOW)
    totals.remove(PENDING.key)
    assert rows(totals) == before
    totals.release()
    assert rows(totals) == before, "another one in its place"
    totals.remove(("sample", "domain=b.example"))
    assert rows(totals) == {}
    assert totals._same == {}


TEAMS = st.sampled_from([(), (("team", "crm"),), (("team", "ops"), ("env", "prod"))])
SHARED = replace(BROKEN, cause=("what",))
LESS = replace(SHARED(what="x"), severity=Severity.WARNING)
RUNS = st.sampled_from(
    [None, GOOD, BAD, DOUBTED, outcome(SHARED(what="x")), outcome(LESS), outcome(LESS, SHARED(what="y"))]
)
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), TEAMS, RUNS, st.booleans()), max_size=30)


@settings(max_examples=50)
@given(STEPS, st.sampled_from([(), ("team",), ("env", "team")]))
def test_totals_are_those_of_a_count_of_everything(steps: list[tuple[object, ...]], by: tuple[str, ...]) -> None:
    totals = Totals()
    totals.by = by
    states: dict[tuple[str, str], CheckState] = {}
    for name, check, labels, run, gone in steps:
        target: Target = Domain(name=f"{name}.example", mail_from=(), labels=labels)  # type: ignore[arg-type]  # as drawn
        state = CheckState(replace(SAMPLE, id=str(check)), target)
        if run:
            state = replace(state.after(run), check=state.check, target=target)  # type: ignore[arg-type]  # as drawn
        if gone:
            states.pop(state.key, None)
            totals.remove(state.key)
        else:
            states[state.key] = state
            totals.put(state, POLICY, NOW)
    checks: Counter[tuple[str, ...]] = Counter()
    targets: set[tuple[tuple[str, ...], str]] = set()
    for state in states.values():
        more = tuple(f"{k}={v}" for k, v in state.target.labels if k in by)
        checks[families.CHECKS, f"check={state.check.id}", f"status={status(state, POLICY, NOW)}", *more] += 1
        targets.add(((families.TARGETS, "kind=domain", *more), state.target.key))
    found = Counter[tuple[str, ...]]()
    for check in "xy":
        found.update(
            (families.PROBLEMS, f"check={check}", f"finding={it.rule.id}", f"severity={it.severity}")
            for it in problems((it for it in states.values() if it.check.id == check), POLICY, NOW)
        )
    assert rows(totals) == dict(checks + found + Counter(row for row, _ in targets))
    assert len(totals) == len(rows(totals))
