"""Reads a bounce: a mail that says what became of another mail (RFC 3464, its form: RFC 6522).

A delivery status notification has three parts: a text for people, the fields for machines, and the original message.
Only the first two say something. Each recipient has fields of its own: `Action`, `Status`, `Diagnostic-Code`, and
`Remote-MTA` if another server was asked. `Reporting-MTA` is the server that wrote the bounce. Without a `Remote-MTA`
nobody else was asked (section 2.3.5), so the server that wrote it also refused.

Old systems write a text alone. There the original message begins at a line that says so, or at its first header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from enum import StrEnum

from exporter.explain.loglines import Attempt, attempts, read_block
from exporter.explain.parts import LONGEST_TEXT, MOST_PARTS, MOST_RECIPIENTS, leaves, text_of
from exporter.explain.reply import read_reply

LARGEST = 512 * 1024  # bytes of a mail that are looked at; the original message comes last
LONGEST = 65_536  # characters of a text that somebody pastes
MOST_LINES = 8000
DEEPEST = 3  # bounces inside of forwarded mails

_HEADER = re.compile(rb"[!-9;-~]{1,76}:[ \t\r\n]")
_IS_MAIL = re.compile(
    rb"^(?:return-path|received|from|to|date|subject|message-id|mime-version|content-type|delivered-to|x-[a-z-]{1,40}"
    rb"|dkim-signature|authentication-results|auto-submitted|reply-to|arc-[a-z-]{1,40}): ?",
    re.IGNORECASE,
)
_PARTS = re.compile(rb"content-type[ \t]{0,9}:|boundary[ \t]{0,9}=", re.IGNORECASE)
_FIELD = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]{1,60}):[ \t]*(?P<value>.*)")
_PASTED = re.compile(
    r"^[ \t]{0,8}(?:Reporting-MTA|Final-Recipient|Diagnostic-Code)[ \t]?:", re.MULTILINE | re.IGNORECASE
)
_COPIES = (
    "below this line is a copy", "this is a copy of the message", "this is a copy of your message",
    "original message headers", "original message follows", "original message below", "the original message",
    "original message", "returned message", "unsent message", "the following is a copy", "here is your message",
    "here is a copy of your message", "undelivered message", "copy of message", "copy of your message",
    "begin of returned message", "begin returned message", "begin of original message", "your message follows",
    "the header of the original", "message contents follow", "your original message", "message headers follow",
    "message header follows", "headers of the message", "headers of your message", "header of the message",
    "message headers:",
)  # fmt: skip
# `++` takes a line of "=" as one. Given back sign by sign, it would be tried with all the phrases at each of them.
_COPY = re.compile(
    rf"^[ \t>*]{{0,8}}(?:-{{2,}}+|=++)?[ \t]{{0,4}}(?:{'|'.join(map(re.escape, _COPIES))})",
    re.MULTILINE | re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"^[ \t>]{0,8}(?:Return-Path|Received|Message-ID|DKIM-Signature|MIME-Version|X-Mailer|X-Originating-IP)[ \t]?:.*"
    r"\r?\n[ \t>]{0,8}(?:[A-Za-z][A-Za-z0-9-]{1,60}:|[ \t]+\S)",
    re.MULTILINE | re.IGNORECASE,
)
_QUOTED = re.compile(r"^[ \t]{0,4}>[ \t]?", re.MULTILINE)
_MTA = re.compile(
    r"[^;]{1,40};[ \t]*\[?([A-Za-z0-9_](?:[A-Za-z0-9_.:-]{0,252}))\]?\.?(?:[ \t]*[(\[]([0-9A-Fa-f.:]{2,45})[)\], ])?"
)
_BY = re.compile(r"\bby ([A-Za-z0-9_][A-Za-z0-9_.-]{0,252})")
_DAEMON = re.compile(r"\b(?:mailer-daemon|postmaster)@([A-Za-z0-9_][A-Za-z0-9_.-]{0,252})", re.IGNORECASE)


class BounceKind(StrEnum):
    """What a text is. A refusal is also a delay or a failure that the sending side tells itself."""

    REFUSAL = "refusal"
    DELIVERED = "delivered"  # the notification says that all went well
    RECEIPT = "receipt"  # the recipient's program says that the message was read or deleted (RFC 8098)
    COMPLAINT = "complaint"  # a recipient called the message spam (RFC 5965)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What is told of one recipient. `more` is what the text for people says of it, if the fields say something too."""

    attempt: Attempt
    more: Attempt | None = None
    action: str = ""


@dataclass(frozen=True, slots=True)
class Bounce:
    kind: BounceKind
    reports: tuple[DeliveryReport, ...]
    helo: str = ""  # the name that the server that wrote it has for itself
    raw: str = ""  # what was looked at, to find values in


