"""Verdict, findings and measures are held together, and doubt keeps what it leaves open (truth rule 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.check_state import CheckState, FindingPolicy, WrongTimes
from exporter.engine.store import DEFAULT_LOOKS, Store
from exporter.facts import Doubt, Finding, Measured, Reason, Record, Severity, Verdict
from exporter.model import Acceptance, Exchange
from exporter.past_run import COMPACT_LINES
from exporter.targets import MailHost
from tests.support.checks import BROKEN, EXAMPLE, LISTED, ODD, SAMPLE, SIZE, outcome

POLICY = FindingPolicy()


def held(*runs: object) -> CheckState:
    now = CheckState(SAMPLE, EXAMPLE)
    for run in runs:
        now = now.after(run)  # type: ignore[arg-type]  # outcomes, spelled shortly
    return now


def test_before_the_first_run_nothing_is_known() -> None:
    new = held()
    assert new.ok(POLICY, 0) is None
    assert new.doubt is not None
    assert new.doubt.reason is Reason.PENDING
    assert new.last_run == new.last_conclusive == 0


def test_an_unknown_run_moves_neither_verdict_nor_findings_nor_measures_nor_their_time() -> None:
    now = held(outcome(BROKEN(what="x"), SIZE(3), at=1000), outcome(SIZE(4), doubt=Reason.DNS_TIMEOUT, at=2000))
    assert now.ok(POLICY, 3000) is False
    assert [s.finding.id for s in now.findings] == ["sample.broken"]
    assert [r.value for r in now.samples] == [3]
    assert (now.last_conclusive, now.last_run) == (1000, 2000)
    assert now.doubt is not None


def test_a_measure_whose_question_was_answered_moves_beside_a_doubt() -> None:
    now = held(outcome(SIZE(3), at=1000), outcome(Measured(SIZE), SIZE(4), doubt=Reason.DNS_TIMEOUT, at=2000))
    assert [r.value for r in now.samples] == [4]
    assert now.last_conclusive == 1000
    gone = now.after(outcome(Measured(SIZE), doubt=Reason.DNS_TIMEOUT, at=3000))
    assert gone.samples == ()
    assert now.after(outcome(doubt=Reason.DNS_TIMEOUT, at=3000)).samples == now.samples


def test_an_unknown_run_keeps_a_pass() -> None:
    now = held(outcome(at=1000), outcome(doubt=Reason.DNS_SERVFAIL, at=2000))
    assert now.ok(POLICY, 3000) is True
    assert now.verdict(POLICY, 3000) is Verdict.UNKNOWN


def test_a_run_that_broke_off_may_add_a_finding_and_set_fail_but_removes_none() -> None:
    now = held(outcome(ODD(what="x"), at=1000), outcome(BROKEN(what="y"), doubt=Reason.NETWORK, at=2000))
    assert {s.finding.id for s in now.findings} == {"sample.odd", "sample.broken"}
    assert now.ok(POLICY, 3000) is False
    assert now.doubt is not None


def test_a_doubt_keeps_only_what_it_leaves_open() -> None:
    """What the run has answered all the same ends, whatever else is in doubt."""
    state = held(outcome(BROKEN(what="x"), ODD(what="x"), LISTED(blocklist="a"), LISTED(blocklist="b"), at=1000))
    about_one = Doubt(Reason.DNS_TIMEOUT, "silence").over(BROKEN).over(LISTED, blocklist="b")
    kept = state.after(outcome(about_one, at=2000))
    assert {active.finding.key for active in kept.findings} == {
        ("sample.broken", ()),
        ("sample.listed", (("blocklist", "b"),)),
    }
    assert kept.doubt == about_one
    whole = state.after(outcome(about_one, Doubt(Reason.NETWORK, "all"), at=2000))
    assert len(whole.findings) == 4, "one doubt about the whole run keeps everything"


def test_a_doubt_may_leave_open_one_of_several_findings_that_have_the_same_labels() -> None:
    state = held(outcome(BROKEN(what="x"), BROKEN(what="y"), BROKEN(what="z"), at=1000))
    silence = Doubt(Reason.DNS_TIMEOUT, "silence")

    def standing(*facts: Finding | Doubt) -> set[str]:
        return {dict(active.finding.evidence)["what"] for active in state.after(outcome(*facts, at=2000)).findings}

    assert standing(silence.over(BROKEN, what="x")) == {"x"}
    assert standing(silence.over(BROKEN, what="x"), BROKEN(what="y")) == {"x", "y"}
    assert standing(silence.over(BROKEN, ODD, what="x"), BROKEN(what="x")) == {"x"}
    assert standing(silence, BROKEN(what="y")) == {"y"}, "whatever it is about, the newer one of a label counts"


def test_a_doubt_may_be_about_some_evidence_alone_and_leave_out_what_was_answered() -> None:
    silence = Doubt(Reason.DNS_TIMEOUT, "silence")
    for doubt, open_ in (
        (silence.over(BROKEN, what="x"), {"x"}),
        (silence.over(BROKEN).but(BROKEN, what="x"), {"y"}),
        (silence.but(BROKEN, what="x"), {"y"}),
        (silence.over(BROKEN).over(BROKEN, what="x").but(BROKEN), set()),
        (silence.over(ODD, what="x"), set()),
    ):
        assert {what for what in ("x", "y") if doubt.leaves_open(BROKEN(what=what))} == open_
    with pytest.raises(TypeError, match="who"):
        silence.over(BROKEN, who="x")


def test_of_several_doubts_the_first_by_precedence_is_told() -> None:
    late, ours, early = (Doubt(reason, "?") for reason in (Reason.TEMPFAIL, Reason.BUG, Reason.DNS_TIMEOUT))
    assert outcome(late, ours, early).doubt == ours
    same = Doubt(Reason.DNS_TIMEOUT, "another")
    assert outcome(early, same).doubt == early
    assert outcome(same, early, late).doubt == same


def test_a_run_without_doubt_replaces_everything() -> None:
    now = held(outcome(BROKEN(what="x"), SIZE(3), at=1000), outcome(SIZE(5), at=2000))
    assert now.ok(POLICY, 3000) is True
    assert now.findings == ()
    assert [r.value for r in now.samples] == [5]


def test_since_survives_changes_of_evidence_severity_and_doubt() -> None:
    now = held(
        outcome(BROKEN(what="x"), at=1000),
        outcome(doubt=Reason.DNS_TIMEOUT, at=2000),
        outcome(BROKEN(what="y", severity=Severity.WARNING), at=3000),
    )
    assert [s.since for s in now.findings] == [1000]


def test_a_finding_that_ended_begins_anew() -> None:
    now = held(outcome(BROKEN(what="x"), at=1000), outcome(at=2000), outcome(BROKEN(what="x"), at=3000))
    assert [s.since for s in now.findings] == [3000]


def test_subjects_tell_findings_of_one_rule_apart() -> None:
    now = held(outcome(LISTED(blocklist="a"), at=1000), outcome(LISTED(blocklist="a"), LISTED(blocklist="b"), at=2000))
    assert {s.finding.subject: s.since for s in now.findings} == {
        (("blocklist", "a"),): 1000,
        (("blocklist", "b"),): 2000,
    }


def test_an_accepted_finding_does_not_fail_until_its_day_is_over() -> None:
    accepting = replace(EXAMPLE, accept=(Acceptance(finding="sample.odd", until=5000, reason="rollout"),))
    now = replace(held(outcome(ODD(what="x"), at=1000)), target=accepting)
    assert now.ok(POLICY, 4999) is True
    assert now.ok(POLICY, 5000) is False


def test_the_operator_changes_severities() -> None:
    now = held(outcome(BROKEN(what="x"), at=1000))
    assert now.ok(FindingPolicy({"sample.broken": Severity.INFO}), 2000) is True


def test_evidence_is_full_for_trouble_and_compact_for_a_pass() -> None:
    long = (Exchange("q", tuple("abcdefgh"), "", 0),)
    failed = replace(outcome(BROKEN(what="x"), at=1000), transcript=long)
    passed = replace(outcome(at=2000), transcript=long)
    now = held(failed, passed)
    assert now.latest is not None
    assert len(now.latest.opened().exchanges[0].got) == COMPACT_LINES + 1
    assert now.latest_trouble is not None
    assert now.latest_trouble.opened().exchanges == long


def test_a_reload_keeps_what_stays_and_drops_what_leaves() -> None:
    store = Store()
    assert store.hold(SAMPLE, EXAMPLE)
    assert store.hold(SAMPLE, replace(EXAMPLE, name="example.net"))
    store.record(outcome(BROKEN(what="x"), at=1000))
    assert not store.hold(SAMPLE, EXAMPLE), "no news"
    assert store.hold(SAMPLE, replace(EXAMPLE, labels=(("team", "crm"),)))
    store.remove(("sample", "domain=example.net"))
    (kept,) = store
    assert kept.target.labels == (("team", "crm"),)
    assert kept.findings


def test_a_new_pair_may_be_known_from_a_former_life() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE, lambda new: replace(new, last_run=1000.0))
    assert store["sample", "domain=example.com"].last_run == 1000


def test_a_run_that_ends_after_its_target_left_is_not_kept() -> None:
    store = Store()
    assert store.record(outcome(at=1000)) is None
    assert len(store) == 0


def test_a_run_that_began_before_a_reload_does_not_bring_the_old_labels_back() -> None:
    store = Store()
    relabelled = replace(EXAMPLE, labels=(("team", "crm"),))
    store.hold(SAMPLE, relabelled)
    now = store.record(outcome(at=1000, target=EXAMPLE))
    assert now is not None
    assert now.target is relabelled


def test_what_is_known_of_a_target_can_be_read_by_its_key_accepted_or_not() -> None:
    store = Store()
    store.hold(SAMPLE, replace(EXAMPLE, accept=(Acceptance(finding="sample.broken", until=None, reason="r"),)))
    store.record(outcome(BROKEN(what="x"), doubt=Reason.DNS_TIMEOUT))
    known = store.get("sample", EXAMPLE.key)
    assert known is not None
    assert [active.finding.id for active in known.findings] == ["sample.broken"]
    assert known.doubt is not None
    assert known.doubt.reason is Reason.DNS_TIMEOUT
    assert store.get("ptr", EXAMPLE.key) is store.get("sample", "domain=other.example") is None


def test_times_that_a_wrong_clock_told_are_put_right_and_others_stay() -> None:
    store, boot, now = Store(), 100.0, 1_780_000_000.0
    recalled = held(outcome(ODD(what="x"), at=now - 86400))
    store.hold(SAMPLE, EXAMPLE, lambda _: recalled)
    store.record(outcome(ODD(what="x"), BROKEN(what="y"), Record.of("example.com TXT", ["a"]), at=boot + 50))
    moved = store.move((SAMPLE.id, EXAMPLE.key), WrongTimes(now - boot - 60, boot, boot + 60))
    assert moved is not None
    assert {it.finding.id: it.since for it in moved.findings} == {
        "sample.odd": now - 86400,  # known from a former life, whose clock was right
        "sample.broken": now - 10,
    }
    assert (moved.last_run, moved.last_conclusive, moved.records[0].since) == (now - 10, now - 10, now - 10)
    assert store.move((SAMPLE.id, EXAMPLE.key), WrongTimes(60, now, now + 60)) is None, "nothing is of that time"


def test_a_revision_is_what_a_summary_can_tell_of() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE)
    before = store.revision
    store.record(outcome(BROKEN(what="x"), at=1000))
    assert store.revision == before + 1
    store.record(outcome(BROKEN(what="x"), at=2000))
    assert store.revision == before + 1, "the same again"
    store.record(outcome(at=3000))
    assert store.revision == before + 2
    store.remove((SAMPLE.id, EXAMPLE.key))
    assert store.revision == before + 3


def test_a_pair_is_taken_over_as_another_store_has_it() -> None:
    looks = replace(DEFAULT_LOOKS, interval=77.0)
    state = replace(held(outcome(BROKEN(what="x"), at=1000)), looks=looks)
    store = Store()
    store.take(state)
    assert store[state.key] == state
    assert (store[state.key].target, store[state.key].looks) == (EXAMPLE, looks)


def test_what_is_accepted_of_a_target_changes_and_nothing_else_does() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE)
    store.record(outcome(BROKEN(what="x"), at=1000))
    before = store[SAMPLE.id, EXAMPLE.key]
    accept = (Acceptance(finding="sample.broken", until=None, reason="rollout"),)
    after = store.accept(SAMPLE.id, EXAMPLE.key, lambda target: replace(target, accept=accept))
    assert after == replace(before, target=replace(EXAMPLE, accept=accept))
    assert store.accept(SAMPLE.id, EXAMPLE.key, lambda target: target) is None


def test_who_looks_once_forgets_what_was_not_found_again() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE)
    one, two = (MailHost(host=f"mx{n}.example.com") for n in (1, 2))
    store.record(replace(outcome(at=1000), found=(one, two)))
    store.record(replace(outcome(at=2000), found=(two,)))
    key = SAMPLE.id, EXAMPLE.key
    assert store[key].missed == (one,)
    after = store.forget_missed(key)
    assert (after.found, after.missed) == ((two,), ())
    assert store.forget_missed(key) is after
