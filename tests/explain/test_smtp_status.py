"""Refusals as people paste them: codes, receiver and stage are read out of any wrapping, and reading never fails."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.explain.smtp_status import LONGEST, RefusalSyntaxError, Stage, known, meaning, read, reply_meaning

GMAIL = """
<anna@gmail.com>: host gmail-smtp-in.l.google.com[192.0.2.26] said:
    550-5.7.26 This mail has been blocked because the sender is unauthenticated.
    550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.
    550 5.7.26 https://support.google.com/mail/answer/81126 d2e1a72fcca58 - gsmtp (in
    reply to end of DATA command)
"""
DSN = """
Reporting-MTA: dns; mail.example.com
Arrival-Date: Mon, 23 Nov 2026 19:20:25 +0000

Final-Recipient: rfc822; anna@hotmail.com
Action: failed
Status: 5.7.1
Remote-MTA: dns; hotmail-com.olc.protection.outlook.com
Diagnostic-Code: smtp; 550 5.7.1 Unfortunately, messages from [192.0.2.10]
    weren't sent. Please contact your Internet service provider since part of
    their network is on our block list (S3150).
"""
POSTFIX = (
    "Nov 23 19:20:25 mx1 postfix/smtp[5501]: 4XyZ: to=<anna@example.org>, relay=none, delay=0.5, dsn=5.5.4, "
    "status=bounced (host example-org.mail.protection.outlook.com[192.0.2.36] refused to talk to me: "
    "501 5.5.4 Invalid domain name [DB5EUR03FT033.eop-EUR03.prod.protection.outlook.com])"
)


@pytest.mark.parametrize(
    ("text", "codes", "statuses", "receiver", "stage"),
    [
        ("501 5.5.4 Invalid domain name", (501,), ("5.5.4",), None, None),
        (POSTFIX, (501,), ("5.5.4",), "Office 365", Stage.GREETING),
        (GMAIL, (550,), ("5.7.26",), "Gmail", Stage.DATA),
        (DSN, (550,), ("5.7.1",), "Outlook.com", None),
        ("5.5.4", (), ("5.5.4",), None, None),
        ("550", (550,), (), None, None),
        ("#5.5.4 smtp;501 5.5.4 Invalid domain name", (501,), ("5.5.4",), None, None),
        ("421-4.7.28 too fast", (421,), ("4.7.28",), None, None),
        ("host a.example[192.0.2.1] said: 554 no (in reply to MAIL FROM command)", (554,), (), None, Stage.MAIL_FROM),
        ("SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 no", (550,), (), None, Stage.RCPT_TO),
        ("error from remote mail server after pipelined MAIL FROM:<a@b.c>: 550", (550,), (), None, Stage.MAIL_FROM),
        ("remote mail server after end of data: host x.example: 552 5.3.4 no", (552,), ("5.3.4",), None, Stage.DATA),
        (">>> EHLO MacBook..\n<<< 501 5.5.4 Invalid domain name", (501,), ("5.5.4",), None, Stage.HELO),
        ("Connected to 192.0.2.1 but my name was rejected.\nRemote host said: 501 bad", (501,), (), None, Stage.HELO),
        # Numbers that are no codes
        ("Nov 23 19:20:25 x postfix/smtp[550]: connect to 5.7.1.26: timed out", (), (), None, None),
        ("version 2.1.3 of 250 2.0.0 Ok", (), (), None, None),
        ("in 5.5.41 and 5.5.4.1", (), ("5.5.41",), None, None),
    ],
)
def test_what_is_pasted_is_understood(
    text: str, codes: tuple[int, ...], statuses: tuple[str, ...], receiver: str | None, stage: Stage | None
) -> None:
    refusal = read(text)
    assert (refusal.codes, refusal.statuses) == (codes, statuses)
    assert refusal.receiver == receiver
    assert refusal.stage is stage


def test_a_reply_of_several_lines_reads_as_one_sentence() -> None:
    said = read("550-5.7.26 This mail has been\n550-5.7.26 blocked because\n550 5.7.26 of SPF").said
    assert said == "this mail has been blocked because of spf"


@pytest.mark.parametrize(
    "text",
    [
        "Office 365: 501 5.5.4 Invalid domain name",
        "Exim: 501 Syntactically invalid ... argument(s)",
        "RFC 7505: 556 5.1.10 Recipient address has null MX",
        "Outlook.com: 550 5.7.515 Access denied",
    ],
)
def test_the_one_form_of_the_catalogue(text: str) -> None:
    quote = known(text)
    assert text == f"{quote.receiver}: {quote.code} {f'{quote.status} ' if quote.status else ''}{quote.text}"


@pytest.mark.parametrize(
    "text",
    [
        "501 5.5.4 Invalid domain name",
        "Gmail: 550-5.7.26",
        "Gmail: 550 5.7.26",
        "Gmail: 5.7.26 No basic code",
        "Gmail: 421 5.7.26 Of two classes",
        "gmail: 550 5.7.26 In lower case",
        "Gmail: 250 2.0.0 No refusal",
        "",
    ],
)
def test_what_is_not_in_the_one_form_is_refused(text: str) -> None:
    with pytest.raises(RefusalSyntaxError):
        known(text)


def test_codes_mean_what_the_standards_say() -> None:
    assert "invalid argument" in meaning("5.5.4")
    assert "RFC 3463 section 3.6" in meaning("5.5.4")
    assert "will be retried" in meaning("4.7.25")
    assert "detail 606 is defined by the receiver" in meaning("5.7.606")
    assert "an unknown subject" in meaning("5.9.1")
    assert "parameters" in reply_meaning(501)
    assert "no code of the standard" in reply_meaning(599)
    assert "RFC 7504" in reply_meaning(521)


@given(st.text() | st.text("45 .0-:[]<>\nRCPTO;dnsMTAgoogle", max_size=400))
def test_reading_never_fails(text: str) -> None:
    refusal = read(text)
    assert all(400 <= code < 600 for code in refusal.codes)
    for status in refusal.statuses:
        assert meaning(status)
    for code in refusal.codes:
        assert reply_meaning(code)


PIECES = ["550 ", "550-5.7.1 ", "host a.", "a.", "in reply to ", "5.5.", "<<< ", " ", "\n", ": "]


@given(st.lists(st.sampled_from(PIECES)))
@settings(deadline=None, max_examples=50)
def test_reading_is_linear_in_what_is_pasted(pieces: list[str]) -> None:
    text = "".join(pieces) or "x"
    began = time.perf_counter()
    read(text * (2 * LONGEST // len(text)))
    assert time.perf_counter() - began < 2, "some 50 ms are usual"
