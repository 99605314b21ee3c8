"""Each alert fires when it should, is quiet under any fault that is not its own, survives failed scrapes, and ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import publish
from exporter.engine import catalogue
from exporter.publish import findings, promql
from exporter.publish.rules import dump, groups
from exporter.publish.thresholds import Thresholds
from tests.lab.process import need
from tests.publish.promtool import IDENTITY, Story, during, series, told
from tests.publish.scraped import EACH_CHECK, OF_FINDINGS, up
from tests.publish.stories import stories
from tests.support.checks import BROKEN, ODD

HOME = Path(__file__).parents[2]
RULES = HOME / "prometheus" / "alerts.yml"
CATALOGUE = catalogue.load()
STORIES = list(stories())
ALERTS = {
    rule["alert"]: rule for group in groups(CATALOGUE, Thresholds()) for rule in group["rules"] if "alert" in rule
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules of everything that is watched, and of one finding for each check."""
    file: Path = tmp_path_factory.mktemp("rules") / "few.yml"
    kept = [
        {
            **group,
            "rules": [rule for rule in group["rules"] if rule.get("alert") not in OF_FINDINGS.keys() - EACH_CHECK],
        }
        for group in groups(CATALOGUE, Thresholds())
    ]
    file.write_text(dump({"groups": kept}))
    return file


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name.replace(" ", "-")[:60])
def test_promtool_tells_the_story(story: Story, few: Path, tmp_path: Path) -> None:
    assert told(RULES if story.of_all else few, tmp_path, [story.plain()]) == ""


def test_every_alert_is_in_a_story() -> None:
    fired = {alert for story in STORIES for fires in story.fires.values() for alert in fires}
    told = {name for name, rule in ALERTS.items() if rule["labels"].get("severity") != "none"}
    assert told - fired == set()
    assert fired - ALERTS.keys() == set()


@pytest.mark.long
def test_what_an_alert_says(tmp_path: Path) -> None:
    """Whole notices, as they arrive."""
    spf = {"check": "spf", "domain": "example.com", "finding": "spf.missing", "team": "crm"}
    listed = {"check": "blocklist", "ip": "192.0.2.10", "finding": "blocklist.listed", "blocklist": "zen"}
    scraped: dict[str, list[str]] = {}
    for finding in (spf, listed):
        scraped |= {series("deliverability_finding", **finding, severity="critical"): during(1, 0, 60)}
        scraped |= {series("deliverability_finding_since_timestamp_seconds", **finding): during(0, 0, 60)}
    common = {**IDENTITY, "severity": "critical", "deliverability_scope": "target"}
    spf_says = {
        "summary": "example.com: spf: missing",
        "description": "The name sends mail but has no SPF record. It has stood for 30m 0s. Gmail, Yahoo and Microsoft "
        "want an SPF pass or a DKIM signature from everybody, and both from bulk senders. What to do: Publish at the "
        'name one TXT record "v=spf1 ip4:ADDRESS -all" with an ip4:, ip6: or include: term for all that sends in its '
        "name. Evidence, and the fix in full: http://exporter:10554/targets/domain=example.com",
        "runbook_url": "http://exporter:10554/findings/spf.missing",
    }
    list_says = {
        "summary": "192.0.2.10: blocklist: listed (zen)",
        "description": "The subject is listed on zen: … (…); the list says: …. It has stood for 30m "
        "0s. Receivers that use the list refuse or junk mail from what it names. What to do: End the cause (…), "
        "then ask for removal at …. Evidence, and the fix in full: http://exporter:10554/targets/ip=192.0.2.10",
        "runbook_url": "http://exporter:10554/findings/blocklist.listed",
    }
    test: dict[str, object] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in (up() | scraped).items()],
        "alert_rule_test": [
            {
                "eval_time": "30m",
                "alertname": name,
                "exp_alerts": [{"exp_labels": {**common, **finding}, "exp_annotations": says}],
            }
            for name, finding, says in (
                ("DeliverabilitySpfMissing", spf, spf_says),
                ("DeliverabilityBlocklistListed", listed, list_says),
            )
        ],
    }
    assert told(RULES, tmp_path, [test]) == ""


def test_nobody_reads_a_placeholder() -> None:
    evidence = {field for rule in CATALOGUE.rules.values() for field in rule.fields}
    for name, rule in ALERTS.items():
        said = re.sub(r"\{\{.*?\}\}", "", " ".join(rule["annotations"].values()))
        named = {word.replace(" ", "_") for word in re.findall(r"[<{]([a-z_ ]+)[>}]", said)}
        assert not named & evidence, name


