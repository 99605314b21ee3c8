"""Replies are read as RFC 5321 writes them, from any pieces, and hostile ones end in one error."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.smtp import (
    LONGEST_LINE,
    LONGEST_REPLY,
    Incoming,
    ReplySyntaxError,
    SmtpReply,
    extensions,
    masked,
    other_protocol,
    size_limit,
)


def read(*pieces: bytes) -> list[SmtpReply]:
    incoming, replies = Incoming(), []
    for piece in pieces:
        incoming.feed(piece)
        while reply := incoming.take():
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        (b"220 mx.example.com ESMTP\r\n", SmtpReply(220, ("mx.example.com ESMTP",))),
        (b"220-one\r\n220-two\r\n220 three\r\n", SmtpReply(220, ("one", "two", "three"))),
        (b"250\r\n", SmtpReply(250, ("",))),
        (b"250 \r\n", SmtpReply(250, ("",))),
        (b"250-\r\n250\r\n", SmtpReply(250, ("", ""))),
        (b"220 bare line feed\n", SmtpReply(220, ("bare line feed",))),
        ("220 Grüße\r\n".encode(), SmtpReply(220, ("Grüße",))),
        (b"220 \xff\xfe\r\n", SmtpReply(220, ("\\xff\\xfe",))),
        (b"220 ****\r\n", SmtpReply(220, ("****",))),
        (b"220 a\rb\r\n", SmtpReply(220, ("a\rb",))),
    ],
)
def test_a_reply_is_read(octets: bytes, reply: SmtpReply) -> None:
    assert read(octets) == [reply]


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"22 too short\r\n",
        b"2200 too long\r\n",
        b"120 no such class\r\n",
        b"620 no such class\r\n",
        b"260_\r\n",
        b" 220 indented\r\n",
        "٢٢٠ other digits\r\n".encode(),
        b"220-begins\r\n250 otherwise\r\n",
        b"220-begins\r\nand goes on without a code\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_what_is_no_reply_is_an_error(octets: bytes) -> None:
    with pytest.raises(ReplySyntaxError):
        read(octets)


def test_the_end_of_a_reply_is_waited_for() -> None:
    assert read(b"220-teaser\r\n") == []
    assert read(b"220 mx") == []
    assert read(b"220-teaser\r\n", b"220 mx", b"\r\n") == [SmtpReply(220, ("teaser", "mx"))]


def test_what_follows_a_reply_stays_visible() -> None:
    incoming = Incoming()
    incoming.feed(b"220 go\r\n250-INJECTED\r\n")
    assert incoming.take() == SmtpReply(220, ("go",))
    assert incoming.rest == b"250-INJECTED\r\n"


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(ReplySyntaxError, match="a line of more than"):
        read(b"220 " + b"x" * LONGEST_LINE)


def test_a_line_just_within_the_bound_is_read() -> None:
    assert len(read(b"220 " + b"x" * (LONGEST_LINE - 6) + b"\r\n")) == 1


def test_a_reply_without_end_is_given_up_at_its_bound() -> None:
    incoming = Incoming()
    incoming.feed(b"250-x\r\n" * 100_000)
    with pytest.raises(ReplySyntaxError, match="a reply of more than"):
        incoming.take()
    assert len(incoming.rest) >= 700_000 - LONGEST_REPLY - 7


def test_the_bound_of_a_reply_begins_anew_with_the_next() -> None:
    assert len(read(b"250 " + b"x" * 6000 + b"\r\n", *[b"250 " + b"x" * 6000 + b"\r\n"] * 9)) == 10


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_pieces_do_not_matter_and_nothing_but_the_own_error_is_raised(octets: bytes, cuts: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> object:
        try:
            return read(*pieces)
        except ReplySyntaxError:
            return "error"

    edges = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    pieces = [octets[a:b] for a, b in pairwise(edges)]
    assert outcome(pieces) == outcome([octets])


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=40)


@given(st.integers(200, 599), st.lists(TEXTS, min_size=1, max_size=6))
def test_a_reply_is_read_back_as_it_is_shown(code: int, lines: list[str]) -> None:
    reply = SmtpReply(code, tuple(lines))
    assert read("".join(f"{line}\r\n" for line in reply.shown).encode()) == [reply]


def test_the_first_digit_is_the_verdict() -> None:
    verdicts = {
        code: (r.positive, r.transient, r.permanent) for code in (250, 354, 421, 554) for r in [SmtpReply(code, ("",))]
    }
    assert verdicts == {
        250: (True, False, False),
        354: (True, False, False),
        421: (False, True, False),
        554: (False, False, True),
    }


def test_extensions_are_read_without_the_first_line_and_in_any_case() -> None:
    ehlo = SmtpReply(
        250, ("STARTTLS.example.com greets you", "size 1000", "8BITMIME", "AUTH PLAIN LOGIN", "", " X  y ")
    )
    assert extensions(ehlo) == {"SIZE": "1000", "8BITMIME": "", "AUTH": "PLAIN LOGIN", "X": "y"}


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("SIZE 52428800", 52428800),
        ("SIZE 0", None),
        ("SIZE", None),
        ("SIZE many", None),
        ("SIZE -5", None),
        ("SIZE " + "9" * 21, None),
        ("SIZE " + "9" * 5000, None),
        ("SIZE ١٢", None),
        ("HELP", None),
    ],
)
def test_a_size_limit_is_a_number_that_states_one(line: str, limit: int | None) -> None:
    assert size_limit(extensions(SmtpReply(250, ("mx", line)))) == limit


def reply(*lines: str) -> SmtpReply:
    incoming = Incoming()
    incoming.feed("".join(f"{line}\r\n" for line in lines).encode())
    got = incoming.take()
    assert got is not None
    return got


MASKED = "220 ***************************0******2**********************20*200**0*******"


@pytest.mark.parametrize(
    ("greeting", "ehlo", "inspected"),
    [
        (MASKED, ("250-mx.example.com", "250-SIZE 1", "250 STARTTLS"), True),
        (MASKED, ("500 5.5.1 Command unrecognized",), True),
        (MASKED, ("501 5.5.4 Invalid domain name",), True),
        ("220 mx.example.com", ("250-mx.example.com", "250-XXXXXXXA", "250 XXXXXXXB"), True),
        ("220 mx.example.com", ("250-mx.example.com", "250 XXXXXXXXXXXXXXXXXXXXXB"), True),
        ("220 mx.example.com", ('500 5.5.1 Command unrecognized: "XXXX probe.example.net"',), True),
        ("220 mx.example.com ESMTP", ("250-XXXXXXX.example.com", "250 STARTTLS"), False),
        ("220 mx.example.com ESMTP", ("250-mx.example.com", "250-XCLIENT NAME ADDR", "250 XEXCH50"), False),
        ("220 mx.example.com ESMTP", ("502 5.5.1 no such command",), False),
        ("220 *** private system *** no spam ***", ("250 mx.example.com",), False),
        ("220 mx.example.com ****", ("250 mx.example.com",), False),
    ],
)
def test_what_a_firewall_has_overwritten_is_seen(greeting: str, ehlo: tuple[str, ...], inspected: bool) -> None:
    assert bool(masked(reply(greeting), reply(*ehlo))) is inspected


@pytest.mark.parametrize(
    ("said", "protocol"),
    [
        (b"SSH-2.0-OpenSSH_9.2", "SSH"),
        (b"HTTP/1.1 400 Bad Request", "HTTP"),
        (b"<!DOCTYPE HTML PUBLIC", "HTTP"),
        (b"<html><head>", "HTTP"),
        (b"+OK Dovecot ready.", "POP3"),
        (b"+OK", "POP3"),
        (b"* OK [CAPABILITY IMAP4rev1]", "IMAP"),
        (b"* BYE", "IMAP"),
        (b"220 SSH-2.0", ""),
        (b"+OKAY", ""),
        (b"* * *", ""),
        (b"", ""),
        (bytes(range(256)), ""),
    ],
)
def test_only_what_cannot_be_mistaken_is_another_protocol(said: bytes, protocol: str) -> None:
    assert other_protocol(said) == protocol
