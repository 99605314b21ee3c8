"""Finds the reply in what mail servers write around it: their log lines, and the text of their bounces.

People paste replies in the wrappings of the server that was refused:

- Postfix: `host NAME[ADDRESS] said: REPLY (in reply to RCPT TO command)`, or `refused to talk to me: REPLY`.
- Exim: `SMTP error from remote mail server after RCPT TO:<...>: host NAME [ADDRESS]: REPLY`.
- sendmail: `... while talking to NAME:`, `>>> COMMAND`, `<<< REPLY`, and `stat=` in its log.
- qmail: `ADDRESS does not like recipient. Remote host said: REPLY`.
- Exchange: `Remote Server returned 'REPLY'`, and `550 5.4.300 Message expired -> REPLY` around the last refusal.

The innermost reply counts: `550 5.4.300 Message expired -> 451 ...` is a 451 that lasted. Where no server replied, the
sending side says itself what failed, for example `connect to NAME[ADDRESS]:25: Connection timed out`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from exporter.explain.reply import LONGEST_REPLY, RefusingReply, Stage, read_reply, stage_of, without_callout

LONGEST_BLOCK = 16_384  # characters of what is told about one recipient
MOST_LINES = 400  # of one text; more is a whole log
MOST_BLOCKS = 200  # of one text

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"
_HOST = rf"(?P<host>{_NAME})"
_IP = r"(?P<ip>[0-9A-Fa-f.:]{2,45})"
_V4 = r"(?P<ip>[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
_BEGIN = r"(?<![A-Za-z0-9_.-])"
_EXIM_ID = r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}"
_CODE = r"[45][0-9]{2}(?=[ -]|$)"
_EXPIRED = re.compile(
    r"message (?:has )?expired|retry (?:timeout exceeded|time not reached)|in the queue too long|delivery time expired"
    r"|failing for a long time|QUEUE\.Expired|unable to deliver for|could not be delivered for",
    re.ASCII | re.IGNORECASE,
)


class _Form(NamedTuple):
    """A pattern, and a part of it in lower case: without that part in the text the pattern need not be tried."""

    part: str
    pattern: re.Pattern[str]
    first: bool = False  # of several the first counts, not the last


def _form(part: str, pattern: str, *, first: bool = False) -> _Form:
    return _Form(part, re.compile(pattern, re.ASCII | re.IGNORECASE), first)


_SAID = "(?:said|refused to talk to me|refused to start TLS): "
_COMMAND = r"[A-Za-z][A-Za-z .]{1,40}(?::<[^<>]{0,320}>)?[^:]{0,80}"

# What wraps a reply, the inner before the outer. The reply begins where the pattern ends.
_WRAPPINGS = (
    _form("->", rf"-> ?(?={_CODE})"),
    _form("from mta(", rf"from MTA\([^()]{{1,80}}\): (?={_CODE})"),  # Amavis
    _form("led=", rf"LED= ?(?={_CODE})"),
    _form("host ", rf"host {_HOST} ?(?:\[(?:{_IP}|[^\[\]]{{1,108}})\])?(?::\d{{1,5}})? {_SAID}"),
    _form("refused to talk to me", rf"{_BEGIN}{_HOST}\[{_IP}\](?::\d{{1,5}})?:? (?:server )?refused to talk to me: "),
    _form(" - ", rf"\b[45]\.\d\.\d - [A-Za-z ]{{5,60}} (?={_CODE})"),  # Cisco
    _form(
        "error from remote mail",
        rf"error from remote mail(?:er| server) after {_COMMAND}: ?(?:host {_HOST} \[{_IP}\]: )?",
    ),
    _form(
        "error from remote server",
        rf"error from remote server (?:after|for|in) [A-Za-z ]{{1,30}}[,:]? ?(?:host: {_HOST} ?(?:\({_IP}\))? ?)?"
        r"(?:reason: )?",
    ),
    _form("smtp diagnostic: ", rf"remote MTA {_HOST}: SMTP diagnostic: "),
    _form("remote server was: ", r"response from the remote server was: "),
    _form("server returned was: ", r"error that the other server returned was: "),
    _form("returned '", rf"\bserver at {_HOST}(?: \({_IP}\))? returned '"),
    _form("returned ", rf"remote server returned (?:message detected as spam )?'(?={_CODE})"),
    _form("remote host said:", r"remote host said: ?"),
    _form(" gave this error: ", rf"{_BEGIN}{_HOST} gave this error: "),
    _form("<", rf"(?:<<<|<--|<-) ?(?={_CODE})", first=True),
    _form("s:", rf"\bS: ?(?={_CODE})", first=True),
    _form("(reason: ", rf"\(reason: (?={_CODE})", first=True),
    _form("reject: ", r"\bNOQUEUE: (?:milter-)?reject: (?P<stage>[A-Z/-]{2,20}) from [^:]{1,300}: ", first=True),
    _form(
        "rejected ",
        r"\brejected (?P<stage>RCPT|MAIL|EHLO or HELO|EHLO|HELO|after DATA|DATA|connection in)[^:]{0,400}: ",
        first=True,
    ),
    _form("=", rf"\b(?:stat|reject|result|error|response)=\"?(?:[A-Za-z ]{{1,30}}: )?(?={_CODE})"),
    _form("mtp;", rf"(?:smtp|lmtp); ?(?={_CODE})"),
    _form("#<", rf"#< ?#?[245]\.\d\.\d{{1,3}} (?:smtp;)?(?={_CODE})", first=True),
    _form("#", rf"(?:^| )#(?={_CODE})", first=True),
    _form("<", rf"<{_HOST} #(?=[45]\.\d\.\d)", first=True),
    _form(" said: ", rf"server {_HOST}(?:\[{_IP}\])? said: "),
)
_STARTS = re.compile(
    rf"(?:^|(?<=: )|(?<=; )|(?<=;)|(?<=\()|(?<=['\"]))[ \t]{{0,80}}(?={_CODE})", re.MULTILINE | re.ASCII
)

# What the sending side says itself, with the host that it was about.
_FAULTS = (
    _form("connect to ", rf"connect to {_HOST}\[{_IP}\](?::\d{{1,5}})?: "),
    _form(" with ", rf"(?:lost connection|conversation) with {_HOST}\[{_IP}\]"),
    _form("not offered by host ", rf"TLS is required, but was not offered by host {_HOST}\[{_IP}\]"),
    _form("host ", rf"\bto (?:mx )?host {_HOST} \[{_IP}\]"),
    _form("h=", rf"\bH={_HOST} (?:\([^()]{{0,255}}\) )?\[{_IP}\]"),
    _form("-", rf"{_EXIM_ID} {_HOST} \[{_IP}\](?::\d{{1,5}})? (?=connection|operation|network|no route|remote host)"),
    _form("stat=deferred: ", rf"\bstat=Deferred: [^.]{{0,80}} (?:by|with|from) {_HOST}"),
)
# Behind it stands what another server said of the sender: the server that asked it refuses.
_CALLOUT = re.compile(r"sender address rejected: un(?:verified|deliverable) address: $", re.IGNORECASE)
_REPLIED = "(in reply to"
_TALK = re.compile(r"^[ \t]{0,8}\.\.\. while talking to ", re.MULTILINE | re.IGNORECASE)
_AFTERTHOUGHT = re.compile(  # of sendmail
    r"5\d\d (?:5\.\d\.\d )?<?[^<>\s]{1,320}>?\.\.\. (?:Service unavailable|Can't create output|unknown mailer error)",
    re.ASCII | re.IGNORECASE,
)
_SIGNED = re.compile(
    r"\[([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){2,6}\.[A-Za-z]{2,20})[] ]", re.ASCII
)  # as Exchange
_ANSWER = re.compile(rf"<<< ?{_CODE}", re.ASCII)
_TUPLE = re.compile(r"\(([45][0-9]{2}), b?['\"]", re.ASCII)  # as Python prints it
_DETAILS = (
    _form("status=", r"\bstatus=(?:bounced|deferred|undeliverable|expired|SOFTBOUNCE)[^(]{0,80}\((.*)"),  # Postfix
    _form("stat=", r"\bstat=(.*)"),  # sendmail
    _form("delivery ", r"\bdelivery \d{1,9}: (?:failure|deferral): (.*)"),  # qmail
    _form(
        " r=",  # Exim
        r"(?:==|\*\*) \S{1,320} (?:<[^<>]{0,320}> )?(?:F=<[^<>]{0,320}> )?R=\S{1,80} (?:T=\S{1,80} )?(.*)",
    ),
)

# Who was talked to, if the wrapping does not say it. The surer forms first.
_HOSTS = (
    _form("host", rf"\bhosts? {_HOST} ?\[{_IP}\]"),
    _form("h=", rf"\bH={_HOST} (?:\([^()]{{0,255}}\) )?\[{_IP}\]"),
    _form("con", rf"(?:connect to|lost connection with|conversation with) {_HOST} ?\[{_IP}\]"),
    _form("while talking to ", rf"while talking to {_HOST}"),
    _form("for the ", rf"for the (?:recipient )?domain \S{{1,255}} by {_HOST}\.? ?\[{_IP}\]"),
    _form("relay=", rf"\brelay=\[?{_HOST}\]? ?\[{_IP}\]"),
    _form("connected to ", rf"\bConnected to (?:{_HOST} )?{_IP} but "),
    _form(" does not like recipient", rf"{_BEGIN}{_V4} does not like recipient"),
    _form("failed after i sent", rf"{_BEGIN}{_V4}[_ ]failed after I sent"),
    _form("remote server at ", rf"remote server at {_HOST}(?: \({_IP}\))?"),
    _form(" gave this error", rf"{_BEGIN}{_HOST} gave this error"),
    _form(" rejected your message", rf"{_BEGIN}{_HOST} rejected your message"),
    _form("mx=", rf"\bmx={_HOST}\[{_IP}\]"),  # ZoneMTA
    _form("remote-mta:", rf"\bRemote-MTA: ?(?:dns; ?)?\[?{_HOST}"),
    _form("offered by ", rf"offered by {_HOST}"),
    _form("connect", rf"(?:trying to connect to|connecting to|connection to) {_HOST}"),
    _form("refused by ", rf"refused by {_HOST}"),
    _form("timed out with ", rf"timed out with {_HOST}"),
    _form("from host ", rf"from host {_HOST}"),
    _form(" #", rf"<{_HOST} #[45]\.\d\.\d"),
    _form('relay="', rf"\brelay=\"{_IP} \({_HOST}\)\""),
    _form("relay=", rf"\brelay=\[?{_HOST}"),
    _form("for host ", rf"\bfor host {_HOST}"),
    _form("server at ", rf"\bserver at {_HOST}"),
)
_NO_HOST = {"none", "local", "localhost", "the", "a", "host", "mail", "and", "but", "this", "remote", "server", "with"}
_WRITERS = (
    _form("generating server: ", rf"Generating server: {_HOST}"),
    _form("this is the ", rf"this is the (?:mail system|\S{{1,40}} program) at (?:host )?{_HOST}"),
    _form("[", rf"^[A-Z][a-z]{{2}} [0-9 ]?[0-9] [0-9:]{{8}} {_HOST} \S{{1,80}}\["),
    _form("[", rf"^[0-9]{{4}}-\d\d-\d\dT\S{{8,24}} {_HOST} \S{{1,80}}\["),
)
_RECORD = re.compile(
    r"^(?:<?[A-Z][a-z]{2} [0-9 ][0-9] [0-9:]{8} |[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}|@[0-9a-f]{24} )", re.ASCII
)
_BLOCK = re.compile(
    r"^[ \t]{0,8}<?([^\s<>()\"]{1,64}@[^\s<>()\":]{1,255})>?(?: \([^()]{1,320}\))?:?[ \t]{0,8}(?=:|$|host |\()",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver, as somebody tells it. `writer` is who tells it, `host` and `ip` whom it was about.

    `lasted`: the reply was repeated until the message expired. `remote`: a server said it, not the sending side.
    """

    reply: RefusingReply
    host: str = ""
    ip: str = ""
    recipient: str = ""
    writer: str = ""
    lasted: bool = False
    remote: bool = True