def read(given: str | bytes) -> Bounce:
    """Of a mail, a part of one, a log line or a reply alone. It never fails."""
    octets = given[:LARGEST] if isinstance(given, bytes) else given[:LARGEST].encode("utf-8", "replace")[:LARGEST]
    if octets.count(b"\n") > MOST_LINES:
        octets = b"\n".join(octets.split(b"\n", MOST_LINES)[:MOST_LINES])
    return _mail(octets, 0) if _is_mail(octets) else _text(_plain(octets))


def _is_mail(octets: bytes) -> bool:
    head = octets[:4096].lstrip()
    if head.startswith((b"From ", b">From ")):
        head = head.partition(b"\n")[2]
    first, _, rest = head.partition(b"\n")
    if not _IS_MAIL.match(first) or len(_PARTS.findall(octets)) > MOST_PARTS:
        return False
    following = rest.lstrip(b"\r")
    return bool(_HEADER.match(following)) or following[:1] in b" \t\r\n" or b"\n\n" in head or b"\r\n\r\n" in head


def _plain(octets: bytes) -> str:
    return octets[: 4 * LONGEST_TEXT].decode("utf-8", "replace")[:LONGEST_TEXT]


# Mails.


def _mail(octets: bytes, depth: int) -> Bounce:
    octets = octets.lstrip()
    if octets.startswith((b"From ", b">From ")):
        octets = octets.partition(b"\n")[2]
    return _message(message_from_bytes(octets), depth)


def _message(mail: Message, depth: int) -> Bounce:
    human: list[str] = []
    fields: list[str] = []
    inner: list[Message] = []
    kind = BounceKind.REFUSAL
    for part in leaves(mail):
        type_ = part.get_content_type()
        if type_ in {"message/delivery-status", "message/global-delivery-status"}:
            fields.append(text_of(part))
        elif type_ in {"message/disposition-notification", "message/global-disposition-notification"}:
            kind = BounceKind.RECEIPT
        elif type_ == "message/feedback-report":
            kind = BounceKind.COMPLAINT
        elif type_ in {"message/rfc822", "message/global"}:
            inner += [
                it for it in (part.get_payload(),) if isinstance(it, list) for it in it if isinstance(it, Message)
            ]
        elif type_ in {"text/plain", "text/html"} and len(human) < 4:
            human.append(text_of(part))
    writer = _writer(mail)
    if kind is not BounceKind.REFUSAL:
        return Bounce(kind, ())
    if inner and not fields and depth < DEEPEST and not any(map(_tells, human)):
        for message in inner:  # somebody forwards the bounce
            if (found := _message(message, depth + 1)).reports:
                return found
    text = "\n".join(_without_original(it) for it in human[: 1 if fields else 4])[:LONGEST_TEXT]
    if not fields:
        bounce = _text(text)
        return replace(bounce, reports=tuple(_written_by(it, writer) for it in bounce.reports))
    return _notification("\n\n".join(fields), text, writer)


def _tells(text: str) -> bool:
    return any(it.reply.code for it in attempts(_without_original(text)[:LONGEST_TEXT]))


def _writer(mail: Message) -> str:
    """Who wrote the bounce, if no field says it: the host whose daemon it is from, or that received it first."""
    received = mail.get_all("Received") or []
    made = _BY.search(" ".join(str(received[-1]).split())[:2000]) if received else None
    made = made or _DAEMON.search(str(mail.get("From", ""))[:2000])
    return made[1].rstrip(".").lower() if made else ""


# Fields.


