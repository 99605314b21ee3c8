"""Bounces as mails: their parts, their fields, and what the original message in them must not change."""

from __future__ import annotations

import base64
import quopri

import pytest

from exporter.explain import bounce
from exporter.explain.bounce import BounceKind
from exporter.explain.reply import Stage
from tests.support.refusals import notification

TEXT = """This is the mail system at host mail.example.com.

<anna@b.example>: host mx.b.example[192.0.2.9] said: 550 5.7.1 <anna@b.example>:
    Recipient address rejected: no (in reply to RCPT TO command)
"""
FIELDS = (
    "Final-Recipient: rfc822; anna@b.example\nAction: failed\nStatus: 5.7.1\nRemote-MTA: dns; mx.b.example\n"
    "Diagnostic-Code: smtp; 550 5.7.1 <anna@b.example>: Recipient address\n    rejected: no"
)
ORIGINAL = (
    "Received: from x by mail.example.com; Mon, 23 Nov 2026 19:20:25 +0000\nFrom: me@example.com\nSubject: 552 full\n"
    "\n452 4.2.2 mailbox full, said the host mx.evil.example[192.0.2.66] said: 554 5.7.1 spam\n"
)


def test_a_notification_tells_who_refused_and_who_wrote_it() -> None:
    (report,) = bounce.read(notification(TEXT, FIELDS)).reports
    attempt = report.attempt
    assert (attempt.reply.code, attempt.reply.status, attempt.reply.stage) == (550, "5.7.1", Stage.RCPT_TO)
    assert (attempt.host, attempt.writer, attempt.recipient) == ("mx.b.example", "mail.example.com", "anna@b.example")
    assert attempt.remote
    assert report.action == "failed"


def test_without_a_remote_server_the_writer_refused() -> None:
    """RFC 3464 section 2.3.5: nobody else was asked."""
    fields = (
        "Final-Recipient: rfc822; anna@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: x-unix; user unknown"
    )
    (report,) = bounce.read(notification("No.", fields)).reports
    assert (report.attempt.host, report.attempt.writer, report.attempt.remote) == ("", "mail.example.com", False)
    assert report.attempt.reply.status == "5.1.1"


def test_each_recipient_has_its_own_reply() -> None:
    second = FIELDS.replace("anna", "bert").replace("550 5.7.1", "452 4.2.2").replace("Status: 5.7.1", "Status: 4.2.2")
    read = bounce.read(notification(TEXT, FIELDS, second.replace("failed", "delayed")))
    assert [(it.attempt.recipient, it.attempt.reply.code, it.action) for it in read.reports] == [
        ("anna@b.example", 550, "failed"),
        ("bert@b.example", 452, "delayed"),
    ]


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_what_went_well_is_no_refusal(action: str) -> None:
    read = bounce.read(notification("Well.", FIELDS.replace("failed", action)))
    assert (read.kind, read.reports) == (BounceKind.DELIVERED, ())


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("message/disposition-notification", BounceKind.RECEIPT), ("message/feedback-report", BounceKind.COMPLAINT)],
)
def test_receipts_and_complaints_are_no_refusals(type_: str, kind: BounceKind) -> None:
    mail = notification("550 5.1.1 no", FIELDS).replace(b"message/delivery-status", type_.encode())
    assert bounce.read(mail) == bounce.Bounce(kind, ())


PLAIN = notification(TEXT, FIELDS)


def read_as(mail: bytes) -> tuple[bounce.DeliveryReport, ...]:
    return bounce.read(mail).reports


def test_the_original_message_changes_nothing() -> None:
    assert read_as(notification(TEXT, FIELDS, original=ORIGINAL)) == read_as(PLAIN)
    for line in ("------ This is a copy of the message, including all the headers. ------", "--- Original message ---"):
        assert read_as(f"{TEXT}\n{line}\n\n{ORIGINAL}".encode()) == read_as(TEXT.encode())
    assert read_as(f"{TEXT}\n{ORIGINAL}".encode()) == read_as(TEXT.encode())


def test_the_order_of_headers_changes_nothing() -> None:
    head, _, body = PLAIN.partition(b"\n\n")
    lines = head.split(b"\n")
    assert read_as(b"\n".join(reversed(lines)) + b"\n\n" + body) == read_as(PLAIN)
    assert read_as(PLAIN.replace(b"\n", b"\r\n")) == read_as(PLAIN)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "iso-8859-1", "iso-2022-jp", "cp037"])
