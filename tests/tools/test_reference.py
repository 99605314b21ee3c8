"""The reference tells of everything there is, and what it tells is Markdown that reads as it was meant."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.check_state import CheckState, FindingPolicy, RecordChange, RecordHistory
from exporter.config import schema, shipped_blocklists, validation
from exporter.engine import catalogue
from exporter.engine.families import HELP
from exporter.facts import Reason, Record
from exporter.model import Acceptance
from exporter.publish import finding_pages, markdown
from exporter.views import metrics
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from tests.support.checks import BROKEN, EXAMPLE, NOTE, ODD, SAMPLE, outcome
from tests.support.clock import FakeClock
from tests.support.markdown import anchors, cells, links
from tools.reference import config, references
from tools.reference import metrics as families
from tools.reference.made import MADE

CATALOGUE = catalogue.load()
PAGES = {Path(path).name: text for path, text in references(CATALOGUE)}

LINKED = PAGES | {path.removeprefix("docs/reference/"): text for path, text in finding_pages.pages(CATALOGUE)}

each_page = pytest.mark.parametrize("name", PAGES)


@each_page
def test_each_page_says_that_it_is_made(name: str) -> None:
    title, empty, made = PAGES[name].splitlines()[:3]
    assert (title[:2], empty, made) == ("# ", "", MADE)


@each_page
def test_tables_are_rectangular_and_have_no_empty_cell(name: str) -> None:
    tables = cells(PAGES[name])
    assert tables
    for rows in tables:
        assert {len(row) for row in rows} == {len(rows[0])}
        assert [row for row in rows if not all(row)] == []


@each_page
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    """The pages lie beside each other, those of findings in a folder. tests/test_docs.py looks at the others."""
    led = 0
    for link in links(PAGES[name]):
        page, _, anchor = link.partition("#")
        if page.startswith("../"):
            continue
        assert page in {"", *LINKED}, link
        assert not anchor or anchor in anchors(LINKED[page or name]), link
        led += 1
    assert led


@each_page
def test_no_finding_and_no_check_is_named_that_there_is_not(name: str) -> None:
    ids = set(re.findall(r"#([a-z_]+\.[a-z0-9-]+)\)", PAGES[name]))
    assert ids <= CATALOGUE.rules.keys()


def section(page: str, heading: str) -> str:
    """From the heading to the next one that is not below it."""
    level = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=lambda entry: entry.check.id)
def test_a_check_is_told_with_all_that_it_finds_and_measures(entry: catalogue.CatalogueEntry) -> None:
    told = section(PAGES["checks.md"], f"## {entry.check.id}")
    assert markdown.plain(entry.check.question) in told
    for rule in entry.rules:
        assert f"(findings/{entry.check.id}.md#{rule.id}) | {rule.severity} |" in told
    for measure in entry.metrics:
        assert f"| `{measure.name}` |" in told
        assert f"| `{measure.name}` | gauge |" in PAGES["metrics.md"]


def test_every_family_is_told_with_the_labels_that_it_has() -> None:
    """Of the shared ones: held to what a verdict with everything in it exposes."""
    (shared, _, _, own) = cells(PAGES["metrics.md"])
    assert [row[0].strip("`") for row in shared[1:]] == list(families.LABELS)
    assert families.LABELS.keys() == HELP.keys()
    target = replace(EXAMPLE, accept=(Acceptance(finding="sample.odd", until=1e9, reason="x"),))
    verdict = CheckState(SAMPLE, target).after(outcome(BROKEN(what="x"), NOTE(what="y"), ODD(what="z"), at=1000))
    record = RecordHistory(Record.of("example.com TXT", ["x"]), 1000.0, (RecordChange((), ("x",), 1000.0),))
    doubtful = replace(verdict.after(outcome(doubt=Reason.BOGUS, at=2000)), target=target, records=(record,))
    flapping = tuple(replace(it, confirmed=True, turns=(2500.0, 2900.0)) for it in doubtful.findings)
    doubtful = replace(doubtful, findings=flapping)
    seen = {name: line for name, line in metrics.lines(doubtful, FindingPolicy(), 3000.0) if name in HELP}
    assert len(seen) == 9
    for name, line in seen.items():
        labels = set(re.findall(r'(\w+)="', line.decode()))
        assert labels == {"check", "domain", *families.LABELS[name]} - {families._OF_A_CHECK}, name
    told = {row[0].strip("`") for row in own[1:]}
    shown = b"".join(Exposition(CATALOGUE, FakeClock(), 1, OwnHealth).render()[0]).decode()
    exposed = set(re.findall(r"^# TYPE (deliverability_exporter_\w+) ", shown, re.MULTILINE))
    assert exposed - {name for name in exposed if "_dns_" in name} <= told
    assert {"deliverability_exporter_dns_queries_total", "deliverability_exporter_build_info"} <= told


def test_every_reason_for_not_knowing_is_explained() -> None:
    assert families.REASONS.keys() == set(Reason)


def test_the_questions_are_about_families_that_exist() -> None:
    known = {row[0].strip("`") for rows in cells(PAGES["metrics.md"]) for row in rows}
    for _, query in families.QUERIES:
        names = re.findall(r"deliverability_\w+", query)
        assert names
        assert {name.removesuffix("_bucket") for name in names} <= known


def test_every_key_is_told_where_it_may_stand() -> None:
    def names(model: type[schema.Keys]) -> set[str]:
        inner = {found for field in model.model_fields.values() for found in validation.models(field.annotation)}
        return set(model.model_fields).union(*(names(found) for found in inner))  # type: ignore[arg-type]  # ours

    told = {row[0].strip("`[").partition("`")[0] for rows in cells(PAGES["config.md"]) for row in rows[1:]}
    assert told == {key.path for key in config.all_keys()}
    assert {path.rpartition(".")[2] for path in told} == names(schema.Config)
    assert {"senders[].addresses[].helo", "domains[].accept[].until", "checks.CHECK.enabled"} <= told


def test_keys_say_their_default_once() -> None:
    told = {key.path: key for key in config.all_keys()}
    assert told["resolver.timeout"].default == "`5s`"
    assert told["resolver.nameservers"].default == "`[system]`"
    assert told["senders[].name"].default == config.REQUIRED
    assert told["smtp.helo_name"].default == config.NO_DEFAULT
    assert told["domains[].mail_from"].default == "the domain itself"
    assert told["schedule"].default == "15m"
    assert [key.path for key in told.values() if re.search(r"\bdefault: ", key.meaning, re.IGNORECASE)] == []


def test_keys_say_what_may_stand_there() -> None:
    told = {key.path: key.kind for key in config.all_keys()}
    assert told["domains[].receives_mail"] == "true or false"
    assert told["mail_hosts[].port"] == "a whole number from 1 to 65535"
    assert told["blocklists[].severity"] == "critical, warning or info"
    assert told["schedule"] == f"mapping; each CHECK has {schema.A_DURATION}"
    assert told["domains[].dkim_selectors"] == "list; each a mapping, or its selector alone"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a <b> of *all*", r"a \<b> of \*all\*"),
        ("_dmarc.{domain} and spf_sender", r"\_dmarc.{domain} and spf_sender"),
        ("[BL21] is &lt; `a <b> | c`", r"\[BL21\] is \&lt; `a <b> | c`"),
        ("one ` alone <x>", r"one \` alone \<x>"),
    ],
)
def test_text_means_itself(text: str, written: str) -> None:
    assert markdown.plain(text) == written


@pytest.mark.parametrize(("text", "written"), [("a", "`a`"), ("a`b", "``a`b``"), ("`a`", "`` `a` ``")])
def test_code_shows_what_it_is_given(text: str, written: str) -> None:
    assert markdown.code(text) == written


def test_a_cell_may_hold_what_divides_cells() -> None:
    assert markdown.table(("A", "B"), [("x|y", "`a|b`")]).splitlines()[2] == r"| x\|y | `a\|b` |"
    assert cells(markdown.table(("A", "B"), [("x|y", "`a|b`")])) == [[("A", "B"), (r"x\|y", r"`a\|b`")]]


def test_every_blocklist_is_told_with_its_terms() -> None:
    shipped = shipped_blocklists()
    (asked, retired) = cells(PAGES["blocklists.md"])
    assert [row[0].strip("`") for row in asked[1:]] == list(shipped.lists)
    assert {row[0] for row in retired[1:]} == {gone.name for gone in shipped.retired}
    (zen,) = [row for row in asked if row[0] == "`spamhaus-zen`"]
    assert zen[2:6] == ("IPv4 and IPv6", "yes", "100,000", "4,166")
    assert "non-commercial" in zen[6]
