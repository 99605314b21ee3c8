"""What is known of one pair: the operator's policy, corrected times, and what the store keeps of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.check_state import (
    CHANGES_KEPT,
    CheckState,
    EffectiveFinding,
    FindingPolicy,
    RecordChange,
    RecordHistory,
    WrongTimes,
)
from exporter.confirmation import LOOKS, ActiveFinding, EndedFinding
from exporter.engine.store import Store
from exporter.facts import Reason, Record, Severity, Verdict
from exporter.model import Acceptance
from tests.support.checks import BROKEN, EXAMPLE, NOTE, ODD, SAMPLE, outcome

POLICY = FindingPolicy()
KEY = SAMPLE.id, EXAMPLE.key


def test_how_long_a_finding_is_accepted_is_known() -> None:
    accepting = replace(
        EXAMPLE,
        accept=(
            Acceptance(finding="sample.odd", until=5000, reason="rollout"),
            Acceptance(finding="sample.broken", until=None, reason="for good"),
        ),
    )
    state = CheckState(SAMPLE, accepting).after(
        outcome(BROKEN(what="x"), ODD(what="x"), NOTE(what="x"), target=accepting)
    )
    broken, odd, note = state.findings
    assert state.effective(FindingPolicy({"sample.odd": Severity.CRITICAL}), 4999) == (
        EffectiveFinding(broken, Severity.CRITICAL, float("inf")),
        EffectiveFinding(odd, Severity.CRITICAL, 5000),
        EffectiveFinding(note, Severity.INFO, None),
    )
    assert state.effective(POLICY, 5000)[1] == EffectiveFinding(odd, Severity.WARNING, None)


def test_the_verdict_for_people_knows_policy_and_time() -> None:
    accepting = replace(EXAMPLE, accept=(Acceptance(finding="sample.odd", until=5000, reason="rollout"),))
    state = CheckState(SAMPLE, accepting).after(outcome(ODD(what="x"), target=accepting))
    harmless = FindingPolicy({"sample.odd": Severity.INFO})
    assert state.verdict(POLICY, 4999) is Verdict.PASS
    assert state.verdict(POLICY, 5000) is Verdict.FAIL
    assert state.verdict(harmless, 5000) is Verdict.PASS
    doubted = state.after(outcome(doubt=Reason.DNS_TIMEOUT, target=accepting))
    assert doubted.verdict(POLICY, 5000) is Verdict.FAIL
    assert doubted.verdict(harmless, 5000) is Verdict.UNKNOWN
    assert CheckState(SAMPLE, EXAMPLE).verdict(POLICY, 5000) is Verdict.UNKNOWN
    assert CheckState(SAMPLE, EXAMPLE).ok(POLICY, 5000) is None


def test_a_finding_that_has_ended_is_remembered_as_what_it_was() -> None:
    broken = BROKEN(what="x")
    active = ActiveFinding(broken, 10.0, confirmed=True, bad=LOOKS, good=LOOKS, looked=100.0, turns=(50.0,))
    state = replace(CheckState(SAMPLE, EXAMPLE), findings=(active,)).confirmed(101.0)
    assert (state.findings, state.ended) == ((), (EndedFinding(broken.key, 10.0, 100.0, (50.0,)),))


@pytest.mark.parametrize(
    ("at", "right"), [(99.9, 99.9), (100.0, 1100.0), (150.0, 1150.0), (200.0, 1200.0), (200.1, 200.1)]
)
def test_times_of_the_wrong_clock_are_those_from_its_begin_to_its_end(at: float, right: float) -> None:
    assert WrongTimes(1000.0, 100.0, 200.0).right(at) == right


def test_the_changes_of_a_record_are_put_right_too() -> None:
    changes = RecordChange(("b",), ("c",), 180.0), RecordChange(("a",), ("b",), 50.0)
    history = RecordHistory(Record.of("example.com TXT", ["c"]), 180.0, changes)
    moved = history.timed(WrongTimes(1000.0, 100.0, 200.0).right)
    assert moved == RecordHistory(
        history.record, 1180.0, (RecordChange(("b",), ("c",), 1180.0), RecordChange(("a",), ("b",), 50.0))
    )


def test_the_latest_changes_of_a_record_are_kept_newest_first() -> None:
    history = RecordHistory(Record.of("example.com TXT", ["0"]), 0.0)
    for n in range(1, CHANGES_KEPT + 3):
        history = history.now(Record.of("example.com TXT", [str(n)]), float(n)).confirmed(n + 1)
        assert history.now(history.record, 99.0) is history
    assert [(it.before, it.after, it.at) for it in history.changes] == [
        ((str(n - 1),), (str(n),), float(n)) for n in range(CHANGES_KEPT + 2, 2, -1)
    ]
    assert history.since == CHANGES_KEPT + 2


def test_when_a_record_last_changed_is_the_newest_of_all() -> None:
    state = CheckState(SAMPLE, EXAMPLE)
    assert state.changed == 0
    for at, one, two in ((10.0, "a", "a"), (20.0, "b", "a"), (30.0, "b", "b"), (40.0, "b", "b")):
        state = state.after(outcome(Record.of("one", [one]), Record.of("two", [two]), at=at)).confirmed(at + 1)
    assert state.changed == 30.0


def test_the_store_keeps_what_it_has_put_right() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE)
    store.record(outcome(ODD(what="x"), at=150.0))
    moved = store.move(KEY, WrongTimes(1000.0, 100.0, 200.0))
    assert moved is not None
    assert store[KEY] is moved
    assert store[KEY].last_run == 1150.0
    assert store.move(("sample", "nobody"), WrongTimes(1000.0, 0.0, 9999.0)) is None


def test_who_has_left_the_store_may_leave_again() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE)
    other = replace(EXAMPLE, name="example.net")
    store.hold(SAMPLE, other)
    assert store.keys() == {KEY, ("sample", other.key)}
    store.remove(KEY)
    store.remove(KEY)
    assert store.keys() == {("sample", other.key)}
    assert len(store) == 1
