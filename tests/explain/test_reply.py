"""One reply: its codes, its class, its stage and its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.explain.reply import Stage, read_reply, words


@pytest.mark.parametrize(
    ("text", "code", "status", "said"),
    [
        ("501 5.5.4 Invalid domain name", 501, "5.5.4", "invalid domain name"),
        ("550-5.7.26 This mail has been\n550-5.7.26 blocked\n550 5.7.26 because", 550, "5.7.26", None),
        ("550 550 5.1.1 no such user", 550, "5.1.1", "no such user"),
        ("550 #5.1.0 Address rejected", 550, "5.1.0", "address rejected"),
        ("553 sorry, no mailbox here (#5.1.1)", 553, "5.1.1", None),
        ("550 4.4.7 QUEUE.Expired; message expired", 550, "5.4.7", "queue expired message expired"),
        ("550 Invalid HELO name (See RFC2821 4.1.3)", 550, None, "invalid helo name see rfc2821"),
        ("550 see section 4.1.1.1 of RFC 5321", 550, None, None),
        ("5.1.1 unknown", None, "5.1.1", "unknown"),
        ("250 2.0.0 Ok", None, None, None),
        ("no code", None, None, "no code"),
    ],
)
def test_codes_stand_in_front_and_numbers_of_sections_are_none(
    text: str, code: int | None, status: str | None, said: str | None
) -> None:
    reply = read_reply(text)
    assert (reply.code, reply.status) == (code, status)
    assert said in (None, reply.said)


@pytest.mark.parametrize(
    "text",
    [
        "550 5.7.515 sending domain doesn't meet the level",
        "550 5.7.515 sending domain does not meet the level",
        "550 5.7.515 sending domain doesn’t  meet\n the level",
        "550-5.7.515 sending domain\n550 5.7.515 doesn't meet the level [AM0PR01CA0100.eurprd01.prod.outlook.com]",
        "550 5.7.515 <a@b.example>: Sending domain doesn't meet the level (in reply to RCPT TO command)",
    ],
)
def test_contractions_wrapping_and_addresses_make_no_difference(text: str) -> None:
    assert read_reply(text).said == "sending domain does not meet the level"


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("554 no (in reply to MAIL FROM command)", Stage.MAIL_FROM),
        ("550 no (in reply to end of DATA command)", Stage.DATA),
        ("421 4.7.0 Try again later, closing connection. (EHLO)", Stage.HELO),
        ("554 delivery error [RCPT_TO]", Stage.RCPT_TO),
        ("550 no", None),
    ],
)
def test_the_stage_is_read(text: str, stage: Stage | None) -> None:
    assert read_reply(text).stage is stage


def test_marks_stay_and_names_in_brackets_go() -> None:
    assert words(read_reply("421 4.7.0 [TSS04] Messages from [192.0.2.1] [mx.example.com 12] deferred").said) == [
        "tss04",
        "messages",
        "from",
        "deferred",
    ]


@given(st.text() | st.text("45 .0-:[]<>()#\nRCPT", max_size=400))
def test_reading_never_fails(text: str) -> None:
    reply = read_reply(text)
    assert reply.code is None or 400 <= reply.code < 600
    assert reply.kind in (None, "4", "5")
    if reply.code and reply.status:
        assert reply.status[0] == str(reply.code)[0]
