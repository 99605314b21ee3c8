"""The catalogue of refusals: everything in one form, and from a text to the finding that causes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import receivers
from exporter.engine import catalogue
from exporter.explain.refusals import Diagnosis, Grade, Refusals, shipped
from exporter.explain.smtp_status import known
from exporter.facts import Rule
from tests.explain.test_smtp_status import DSN, GMAIL, POSTFIX

CATALOGUE = catalogue.load()
RULES = [rule for rule in CATALOGUE.rules.values() if rule.refusals]
REFUSALS = Refusals(CATALOGUE)


def ids(answer: Diagnosis) -> list[str]:
    return [match.cause.id if isinstance(match.cause, Rule) else match.quote.text for match in answer.best]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_refusal_of_a_finding_is_in_the_one_form_and_leads_back_to_it(rule: Rule) -> None:
    assert len(set(rule.refusals)) == len(rule.refusals)
    for text in rule.refusals:
        quote = known(text)
        said = f"{quote.code} {quote.status or ''} {quote.text.replace('...', 'something in between')}"
        answer = REFUSALS.find(f"host mx.example[192.0.2.1] said: {said} [more of it] (in reply to EHLO command)")
        assert answer.matches[0].grade is Grade.SAID
        assert rule.id in ids(answer)


def test_each_refusal_that_no_finding_explains_says_what_to_do_and_who_says_so() -> None:
    assert len(shipped()) > 40
    texts = [quote.text for foreign in shipped() for quote in foreign.quotes]
    assert sorted(texts) == sorted(set(texts))
    assert not set(texts) & {text for rule in RULES for text in rule.refusals}
    for foreign in shipped():
        assert foreign.means.endswith(".")
        assert foreign.fix.endswith(".")
        assert len(foreign.source.split()) > 1
        assert set(foreign.related) <= CATALOGUE.rules.keys()
        for text in (foreign.means, foreign.fix, foreign.source):
            assert text == " ".join(text.split())
        for quote in foreign.quotes:
            assert REFUSALS.find(f"{quote.known.code} {quote.known.status} {quote.known.text}").best[0].cause is foreign
            assert quote.through is None or quote.through > str(quote.known.status)


@pytest.mark.parametrize(
    "text",
    [
        "501 5.5.4 Invalid domain name",
        "5.5.4 INVALID DOMAIN NAME",
        "invalid domain name",
        POSTFIX,
        "(501, b'5.5.4 Invalid domain name [AM0PR01CA0100.eurprd01.prod.exchangelabs.com]')",
        ">>> EHLO MacBook..\n<<< 501 5.5.4 Invalid domain name\n",
        "550 5.5.4 Invalid domain name (in reply to RCPT TO command)",  # whatever is told about recipients
    ],
)
def test_invalid_domain_name_is_about_the_helo_name_whatever_is_told(text: str) -> None:
    found = ids(REFUSALS.find(text))
    assert found[0] == "helo.trailing-dot"
    assert {"helo.white-space", "helo.empty-label", "helo.bad-character", "helo.non-ascii"} <= set(found)
    assert all(finding.startswith(("helo.", "ehlo_probe.")) for finding in found)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (GMAIL, "spf_sender.not-authorised"),
        (GMAIL, "dkim.missing"),
        ("550 5.7.506 Access Denied, Bad HELO", "helo.peer"),
        ("550 5.7.25 [2001:db8::1] The IP address sending this message does not have a PTR record", "ptr.missing"),
        ("421-4.7.23 whatever Google says now - gsmtp", "ptr.unconfirmed"),
        ("550 5.7.515 Access denied, sending domain example.com does not meet the required", "dmarc.missing"),
        ("421 4.7.32 Your email has been rate limited because the From header isn't aligned", "dmarc.cannot-align"),
        ("550 5.7.509 Access denied, sending domain a.example does not pass DMARC verification", "dmarc.cannot-align"),
        ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "blocklist.listed"),
        ("450 4.7.1 <mail>: Helo command rejected: Host not found", "helo.no-address"),
        ("550 5.7.1 Service unavailable, Helo domain is listed in Spamhaus. (S8001)", "helo.listed"),
        ("554 5.7.1 Service unavailable; Helo command [a.b] blocked using dbl.spamhaus.org", "helo.listed"),
        ("504 5.5.2 <mail>: Helo command rejected: need fully-qualified hostname", "helo.single-label"),
        ("450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", "mx.no-such-domain"),
        ("450 4.7.321 starttls-not-supported: Destination mail server must support TLS", "smtp_tls.no-starttls"),
        ("reverse DNS", "ptr.missing"),
    ],
)
def test_the_finding_is_among_the_best(text: str, finding: str) -> None:
    assert finding in ids(REFUSALS.find(text))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "5.7.606"),
        ("550 5.7.637 Access denied, banned sending IP [192.0.2.1]", "5.7.606"),
        (DSN, "S3150"),
        ("S3140", "S3140"),
        ("451 4.7.650 rate limited", "4.7.650"),
        ("452 4.2.2 The recipient's inbox is out of storage space", "4.2.2"),
    ],
)
def test_what_no_finding_explains_is_answered_too(text: str, quoted: str) -> None:
    answer = REFUSALS.find(text)
    assert quoted in answer.matches[0].quote.text
    assert not isinstance(answer.matches[0].cause, Rule)


@pytest.mark.parametrize("text", ["", "550", "zzz", "550 5.7.1 nothing that anybody knows", "250 2.0.0 Ok", "5.9.77"])
def test_what_is_not_known_gets_no_answer(text: str) -> None:
    assert REFUSALS.find(text).matches == ()


def test_a_receiver_has_its_own_meaning_for_a_code() -> None:
    """5.7.27 is SPF at Gmail and a null MX in RFC 7505."""
    assert "mx.null-sender" in ids(REFUSALS.find("550 5.7.27"))
    at_gmail = ids(REFUSALS.find("host aspmx.l.google.com[192.0.2.1] said: 550 5.7.27 new words"))
    assert "spf_sender.not-authorised" in at_gmail
    assert "mx.null-sender" not in at_gmail


@given(st.text())
@settings(max_examples=50)
def test_searching_never_fails(text: str) -> None:
    for match in REFUSALS.find(text).matches:
        assert match.quote.text


PROFILED = [
    (profile.name, refusal)
    for profile in receivers.shipped().values()
    for demand in profile.demands
    for refusal in demand.refusals
]


@pytest.mark.parametrize(("receiver", "text"), PROFILED)
def test_what_a_receivers_profile_quotes_is_explained(receiver: str, text: str) -> None:
    """Either the very words lead to a cause, or a code that the receiver gives them does."""
    answer = REFUSALS.find(text)
    assert answer.best, receiver
    assert answer.best[0].grade in (Grade.SAID, Grade.CODE)