@dataclass(slots=True)
class _Fields:
    """One block of fields; a name in lower case has its first value."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        return self.values.get(name, "")


def _groups(text: str) -> list[_Fields]:
    groups = [_Fields()]
    last = ""
    for line in text.splitlines():
        if not line.strip():
            if groups[-1].values:
                groups.append(_Fields())
            last = ""
        elif line[0] in " \t" and last:
            groups[-1].values[last] += " " + line.strip()
        elif found := _FIELD.match(line.strip()):
            last = found["name"].lower()
            if last == "final-recipient" and groups[-1].get(last):  # pasted without the lines between
                groups.append(_Fields())
            groups[-1].values.setdefault(last, found["value"].strip())
        elif last:  # folded by hand
            groups[-1].values[last] += " " + line.strip()
    return [group for group in groups if group.values]


def _notification(fields: str, text: str, writer: str) -> Bounce:
    groups = _groups(fields)
    told = attempts(text)
    said = next((group.get("reporting-mta") for group in groups if group.get("reporting-mta")), "")
    reporting, helo = _mta(said)[0], said.rpartition(";")[2].strip()
    reports: list[DeliveryReport] = []
    kinds: set[BounceKind] = set()
    for group in groups:
        action = group.get("action").split(" ", 1)[0].strip().lower()
        recipient = (group.get("final-recipient") or group.get("original-recipient")).rpartition(";")[2].strip(" <>")
        if not (action or group.get("diagnostic-code") or group.get("status")) or len(reports) >= MOST_RECIPIENTS:
            continue
        if action in {"delivered", "relayed", "expanded"}:
            kinds.add(BounceKind.DELIVERED)
            continue
        kinds.add(BounceKind.REFUSAL)
        reports.append(_report(group, action, recipient, told, reporting or writer))
    if not reports and BounceKind.REFUSAL not in kinds:
        if kinds:
            return Bounce(BounceKind.DELIVERED, ())
        bounce = _text(text)
        return replace(bounce, reports=tuple(_written_by(it, reporting or writer) for it in bounce.reports))
    return Bounce(BounceKind.REFUSAL, tuple(reports), helo, f"{text}\n{fields}")


def _report(group: _Fields, action: str, recipient: str, told: list[Attempt], writer: str) -> DeliveryReport:
    more = _of(told, recipient)
    host, ip = _mta(group.get("remote-mta"))
    # Some gateways write this field of their own instead, with a reply of the same form.
    code, remote = group.get("diagnostic-code") or group.get("x-supplementary-info"), bool(host)
    said = read_block(_diagnostic(code)) if code else None
    status = group.get("status").split(" ", 1)[0]
    if said is None:
        said = more or Attempt(read_reply(status), remote=False)
        more = None
    reply = said.reply
    if more and reply.stage is None and more.reply.code in (None, reply.code):
        reply = replace(reply, stage=more.reply.stage)
    if reply.status is None and reply.code is None and status[:1] in "45":
        reply = replace(reply, status=read_reply(status).status)
    host = said.host if said.host and said.lasted else host or said.host or (more.host if more else "")
    attempt = replace(
        said,
        reply=reply,
        host=host,
        ip=said.ip or ip or (more.ip if more else ""),
        recipient=recipient[:320],
        writer=writer or said.writer or (more.writer if more else ""),
        remote=remote or bool(host),  # else nobody else was asked (section 2.3.5)
        lasted=said.lasted or bool(more and more.lasted and more.reply.code == reply.code),
    )
    return DeliveryReport(attempt, more, action)


def _diagnostic(value: str) -> str:
    """Without the type in front, and a comment of the server that wrote it."""
    kind, mark, rest = value.partition(";")
    if kind.strip().lower() == "x-unix" and rest.strip().isdigit():
        return f"command died with status {rest.strip()[:4]}"
    return rest.strip() if mark and re.fullmatch(r"[A-Za-z0-9 _-]{1,30}", kind) else value


def _of(told: list[Attempt], recipient: str) -> Attempt | None:
    named = [it for it in told if it.recipient and it.recipient.lower() == recipient.lower()]
    return named[0] if named else told[0] if len(told) == 1 else None


def _mta(value: str) -> tuple[str, str]:
    """Host and address of `dns; NAME (ADDRESS)`."""
    found = _MTA.match(value if ";" in value[:41] else f"dns;{value}")
    if not found:
        return "", ""
    name = found[1].rstrip(".-_").lower()
    return name, found[2] or (name if re.fullmatch(r"[0-9.]{7,15}|[0-9a-f:]*:[0-9a-f:]+", name) else "")


def _written_by(report: DeliveryReport, writer: str) -> DeliveryReport:
    return replace(report, attempt=replace(report.attempt, writer=report.attempt.writer or writer))


# Texts.


def _text(text: str) -> Bounce:
    """What is pasted without being a mail: a reply, log lines, the text of a bounce, or its fields."""
    if _quoted(text):
        text = _QUOTED.sub("", text)
    if _PASTED.search(text):
        first = _PASTED.search(text)
        begin = first.start() if first else 0
        end = _ORIGINAL.search(text, begin)
        fields = text[begin : end.start() if end else len(text)]
        bounce = _notification(fields, _without_original(text[:begin]), "")
        if bounce.reports or bounce.kind is not BounceKind.REFUSAL:
            return replace(bounce, raw=text)
    text = _without_original(text)
    return Bounce(BounceKind.REFUSAL, tuple(DeliveryReport(it) for it in attempts(text)[:MOST_RECIPIENTS]), raw=text)


def _quoted(text: str) -> bool:
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    return len(lines) > 2 and all(line.lstrip().startswith(">") and not line.startswith(">>>") for line in lines)


def _without_original(text: str) -> str:
    """Until the returned message begins: by a line that says so, or by its headers."""
    ends = [
        found.start()
        for pattern in (_COPY, _ORIGINAL)
        if (found := pattern.search(text)) and text[: found.start()].strip()
    ]
    return text[: min(ends)] if ends else text
