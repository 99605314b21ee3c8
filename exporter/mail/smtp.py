"""The server's side of an SMTP conversation, read from octets (RFC 5321).

The server speaks first, with a greeting (section 3.1), and then once for every command. A reply is one or more
lines, each of three digits and a text; a hyphen behind the digits says that more lines follow, a space that this
is the last (section 4.2.1). The first digit is the whole verdict: 2 and 3 are yes, 4 is "not now, try again",
5 is "no" (section 4.2.1). Many servers put a second, finer code in front of the text: `550 5.7.25 ...`
(RFC 3463; RFC 2034 announces it).

The answer to EHLO names the server in its first line and, in each further one, a service extension and its
parameters (section 4.1.1.1): `SIZE 52428800` is the largest message it takes, in octets, where 0 or nothing means
that no limit is stated (RFC 1870 section 4), and `STARTTLS` offers encryption (RFC 3207). A server that
does not know EHLO answers 500 or 502, and the client says HELO instead (section 3.2).

A reply line has at most 512 octets (section 4.5.3.1.5). Longer ones exist; a peer that never ends its line or
its reply exists too. Hence the bounds below, and the one error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

LONGEST_LINE = 8192  # octets
LONGEST_REPLY = 32768  # octets, all lines of it

_LINE = re.compile(r"([2-5][0-9]{2})(?:([ -])(.*))?", re.ASCII | re.DOTALL)
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)  # RFC 1870 section 4

# Replies to EHLO after which a client says HELO: RFC 5321 section 3.2. 504 is about the name in it (section 4.2.2).
NOT_KNOWN = frozenset({500, 502})
_OTHERS = {
    "SSH": re.compile(rb"SSH-[0-9]"),
    "HTTP": re.compile(rb"HTTP/[0-9]|<(?:!doctype )?html", re.IGNORECASE),
    "POP3": re.compile(rb"\+OK(?:[ \r\n]|\Z)"),
    "IMAP": re.compile(rb"\* (?:OK|PREAUTH|BYE)(?:[ \r\n]|\Z)"),
}
_ASTERISKS = re.compile(r"[*02 ]*\*{4}[*02 ]*")
_CROSSED_OUT = re.compile(r"X{5,}[A-Z]?(?: |\Z)")
_CROSSED_EHLO = re.compile(r"\bX{4}\b")

Extensions: TypeAlias = dict[str, str]


class ReplySyntaxError(ValueError):
    """What was sent is no SMTP reply, or never ends. `protocol` is the one that it is, if that is plain to see."""

    def __init__(self, why: str, protocol: str = "") -> None:
        super().__init__(why)
        self.protocol = protocol


@dataclass(frozen=True, slots=True)
class SmtpReply:
    code: int
    lines: tuple[str, ...]  # the texts without the codes, never empty

    @property
    def positive(self) -> bool:
        return self.code < 400

    @property
    def transient(self) -> bool:
        """Not now: RFC 5321 section 4.2.1."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    @property
    def shown(self) -> tuple[str, ...]:
        """The lines as they were sent."""
        last = len(self.lines) - 1
        return tuple(f"{self.code}{'-' if i < last else ' '}{text}" for i, text in enumerate(self.lines))

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.lines)}".rstrip()


class Incoming:
    """Octets in, replies out. What follows the replies taken so far stays in `rest`."""

    def __init__(self) -> None:
        self.rest = bytearray()  # whose front can be taken off without copying the remainder
        self._code = ""
        self._lines: list[str] = []
        self._octets = 0

    def feed(self, octets: bytes) -> None:
        self.rest += octets

    def take(self) -> SmtpReply | None:
        """The next reply, or None while it is not complete.

        Raise ReplySyntaxError for what is no reply, and for a line or a reply without end. A bare LF ends a line
        too: a monitor that calls a working server broken for it would be wrong.
        """
        while (end := self.rest.find(b"\n", 0, LONGEST_LINE)) >= 0:
            line = bytes(self.rest[:end])
            del self.rest[: end + 1]
            self._octets += end + 1
            if self._octets > LONGEST_REPLY:
                raise ReplySyntaxError(f"a reply of more than {LONGEST_REPLY} bytes")
            if self._last(line.removesuffix(b"\r").decode("utf-8", "backslashreplace")):
                reply = SmtpReply(int(self._code), tuple(self._lines))
                self._code, self._lines, self._octets = "", [], 0
                return reply
        if len(self.rest) >= LONGEST_LINE:
            raise ReplySyntaxError(f"a line of more than {LONGEST_LINE} bytes: {_start(bytes(self.rest[:80]))}")
        return None

    def _last(self, line: str) -> bool:
        found = _LINE.fullmatch(line)
        if not found:
            raise ReplySyntaxError(
                f"no reply code at the start of: {_start(line)}", other_protocol(line.encode("utf-8", "replace"))
            )
        code, mark, text = found.groups()
        if self._code and code != self._code:
            raise ReplySyntaxError(f"a reply that begins with {self._code} and goes on with {code}")
        self._code = code
        self._lines.append(text or "")
        return mark != "-"


def _start(value: object) -> str:
    return f"{value!r:.120}"


def extensions(ehlo: SmtpReply) -> Extensions:
    """What the reply to EHLO offers: keyword in upper case -> its parameters (RFC 5321 section 4.1.1.1)."""
    rows = (line.strip().partition(" ") for line in ehlo.lines[1:])
    return {keyword.upper(): parameters.strip() for keyword, _, parameters in rows if keyword}


def other_protocol(octets: bytes) -> str:
    """The protocol, other than SMTP, that begins like this; empty unless it is certain."""
    for name, begins in _OTHERS.items():
        if begins.match(octets):
            return name
    return ""


def masked(greeting: SmtpReply, ehlo: SmtpReply | None) -> str:
    """In words, what an inspecting firewall has overwritten; empty if nothing.

    The ESMTP inspection of Cisco ASA and PIX puts asterisks over the greeting, and X over each keyword in the reply to
    EHLO that it does not let pass, STARTTLS among them. Older ones make EHLO itself an unknown command so.
    """
    signs = []
    if any(_ASTERISKS.fullmatch(line) for line in greeting.lines):
        signs.append(f'it greets with "{greeting}"')
    if ehlo and ehlo.positive:
        signs += [f'it offers "{line}"' for line in ehlo.lines[1:] if _CROSSED_OUT.match(line)][:1]
    elif ehlo and ehlo.code in NOT_KNOWN and (signs or any(_CROSSED_EHLO.search(line) for line in ehlo.lines)):
        signs.append(f'it answers EHLO with "{ehlo}"')
    return " and ".join(signs)


def size_limit(offered: Extensions) -> int | None:
    """The octets of RFC 1870; None where the extension is absent or states no limit."""
    stated = offered.get("SIZE", "")
    return int(stated) or None if _DIGITS.fullmatch(stated) else None
