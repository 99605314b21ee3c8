"""Takes out of a refusal what its answer can name: addresses, domains, the HELO name and hosts.

The text is written by others. Only what is well formed is taken, of bounded length, and never as markup or a label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from exporter.explain.loglines import Attempt

_DOMAIN = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})", re.ASCII
)
_HELO_TEXT = re.compile(r"[!#-%(-;=?-~]{1,80}", re.ASCII)  # no quotes, no angle brackets, no ampersand
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{3,40})(?![\w])", re.ASCII
)
_HELO = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        r"<([^<>\s]{1,255})>: helo command rejected",
        r"\bhelo=<([^<>\s]{1,255})>",
        r"helo command \[([^\[\]\s]{1,255})\]",
        r"(?:>>>|-->) ?(?:EHLO|HELO) (\S{1,255})",
        r"\bHELO/EHLO argument \"?([^\s\",]{1,255})\"?,? (?:is )?invalid",
        r"(?:bad|forged|invalid|your) [EH/LO]{4,9} (?:name|hostname)?[:( ]{1,3}[\"'<]?(\w[\w-]{0,62}\.[\w.-]{2,190})",
        r"\b(?:EHLO|HELO) (?:name |hostname )?[\"'<(]([^\"'<>()\s]{1,255})[\"'>)]",
        r"helo=([^\s;,<>()]{1,255})[;,]",
    )
)
_SENDING_DOMAIN = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        r"sending domain \[?([a-z0-9_.-]{3,253})",
        r"(?:unauthenticated|unsigned) (?:e-?mail|mail|message) from ([a-z0-9_.-]{3,253})",
        r"\bfrom=<[^<>@\s]{1,64}@([a-z0-9_.-]{3,253})>",
        r"(?:domain of|MAIL FROM domain|SPF) \[?([a-z0-9_.-]{3,253}\.[a-z0-9-]{2,63})\]?",
        r"@([a-z0-9_.-]{3,253})>?: sender address rejected",
        r"due to ([a-z0-9_.-]{3,253}\.[a-z0-9-]{2,63})'?s? DMARC policy",
        r"mail(?:ing)? from ([a-z0-9_.-]{3,253}\.[a-z]{2,63}) ",
    )
)
_LIST = re.compile(
    r"(?:using|listed (?:on|in|at|by)|blocked by|found (?:on|in)|rbl|dnsbl|(?:black|block)listed (?:by|at|in|on))"
    r" (?:list |rbl |dnsbl )?\(?([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,5})",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Values:
    """What the text itself holds; empty where it holds none. `host` refused, `writer` wrote about it."""

    ip: str = ""
    domain: str = ""
    helo: str = ""
    host: str = ""
    writer: str = ""
    listed: str = ""  # the list that is named


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the text around the replies holds: the same for all recipients."""

    domain: str
    helo: str


def read_around(raw: str) -> Surroundings:
    raw = raw[:16_384]
    return Surroundings(
        next((it for pattern in _SENDING_DOMAIN for it in map(_domain, pattern.findall(raw)[:5]) if it), ""),
        next((it for pattern in _HELO for it in map(_helo, pattern.findall(raw)[:3]) if it), ""),
    )


def read_values(attempt: Attempt, around: Surroundings, helo: str = "") -> Values:
    """`helo` is the name of the server that wrote a bounce."""
    text = attempt.reply.text
    refused = attempt.ip.lower()
    found = (_ip(it) for it in _ADDRESS.findall(text))
    ip = next((it for it in found if it and it != refused), "")
    return Values(
        ip=ip,
        domain=around.domain,
        helo=around.helo or _helo(helo),
        host=_domain(attempt.host) or _ip(attempt.ip) or _ip(attempt.host),
        writer=_domain(attempt.writer) or _ip(attempt.writer),
        listed=next((it for it in map(_domain, _LIST.findall(text)) if it), ""),
    )


def _ip(text: str) -> str:
    try:
        return str(ip_address(text.strip("[]"))) if len(text) <= 45 and "%" not in text else ""
    except ValueError:
        return ""


def _domain(text: str) -> str:
    name = text.strip(".").lower()
    return name if len(name) <= 253 and _DOMAIN.fullmatch(name) and not _ip(name) else ""


def _helo(text: str) -> str:
    return text if _HELO_TEXT.fullmatch(text) else ""
