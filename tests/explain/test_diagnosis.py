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
    assert "Possible causes:" in text
    assert text.index("helo.trailing-dot (critical)") < text.index("helo.white-space (critical)")
    assert "Rejection text: Office 365: 501 5.5.4 Invalid domain name" in text
    assert "Fix in this example: Set the HELO name" in text
    assert "See also: " in text
    assert "helo.empty" in text.partition("See also: ")[2]


def test_of_many_causes_the_first_are_told_in_full() -> None:
    answer = REFUSALS.find("550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM")
    told = diagnosis.explain(answer)
    assert len(told.causes) == diagnosis.IN_FULL < len(answer.best)
    assert len(told.causes) + len(told.also) == len(answer.matches)


def test_what_belongs_to_no_finding_names_its_source_and_what_to_look_at() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"))
    assert "Not detectable in DNS or SMTP:" in text
    assert "https://sender.office.com/" in text
    assert "Source: Microsoft" in text
    assert "Related findings: blocklist.listed" in text


def test_what_is_not_known_is_said_plainly_with_the_meaning_of_its_codes() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.4.99 out of cheese"))
    assert "550: the mailbox is not available" in text
    assert "5.4.99: network and routing" in text
    assert "No match. Only the generic meaning above is known." in text
    assert "cheese" not in text
    assert diagnosis.as_text(REFUSALS.find("cheese")) == (
        "No match. Ask the receiver's postmaster, and quote the whole line."
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
    here = diagnosis.in_setup([held(BROKEN(what="the pump"))], IDS)
    assert here.answered
    assert here.lines == (
        "sample.broken of example.com: the pump is broken. This is the cause.",
        "  Fix: Mend the pump.",
        "Ruled out: sample.odd",
    )


@pytest.mark.parametrize("rule", [BROKEN, ODD])
def test_doubt_never_clears_a_cause(rule: Rule) -> None:
    here = diagnosis.in_setup([held(doubt=Reason.DNS_TIMEOUT)], (rule.id,))
    assert here == diagnosis.InSetup(("unknown: sample of example.com (because)",), answered=False)


def test_a_cause_proven_before_a_doubt_is_named_with_it() -> None:
    here = diagnosis.in_setup([held(BROKEN(what="it"), doubt=Reason.DNS_TIMEOUT)], (BROKEN.id,))
    assert here.answered
    assert here.lines[0].endswith("This is the cause.")
    assert here.lines[-1].startswith("unknown: sample")


def test_where_nothing_stands_the_cause_is_elsewhere() -> None:
    here = diagnosis.in_setup([held(NOTE(what="it"))], IDS)
    assert here.lines[0] == "Ruled out: sample.broken, sample.odd"
    assert "another server sent" in here.lines[1]
    assert here.answered
    nothing = diagnosis.in_setup([], IDS)
    assert nothing == diagnosis.InSetup(("The configuration has no target that could show it.",), answered=False)


HERE = diagnosis.InSetup(("helo.trailing-dot of out: This is the cause.",), answered=True)


def test_an_answer_for_this_setup_is_the_end() -> None:
    text = diagnosis.as_text(REFUSALS.find("501 5.5.4 Invalid domain name"), HERE)
    assert text.endswith(f"In your setup:\n  {HERE.lines[0]}")


def test_without_an_answer_for_this_setup_all_causes_are_shown() -> None:
    refusal = REFUSALS.find("501 5.5.4 Invalid domain name")
    text = diagnosis.as_text(refusal, diagnosis.InSetup(("unknown: helo of out (timeout)",)))
    assert text.index("In your setup:") < text.index("Possible causes:") < text.index("See also: ")


def test_what_no_check_can_see_is_shown_beside_the_answer_for_this_setup() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"), HERE)
    assert "https://sender.office.com/" in text
    assert "Possible causes" not in text