def attempts(text: str) -> list[Attempt]:
    """What is told of each recipient, or in each line of a log. Empty where there is neither reply nor fault."""
    if records := _records(text):
        return [attempt for record in records if (attempt := read_block(record))]
    told = [attempt for block in _blocks(text) if (attempt := read_block(block))]
    answered = {it.recipient.lower() for it in told if it.recipient and it.reply.code}
    # Exchange names a recipient twice: for people, and with the reply.
    return [it for it in told if it.reply.code or it.recipient.lower() not in answered]


def _records(text: str) -> list[str]:
    lines = text.splitlines()[:MOST_LINES]
    records = [line for line in lines if _RECORD.match(line)]
    whole = len(records) > 1 and 2 * len(records) > len([line for line in lines if line.strip()])
    return records if whole else []


def _blocks(text: str) -> list[str]:
    starts = [found.start() for found in islice(_BLOCK.finditer(text), MOST_BLOCKS)]
    if len(starts) < 2:
        return [text]
    return [text[begin:end] for begin, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def read_block(text: str) -> Attempt | None:
    """What one block tells: a line of a log, or what a bounce says of one recipient."""
    text = _last_talk(_TUPLE.sub(r"\1 ", text[:LONGEST_BLOCK]))
    flat = " ".join(text.split())
    if "_" in flat and ("failure: " in flat or "deferral: " in flat) and ("delivery " in flat or "/Giving_up" in flat):
        flat = flat.replace("_", " ")  # qmail's log
    lower = flat.lower()
    writer = next(
        (found["host"] for form in _WRITERS if form.part in lower and (found := form.pattern.search(flat))), ""
    )
    attempt = _wrapped(_session(text) or flat, lower, flat) or _bare(text, flat, lower)
    if attempt is None:
        return None
    host, ip = (attempt.host, attempt.ip) if attempt.host or attempt.ip else _host(without_callout(flat), lower)
    if not (host or ip) and (signed := _SIGNED.search(attempt.reply.text)):
        host = signed[1]
    addressed = re.search(r"\bto=<([^<>\s]{1,320})>", flat) or _BLOCK.search(text)
    return replace(
        attempt,
        host=_clean(host),
        ip=ip,
        writer=_clean(writer),
        recipient=addressed[1] if addressed else "",
        lasted=bool(_EXPIRED.search(flat)) and attempt.reply.kind == "4",
    )


def _last_talk(text: str) -> str:
    """Of several hosts that sendmail tried, only the last that answered: it decided."""
    starts = [found.start() for found in _TALK.finditer(text)]
    ends = [*starts[1:], len(text)]
    for begin, end in list(zip(starts, ends, strict=False))[:0:-1]:
        if _ANSWER.search(text, begin, end):
            return text[: starts[0]] + text[begin:end]
    return text


def _session(text: str) -> str:
    """Of a transcript of a session the reply that refused: what the client says itself behind it is no part of it."""
    if "<<<" not in text:
        return ""
    lines = text.splitlines()
    starts = [place for place, line in enumerate(lines) if _ANSWER.match(line.lstrip())]
    if not starts:
        return ""
    of_reply = ("<<<", " ", "\t") if lines[starts[0]].startswith("<<<") else ("<<<",)
    end = next((it for it in range(starts[0] + 1, len(lines)) if not lines[it].startswith(of_reply)), len(lines))
    first, *more = lines[starts[0] : end]
    return " ".join(" ".join([*lines[: starts[0]], first, *(line.removeprefix("<<<") for line in more)]).split())


def _wrapped(flat: str, lower: str, whole: str) -> Attempt | None:
    for form in _WRAPPINGS:
        if form.part not in lower:
            continue
        found = outer = None
        for one in form.pattern.finditer(flat):
            if _CALLOUT.search(flat, max(0, one.start() - 80), one.start()):
                break
            if outer is None or form.part != "host " or flat.find(_REPLIED, outer.end(), one.start()) >= 0:
                outer = one  # else the first reply, which is not at its end yet, quotes this one
            found = one
            if form.first:
                break
        if found is None or outer is None:
            continue
        named = found.groupdict() | outer.groupdict()
        reply = read_reply(
            _until_fold(flat[found.end() : found.end() + LONGEST_REPLY]),
            stage=_log_stage(named.get("stage")) or stage_of(whole),
        )
        return Attempt(reply, named.get("host") or "", named.get("ip") or "")
    return None


def _log_stage(said: str | None) -> Stage | None:
    """By the names that Postfix and Exim give it in the log of their own refusals."""
    word = (said or "").upper()
    for begin, stage in (
        ("RCPT", Stage.RCPT_TO),
        ("MAIL", Stage.MAIL_FROM),
        ("HELO", Stage.HELO),
        ("EHLO", Stage.HELO),
        ("CONNECT", Stage.GREETING),
        ("DATA", Stage.DATA),
        ("END", Stage.DATA),
        ("AFTER DATA", Stage.DATA),
    ):
        if word.startswith(begin):
            return stage
    return None


_AFTERWARDS = re.compile(
    r" (?:<<<|>>>|\.\.\. while talking|-{3,} |Reporting-MTA:|Final-Recipient:|Original message headers"
    r"|Remote-MTA:|Last-Attempt-Date:|proto=E?SMTP)",
    re.ASCII,
)


def _until_fold(text: str) -> str:
    """Without what follows the reply in a transcript, a report or a log line."""
    found = _AFTERWARDS.search(text)
    return text[: found.start()] if found else text


def _bare(text: str, flat: str, lower: str) -> Attempt | None:
    details = (form.pattern.search(flat) for form in _DETAILS if form.part in lower)
    inner = next((detail[1] for detail in details if detail), "")
    for form in _FAULTS:
        if form.part in lower and (found := form.pattern.search(inner or flat)):
            fault = inner or flat[found.start() :]
            return Attempt(_fault(fault), found["host"], found["ip"] if "ip" in found.groupdict() else "", remote=False)
    if inner:
        reply = read_reply(inner, stage=stage_of(flat))
        return Attempt(reply if reply.code else _fault(inner), remote=reply.code is not None)
    starts = next((it for it in _STARTS.finditer(text) if not _AFTERTHOUGHT.match(text, it.end())), None)
    if starts:
        rest = " ".join(text[starts.end() : starts.end() + LONGEST_REPLY].split())
        return Attempt(read_reply(_until_fold(rest), stage=stage_of(flat)))
    if not flat:
        return None
    return Attempt(_fault(flat), remote=False)


def _fault(text: str) -> RefusingReply:
    reply = read_reply(text, stage=stage_of(text))
    return reply if reply.code is None else replace(reply, code=None)


def _host(flat: str, lower: str) -> tuple[str, str]:
    for form in _HOSTS:
        if form.part not in lower:
            continue
        for found in form.pattern.finditer(flat):
            named = found.groupdict()
            host = named.get("host") or ""
            if host.strip(".").lower() not in _NO_HOST and ("." in host or named.get("ip")):
                return host, named.get("ip") or ""
    return "", ""


def _clean(host: str) -> str:
    return host.rstrip(".-_").lower()
