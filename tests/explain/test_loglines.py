"""The reply in what mail servers write around it, the host that refused, and who tells it."""

from __future__ import annotations

import pytest

from exporter.explain.loglines import MOST_BLOCKS, attempts
from exporter.explain.reply import Stage
from tests.support.refusals import POSTFIX

EXIM_LOG = (
    "2026-11-23 19:20:25 1abcde-0001-0A ** anna@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.9] "
    "X=TLS1.3:AES: SMTP error from remote mail server after RCPT TO:<anna@b.example>: 550 5.1.1 no such user"
)
EXIM_BOUNCE = """
  anna@b.example
    host mx.b.example [192.0.2.9]
    SMTP error from remote mail server after pipelined MAIL FROM:<x@y.example> SIZE=2048:
    550 5.1.1 no such user
"""
EXIM_OLD = "SMTP error from remote mail server after RCPT TO:<a@b.example>: host mx.b.example [192.0.2.9]: 550 5.1.1 no"
SENDMAIL = """
   ----- Transcript of session follows -----
... while talking to mx.b.example.:
>>> RCPT To:<anna@b.example>
<<< 550 5.1.1 <anna@b.example>... User unknown
550 5.1.1 <anna@b.example>... User unknown
<<< 503 5.0.0 Need RCPT (recipient)
"""
QMAIL = """Hi. This is the qmail-send program at out.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.

<anna@b.example>:
192.0.2.9 does not like recipient.
Remote host said: 550 5.1.1 unknown user
Giving up on 192.0.2.9.
"""
QMAIL_LOG = (
    "@400000005a0b1c2d delivery 12: failure: 192.0.2.9_does_not_like_recipient./"
    "Remote_host_said:_550_5.1.1_unknown_user/Giving_up_on_192.0.2.9./"
)
KUNDENSERVER = """anna@b.example:
SMTP error from remote server for RCPT TO command, host: mx.b.example (192.0.2.9) reason: 550 5.1.1 no such user
"""
EXCHANGE = """Generating server: exch.example.org
anna@b.example
mx.b.example
Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'
"""
GOOGLE = (
    "Google tried to deliver your message, but it was rejected by the server for the recipient domain b.example by "
    "mx.b.example. [192.0.2.9]. The error that the other server returned was: 550 550 5.1.1 No such user"
)
SENDMAIL_LOG = (
    "Nov 23 19:20:25 out sm-mta[2]: x: to=<anna@b.example>, delay=00:00:02, mailer=esmtp, relay=mx.b.example. "
    "[192.0.2.9], dsn=5.1.1, stat=User unknown"
)
OPENSMTPD = (
    'smtpd[1]: 2 mta delivery evpid=3 from=<x@y.example> to=<anna@b.example> rcpt=<-> source="192.0.2.1" '
    'relay="192.0.2.9 (mx.b.example)" delay=1s result="PermFail" stat="550 5.1.1 no such user"'
)


