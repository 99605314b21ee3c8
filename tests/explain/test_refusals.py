"""From a text to its cause: the texts that are kept with their sources, and what may never change the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import receivers
from exporter.engine import catalogue
from exporter.explain import vendors
from exporter.explain.families import Family, shipped
from exporter.explain.matching import Grade, phrases
from exporter.explain.refusals import Diagnosis, Refusals
from tests.support.refusals import POSTFIX, Known, notification, texts

CATALOGUE = catalogue.load()
REFUSALS = Refusals(CATALOGUE)
SENDING = list(texts("sending_side"))
HELO = list(texts("helo"))
VENDORS = list(texts("vendors"))


def kinds(answer: Diagnosis) -> list[str]:
    return [match.family.kind for match in answer.best]


def right(known: Known) -> bool:
    """The first cause is the right one, or there is none where none is better."""
    found = kinds(REFUSALS.find(known.text))
    return (found[0] if found else "none") in {known.kind, known.also}


@pytest.mark.parametrize("known", SENDING, ids=str)
def test_what_postfix_and_exim_write_themselves_is_understood(known: Known) -> None:
    answer = REFUSALS.find(known.text)
    assert right(known)
    assert known.family in ("", answer.best[0].family.id)
    assert known.host in ("", answer.refusals[0].refused_by)


@pytest.mark.parametrize("known", HELO, ids=str)
def test_what_is_said_of_the_helo_name_is_never_read_as_an_address(known: Known) -> None:
    answer = REFUSALS.find(known.text)
    assert set(kinds(answer)) == {"helo"}
    assert all(finding.startswith(("helo.", "ehlo_probe.", "ptr.")) for finding in answer.findings)


@pytest.mark.parametrize("known", [it for it in VENDORS if not it.held], ids=str)
def test_refusals_of_vendors_are_understood(known: Known) -> None:
    assert right(known)
    assert known.host in ("", REFUSALS.find(known.text).refusals[0].refused_by)


def test_refusals_of_vendors_that_were_set_aside_are_understood() -> None:
    held = [it for it in VENDORS if it.held]
    assert len(held) > 60
    wrong = [it for it in held if not right(it) and kinds(REFUSALS.find(it.text))]
    assert len([it for it in held if right(it)]) >= 0.95 * len(held)
    assert len(wrong) < 0.02 * len(held), [it.text for it in wrong]
    named = [it for it in held if it.host]
    assert [it.text for it in named if REFUSALS.find(it.text).refusals[0].refused_by != it.host] == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("550 5.7.25 [2001:db8::1] The IP address sending this message does not have a PTR record", "ptr.missing"),
        ("421-4.7.23 The sending IP address for this message doesn't have a PTR record - gsmtp", "ptr.unconfirmed"),
        ("550 5.7.515 Access denied, sending domain example.com doesn't meet the level", "dmarc.missing"),
        ("421 4.7.32 ... because the From header in this message isn't aligned - gsmtp", "dmarc.cannot-align"),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "blocklist.listed"),
        ("450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", "mx.no-such-domain"),
        ("450 4.7.321 starttls-not-supported: Destination mail server must support TLS", "smtp_tls.no-starttls"),
        ("reverse DNS", "ptr.missing"),
        ("501 5.5.4 Invalid domain name", "helo.trailing-dot"),
    ],
)  # fmt: skip
def test_the_finding_is_named(text: str, finding: str) -> None:
    answer = REFUSALS.find(text)
    assert finding in answer.findings


def test_the_helo_name_in_the_text_says_which_finding_comes_first() -> None:
    said = "504 5.5.2 <{}>: Helo command rejected: need fully-qualified hostname"
    assert REFUSALS.find(said.format("localhost")).findings[0] in ("helo.local-name", "helo.single-label")
    assert REFUSALS.find(said.format("192.0.2.1")).findings[0] == "helo.bare-address"
    fields = (
        "Final-Recipient: rfc822; a@b.example\nAction: failed\nDiagnostic-Code: smtp; 501 5.5.4 Invalid domain name"
    )
    told = REFUSALS.find(notification("See below.", fields).replace(b"dns; mail.example.com", b"dns; localhost."))
    assert told.findings[0] == "helo.trailing-dot"
    assert told.refusals[0].values.helo == "localhost."


@pytest.mark.parametrize("text", ["", "550", "zzz", "550 5.7.1 nothing that anybody knows", "250 2.0.0 Ok", "5.9.77"])
def test_what_is_not_known_gets_no_answer(text: str) -> None:
    assert REFUSALS.find(text).matches == ()


def test_a_receiver_has_its_own_meaning_for_a_code() -> None:
    """5.7.27 is SPF at Gmail and a null MX in RFC 7505; nobody else's 5.4.1 is that of Office 365."""
    assert "null-mx" in kinds(REFUSALS.find("550 5.7.27"))
    at_gmail = REFUSALS.find("host aspmx.l.google.com[192.0.2.1] said: 550 5.7.27 new words")
    assert (kinds(at_gmail), at_gmail.best[0].grade) == (["spf"], Grade.CODE)
    assert "spf_sender.not-authorised" in at_gmail.findings
    assert kinds(REFUSALS.find("host a.mail.protection.outlook.com[192.0.2.1] said: 550 5.4.1 new words")) == []
    assert kinds(REFUSALS.find("host mx.example[192.0.2.1] said: 550 5.4.1 new words")) == []


