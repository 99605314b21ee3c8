"""Reads a refusal out of a log line or a bounce: its codes, who said it, and in reply to what.

A server refuses with a reply code of three digits (RFC 5321 section 4.2), for example `501 5.5.4 Invalid domain name`.
Most servers add an enhanced status code in front of the text (RFC 3463, offered as in RFC 2034). It has a class (4 is
"not now", 5 is "no"), a subject and a detail. The numbers say more than the words do. X.5.4 is about a command's
argument; X.1.3 and X.1.7 would be about addresses.

People paste the reply in one of these forms:

- Postfix logs `host NAME[ADDRESS] said: REPLY (in reply to RCPT TO command)`. If it got no further than the greeting
  and EHLO, it logs `refused to talk to me: REPLY`.
- Exim writes `SMTP error from remote mail server after RCPT TO:<...>: REPLY`.
- A bounce has the reply behind `Diagnostic-Code: smtp;` (RFC 3464 section 2.3.6), and the server behind `Remote-MTA:
  dns;` (section 2.3.5).

A reply of several lines repeats its codes in each line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 32768  # characters looked at
MOST_CODES = 8

_ENHANCED = r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![.\d])"
_PAIR = re.compile(rf"(?<![\w.])([2-5][0-9]{{2}})[ \t-]{{1,8}}#?{_ENHANCED}", re.ASCII)
_STATUS = re.compile(rf"(?<![\w.]){_ENHANCED}", re.ASCII)
_BEFORE = r"(?:(?<=: )|(?<=; )|(?<=;)|(?<=<<< )|^)[ \t]{0,80}"
_CODE = re.compile(rf"{_BEFORE}([45][0-9]{{2}})(?=[ -]|$)", re.ASCII | re.MULTILINE)
_WORD = re.compile(r"[^\W_]+")

# A text in the catalogue: `Receiver: CODE X.Y.Z text`. Three dots stand for what differs each time.
_KNOWN = re.compile(
    r"(?P<receiver>[A-Z][\w.]*(?: [\w.]+)*): "
    r"(?P<code>[45][0-9]{2})(?: (?P<status>[45](?:\.[0-9]{1,3}){2}))? (?P<text>(?![45]\.[0-9])\S.*)",
    re.ASCII,
)


class Stage(StrEnum):
    """In reply to what."""

    GREETING = "connect or EHLO"
    HELO = "EHLO or HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL_FROM = "MAIL FROM"
    RCPT_TO = "RCPT TO"
    DATA = "the message"


# The first that is found counts. By Postfix, Exim, sendmail and qmail.
_STAGES = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), stage)
    for pattern, stage in (
        (r"refused to talk to me|after initial connection|greeting failed", Stage.GREETING),
        (r"(?:in reply to|after|while sending|>>>) ?(?:pipelined )?(?:EHLO|HELO)\b|my name was rejected", Stage.HELO),
        (r"(?:in reply to|after|>>>) ?STARTTLS\b", Stage.STARTTLS),
        (r"(?:in reply to|after|>>>) ?AUTH\b", Stage.AUTH),
        (
            r"(?:in reply to|after|while sending|>>>) ?(?:pipelined )?MAIL FROM\b|sender was rejected",
            Stage.MAIL_FROM,
        ),
        (r"(?:in reply to|after|while sending|>>>) ?(?:pipelined )?RCPT TO\b|does not like recipient", Stage.RCPT_TO),
        (r"(?:in reply to|after|>>>) ?(?:end of )?DATA\b|after pipelined end of data|failed after I sent", Stage.DATA),
    )
)

# Who runs a host, by the end of its name. The longer names first.
_OPERATORS = (
    ("olc.protection.outlook.com", "Outlook.com"),
    ("hotmail.com", "Outlook.com"),
    ("outlook.com", "Office 365"),
    ("office365.com", "Office 365"),
    ("google.com", "Gmail"),
    ("googlemail.com", "Gmail"),
    ("gmail.com", "Gmail"),
    ("yahoodns.net", "Yahoo"),
    ("yahoo.com", "Yahoo"),
)
_HOST = re.compile(
    r"(?:\bhosts? |\bRemote-MTA: ?(?:dns; ?)?|\bserver at |\[)([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8})\b",
    re.ASCII | re.IGNORECASE,
)
_SIGNATURES = ((" gsmtp", "Gmail"), ("support.google.com", "Gmail"))


class RefusalSyntaxError(ValueError):
    """A text of the catalogue is not `Receiver: CODE X.Y.Z text`."""


@dataclass(frozen=True, slots=True)
class KnownText:
    """What a receiver is known to answer."""

    receiver: str
    code: int
    status: str | None  # RFC 3463; some software has none
    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The words between what differs, each part with single spaces, in lower case."""
        return tuple(part for piece in self.text.split("...") if (part := " ".join(words(piece))))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What could be read. Everything may be missing: it never fails."""

    codes: tuple[int, ...]
    statuses: tuple[str, ...]
    receiver: str | None
    stage: Stage | None
    said: str  # its words in lower case with single spaces, without the codes


def known(text: str) -> KnownText:
    """A text of the catalogue. Raise RefusalSyntaxError if it has not the one form."""
    found = _KNOWN.fullmatch(text)
    if not found:
        raise RefusalSyntaxError(f"{text!r} is not 'Receiver: CODE X.Y.Z text'")
    status = found["status"]
    if status and status[0] != found["code"][0]:
        raise RefusalSyntaxError(f"{text!r}: the two codes are of different classes")
    return KnownText(found["receiver"], int(found["code"]), status, found["text"])


def read(text: str) -> Refusal:
    """What a pasted text says; of a long one the beginning."""
    text = text[:LONGEST]
    flat = " ".join(text.split())  # bounces are folded anywhere
    pairs = _PAIR.findall(flat)
    statuses = [status for _, status in pairs] or _STATUS.findall(flat)
    codes = [code for code, _ in pairs] or _CODE.findall(text)
    stage = next((stage for pattern, stage in _STAGES if pattern.search(flat)), None)
    bare = _CODE.sub(" ", _STATUS.sub(" ", _PAIR.sub(" ", text)))
    return Refusal(
        codes=tuple(dict.fromkeys(int(code) for code in codes if code[0] in "45"))[:MOST_CODES],
        statuses=tuple(dict.fromkeys(status for status in statuses if status[0] in "45"))[:MOST_CODES],
        receiver=_receiver(flat),
        stage=stage,
        said=" ".join(words(bare)),
    )


def words(text: str) -> list[str]:
    """Letters and digits, in lower case: how somebody wraps or quotes a text makes no difference."""
    return [word.lower() for word in _WORD.findall(text)]


def _receiver(text: str) -> str | None:
    for host in _HOST.findall(text):
        for end, operator in _OPERATORS:
            if f".{host}".lower().endswith(f".{end}"):
                return operator
    return next((operator for sign, operator in _SIGNATURES if sign in text), None)


_CLASSES = {"4": "temporary failure, will be retried", "5": "permanent failure, do not retry"}
_SUBJECTS = {
    "0": "no details given",
    "1": "an address",
    "2": "the recipient's mailbox",
    "3": "the receiving mail system",
    "4": "network and routing",
    "5": "the mail protocol",
    "6": "the message's content",
    "7": "security or policy",
}
# RFC 3463 section 3; RFC 4954 section 6, RFC 5248, RFC 7372, RFC 7505 and RFC 6710 for what came later.
_DETAILS = {
    "1.1": "the mailbox does not exist",
    "1.2": "the recipient's domain does not exist or accepts no mail",
    "1.3": "the recipient's address has a syntax error",
    "1.4": "the recipient's address is ambiguous",
    "1.6": "the mailbox has moved, without a forwarding address",
    "1.7": "the sender's address has a syntax error",
    "1.8": "the sender's domain does not exist or accepts no mail",
    "1.10": "the recipient's domain has a null MX",
    "2.0": "the mailbox, no details given",
    "2.1": "the mailbox is disabled",
    "2.2": "the mailbox is full",
    "2.3": "the message is too long for the mailbox",
    "2.4": "expanding a mailing list failed",
    "3.1": "the receiving system has no space left",
    "3.2": "the receiving system accepts no messages now",
    "3.3": "the receiving system cannot do what was asked",
    "3.4": "the message is too big for the receiving system",
    "3.5": "the receiving system is misconfigured",
    "4.1": "the next host does not answer",
    "4.2": "the connection was lost",
    "4.3": "a directory or DNS server failed",
    "4.4": "no route: DNS has no host for the domain",
    "4.5": "the receiving system is congested",
    "4.6": "a loop in the routing",
    "4.7": "it took too long to deliver",
    "5.0": "the protocol, no details given",
    "5.1": "a command that is invalid, or invalid now",
    "5.2": "a syntax error in a command",
    "5.3": "too many recipients",
    "5.4": "a command has an invalid argument",
    "5.5": "the wrong version of the protocol",
    "6.0": "the content, no details given",
    "6.1": "a medium that is not supported",
    "6.7": "an internationalised address that the server does not support",
    "7.0": "security, no details given",
    "7.1": "delivery is not authorised; the text says why",
    "7.2": "not allowed to write to this mailing list",
    "7.8": "wrong credentials",
    "7.20": "no DKIM signature passes",
    "7.21": "no acceptable DKIM signature",
    "7.22": "no DKIM signature of the author's domain",
    "7.23": "SPF says fail",
    "7.24": "SPF could not be evaluated",
    "7.25": "reverse DNS of the address is missing or not forward-confirmed",
    "7.26": "several authentication checks failed",
    "7.27": "the sender's domain has a null MX",
    "7.28": "a flood of mail was detected",
    "7.29": "ARC validation failed",
    "7.30": "the server does not support REQUIRETLS",
}
_SECTIONS = {"1": "3.2", "2": "3.3", "3": "3.4", "4": "3.5", "5": "3.6", "6": "3.7", "7": "3.8"}
_REPLIES = {
    421: "the service is not available, and the connection is closed",
    450: "the mailbox is not available now",
    451: "a local error, try again",
    452: "not enough space now",
    454: "not possible for a temporary reason",
    455: "the server cannot accommodate the parameters now",
    500: "the command is not known",
    501: "a syntax error in the parameters of a command",
    502: "the command is not implemented",
    503: "a bad sequence of commands",
    504: "a parameter of a command is not implemented",
    521: "the host accepts no mail",
    530: "authentication or TLS is needed first",
    535: "the credentials are wrong",
    550: "the mailbox is not available, or policy forbids it",
    551: "the user is not local",
    552: "more space than is allocated, or a message that is too big",
    553: "the name of the mailbox is not allowed",
    554: "the transaction failed, or no SMTP service here",
    555: "parameters of MAIL FROM or RCPT TO are not known",
    556: "the recipient's domain accepts no mail",
}


def meaning(status: str) -> str:
    """What an enhanced status code says by the standard, whatever the receiver uses it for."""
    kind, subject, detail = status.split(".")
    about = _DETAILS.get(f"{subject}.{detail}")
    what = about or f"{_SUBJECTS.get(subject, 'an unknown subject')}; detail {detail} is defined by the receiver"
    section = f" section {_SECTIONS[subject]}" if subject in _SECTIONS else ""
    return f"{what} ({_CLASSES[kind]}; RFC 3463{section})"


def reply_meaning(code: int) -> str:
    """What a basic reply code says by RFC 5321 section 4.2, and RFC 7504 for those of hosts without mail."""
    source = "RFC 7504" if code in (521, 556) else "RFC 5321 section 4.2"
    return f"{_REPLIES.get(code, 'no code of the standard')} ({_CLASSES[str(code)[0]]}; {source})"
