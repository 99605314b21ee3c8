"""One SMTP reply: its codes, its class, in reply to what it came, and its words in a form that can be compared.

A server refuses with a reply code of three digits (RFC 5321 section 4.2), for example `501 5.5.4 Invalid domain name`.
Most servers add an enhanced status code in front of the text (RFC 3463, offered as in RFC 2034). Its class is 4 (try
again later) or 5 (permanent). Only a number right behind the reply code is such a code: in `See RFC2821 4.1.3` the
number is a section. A reply of several lines repeats its codes in each line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

LONGEST_REPLY = 4000  # characters of one reply that are looked at

_STATUS = r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![.\d])"
_BEGINS = re.compile(rf"[\s:;'\"#<(]{{0,20}}([2-5][0-9]{{2}})(?![.\d\w@])[\s'-]{{0,8}}#?({_STATUS})?", re.ASCII)
_TWICE = re.compile(r"^\s{0,20}([45][0-9]{2})[ -]{1,3}(?=\1[ -])", re.ASCII)  # as Gmail writes
_STATUS_FIRST = re.compile(rf"[\s#(\[]{{0,8}}({_STATUS})", re.ASCII)
_QMAIL_STATUS = re.compile(rf"\(#({_STATUS})\)", re.ASCII)
_NUMBERS = re.compile(rf"(?<![\w.])(?:[245][0-9]{{2}}[ \t-]{{1,8}}#?(?={_STATUS})|#?{_STATUS})", re.ASCII)
_ANGLE = re.compile(r"<[^<>\s]{1,320}>")
_BRACKETS = re.compile(r"\[([^\[\]]{1,320})\]")
_IPV4 = re.compile(r"(?<![\w.-])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)", re.ASCII)
# What another server said when this one asked it about the sender (callout) is not what this one says.
_CALLED = re.compile(
    r"(?P<about>sender address rejected: un(?:verified|deliverable) address|sender verif[a-z]{1,9} failed)"
    r": (?:host |response to )[\s\S]*",
    re.IGNORECASE | re.ASCII,
)
_CALLOUT, _ANSWERED = (
    "called:",
    re.compile(  # in the words of Exim
        r"\bresponse: ?[45][0-9]{2}[ -].{0,400}?(?=(?:\s|\\n)[45][0-9]{2}[ -]|$)", re.IGNORECASE | re.ASCII
    ),
)
_HELO_FIELD = re.compile(r"\bhelo=[^\s;,]{1,255}", re.IGNORECASE)
_LISTS = "spamhaus|spamcop|barracuda|sorbs|abusix|uceprotect|proofpoint|cloudmark|openspf"
# The host of a link says who, not why, except for the lists.
_LINK = re.compile(rf"\bhttps?://(?![\w.-]{{0,60}}(?:{_LISTS}))[^/\s?]{{1,253}}", re.IGNORECASE)
_LISTED = re.compile(_LISTS, re.IGNORECASE)
_TOKENS = re.compile(r"[\s<>()\[\]:;,\"=|]+")
_NOT = re.compile(r"n['’´`]t(?![a-z])")
_WORD = re.compile(r"[^\W_]+")
_SAME = (
    ("cannot", "can not"), ("e-mail", "email"), ("mail box", "mailbox"), ("wo not", "will not"),
    ("look up", "lookup"),
    ("black", "block"), ("block list", "blocklist"), ("block-list", "blocklist"),
    ("gray", "grey"), ("grey list", "greylist"), ("grey-list", "greylist"),
    ("authoris", "authoriz"), ("recognis", "recogniz"), ("organis", "organiz"),
)  # fmt: skip


class Stage(StrEnum):
    """In reply to what."""

    GREETING = "connect or EHLO"
    HELO = "EHLO or HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL_FROM = "MAIL FROM"
    RCPT_TO = "RCPT TO"
    DATA = "the message"


# By Postfix, Exim, sendmail, qmail, Courier, Yahoo and Gmail.
_AFTER = r"(?:in reply to|remote server for|after|while sending|while performing the|>>>|-->) ?(?:pipelined |sending )?"
_BY_STAGE = (
    (r"refused to talk to me|after initial connection|greeting failed|initial server greeting", Stage.GREETING),
    (rf"{_AFTER}(?:EHLO|HELO|LHLO)\b|my name was rejected|[\[(](?:EHLO|HELO)[\])]", Stage.HELO),
    (rf"{_AFTER}STARTTLS\b", Stage.STARTTLS),
    (rf"{_AFTER}AUTH\b|SASL authentication failed; server", Stage.AUTH),
    (rf"{_AFTER}MAIL(?: FROM)?\b|sender was rejected|\[MAIL_FROM\]", Stage.MAIL_FROM),
    (rf"{_AFTER}RCPT(?: TO)?\b|does not like recipient|\[RCPT_TO\]|\bRCPT from\b", Stage.RCPT_TO),
    (rf"{_AFTER}(?:end of )?(?:DATA|BDAT|CONTENT|message)\b|{_AFTER}end[ -]of[ -]", Stage.DATA),
    (r"failed after I sent|[\[(](?:DATA|BODY)[\])]|\bEND-OF-MESSAGE from\b", Stage.DATA),
)
_STAGES = tuple((re.compile(pattern, re.ASCII | re.IGNORECASE), stage) for pattern, stage in _BY_STAGE)


def stage_of(text: str) -> Stage | None:
    """The earliest stage that the text names."""
    return next((stage for pattern, stage in _STAGES if pattern.search(text)), None)


@dataclass(frozen=True, slots=True)
class RefusingReply:
    """What a server, or the sending side itself, said. `said`: the words, with single spaces, without the codes.

    `code` is None where the sending side itself tells what failed, as in `Connection timed out`.
    """

    code: int | None
    status: str | None
    said: str
    text: str
    stage: Stage | None = None

    @property
    def kind(self) -> str | None:
        """The class, "4" or "5"; None where no code says it. The reply code decides (RFC 5321 section 4.2.1)."""
        return str(self.code)[0] if self.code else self.status[0] if self.status else None


def read_reply(text: str, *, stage: Stage | None = None) -> RefusingReply:
    """Of a text that begins with the reply. What follows a bracket `(in reply to ...)` is no part of it."""
    text = text[:LONGEST_REPLY]
    stage = stage or stage_of(text)
    text, _, _ = text.partition(" (in reply to ")
    text = without_callout(_TWICE.sub("", text))
    code, status = None, None
    if begun := _BEGINS.match(text):
        code, status = int(begun[1]), begun[2]
        if not 400 <= code < 600:
            code = None
    if status is None and (first := _STATUS_FIRST.match(text) or _QMAIL_STATUS.search(text)):
        status = first[1]
    if status and status[0] == "2":
        status = None
    if code and status and status[0] != str(code)[0]:
        status = f"{str(code)[0]}{status[1:]}"  # the reply code decides
    return RefusingReply(code, status, " ".join(_said(text, code)), text, stage)


def without_callout(text: str) -> str:
    """Without what another server said when this one asked it about the sender."""
    text = _CALLED.sub(lambda found: found["about"], text)
    return _ANSWERED.sub(" ", text) if _CALLOUT in text.lower() else text


def _said(text: str, code: int | None) -> list[str]:
    bare = _BRACKETS.sub(
        _bracket, _ANGLE.sub(" ", _IPV4.sub(" ", _HELO_FIELD.sub(" ", _LINK.sub(" ", _NUMBERS.sub(" ", text)))))
    )
    kept = " ".join(token for token in _TOKENS.split(bare) if "@" not in token)
    if code is None:  # the sending side names hosts, and their names say nothing
        kept = " ".join(token for token in kept.split() if "." not in token.strip(".'-!") or _LISTED.search(token))
    number = str(code)
    return [word for word in words(kept) if word != number]


def _bracket(found: re.Match[str]) -> str:
    """An address, a host or a session's id says nothing; a mark such as [TSS04] or a sentence does."""
    return " " if ("." in found[1] or found[1].count(":") > 1) and found[1].count(" ") < 2 else found[0]


def words(text: str) -> list[str]:
    """Letters and digits in lower case, contractions written out: wrapping, quoting and style make no difference."""
    text = _NOT.sub(" not", text.lower())
    for written, same in _SAME:
        if written in text:
            text = text.replace(written, same)
    return _WORD.findall(text)