PROFILED = [
    (profile.name, refusal)
    for profile in receivers.shipped().values()
    for demand in profile.demands
    for refusal in demand.refusals
]


@pytest.mark.parametrize(("receiver", "text"), PROFILED)
def test_what_a_receivers_profile_quotes_is_explained(receiver: str, text: str) -> None:
    answer = REFUSALS.find(text)
    assert answer.best, receiver
    assert answer.best[0].grade in (Grade.SAID, Grade.CODE)


def test_what_does_not_exist_is_the_sender_in_reply_to_mail_from() -> None:
    said = "host mx.example[192.0.2.1] said: 553 box.example.net does not exist (in reply to {} command)"
    assert kinds(REFUSALS.find(said.format("MAIL FROM"))) == ["sender"]
    assert "sender" not in kinds(REFUSALS.find(said.format("RCPT TO")))
    other = "host mx.example[192.0.2.1] said: 450 4.7.1 reverse DNS not found (in reply to MAIL FROM command)"
    assert kinds(REFUSALS.find(other)) == ["ptr"]


def test_a_reply_without_words_is_not_taken_for_a_search() -> None:
    """A code alone lists all that say it, if somebody searches; of a server's reply, the vendor's meaning counts."""
    assert REFUSALS.find("5.7.1").matches
    assert REFUSALS.find("host mx.example[192.0.2.1] said: 553 5.7.1 (in reply to RCPT TO command)").matches == ()


def test_an_address_in_the_reply_does_not_part_what_belongs_together() -> None:
    assert kinds(REFUSALS.find("571 Email from 192.0.2.1 is currently blocked by our system")) == ["reputation"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("550 DKIM key for your domain not found", "dkim"),
        ("550 not delivered. Remote response: 550 5.1.1 user unknown", "user-unknown"),
        (
            "550-Verification failed for <a@b.example> 550-Called: 192.0.2.1 550-Response: 550 blocked by spamhaus",
            "sender",
        ),
        ("421 ts01.example.com Service unavailable", "receiver-fault"),
    ],
)
def test_a_word_counts_where_it_says_why(text: str, kind: str) -> None:
    assert kinds(REFUSALS.find(text)) == [kind]


# What may never be.

FAMILIES = st.sampled_from(shipped())
PHRASES = st.sampled_from(phrases(shipped()))
CODES = st.sampled_from(["421", "450", "451", "452", "550", "552", "553", "554"])
STATUSES = st.sampled_from(
    ["", "x.1.1", "x.2.0", "x.2.1", "x.2.2", "x.4.1", "x.5.0", "x.7.1", "x.7.26", "x.5.4", "x.1.8"]
)
STAGES = {
    "EHLO": "ehlo", "MAIL FROM": "mail", "RCPT TO": "rcpt", "end of DATA": "data",
}  # fmt: skip


def families(answer: Diagnosis) -> Iterable[Family]:
    return [match.family for match in answer.matches]


@given(phrase=PHRASES, code=CODES, status=STATUSES, stage=st.sampled_from([*STAGES]))
@settings(max_examples=150)
def test_neither_class_nor_stage_is_ever_contradicted(phrase: object, code: str, status: str, stage: str) -> None:
    words = " ".join(getattr(phrase, "parts"))  # noqa: B009  (hypothesis knows no type)
    said = f"{code} {status.replace('x', code[0], 1)} {words}"
    answer = REFUSALS.find(f"host mx.example.net[192.0.2.1] said: {said} (in reply to {stage} command)")
    for match in answer.matches:
        assert code[0] in match.family.classes
        assert match.family.at(answer.refusals[0].reply.stage)
        if quoted := re.match(r"[^:]+: ([45])", match.text):
            assert quoted[1] == code[0]