def test_the_window_is_shorter_than_every_wait() -> None:
    """Else one sample could page."""

    def minutes(text: str) -> float:
        number, unit = re.fullmatch(r"([0-9]+)([smhd])", text).groups()  # type: ignore[union-attr]  # ours match
        return int(number) * {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}[unit]

    windowed = {name: rule for name, rule in ALERTS.items() if "_over_time" in rule["expr"] and "for" in rule}
    assert len(windowed) > 8
    for name, rule in windowed.items():
        windows = [
            minutes(found) for found in re.findall(r"\[([0-9]+[smhd])\]", rule["expr"]) if found not in ("1d", "75m")
        ]
        assert max(windows) < minutes(rule["for"]) or min(windows) == max(windows) == 5, name
        assert max(windows) <= minutes(rule["for"]), name


def test_names_labels_and_links_of_every_alert() -> None:
    for name, rule in ALERTS.items():
        assert re.fullmatch(r"Deliverability[A-Z][A-Za-z0-9]+", name)
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].startswith(
            ("http://{{ $labels.instance }}/", "https://prometheus.io/")
        )
        assert "What to do: " in rule["annotations"]["description"], name
        assert rule["labels"]["deliverability_scope"] in {"target", "blocklist", "exporter", "mute"}
        severity: Any = rule["labels"].get("severity")
        assert (severity is None) == (
            "finding" in rule["expr"] and "max_over_time(deliverability_check" not in rule["expr"]
        ) or severity == "none", name
    assert len({findings.name(rule) for rule in CATALOGUE.rules.values()}) == len(CATALOGUE.rules), "one name each"


@pytest.mark.parametrize(
    ("what", "rules"),
    [
        ("domain", {"mx.no-such-domain"}),
        ("zone", {"zone.bogus", "zone.ds-without-key", "zone.none-authoritative", "zone.silent"}),
    ],
)
def test_what_is_dead_is_a_label_of_its_alert(what: str, rules: set[str]) -> None:
    """A registration that has expired is none of them: it may be served still, and is told of in any case."""
    dead = {name for name, rule in ALERTS.items() if rule["labels"].get("deliverability_dead") == what}
    assert dead == {findings.name(CATALOGUE.rules[rule]) for rule in rules}
    assert {rule.id for rule in CATALOGUE.rules.values() if rule.implies == what} == rules


def test_what_follows_from_a_dead_domain_leaves_out_what_may_be_the_cause() -> None:
    (rule,) = [
        rule
        for rule in yaml.safe_load(publish.routes(CATALOGUE))["inhibit_rules"]
        if rule["source_matchers"] == ['alertname="DeliverabilityDomainDead"']
    ]
    assert 'check!~"registration|blocklist"' in rule["target_matchers"]


@pytest.mark.parametrize(
    ("matcher", "written"),
    [
        (promql.one_of("check", ["a"]), 'check="a"'),
        (promql.one_of("finding", ["a.b", "a.c"]), 'finding=~"a[.]b|a[.]c"'),
        (promql.none_of("finding", ["a.b"]), 'finding!="a.b"'),
        (promql.none_of("check", ["a", "b"]), 'check!~"a|b"'),
        (promql.pattern([BROKEN]), "sample[.]broken"),
        (promql.pattern([BROKEN, ODD, CATALOGUE.rules["mx.nowhere"]]), "sample[.](broken|odd)|mx[.]nowhere"),
    ],
)
def test_matchers(matcher: str, written: str) -> None:
    assert matcher == written


def test_thresholds_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("critical_after: 45m\njob: mail\nexporter_url: https://mail.example.net\ncertificate_days: 5\n")
    given = Thresholds.read(file)
    published = dict(publish.files(CATALOGUE, given))["prometheus/alerts.yml"]
    assert '{finding="ptr.missing",severity="critical"} >= 2700' in published
    assert 'up{job="mail"} == 0' in published
    assert "https://mail.example.net/findings/ptr.missing" in published
    assert "  < 5\n" in published
    need("promtool")
    rules = tmp_path / "alerts.yml"
    rules.write_text(published)
    assert told(rules, tmp_path, []) == ""


def test_the_published_thresholds_are_read_as_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "thresholds.yml"
    file.write_text(Thresholds().text())
    assert Thresholds.read(file) == Thresholds()


def test_every_fault_of_a_thresholds_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text('critical_after: soon\ncertificate_days: 0\nnonsense: 1\njob: "a\\"b"\nseries_percent: [1]\n')
    with pytest.raises(ValueError, match="critical_after wants a duration") as error:
        Thresholds.read(file)
    said = str(error.value).splitlines()
    assert [line.partition(": ")[0] for line in said] == [f"{file}:{number}" for number in range(1, 6)]


@pytest.mark.parametrize("lines", ["gap: 10m", "confirm: 300s", "gap: 2h\nconfirm: 1h"])
def test_a_window_that_outlasts_the_wait_is_refused(lines: str, tmp_path: Path) -> None:
    """One sample in such a window would page."""
    file = tmp_path / "mine.yml"
    file.write_text(f"{lines}\n")
    with pytest.raises(ValueError, match=r"gap .* wants to be shorter than confirm"):
        Thresholds.read(file)
