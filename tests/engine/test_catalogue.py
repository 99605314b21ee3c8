"""What every check declares is well formed: users write ids and names down, and read the sentences at night."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

import pytest

from exporter.engine import catalogue
from exporter.facts import Metric, Rule
from exporter.model import Target
from exporter.targets import ListHealth, MailHost, OwnResolver, Registration, Reputation
from tests.lab.prometheus import check_metrics

CATALOGUE = catalogue.load()
RULES = [rule for entry in CATALOGUE.entries for rule in entry.rules]
METRICS = [metric for entry in CATALOGUE.entries for metric in entry.metrics]

SUBJECTS = {"blocklist", "ip", "mail_host"}  # the labels that a finding's series may add to its target's
RESERVED = {"job", "instance", "le", "quantile", "alertname", "check", "finding", "severity", "reason"}

_WHERE = r"(?:sections?|appendix|appendices)"
_NUMBER = r"[0-9A-Z][0-9A-Za-z.]*"
_PLACES = rf"(?: {_WHERE} {_NUMBER}(?:(?:,| and| to)(?: {_WHERE})? {_NUMBER})*)?"
_RFC = re.compile(rf"(?:RFC|BCP) [0-9]{{2,5}}{_PLACES}(?: \(.+\))?(?:, erratum [0-9]+)?")
_OTHER_SOURCE = re.compile(r"(?!.*\b(?:RFC|BCP)\b)\S+(?: \S+)+")  # who and what: at least two words

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
each_entry = pytest.mark.parametrize("entry", CATALOGUE.entries, ids=lambda entry: entry.check.id)
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def constants(check: str) -> Iterator[tuple[str, object]]:
    for module in catalogue.modules(check):
        yield from vars(module).items()


@each_entry
def test_a_check_is_a_question_in_a_file_of_its_name(entry: catalogue.CatalogueEntry) -> None:
    assert entry.check.run.__module__ == catalogue.modules(entry.check.id)[0].__name__
    assert re.fullmatch(r"[A-Z].*[^ ]\?", entry.check.question)
    assert entry.check.over
    assert entry.rules, "a check that can find nothing"


@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=lambda entry: entry.check.id)
def test_the_question_stands_before_the_rules(entry: catalogue.CatalogueEntry) -> None:
    """Nobody should scroll through pages of constants to see what is asked."""
    body = ast.parse(inspect.getsource(catalogue.modules(entry.check.id)[0])).body
    asked = next(node.lineno for node in body if isinstance(node, ast.AsyncFunctionDef) and node.name == entry.check.id)
    made = [node.lineno for node in body if isinstance(node, ast.Assign) and "Rule(" in ast.unparse(node)]
    assert all(asked < line for line in made)


def test_ids_and_names_are_given_once() -> None:
    for names in ([rule.id for rule in RULES], [metric.name for metric in METRICS]):
        assert sorted(names) == sorted(set(names))


@each_rule
def test_a_rule_is_named_after_its_check_and_its_constant_after_it(rule: Rule) -> None:
    """`NULL` or `NULL_MX` for `mx.null`: what is read in a log is found in the file."""
    assert re.fullmatch(r"[a-z0-9_]+\.[a-z0-9]+(?:-[a-z0-9]+)*", rule.id)
    check, _, name = rule.id.partition(".")
    names = [f"{constant}_" for constant, value in constants(check) if value is rule]
    from_data = [key for _, value in constants(check) if isinstance(value, dict) for key in value if value[key] is rule]
    assert names or rule.id in from_data
    assert all(constant.startswith(f"{name.upper().replace('-', '_')}_") for constant in names)


@each_rule
def test_a_rule_says_what_why_and_how(rule: Rule) -> None:
    """`says` is a clause that others put into sentences of their own, `why` and `fix` are whole sentences; only after
    something to copy the full stop may be missing."""
    for text in (rule.says, rule.why, rule.fix, rule.ref, *rule.refusals):
        assert text == text.strip() != ""
        assert "  " not in text
        assert "\n" not in text
    assert not rule.says.endswith((".", "!", ":", ";"))
    assert rule.why.endswith(".")
    assert rule.fix.endswith((".", "}"))
    assert rule.fix[0].isupper()
    assert rule.why[0].isupper() or rule.why[0] in "{0123456789"


@each_rule
def test_a_rule_names_its_source(rule: Rule) -> None:
    for source in rule.ref.split("; "):
        assert _RFC.fullmatch(source) or _OTHER_SOURCE.fullmatch(source), source


@each_rule
def test_a_rule_makes_labels_of_closed_things_only(rule: Rule) -> None:
    assert set(rule.subjects) <= SUBJECTS


def test_checks_are_found_by_the_kind_that_they_look_at_alone() -> None:
    def ids(*kinds: type[Target]) -> list[str]:
        return [entry.check.id for entry in CATALOGUE.over(*kinds)]

    assert ids(MailHost) == ["smtp_tls"]
    assert ids(Registration, Reputation) == ["registration", "blocklist"]
    assert ids() == []


@each_entry
def test_only_the_eyes_of_the_exporter_cast_doubt(entry: catalogue.CatalogueEntry) -> None:
    """Alerts know what to make of it there; and a dead domain needs a domain in its series."""
    eyes = entry in CATALOGUE.over(OwnResolver, ListHealth)
    for rule in entry.rules:
        assert eyes or not rule.doubts
        assert not rule.implies or all("domain" in kind.LABELS for kind in entry.check.over)
        assert not (rule.implies and not rule.severity.fails)


@each_metric
def test_a_measure_is_named_as_prometheus_wants_it(metric: Metric) -> None:
    assert re.fullmatch(r"deliverability(?:_[a-z0-9]+)+", metric.name)
    assert re.fullmatch(r"[A-Z].*\.", metric.help)
    assert not set(metric.labels) & RESERVED
    assert all(re.fullmatch(r"[a-z]+(?:_[a-z]+)*", label) for label in metric.labels)


@pytest.mark.lab
def test_promtool_has_no_complaint_about_the_measures() -> None:
    check_metrics("".join(f"# HELP {m.name} {m.help}\n# TYPE {m.name} gauge\n{m.name} 1\n" for m in METRICS))
