"""What people read in a notice: plain words, every label filled in, short, and links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.engine import catalogue
from exporter.explain.notices import FIX, IMPACT, TITLE, notice, notices, written
from exporter.facts import Rule
from exporter.model import Check
from exporter.publish import findings
from exporter.publish.alert import Way
from exporter.publish.alert import page as page_of
from exporter.publish.alert import who as who_of
from exporter.publish.rules import Format, Style, files
from exporter.publish.thresholds import Thresholds
from tests.publish.promtool import IDENTITY, series, told
from tests.publish.scraped import Exporter, Scraped

CATALOGUE = catalogue.load()
ALERTING = [(entry.check, rule) for entry in CATALOGUE.entries for rule in findings.alerting(entry)]
VALUES = {
    "domain": "customer.example",
    "sender": "newsletter",
    "ip": "2001:db8:1::25",
    "selector": "s2026a",
    "mail_host": "mx1.customer.example",
    "mail_port": "25",
    "blocklist": "spamhaus-zen",
}
LONGEST = 300  # characters: title, target, impact, fix and a link
EXPORTER = f"http://{IDENTITY['instance']}"


def labels(check: Check, rule: Rule) -> dict[str, str]:
    """Of one target that the check looks at."""
    return {name: VALUES[name] for name in dict.fromkeys((*check.over[0].LABELS, *rule.subjects))}


def who(of: dict[str, str]) -> str:
    """`customer.example, mx1.customer.example:25`."""
    shown = [name for name in VALUES if name in of and name != "mail_port"]
    return ", ".join(
        of[name] + (f":{of['mail_port']}" if name == "mail_host" and "mail_port" in of else "") for name in shown
    )


def page(check: Check) -> str:
    """A page shows targets by their own labels, never by what a finding names besides."""
    own = check.over[0].LABELS
    first = next(name for name in ("domain", "mail_host", "ip", "blocklist") if name in own)
    return f"{EXPORTER}/targets/{first}={VALUES[first]}"


def says(check: Check, rule: Rule) -> dict[str, str]:
    text, of = notice(rule), labels(check, rule)
    return {
        "summary": f"{text.title}: {who(of)}",
        "description": f"{text.impact} {text.fix} {page(check)}",
        "runbook_url": f"{EXPORTER}/findings/{rule.id}",
    }


def texts() -> Scraped:
    return {
        series("deliverability_finding_info", finding=rule, title=text.title, impact=text.impact, fix=text.fix): ["1"]
        * 9
        for rule, text in notices(CATALOGUE)
    }


def standing(looked_at: list[tuple[Check, Rule]]) -> Scraped:
    it = Exporter(end=9)
    made = it.scraped()
    for check, rule in looked_at:
        made |= it.finding(rule.id, "critical", (0, 9), since=lambda _: -600, who=labels(check, rule))
    return made


def alert(check: Check, rule: Rule, said: dict[str, str]) -> dict[str, object]:
    own = {"check": check.id, "finding": rule.id, **labels(check, rule)}
    fixed = {"job": IDENTITY["job"], "severity": "critical", "deliverability_scope": "target"}
    return {"exp_labels": {**own, **fixed}, "exp_annotations": said}


def test_each_finding_has_its_words_by_hand() -> None:
    wanted = {rule.id for entry in CATALOGUE.entries for rule in entry.rules if rule.severity.fails}
    concluding = {rule.id for entry in CATALOGUE.entries if entry.check.concludes for rule in entry.rules}
    assert written().keys() == wanted - concluding
    for finding, text in written().items():
        assert (len(text.title) <= TITLE, len(text.impact) <= IMPACT, len(text.fix) <= FIX) == (True,) * 3, finding
        assert text.impact.endswith(".") and text.fix.endswith(".") and not text.title.endswith("."), finding  # noqa: PT018 (one form)


@pytest.mark.parametrize(("check", "rule"), ALERTING, ids=lambda it: it.id)
def test_a_notice_is_short_and_has_no_placeholder(check: Check, rule: Rule) -> None:
    said = says(check, rule)
    assert len(f"{said['summary']} {said['description']}") <= LONGEST
    assert not re.search(r"[<>{}…]|\?\?\?", " ".join(said.values()))
    assert who(labels(check, rule))


@pytest.mark.long
def test_notices_of_all_findings_read_as_they_should(tmp_path: Path) -> None:
    """The whole of each, as Prometheus fills it in."""
    rules = tmp_path / "alerts.yml"
    ((_, text),) = files(CATALOGUE, Thresholds(), Style.GENERIC, Format.PROMETHEUS)
    rules.write_text(text)
    expected = [alert(check, rule, says(check, rule)) for check, rule in ALERTING]
    assert len(expected) > 200
    assert told(rules, tmp_path, [_test(standing(ALERTING) | texts(), _look("DeliverabilityCritical", expected))]) == ""


@pytest.mark.long
def test_one_for_each_finding_reads_the_same(tmp_path: Path) -> None:
    rules = tmp_path / "alerts.yml"
    ((_, text),) = files(CATALOGUE, Thresholds(), Style.EACH, Format.PROMETHEUS)
    rules.write_text(text)
    looks = [_look(findings.name(rule), [alert(check, rule, says(check, rule))]) for check, rule in ALERTING]
    assert told(rules, tmp_path, [_test(standing(ALERTING) | texts(), *looks)]) == ""
    check, rule = next(it for it in ALERTING if it[1].id == "spf_sender.not-authorised")
    assert (
        says(check, rule)["summary"]
        == "SPF does not authorise the sender: customer.example, newsletter, 2001:db8:1::25"
    )


@pytest.mark.parametrize(
    ("ways", "told_of", "path"),
    [
        ([("ip",)], "{{ $labels.ip }}", "ip={{ $labels.ip }}"),
        (
            [("mail_host", "mail_port", "ip")],
            "{{ $labels.ip }}, {{ $labels.mail_host }}:{{ $labels.mail_port }}",
            "mail_host={{ $labels.mail_host }}",
        ),
        (
            [("domain", "selector"), ("domain",)],
            '{{ printf "%s %s" $labels.domain $labels.selector | reReplaceAll "^ +| +$" "" | reReplaceAll " +" ", " }}',
            "domain={{ $labels.domain }}",
        ),
    ],
)
def test_templates_name_only_the_labels_that_a_target_can_have(ways: list[Way], told_of: str, path: str) -> None:
    assert (who_of(*ways), page_of(*ways)) == (told_of, f"/targets/{path}")


@pytest.mark.long
def test_without_the_series_with_the_texts_the_finding_is_named(tmp_path: Path) -> None:
    """Nobody can be scraped any more: the notice says less, but it is whole."""
    check, rule = next(it for it in ALERTING if it[1].id == "ptr.missing")
    rules = tmp_path / "alerts.yml"
    ((_, text),) = files(CATALOGUE, Thresholds(), Style.GENERIC, Format.PROMETHEUS)
    rules.write_text(text)
    said = {
        "summary": f"ptr.missing: {VALUES['ip']}",
        "description": "The page of the target says what to do.",
        "runbook_url": "https://prometheus.io/docs/practices/alerting/",
    }
    expected = [alert(check, rule, said)]
    assert told(rules, tmp_path, [_test(standing([(check, rule)]), _look("DeliverabilityCritical", expected))]) == ""


def _test(scraped: Scraped, *looks: dict[str, object]) -> dict[str, object]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in scraped.items()],
        "alert_rule_test": looks,
    }


def _look(name: str, expected: list[dict[str, object]]) -> dict[str, object]:
    return {"eval_time": "5m", "alertname": name, "exp_alerts": expected}
