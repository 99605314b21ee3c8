"""What `explain` says of a refusal, and of the findings that stand here and now."""

from __future__ import annotations

import pytest

from exporter.check_state import CheckState
from exporter.engine import catalogue
from exporter.explain import diagnosis
from exporter.explain.refusals import Refusals
from exporter.facts import Finding, Reason, Rule
from tests.support.checks import BROKEN, EXAMPLE, NOTE, ODD, SAMPLE, outcome

REFUSALS = Refusals(catalogue.load())


def held(*findings: Finding, doubt: Reason | None = None) -> CheckState:
    return CheckState(SAMPLE, EXAMPLE).after(outcome(*findings, doubt=doubt))


def test_the_best_causes_are_told_in_full_and_the_rest_by_name() -> None:
    text = diagnosis.as_text(REFUSALS.find("501 5.5.4 Invalid domain name"))
    assert "5.5.4: a command has an invalid argument" in text
    assert "Receivers say so because of:" in text
    assert text.index("helo.trailing-dot (critical)") < text.index("helo.white-space (critical)")
    assert "answer: Office 365: 501 5.5.4 Invalid domain name" in text
    assert "Fix: Set the HELO name" in text
    assert "See also: " in text
    assert "helo.empty" in text.partition("See also: ")[2]


def test_of_many_causes_the_first_are_told_in_full() -> None:
    answer = REFUSALS.find("550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM")
    told = diagnosis.explain(answer)
    assert len(told.causes) == diagnosis.IN_FULL < len(answer.best)
    assert len(told.causes) + len(told.also) == len(answer.matches)


def test_what_belongs_to_no_finding_names_its_source_and_what_to_look_at() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"))
    assert "No finding of this exporter:" in text
    assert "https://sender.office.com/" in text
    assert "Source: Microsoft" in text
    assert "Look also at: blocklist.listed" in text


def test_what_is_not_known_is_said_plainly_with_the_meaning_of_its_codes() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.4.99 out of cheese"))
    assert "550: the mailbox is not available" in text
    assert "5.4.99: network and routing" in text
    assert "Nothing in the catalogue matches." in text
    assert "cheese" not in text
    assert diagnosis.as_text(REFUSALS.find("cheese")) == (
        "Nothing in the catalogue matches. The server that refuses knows why."
    )


@pytest.mark.parametrize(
    "text", ["501 5.5.4 Invalid \x1b[31mdomain name\u202e", "host <script>[1] said: 550 5.7.1 \x00"]
)
def test_nothing_of_the_refusal_itself_is_shown(text: str) -> None:
    told = diagnosis.as_text(REFUSALS.find(text))
    assert all(char.isprintable() or char == "\n" for char in told)
    assert "script" not in told


IDS = (BROKEN.id, ODD.id)


def test_a_cause_that_stands_is_named_with_its_target_and_fix() -> None:
    lines = diagnosis.verdicts([held(BROKEN(what="the pump"))], IDS)
    assert lines == [
        "sample.broken of example.com: the pump is broken. That is it.",
        "  Fix: Mend the pump.",
        "not found: sample.odd",
    ]


@pytest.mark.parametrize("rule", [BROKEN, ODD])
def test_doubt_never_clears_a_cause(rule: Rule) -> None:
    lines = diagnosis.verdicts([held(doubt=Reason.DNS_TIMEOUT)], (rule.id,))
    assert lines == ["could not tell sample of example.com: because"]


def test_a_cause_proven_before_a_doubt_is_named_with_it() -> None:
    lines = diagnosis.verdicts([held(BROKEN(what="it"), doubt=Reason.DNS_TIMEOUT)], (BROKEN.id,))
    assert lines[0].endswith("That is it.")
    assert lines[-1].startswith("could not tell")


def test_where_nothing_stands_the_cause_is_elsewhere() -> None:
    lines = diagnosis.verdicts([held(NOTE(what="it"))], IDS)
    assert lines[0] == "not found: sample.broken, sample.odd"
    assert "may say or be something else" in lines[1]
    assert diagnosis.verdicts([], IDS) == ["nothing is configured that could show it"]