@pytest.mark.parametrize(
    ("text", "code", "host", "stage"),
    [
        (POSTFIX, 501, "example-org.mail.protection.outlook.com", Stage.GREETING),
        (EXIM_LOG, 550, "mx.b.example", Stage.RCPT_TO),
        (EXIM_BOUNCE, 550, "mx.b.example", Stage.MAIL_FROM),
        (EXIM_OLD, 550, "mx.b.example", Stage.RCPT_TO),
        (SENDMAIL, 550, "mx.b.example", Stage.RCPT_TO),
        (QMAIL, 550, "", Stage.RCPT_TO),
        (QMAIL_LOG, 550, "", Stage.RCPT_TO),
        (KUNDENSERVER, 550, "mx.b.example", Stage.RCPT_TO),
        (EXCHANGE, 550, "", None),
        (GOOGLE, 550, "mx.b.example", None),
        (SENDMAIL_LOG, None, "mx.b.example", None),
        (OPENSMTPD, 550, "mx.b.example", None),
        (
            "(501, b'5.5.4 Invalid domain name [AM0PR01CA0100.prod.outlook.com]')",
            501,
            "am0pr01ca0100.prod.outlook.com",
            None,
        ),
        ("delivery temporarily suspended: host a.example[192.0.2.1] said: 451 4.7.1 no", 451, "a.example", None),
        ("mx.b.example[192.0.2.9] refused to talk to me: 451 HELO must be a name", 451, "mx.b.example", Stage.GREETING),
        (
            "connect to mx.b.example[192.0.2.9]: server refused to talk to me: 421 no (port 25)",
            421,
            "mx.b.example",
            Stage.GREETING,
        ),
        (
            (
                "host mx.b.example[192.0.2.9] said: 551 5.1.1 <anna@b.example>: Recipient address rejected: "
                "host 127.0.0.1[127.0.0.1] said: 554 no (in reply to RCPT TO command) (in reply to RCPT TO command)"
            ),
            554,
            "mx.b.example",
            Stage.RCPT_TO,
        ),
        (
            "host 127.0.0.1[127.0.0.1] said: 501 5.1.7 Failed, id=1, from MTA([127.0.0.1]:10025): 501 5.1.7 Bad sender",
            501,
            "127.0.0.1",
            None,
        ),
        ("    Remote MTA mx.b.example: SMTP diagnostic: 552 RCPT TO:<anna@b.example> Full", 552, "mx.b.example", None),
        (
            "2026-11-20 10:00:00 1RvhTH-000B9y-TD mx.b.example [192.0.2.9] Operation timed out",
            None,
            "mx.b.example",
            None,
        ),
        (
            (
                "3:58 PM - Server at a.example returned '550 5.4.317 Message expired, cannot connect to it'\n"
                "3:48 PM - Server at mx.b.example (192.0.2.9) returned '450 4.4.317 Cannot establish session'"
            ),
            450,
            "mx.b.example",
            None,
        ),
        (
            (
                "... while talking to mx1.b.example.:\n<<< 450 busy\n"
                "... while talking to mx2.b.example.:\n>>> DATA\n<<< 551 not our customer\n550 5.1.1 User unknown\n"
                "... while talking to mx3.b.example.:\n>>> QUIT\n"
            ),
            551,
            "mx2.b.example",
            Stage.DATA,
        ),
    ],
    ids=str,
)
def test_the_reply_and_its_host_are_found_in_every_wrapping(
    text: str, code: int | None, host: str, stage: Stage | None
) -> None:
    (attempt,) = attempts(text)
    assert attempt.reply.code == code
    assert attempt.host == host
    assert attempt.reply.stage is stage
    assert host or attempt.ip in ("", "192.0.2.9")


def test_qmail_names_the_address_and_who_writes() -> None:
    (attempt,) = attempts(QMAIL)
    assert (attempt.ip, attempt.writer, attempt.recipient) == ("192.0.2.9", "out.example.net", "anna@b.example")


@pytest.mark.parametrize(
    "text",
    [
        "550 5.4.300 Message expired -> 451 4.7.500 Server busy",
        "550 4.4.7 Message expired; LED=451 4.7.500 Server busy",
        "550 5.4.316 Message expired, connection refused -> 451 4.7.500 Server busy",
        "retry timeout exceeded: SMTP error from remote mail server after RCPT TO:<a@b.example>: 451 4.7.500 Busy",
    ],
)
def test_the_innermost_reply_counts(text: str) -> None:
    (attempt,) = attempts(text)
    assert (attempt.reply.code, attempt.reply.kind, attempt.lasted) == (451, "4", True)


def test_each_line_of_a_log_and_each_recipient_of_a_bounce_is_read_for_itself() -> None:
    assert [it.host for it in attempts(f"{POSTFIX}\n{POSTFIX.replace('outlook.com', 'example.net')}")] == [
        "example-org.mail.protection.outlook.com",
        "example-org.mail.protection.example.net",
    ]
    two = (
        "<anna@a.example>: host mx.a.example[192.0.2.1] said: 550 5.1.1 unknown (in\n    reply to RCPT TO command)\n\n"
        "<bert@b.example>: connect to mx.b.example[192.0.2.2]:25: Connection\n    timed out\n"
    )
    assert [(it.recipient, it.host, it.reply.code) for it in attempts(two)] == [
        ("anna@a.example", "mx.a.example", 550),
        ("bert@b.example", "mx.b.example", None),
    ]


def test_a_recipient_that_is_named_twice_is_told_of_once() -> None:
    """Exchange names it above the text for people, and again above the reply."""
    told = (
        "anna@b.example\nYour message wasn't delivered.\n\nGenerating server: a.example\n\n"
        "anna@b.example\nRemote server returned '550 5.7.708 Access denied, traffic not accepted from this IP'\n"
    )
    (attempt,) = attempts(told)
    assert (attempt.reply.code, attempt.recipient) == (550, "anna@b.example")


def test_no_more_recipients_are_read_than_a_bounce_tells_of() -> None:
    """Each costs as much as a line of a log. Ten thousand of them would hold the loop."""
    assert len(attempts("anna@b.example\n550 no\n" * 10_000)) == MOST_BLOCKS


def test_nothing_is_read_out_of_nothing() -> None:
    assert attempts("") == []
    assert attempts(" \n ") == []