def test_charset_and_encoding_change_nothing(charset: str, encoding: str) -> None:
    octets = TEXT.encode(charset)
    coded = base64.encodebytes(octets) if encoding == "base64" else quopri.encodestring(octets)
    head = f"From: MAILER-DAEMON@mail.example.com\nContent-Type: text/plain; charset={charset}\n"
    mail = f"{head}Content-Transfer-Encoding: {encoding}\n\n".encode() + coded
    (report,) = read_as(mail)
    assert (report.attempt.reply.code, report.attempt.host) == (550, "mx.b.example")


def test_fields_in_base64_are_read() -> None:
    head, mark, rest = PLAIN.partition(b"Content-Type: message/delivery-status\n\n")
    fields, end, rest = rest.partition(b"--=_1--")
    coded = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(fields)
    assert read_as(head + mark.rstrip(b"\n") + b"\n" + coded + end + rest) == read_as(PLAIN)


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "zlib", "x-unknown", "undefined"])
def test_codecs_that_are_no_charsets_are_not_used(charset: str) -> None:
    head = f"From: MAILER-DAEMON@mail.example.com\nContent-Type: text/plain; charset={charset}\n\n"
    (report,) = read_as((head + TEXT).encode())
    assert report.attempt.reply.code == 550


@pytest.mark.parametrize("charset", ["punycode", "-punycode", "punycode-"])
def test_a_codec_is_known_by_any_of_its_names(charset: str) -> None:
    """It would decode this, and needs 0.4 s for as much as is read of a part."""
    head, text = "From: MAILER-DAEMON@mail.example.com\nContent-Type: text/plain; charset=", "550 5.1.1 no such user-"
    assert bounce.read(f"{head}{charset}\n\n{text}") == bounce.read(f"{head}utf-8\n\n{text}")


def test_a_bounce_that_somebody_forwards_is_read() -> None:
    head = b"From: anna@example.com\nSubject: Fwd: what is it?\nContent-Type: multipart/mixed; boundary=b\n\n"
    text = b"--b\nContent-Type: text/plain\n\nSee below, please.\n--b\nContent-Type: message/rfc822\n\n"
    assert read_as(head + text + PLAIN + b"\n--b--\n") == read_as(PLAIN)
    quoted = "".join(f"> {line}\n" for line in TEXT.splitlines())
    assert read_as(quoted.encode()) == read_as(TEXT.encode())


def test_html_alone_is_read() -> None:
    html = (
        "<html><head><style>a{}</style></head><body><p>Remote server returned '550 5.1.10 not found'</p></body></html>"
    )
    head = "From: postmaster@mail.example.com\nContent-Type: text/html\n\n"
    (report,) = read_as((head + html).encode())
    assert (report.attempt.reply.code, report.attempt.reply.status) == (550, "5.1.10")


@pytest.mark.parametrize("entity", ["'", "&#39;", "&#x27;", "&rsquo;", "&#8217;"])
def test_entities_of_html_are_characters(entity: str) -> None:
    """The words of a cause hold however its apostrophe is written."""
    text = f"Remote server returned '550&nbsp;5.1.10 The user doesn{entity}t exist'"
    (report,) = read_as(f"From: a@b.example\nContent-Type: text/html\n\n<p>{text}</p>".encode())
    assert report.attempt.reply.said == "the user does not exist"


def test_fields_that_are_pasted_without_a_mail_are_read() -> None:
    pasted = f"Reporting-MTA: dns; mail.example.com\n\n{FIELDS}\n\n{ORIGINAL}"
    (report,) = read_as(pasted.encode())
    assert (report.attempt.reply.code, report.attempt.host) == (550, "mx.b.example")
    assert report.attempt.writer == "mail.example.com"


NESTED = b"From: a@b.c\nMIME-Version: 1.0\n" + b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(3000)
)


@pytest.mark.parametrize("mail", [NESTED, b"From: a@b.c\n" + b"Content-Type: message/rfc822\n\n" * 3000], ids=len)
def test_no_depth_is_too_deep(mail: bytes) -> None:
    bounce.read(mail)
