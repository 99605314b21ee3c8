"""Each alert fires when it should, is quiet under any fault that is not its own, survives failed scrapes, and ends."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import publish
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.publish import findings, promql
from exporter.publish.rules import GROUP, OBJECT, Format, Style, dump, files, groups
from exporter.publish.thresholds import Thresholds
from tests.publish import stories, watching
from tests.publish.promtool import Story, told
from tests.publish.scraped import Exporter, together
from tests.support.checks import BROKEN, ODD, SAMPLE

HOME = Path(__file__).parents[2]
RULES = HOME / "prometheus" / "alerts.yml"
CATALOGUE = catalogue.load()
STORIES = [*stories.stories(), *watching.stories()]
# Those in which nothing but findings alerts: their life, a restart without state, pods that are replaced.
OF_FINDINGS_ALONE = [story for story in stories.stories() if not story.others]


def of(style: Style, given: Thresholds = Thresholds()) -> list[dict[str, Any]]:  # noqa: B008 (it is frozen)
    return [rule for group in groups(CATALOGUE, given, style) for rule in group["rules"] if "alert" in rule]


SHIPPED = of(Style.GENERIC)


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name.replace(" ", "-").replace("/", "-")[:60])
def test_promtool_tells_the_story(story: Story, tmp_path: Path) -> None:
    assert told(RULES, tmp_path, [story.plain()]) == ""


@pytest.mark.long
def test_stories_of_findings_in_the_style_of_each(tmp_path: Path) -> None:
    """With the rules of the findings that they have, which is quicker."""
    assert len(OF_FINDINGS_ALONE) >= 8
    used = {findings.name(CATALOGUE.rules[it]) for story in OF_FINDINGS_ALONE for it in story.findings}
    others = {findings.name(rule) for rule in CATALOGUE.rules.values()} - used
    rules = tmp_path / "each.yml"
    kept = [
        {**group, "rules": [rule for rule in group["rules"] if rule.get("alert") not in others]}
        for group in groups(CATALOGUE, Thresholds(), Style.EACH)
        if "records" in group["name"] or "findings" in group["name"]
    ]
    rules.write_text(dump({"groups": kept}))
    assert told(rules, tmp_path, [story.plain() for story in OF_FINDINGS_ALONE]) == ""


def test_every_alert_is_in_a_story() -> None:
    fired = {told for story in STORIES for told in story.others}
    known = {
        f"{rule['alert'].removeprefix('Deliverability')} {rule['labels']['severity']}"
        for rule in SHIPPED
        if rule["labels"].get("severity") not in (None, "none")
    }
    assert known == fired


def test_the_shipped_pack_is_small_and_names_no_check_of_a_target() -> None:
    """A check that is new changes no rule."""
    made = groups(CATALOGUE, Thresholds())
    assert sum(len(group["rules"]) for group in made) <= 40
    more = Catalogue((*CATALOGUE.entries, CatalogueEntry(SAMPLE, (BROKEN, ODD), ())))
    assert groups(more, Thresholds()) == made
    assert publish.routes(more, Thresholds()) == publish.routes(CATALOGUE, Thresholds())


@pytest.mark.parametrize(
    ("style", "format_"),
    [(Style.EACH, Format.PROMETHEUSRULE), (Style.EACH, Format.MIMIR), *((Style.GENERIC, it) for it in Format)],
)
def test_groups_and_objects_have_a_size_that_others_take(style: Style, format_: Format) -> None:
    made = [text for _, text in files(CATALOGUE, Thresholds(), style, format_)]
    for text in made:
        content = _read(text)
        assert ("kind" in content, "namespace" in content) == (
            format_ is Format.PROMETHEUSRULE,
            format_ is Format.MIMIR,
        )
        assert all(len(group["rules"]) <= GROUP for group in _groups(content))
        assert format_ is Format.PROMETHEUS or len(text.encode()) < OBJECT
    names = [group["name"] for text in made for group in _groups(_read(text))]
    assert names == [group["name"] for group in groups(CATALOGUE, Thresholds(), style)], "each once, in order"


def _read(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)  # the quick one of the safe ones


def _groups(content: Any) -> Any:
    return content.get("spec", content)["groups"]


def test_one_for_each_finding_leaves_out_what_is_no_series_and_forgets_none_that_may_become_one() -> None:
    names = [rule["alert"] for rule in of(Style.EACH)]
    assert findings.name(CATALOGUE.rules["spf.void-lookups"]) not in names
    assert findings.name(CATALOGUE.rules["spf.missing"]) in names
    (rest,) = [rule for rule in of(Style.EACH) if rule["alert"] == "DeliverabilityWarning"]
    assert "void-lookups" in rest["expr"]
    assert len({findings.name(rule) for rule in CATALOGUE.rules.values()}) == len(CATALOGUE.rules), "one name each"


@pytest.mark.parametrize("style", Style)
def test_names_labels_and_links_of_every_alert(style: Style) -> None:
    for rule in of(style, replace(Thresholds(), exporter_url="https://x.test", runbook_url="https://wiki.test")):
        assert re.fullmatch(r"Deliverability[A-Z][A-Za-z0-9]+", rule["alert"])
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].startswith(
            ("https://x.test/", "https://wiki.test/", "https://prometheus.io/")
        )
        assert rule["labels"]["deliverability_scope"] in {"target", "exporter", "mute"}


@pytest.mark.parametrize("style", Style)
def test_a_cluster_label_goes_into_all_that_groups_or_joins(style: Style) -> None:
    given = replace(Thresholds(), cluster_label="cluster")
    for group in groups(CATALOGUE, given, style):
        for rule in group["rules"]:
            for labels in re.findall(r"\b(?:by|on) \(([^)]+)\)", rule["expr"]):
                if labels != "finding, severity":
                    assert "cluster" in labels.split(", "), rule["expr"]
    for inhibits in yaml.safe_load(publish.routes(CATALOGUE, given))["inhibit_rules"]:
        assert "cluster" in inhibits.get("equal", ["cluster"])


def test_no_alert_about_a_target_knows_who_scraped_it() -> None:
    for rule in SHIPPED:
        if rule["labels"]["deliverability_scope"] == "target":
            assert "without (instance, pod, container, endpoint)" in rule["expr"], rule["alert"]


@pytest.mark.parametrize(
    ("what", "rules"),
    [
        ("domain", {"mx.no-such-domain"}),
        ("zone", {"zone.bogus", "zone.ds-without-key", "zone.none-authoritative", "zone.silent"}),
    ],
)
def test_what_is_dead_holds_back_what_follows(what: str, rules: set[str]) -> None:
    """A registration that has expired is none of them: it may be served still, and is told of in any case."""
    assert {rule.id for rule in CATALOGUE.rules.values() if rule.implies == what} == rules


def test_what_follows_from_a_dead_domain_leaves_out_what_may_be_the_cause() -> None:
    (rule,) = [
        rule
        for rule in yaml.safe_load(publish.routes(CATALOGUE, Thresholds()))["inhibit_rules"]
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


@pytest.mark.long
def test_another_name_of_the_job(tmp_path: Path) -> None:
    """A regular expression: two jobs, each with an exporter, and one of them is down."""
    rules = tmp_path / "alerts.yml"
    ((_, text),) = files(CATALOGUE, replace(Thresholds(), job="mail-.+"), Style.GENERIC, Format.PROMETHEUS)
    rules.write_text(text)
    one, other = (
        Exporter(end=100, more={"job": job}, down=down) for job, down in (("mail-a", [(40, 90)]), ("mail-b", []))
    )
    found = [it.finding("ptr.missing", "critical", (0, 100), who={"ip": "192.0.2.10"}) for it in (one, other)]
    both = {"ptr.missing critical": 2}
    story = Story(
        "another job",
        together(one.scraped(), other.scraped(), *found),
        {
            39: both,
            60: both | {"ExporterDown warning": 1},
            80: both | {"ExporterDown warning": 1, "ExporterDown critical": 1},
        },
    )
    assert told(rules, tmp_path, [story.plain()]) == ""
