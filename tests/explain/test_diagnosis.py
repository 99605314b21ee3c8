"""What `explain` says of a refusal, and of the findings that stand here and now."""

from __future__ import annotations

import pytest

from exporter.check_state import CheckState
from exporter.engine import catalogue
from exporter.explain import diagnosis
from exporter.explain.families import shipped
from exporter.explain.matching import phrases
from exporter.explain.refusals import Refusals
from exporter.facts import Finding, Reason, Rule
from tests.support.checks import BROKEN, EXAMPLE, NOTE, ODD, SAMPLE, outcome
from tests.support.refusals import notification

REFUSALS = Refusals(catalogue.load())


def held(*findings: Finding, doubt: Reason | None = None) -> CheckState:
    return CheckState(SAMPLE, EXAMPLE).after(outcome(*findings, doubt=doubt))


def test_there_is_one_card_with_one_fix_and_the_findings_behind_it() -> None:
    text = diagnosis.as_text(REFUSALS.find("501 5.5.4 Invalid domain name"))
    assert "5.5.4: a command has an invalid argument" in text
    assert "Possible causes:" in text
    assert text.count("Fix: ") == 1
    assert "Who can act: you" in text
    assert "Rejection text: Office 365: 501 5.5.4 Invalid domain name" in text
    assert "Findings: helo.trailing-dot, helo.white-space, " in text


def test_the_card_is_filled_with_what_the_text_holds() -> None:
    text = (
        "host mx.b.example[192.0.2.9] said: 554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using "
        "zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.10 (in reply to RCPT TO command)"
    )
    told = diagnosis.as_text(REFUSALS.find(text))
    assert "Rejected by mx.b.example, in reply to RCPT TO" in told
    assert "listed: mx.b.example refuses 192.0.2.10, because it is on the blocklist zen.spamhaus.org." in told
    assert "then ask the list for removal" in told
    spf = diagnosis.as_text(REFUSALS.find("550 5.7.1 <a@example.com>: SPF fail for 192.0.2.10, from=<a@example.com>"))
    assert "Add 192.0.2.10 to the SPF record of example.com" in spf
    helo = diagnosis.as_text(
        REFUSALS.find("504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname")
    )
    assert 'refuses the HELO name "localhost"' in helo


def test_no_place_of_a_sentence_stays_empty() -> None:
    for family in shipped():
        for phrase in phrases((family,))[:1]:
            told = diagnosis.explain(REFUSALS.find(f"{(phrase.code or min(family.classes))} {phrase.text}"))
            for card in told.causes:
                assert "{" not in card.means + card.fix


def test_what_no_check_can_see_names_its_source_and_what_to_look_at() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"))
    assert "Microsoft has banned 192.0.2.1." in text
    assert "https://sender.office.com/" in text
    assert "Source: Microsoft" in text
    assert "Related findings: blocklist.listed" in text


def test_what_is_not_known_is_said_plainly_with_its_general_meaning_and_whom_to_ask() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.4.99 out of cheese"))
    assert "550: the mailbox is not available" in text
    assert "5.4.99: network and routing" in text
    assert "No match. It is a permanent failure" in text
    assert "cheese" not in text
    at_gmail = (
        "host gmail-smtp-in.l.google.com[192.0.2.26] said: 451 4.5.99 out of cheese (in reply to RCPT TO command)"
    )
    text = diagnosis.as_text(REFUSALS.find(at_gmail))
    assert "It is a temporary failure: the mail server retries by itself." in text
    assert "Ask the postmaster of gmail-smtp-in.l.google.com (https://support.google.com/" in text


def test_nobody_is_to_be_asked_where_nobody_refused() -> None:
    assert diagnosis.as_text(REFUSALS.find("cheese")) == "No match. If it is a rejection, paste the whole line."


def test_what_is_no_refusal_is_said() -> None:
    fields = "Final-Recipient: rfc822; a@b.example\nAction: relayed\nStatus: 2.0.0"
    assert diagnosis.as_text(REFUSALS.find(notification("Well.", fields))) == (
        "The notification says that the mail was delivered or handed on. Nothing was rejected."
    )


def test_a_temporary_failure_that_lasted_is_said() -> None:
    text = diagnosis.as_text(
        REFUSALS.find("550 5.4.300 Message expired -> 451 4.7.500 Server busy. Please try again later")
    )
    assert text.startswith("451: ")
    assert "lasted until the message expired" in text


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
    assert text.index("In your setup:") < text.index("Possible causes:") < text.index("Fix: ")


def test_what_no_check_can_see_is_shown_beside_the_answer_for_this_setup() -> None:
    text = diagnosis.as_text(REFUSALS.find("550 5.7.606 Access denied, banned sending IP [192.0.2.1]"), HERE)
    assert "https://sender.office.com/" in text
    assert "Possible causes" not in text
