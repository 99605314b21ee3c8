"""What Prometheus scrapes: always parseable, linear in the targets, and never a false line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.families import ACCEPTED_UNTIL, INFO, SENDER
from exporter.facts import Reason, Severity
from exporter.model import Acceptance
from exporter.views.metrics import Exposition, sample
from exporter.views.own_metrics import OwnHealth
from tests.support.checks import BROKEN, EXAMPLE, LISTED, NOTE, ODD, SAMPLE, SIZE, outcome
from tests.support.clock import FakeClock

CATALOGUE = Catalogue((CatalogueEntry(SAMPLE, (BROKEN, ODD, NOTE, LISTED), (SIZE,)),))
GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"


def exposition(limit: int = 1000) -> Exposition:
    return Exposition(CATALOGUE, FakeClock(), limit, OwnHealth)


def whole(shown: Exposition, accept: str = "", *names: str) -> bytes:
    return b"".join(shown.render(accept, frozenset(names))[0])


def text(shown: Exposition, accept: str = "", *names: str) -> str:
    """The lines about targets."""
    lines = whole(shown, accept, *names).decode().splitlines(keepends=True)
    own = ("deliverability_exporter_", "deliverability_finding_info")
    return "".join(line for line in lines if "deliverability_" in line and not any(name in line for name in own))


def held(*runs: object) -> CheckState:
    now = CheckState(SAMPLE, EXAMPLE)
    for run in runs:
        now = now.after(run)  # type: ignore[arg-type]  # outcomes, spelled shortly
    return now


def test_a_target_that_never_ran_has_no_verdict_but_is_there() -> None:
    shown = exposition()
    shown.put(held())
    told = text(shown)
    assert "deliverability_check_ok{" not in told
    assert 'deliverability_check_unknown{check="sample",domain="example.com"} 1' in told
    assert 'deliverability_check_unknown_reason{check="sample",domain="example.com",reason="pending"} 1' in told
    assert 'deliverability_check_last_conclusive_timestamp_seconds{check="sample",domain="example.com"} 0' in told
    assert 'deliverability_checks{check="sample",status="pending"} 1' in told


def test_nothing_has_begun_in_the_future() -> None:
    """What a former life has saved may be later than a clock that is wrong now."""
    shown, now = exposition(), FakeClock().wall()
    shown.put(held(*(outcome(BROKEN(what="x"), at=now + 3600 * hour) for hour in (1, 2, 3))).confirmed(float("inf")))
    (since,) = (line for line in text(shown).splitlines() if line.startswith("deliverability_finding_since"))
    assert float(since.rpartition(" ")[2]) == now


def test_a_finding_has_a_since_for_alerts_once_it_is_confirmed() -> None:
    shown, runs = exposition(), [outcome(BROKEN(what="x"), at=1000 + 900 * count) for count in range(3)]
    shown.put(held(*runs[:2]))
    assert 'finding="sample.broken",severity="critical"} 1' in text(shown)
    assert "deliverability_finding_since" not in text(shown)
    shown.put(held(*runs).confirmed(3000))
    assert 'deliverability_finding_since_timestamp_seconds{check="sample"' in text(shown)


def test_the_exposition_of_one_verdict_is_exactly_this() -> None:
    shown = exposition()
    target = replace(EXAMPLE, labels=(("team", 'c"r\\m'),))
    facts = (BROKEN(what="x"), NOTE(what="y"), LISTED(blocklist="a-list"), SIZE(2.5))
    runs = [outcome(*facts, at=at) for at in (800, 900, 1000)]
    sure = held(*runs, outcome(doubt=Reason.BOGUS, at=2000)).confirmed(3000)
    shown.put(replace(sure, target=target))
    assert text(shown) == GOLDEN.read_text()


def test_two_findings_of_one_identity_are_one_series_with_the_worse_severity() -> None:
    shown = exposition()
    mild = LISTED(blocklist="a")
    shown.put(held(outcome(mild, replace(mild, severity=Severity.CRITICAL, evidence=(*mild.evidence, ("code", "2"))))))
    lines = [line for line in text(shown).splitlines() if line.startswith("deliverability_finding{")]
    (line,) = lines
    assert line.endswith('finding="sample.listed",blocklist="a",severity="critical"} 1')


def test_accepted_findings_are_no_finding_series_until_their_day_is_over() -> None:
    clock = FakeClock(wall=1000.0)
    shown = Exposition(CATALOGUE, clock, 1000, OwnHealth)
    target = replace(EXAMPLE, accept=(Acceptance(finding="sample.odd", until=86400.0, reason="rollout"),))
    shown.put(replace(held(outcome(ODD(what="x"), at=900)), target=target))
    told = text(shown)
    assert "deliverability_finding{" not in told
    assert f'{ACCEPTED_UNTIL}{{check="sample",domain="example.com",finding="sample.odd"}} 86400' in told
    assert 'deliverability_check_ok{check="sample",domain="example.com"} 1' in told
    clock.pass_(86400)
    told = text(shown)
    assert 'deliverability_check_ok{check="sample",domain="example.com"} 0' in told
    assert f"{ACCEPTED_UNTIL}{{" not in told


def test_findings_accepted_for_good_have_no_end_and_one_series_each() -> None:
    shown = exposition()
    target = replace(EXAMPLE, accept=(Acceptance(finding="sample.odd", until=None, reason="so be it"),))
    shown.put(replace(held(outcome(ODD(what="x"), ODD(what="y"))), target=target))
    (line,) = [line for line in text(shown).splitlines() if line.startswith(f"{ACCEPTED_UNTIL}{{")]
    assert line.endswith('finding="sample.odd"} +Inf')
    (family,) = parse_text(f"{line}\n")
    assert family.samples[0].value == float("inf")


def test_severities_follow_the_policy() -> None:
    shown = exposition()
    shown.policy = FindingPolicy({"sample.broken": Severity.INFO})
    shown.put(held(outcome(BROKEN(what="x"))))
    assert "deliverability_finding{" not in text(shown)


def test_a_removed_target_leaves_nothing_behind() -> None:
    shown = exposition()
    shown.put(held(outcome(BROKEN(what="x"), SIZE(1))))
    shown.remove(("sample", "domain=example.com"))
    assert text(shown) == ""
    assert shown.series == 0


def test_the_series_limit_drops_whole_targets_and_counts_them() -> None:
    shown = exposition(limit=7)
    shown.put(held(outcome()))
    assert shown.series == 4, "two of the check, and two totals"
    shown.put(
        replace(held(outcome(BROKEN(what="x"), LISTED(blocklist="a"))), target=replace(EXAMPLE, name="b.example"))
    )
    assert (shown.series, shown.dropped) == (7, 4), "one more status, and two problems"
    assert 'deliverability_checks{check="sample",status="fail"} 1' in text(shown), "totals are of all targets"
    shown.remove(("sample", "domain=b.example"))
    assert (shown.series, shown.dropped) == (4, 0)


def test_both_formats_are_what_their_parsers_expect() -> None:
    shown = exposition()
    shown.put(held(outcome(BROKEN(what="x"), SIZE(1.5))))
    openmetrics = "application/openmetrics-text;version=1.0.0"
    plain, plain_type = whole(shown), shown.render("")[1]
    open_, open_type = whole(shown, openmetrics), shown.render(openmetrics)[1]
    assert plain_type.startswith("text/plain; version=0.0.4")
    assert open_type.startswith("application/openmetrics-text; version=1.0.0")
    ours = {"deliverability_check_ok", "deliverability_finding", "deliverability_sample_size"}
    assert ours <= {family.name for family in parse_text(plain.decode())}
    assert ours <= {family.name for family in parse_openmetrics(open_.decode())}  # type: ignore[no-untyped-call]  # the library's
    assert open_.endswith(b"# EOF\n")
    assert b"_created" not in plain + open_


def test_names_restrict_the_exposition() -> None:
    shown = exposition()
    shown.put(held(outcome(SIZE(1))))
    for name in ("deliverability_sample_size", "deliverability_exporter_series"):
        assert [f.name for f in parse_text(whole(shown, "", name).decode())] == [name]


def test_two_scrapes_of_one_state_are_equal_but_for_the_process() -> None:
    shown = exposition()
    shown.put(held(outcome(SIZE(1))))
    assert text(shown) == text(shown)


def test_a_scrape_says_what_held_when_it_began_however_slowly_it_is_taken() -> None:
    shown = exposition()
    shown.put(held(outcome(SIZE(1), at=1000)))
    pieces, _ = shown.render("")
    began = next(pieces)
    shown.remove(("sample", "domain=example.com"))
    assert b"deliverability_sample_size{" in began + b"".join(pieces)


def test_relations_are_exposed_with_the_labels_of_their_target() -> None:
    shown = exposition()
    target = replace(EXAMPLE, labels=(("team", "crm"),))
    shown.relate("deliverability_domain_sender_info", target, ("sender", "out"))
    assert 'deliverability_domain_sender_info{domain="example.com",sender="out",team="crm"} 1' in text(shown)
    assert shown.relations() == {("deliverability_domain_sender_info", "domain=example.com")}
    shown.remove(("deliverability_domain_sender_info", "domain=example.com"))
    assert text(shown) == ""


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_no_label_value_can_break_the_exposition(hostile: str) -> None:
    line = sample("deliverability_sample_size", (("team", hostile),), 1)
    (family,) = parse_text(line.decode())
    (read,) = family.samples
    assert read.value == 1
    if hostile.isascii():
        assert read.labels["team"] == hostile


@pytest.mark.parametrize(("value", "written"), [(1, "1"), (0.25, "0.25"), (1.78e9, "1780000000"), (1e300, "1e+300")])
def test_numbers_are_written_plainly(value: float, written: str) -> None:
    assert sample("x", (), value) == f"x {written}\n".encode()


def test_a_relation_that_was_left_out_counts_as_such_until_it_leaves() -> None:
    """A reload removes the relations that it did not write again."""
    shown = exposition(limit=0)
    shown.relate(SENDER, EXAMPLE, ("helo", "mail.example.com"))
    assert (shown.series, shown.dropped) == (0, 1)
    (key,) = shown.relations()
    shown.remove(key)
    assert (shown.relations(), shown.dropped) == (set(), 0)


def test_texts_for_notifications_can_be_left_out() -> None:
    less = Exposition(catalogue.load(), FakeClock(), 1000, OwnHealth)
    assert b"\ndeliverability_finding_info{" in whole(less)
    less.denied = frozenset({INFO})
    assert b"deliverability_finding_info" not in whole(less)
