"""Thresholds of one's own: each style is made from them, and what is wrong in the file is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import publish
from exporter.engine import catalogue
from exporter.publish.rules import Style, dump, groups
from exporter.publish.thresholds import Thresholds
from tests.publish.promtool import Story, told
from tests.publish.scraped import Exporter, together

CATALOGUE = catalogue.load()
MINE = """
critical_after: 10m
findings:
  - {finding: ptr.missing, labels: {env: test}, after: never}
  - {finding: ptr.missing, after: 30m}
  - {check: dkim, severity: warning, after: 20m}
  - {labels: {env: test}, severity: critical, after: 40m}
"""


def test_thresholds_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("critical_after: 45m\njob: mail\nexporter_url: https://mail.example.net\n")
    given = Thresholds.read(file)
    published = dict(publish.files(CATALOGUE, given, Style.EACH))["prometheus/alerts.yml"]
    assert '{finding="ptr.missing",check="ptr",severity="critical"} >= 2700' in published
    assert 'up{job=~"mail"}' in published
    assert "https://mail.example.net/findings/ptr.missing" in published


@pytest.mark.long
@pytest.mark.parametrize("style", Style)
def test_other_ages_by_finding_check_severity_and_label(style: Style, tmp_path: Path) -> None:
    """The first that fits counts."""
    file, rules = tmp_path / "mine.yml", tmp_path / "alerts.yml"
    file.write_text(MINE)
    made = groups(CATALOGUE, Thresholds.read(file), style)
    wanted = ("Ptr", "Dkim", "SpfMissing", "Critical", "Warning")
    kept = [
        {
            **group,
            "rules": [
                rule
                for rule in group["rules"]
                if "record" in rule or rule["alert"].removeprefix("Deliverability").startswith(wanted)
            ],
        }
        for group in made
    ]
    rules.write_text(dump({"groups": kept}))
    it = Exporter(end=100)
    story = Story(
        "ages of one's own",
        together(
            it.scraped(),
            it.finding("ptr.missing", "critical", (1, 100), who={"ip": "192.0.2.1"}),
            it.finding("ptr.missing", "critical", (1, 100), who={"ip": "192.0.2.2", "env": "test"}),
            it.finding("dkim.weak", "warning", (1, 100), who={"domain": "a.test", "selector": "s", "env": "test"}),
            it.finding("dkim.missing", "critical", (1, 100), who={"domain": "a.test", "selector": "s"}),
            it.finding("spf.missing", "critical", (1, 100), who={"domain": "a.test", "env": "test"}),
        ),
        {
            10: {},
            12: {"dkim.missing critical": 1},
            22: {"dkim.missing critical": 1, "dkim.weak warning": 1},
            32: {"dkim.missing critical": 1, "dkim.weak warning": 1, "ptr.missing critical": 1},
            42: {
                "dkim.missing critical": 1,
                "dkim.weak warning": 1,
                "ptr.missing critical": 1,
                "spf.missing critical": 1,
            },
            99: {
                "dkim.missing critical": 1,
                "dkim.weak warning": 1,
                "ptr.missing critical": 1,
                "spf.missing critical": 1,
            },
        },
    )
    assert told(rules, tmp_path, [story.plain()]) == ""


def test_the_published_thresholds_are_read_as_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yml"
    file.write_text(Thresholds().text())
    assert Thresholds.read(file) == Thresholds()


def test_every_fault_of_a_thresholds_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(
        'critical_after: soon\ncertificate_days: 0\nnonsense: 1\njob: "a\\"b"\nseries_percent: [1]\n'
        "findings:\n"
        "  - {finding: ptr.missing}\n"
        "  - {finding: ptr.missing, after: soon}\n"
        "  - {after: 2h}\n"
        "  - {domain: a.test, after: 2h}\n"
        '  - {labels: {team: "a\\"b"}, after: never}\n'
        "cluster_label: 1a\n"
    )
    with pytest.raises(ValueError, match="critical_after wants a duration") as error:
        Thresholds.read(file)
    said = str(error.value).splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        f"{file}:{number}" for number in (*range(1, 6), *range(7, 13))
    ]


@pytest.mark.parametrize("lines", ["gap: 10m", "confirm: 300s", "gap: 2h\nconfirm: 1h"])
def test_a_window_that_outlasts_the_wait_is_refused(lines: str, tmp_path: Path) -> None:
    """One sample in such a window would page."""
    file = tmp_path / "mine.yml"
    file.write_text(f"{lines}\n")
    with pytest.raises(ValueError, match=r"gap .* wants to be shorter than confirm"):
        Thresholds.read(file)
