"""Nobody reads a placeholder: a rule is shown with the evidence of an example."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest

from exporter.engine import catalogue
from exporter.explain import diagnosis, examples, runbook
from exporter.explain.notices import notice
from exporter.explain.refusals import Refusals
from exporter.facts import Rule, Severity
from exporter.publish import finding_pages

CATALOGUE = catalogue.load()
PLACEHOLDER = re.compile(r"(?<!%)(?<!\\u)\{[a-z_]+\}")  # not a macro of SPF, nor a character that cannot be shown
DOCUMENTATION = [ip_network(it) for it in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
# Rules about addresses that no public machine has, or that everybody knows.
REAL = {"helo.private-address", "mx.not-public", "ptr.not-public", "resolver.public"}


def test_each_rule_has_an_example_with_exactly_its_evidence() -> None:
    written = examples.written()
    assert {rule.id: set(rule.fields) for rule in CATALOGUE.rules.values()} == {
        rule: set(given) for rule, given in written.items()
    }
    assert [rule for rule, given in written.items() if not all(given.values())] == []


def test_addresses_in_examples_are_for_documentation() -> None:
    for rule, given in examples.written().items():
        if address := given.get("ip"):
            assert rule in REAL or any(ip_address(address) in network for network in DOCUMENTATION), rule


@pytest.mark.parametrize("shown", [examples.fact, examples.fix, runbook.runbook, finding_pages._finding])
def test_no_text_about_a_rule_has_a_placeholder(shown: object) -> None:
    assert callable(shown)
    told = {rule.id: shown(rule) for rule in CATALOGUE.rules.values()}
    assert {rule: text for rule, text in told.items() if PLACEHOLDER.search(text)} == {}


def test_no_answer_and_no_notice_has_a_placeholder() -> None:
    refusals = Refusals(CATALOGUE)
    told = [diagnosis.as_text(refusals.find(text)) for rule in CATALOGUE.rules.values() for text in rule.refusals[:1]]
    told += [" ".join(notice(rule)) for rule in CATALOGUE.rules.values()]
    assert len(told) > 390
    assert [text for text in told if PLACEHOLDER.search(text)] == []


def test_an_example_says_that_it_is_one() -> None:
    rule = CATALOGUE.rules["ptr.missing"]
    assert examples.fact(rule) == "Example: 192.0.2.10 has no PTR record at 10.2.0.192.in-addr.arpa"
    assert examples.fix(rule).startswith("Fix in this example: Ask the owner of 192.0.2.10 ")
    plain = Rule("x.y", Severity.WARNING, says="it is {what}", why="Why.", fix="Do this.", ref="RFC 1")
    assert examples.fix(plain) == "Fix: Do this."


def test_a_rule_without_an_example_is_told_in_words() -> None:
    rule = Rule("x.y", Severity.WARNING, says="{mail_host} is off", why="Why.", fix="Start {mail_host}.", ref="RFC 1")
    assert (examples.fact(rule), examples.fix(rule)) == (
        "Example: mail host is off",
        "Fix in this example: Start mail host.",
    )