@given(phrase=PHRASES, outer=CODES, inner=CODES)
@settings(max_examples=100)
def test_the_innermost_reply_decides(phrase: object, outer: str, inner: str) -> None:
    said = f"{inner} {' '.join(getattr(phrase, 'parts'))}"  # noqa: B009  (hypothesis knows no type)
    wrapped = REFUSALS.find(f"{outer} {outer[0]}.4.300 Message expired -> {said}")
    assert wrapped.refusals[0].reply.code == int(inner)
    assert families(wrapped) == families(REFUSALS.find(said))


@given(known=st.sampled_from(VENDORS + SENDING), other=st.sampled_from(VENDORS + HELO))
@settings(max_examples=60)
def test_no_answer_changes_with_the_original_message(known: Known, other: Known) -> None:
    text = " ".join(known.text.split())
    fields = f"Final-Recipient: rfc822; anna@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; {text}"
    original = f"Received: from x by mail.example.com; now\nFrom: me@example.com\nSubject: no\n\n{other.text}\n"
    alone = REFUSALS.find(notification("It failed.", fields))
    assert families(REFUSALS.find(notification("It failed.", fields, original=original))) == families(alone)
    assert families(REFUSALS.find(notification(f"It failed.\n\n{original}" * 2, fields))) == families(alone)


@given(st.text() | st.binary())
@settings(max_examples=80)
def test_searching_never_fails(given: str | bytes) -> None:
    for match in REFUSALS.find(given).matches:
        assert match.text


def test_greylisting_is_never_what_a_refusal_of_spam_means() -> None:
    assert kinds(REFUSALS.find("451 4.7.1 Message deferred as spam, try again later")) == ["spam"]
    assert kinds(REFUSALS.find("451 4.7.0 spam, greylisting was tried")) == ["spam"]
    assert kinds(REFUSALS.find("550 5.7.1 greylisted for spam")) == ["spam"]


def test_the_vendor_of_the_host_is_told() -> None:
    (refusal,) = REFUSALS.find(POSTFIX).refusals
    assert refusal.vendor == "Office 365"
    assert vendors.shipped().ask["Gmail"].startswith("https://")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("Your IP address is blacklisted", "listed"),
        ("The PTR record of your server is missing", "ptr"),
        ("rejected due to spam content", "spam"),
        ("SPF check failed", "spf"),
    ],
)
def test_the_reason_counts_and_not_the_text_that_the_standard_gives_to_its_code(reason: str, kind: str) -> None:
    """RFC 5321 section 4.2.3."""
    assert kinds(REFUSALS.find(f"550-Requested action not taken: mailbox unavailable 550 {reason}"))[0] == kind
    assert kinds(REFUSALS.find("550 5.5.0 Requested action not taken: mailbox unavailable")) == ["user-unknown"]


@pytest.mark.parametrize(
    ("frame", "reason", "kind"),
    [
        ("Sender address rejected:", "SPF check failed", "spf"),
        ("Sender refused by the", "DNSBL bl.example.net", "listed"),
        ("DNS temporary failure,", "greylisted for 300 seconds", "greylisted"),
        ("Server certificate not verified:", "no matching TLSA record", "dane"),
        ("Temporary server error. Please try again later.", "Throttled", "rate"),
    ],
)
def test_a_mechanism_is_the_cause_and_not_its_frame(frame: str, reason: str, kind: str) -> None:
    assert kinds(REFUSALS.find(f"450 {frame} {reason}"))[0] == kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("550 your server is in a black list", "550 your server is in a blocklist"),
        ("451 grey-listed, come back later", "451 graylisted, come back later"),
        ("550 not authorised to send from this address", "550 not authorized to send from this address"),
        ("550 you can't relay here", "550 you cannot relay here"),
    ],
)
def test_spellings_make_no_difference(one: str, other: str) -> None:
    assert families(REFUSALS.find(one)) == families(REFUSALS.find(other))


def test_vague_words_are_no_answer_where_the_reply_is_about_something_else() -> None:
    assert kinds(REFUSALS.find("550 not allowed")) == ["policy"]
    assert kinds(REFUSALS.find("550 this kind of From is not allowed")) == []
    long = "550 with this code we tell you in many more words than one that something of no known name is denied"
    assert kinds(REFUSALS.find(long)) == []


def test_too_many_errors_is_a_limit_and_dane_no_certificate() -> None:
    assert kinds(REFUSALS.find("421 4.7.0 mail.example.net Error: too many errors")) == ["rate"]
    assert kinds(REFUSALS.find("450 4.7.323 DANE required")) == ["dane"]


def test_plain_words_of_one_vendor_mean_nothing_special_elsewhere() -> None:
    said = "421 Service Temporarily Unavailable"
    assert kinds(REFUSALS.find(f"host cluster1.eu.messagelabs.com[192.0.2.1] refused to talk to me: {said}")) == [
        "reputation"
    ]
    assert kinds(REFUSALS.find(said)) == ["receiver-busy"]
