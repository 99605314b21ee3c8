"""The log tells when a finding begins, is confirmed and ends: each once, on one line, and never too many of them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from exporter.check_state import CheckState, FindingPolicy
from exporter.cli import logs
from exporter.engine.finding_log import MOST, WINDOW, FindingLog
from exporter.facts import Reason, Severity
from exporter.model import Acceptance, Outcome
from exporter.targets import Domain
from tests.support.checks import BROKEN, EXAMPLE, LISTED, NOTE, SAMPLE, outcome
from tests.support.clock import FakeClock

POLICY = FindingPolicy()
NEW = CheckState(SAMPLE, EXAMPLE)
HOSTILE = 'x\n"ts=now \x1b[31m' + "y" * 5000


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.engine.finding_log")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines since the last time, as logfmt without the time."""
    lines = [logs.Logfmt().format(it).partition(" ")[2] for it in caplog.records]
    caplog.clear()
    return lines


def bad(at: float) -> Outcome:
    return outcome(BROKEN(what="it"), at=at)


def test_a_finding_begins_is_confirmed_and_ends_once_each(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock(wall=1000)
    log, state = FindingLog(clock), NEW
    shown = "check=sample domain=example.com finding=sample.broken severity=critical"
    begin = "level=info logger=exporter.engine.finding_log msg="
    seen = []
    for at in (1000, 1900, 2800, 3700):
        state = state.after(bad(at))
        log.take(state, POLICY)
        log.take(state, POLICY)
        seen.append(told(caplog))
    assert seen == [[f'{begin}"finding began" {shown} text="it is broken"'], [], [], []]
    state = state.confirmed(5000)
    log.take(state, POLICY)
    assert told(caplog) == [f'{begin}"finding confirmed" {shown} text="it is broken"']
    for at in (4600, 5500, 6400):
        state = state.after(outcome(at=at))
        log.take(state, POLICY)
    assert told(caplog) == [], "three good looks and the test of the resolver end it"
    clock.pass_(6000)
    log.take(state.confirmed(7000), POLICY)
    assert told(caplog) == [f'{begin}"finding ended" {shown} confirmed=yes stood_seconds=6000']
    assert log._known == {}


def test_one_good_look_ends_what_was_not_confirmed(caplog: pytest.LogCaptureFixture) -> None:
    log, state = FindingLog(FakeClock(wall=1000)), NEW.after(bad(1000))
    log.take(state, POLICY)
    log.take(state.after(outcome(at=1060)), POLICY)
    (_, ended) = told(caplog)
    assert 'msg="finding ended"' in ended
    assert "confirmed=no stood_seconds=0" in ended


def test_findings_of_one_rule_are_told_apart_by_what_they_are_about(caplog: pytest.LogCaptureFixture) -> None:
    log = FindingLog(FakeClock())
    log.take(NEW.after(outcome(LISTED(blocklist="a"), LISTED(blocklist="b"))), POLICY)
    assert [line.partition("finding=")[2].partition(" severity")[0] for line in told(caplog)] == [
        "sample.listed blocklist=a",
        "sample.listed blocklist=b",
    ]


def test_what_is_accepted_or_only_informs_is_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    accepted = replace(EXAMPLE, accept=(Acceptance(finding=BROKEN.id, until=None, reason="so be it"),))
    for policy, target, facts in (
        (POLICY, EXAMPLE, NOTE(what="x")),
        (FindingPolicy({BROKEN.id: Severity.INFO}), EXAMPLE, BROKEN(what="x")),
        (POLICY, accepted, BROKEN(what="x")),
    ):
        log = FindingLog(FakeClock())
        log.take(replace(NEW.after(outcome(facts)), target=target), policy)
        assert told(caplog) == []
    caplog.set_level(logging.DEBUG, "exporter.engine.finding_log")
    FindingLog(FakeClock()).take(NEW.after(outcome(NOTE(what="x"))), POLICY)
    assert len(told(caplog)) == 1


def test_a_restart_begins_nothing_and_a_reload_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log, state = FindingLog(FakeClock()), NEW.after(bad(1000))
    log.hold(state, POLICY)
    log.take(state.after(bad(1900)), POLICY)
    log.forget(state.key)
    assert told(caplog) == []


def test_what_a_peer_says_is_bounded_and_stays_on_its_line_in_both_formats(caplog: pytest.LogCaptureFixture) -> None:
    FindingLog(FakeClock()).take(NEW.after(outcome(BROKEN(what=HOSTILE))), POLICY)
    (record,) = caplog.records
    line = logs.Logfmt().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < logs.LONGEST
    assert r"\"ts=now" in line, "it does not look like a field of ours"
    fields = json.loads(logs.Json().format(record))
    assert (fields["msg"], fields["domain"], fields["severity"]) == ("finding began", "example.com", "critical")
    assert fields["text"].startswith(r"x\u{a}")


def test_a_run_is_told_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    log = FindingLog(FakeClock())
    log.ran(outcome())
    assert told(caplog) == []
    caplog.set_level(logging.DEBUG, "exporter.engine.finding_log")
    log.ran(outcome(BROKEN(what="x"), doubt=Reason.DNS_TIMEOUT))
    (line,) = told(caplog)
    assert line.endswith(
        'msg="run ended" check=sample domain=example.com verdict=fail seconds=0.000 findings=1 '
        "reason=dns_timeout detail=because"
    )


def test_a_flood_of_findings_is_counted_instead_of_written(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    log = FindingLog(clock)
    for number in range(MOST + 20):
        target = Domain(name=f"d{number}.example", mail_from=())
        log.take(replace(NEW.after(bad(1000)), target=target), POLICY)
    assert len(told(caplog)) == MOST
    clock.pass_(WINDOW)
    log.take(NEW.after(bad(1000)), POLICY)
    (left_out, began) = told(caplog)
    assert "20 more events of findings were not written here" in left_out
    assert "finding began" in began
