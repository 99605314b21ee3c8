"""The finding pages tell all that a rule says, and runbook links lead to them, wherever they are hosted."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from exporter import __main__ as command
from exporter.engine import catalogue
from exporter.explain import examples
from exporter.facts import Severity
from exporter.publish import alert_page, exporter_alerts, finding_pages, links, markdown
from exporter.publish.thresholds import Thresholds
from tests.lab.process import need
from tests.support import markdown as read

CATALOGUE = catalogue.load()
MADE = [*finding_pages.pages(CATALOGUE), *alert_page.pages(CATALOGUE, Thresholds())]
PAGES = {Path(name).name: text for name, text in MADE}
INDEX = PAGES["README.md"]
HOSTED = "https://git.example/mail/runbooks"


def section(page: str, heading: str) -> str:
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^<a id|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def test_a_finding_is_told_with_all_that_its_rule_says() -> None:
    for rule in CATALOGUE.rules.values():
        told = section(PAGES[f"{rule.id.partition('.')[0]}.md"], f"## {rule.id}")
        assert f"**{rule.severity}**: " in told
        for words in (rule.why, examples.fix(rule), rule.ref):
            assert markdown.plain(words) in told, rule.id
        for refusal in rule.refusals:
            assert markdown.code(refusal) in told, rule.id


def test_each_check_has_a_page_and_the_index_counts_its_findings() -> None:
    assert PAGES.keys() == {"README.md", "exporter.md", *(f"{check}.md" for check in CATALOGUE.checks)}
    (meanings, index) = read.cells(INDEX)
    assert [row[0] for row in meanings[1:]] == list(map(str, Severity))
    for row, entry in zip(index[1:], CATALOGUE.entries, strict=True):
        page = PAGES[f"{entry.check.id}.md"]
        assert f"({entry.check.id}.md)" in row[0]
        assert re.findall(r"^## (.*)$", page, re.MULTILINE) == sorted(rule.id for rule in entry.rules)
        assert sum(map(int, row[2:])) == len(entry.rules)


def test_the_page_of_the_exporters_own_alerts_says_what_each_means_and_what_to_do() -> None:
    page = PAGES["exporter.md"]
    assert "{{" not in page
    for alert in exporter_alerts.alerts(CATALOGUE, Thresholds()):
        told = section(page, f"## {alert.name}")
        assert "\n- To do: " in told, alert.name


def test_a_finding_with_several_places_says_which_label_tells_them() -> None:
    rule = CATALOGUE.rules["blocklist.listed"]
    assert "- One for each: `blocklist`\n" in finding_pages._finding(rule)
    assert "One for each" not in finding_pages._finding(replace(rule, subjects=()))


def test_the_pages_can_be_hosted_alone() -> None:
    """They link to each other only."""
    for name, text in PAGES.items():
        for link in read.links(text):
            page, _, anchor = link.partition("#")
            assert page in PAGES or link.startswith("https://"), (name, link)
            assert not anchor or anchor in read.anchors(PAGES[page])


def test_anchors_of_headings_are_unlike_each_other() -> None:
    """Code hosts number those that are alike."""
    for text in PAGES.values():
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert len({finding_pages.anchor(heading) for heading in headings}) == len(headings)


def test_links_of_alerts_lead_to_the_external_url_and_to_the_pages_that_are_published(tmp_path: Path) -> None:
    """Each link to a hosted page names a file of the folder, and a heading in it."""
    flags = "--external-url=https://Monitoring.example.com/mail/", f"--runbook-url={HOSTED}/"
    assert command.main(["publish", str(tmp_path), *flags]) == 0
    alerts = (tmp_path / "prometheus" / "alerts.yml").read_text()
    told = {
        rule["annotations"]["runbook_url"]
        for group in yaml.safe_load(alerts)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    given = Thresholds.read(tmp_path / "prometheus" / "thresholds.yml")
    assert (given.exporter_url, given.runbook_url) == ("https://monitoring.example.com/mail", f"{HOSTED}/")
    assert "$labels.instance }}/" not in alerts
    assert "/findings/" not in alerts
    assert f"{given.exporter_url}/targets/" in alerts
    assert f"{given.exporter_url}/" in (tmp_path / "grafana" / "dashboards" / "fleet.json").read_text()
    watching = {alert.name for alert in exporter_alerts.alerts(CATALOGUE, given)}
    assert {f"{HOSTED}/exporter.md#{name.lower()}" for name in watching} <= told, "the exporter may be down"
    ours = {links.runbook(given, rule, given.exporter_url) for rule in CATALOGUE.rules}
    assert len(ours) == len(CATALOGUE.rules)
    for url in {url for url in told if url.startswith(HOSTED) and "{{" not in url} | ours:
        page, _, anchor = url.removeprefix(f"{HOSTED}/").partition("#")
        text = (tmp_path / finding_pages.FOLDER / page).read_text()
        assert anchor in read.anchors(text), url
        assert f'<a id="{anchor}">' not in text, "GitLab knows the anchors of headings only"


@pytest.mark.parametrize(
    ("given", "one", "of_labels"),
    [
        (
            "",
            "http://{{ $labels.instance }}/findings/spf.missing",
            "http://{{ $labels.instance }}/findings/{{ $labels.finding }}",
        ),
        (
            HOSTED,
            f"{HOSTED}/spf.md#spfmissing",
            HOSTED + '/{{ $labels.check }}.md#{{ reReplaceAll "[.]" "" $labels.finding }}',
        ),
        (
            "https://wiki.example/{finding}?of={check}",
            "https://wiki.example/spf.missing?of=spf",
            "https://wiki.example/{{ $labels.finding }}?of={{ $labels.check }}",
        ),
    ],
)
def test_a_runbook_link_is_for_one_finding_or_for_the_labels_of_a_series(given: str, one: str, of_labels: str) -> None:
    thresholds = Thresholds(runbook_url=given)
    exporter = "http://{{ $labels.instance }}"
    assert links.runbook(thresholds, "spf.missing", exporter) == one
    assert links.runbook(thresholds, links.FINDING, exporter) == of_labels


@pytest.mark.lab
def test_prometheus_fills_in_the_link_of_a_series(tmp_path: Path) -> None:
    need("promtool")
    given = Thresholds(runbook_url=HOSTED)
    annotations = {"runbook_url": links.runbook(given, links.FINDING, given.exporter_url)}
    rules = [{"alert": "Any", "expr": "deliverability_finding", "annotations": annotations}]
    finding = "blocklist_health.not-for-ipv6"
    labels = {"check": "blocklist_health", "finding": finding}
    series = f'deliverability_finding{{check="blocklist_health",finding="{finding}"}}'
    expected = {"exp_labels": labels, "exp_annotations": {"runbook_url": links.runbook(given, finding, "")}}
    story = {
        "input_series": [{"series": series, "values": "1"}],
        "alert_rule_test": [{"eval_time": "0m", "alertname": "Any", "exp_alerts": [expected]}],
    }
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [story]}))
    ran = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "tests.yml")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "url",
    [
        "runbooks", "/runbooks", "ftp://a.example", "https://", "https://a.example/{chek}", "https://a.example/{",
        "https://a.example/{{ $labels.x }}", 'https://a.example/"', "https://a.example/a b", "https://a.example/\n",
        "https://[::1", "https://a.example/\u00e4", "https://a.example/" + "a" * 500,
    ],
)  # fmt: skip
def test_what_is_no_place_of_runbooks_is_refused(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "thresholds.yml"
    file.write_text(f"runbook_url: {json.dumps('https://a.example/{chek}')}\n")
    for flag in (f"--runbook-url={url}", f"--thresholds={file}"):
        assert command.main(["publish", str(tmp_path / "x"), flag]) == 64
        assert capsys.readouterr().err.startswith("runbook URL: ")
    assert not (tmp_path / "x").exists()
