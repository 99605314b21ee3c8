"""MTA-STS (RFC 8461): how a domain tells senders to deliver over verified TLS or not at all.

Between mail servers TLS is opportunistic: whoever stands on the way can strip the offer of STARTTLS, or answer for the
MX host, and mail goes there. A domain that wants better publishes two things. A TXT record at `_mta-sts.<domain>`
(section 3.1) says that there is a policy, and which one it is:

    v=STSv1; id=20260101T000000;

And the policy itself (section 3.2) is a text at https://mta-sts.<domain>/.well-known/mta-sts.txt, where the certificate
of that web server vouches for it:

    version: STSv1
    mode: enforce             enforce, testing (deliver all the same, but report) or none (there is no policy any more)
    mx: mail.example.com      the MX hosts that mail may be delivered to, one a line; "*." stands for exactly one label
    mx: *.example.net         (section 4.1)
    max_age: 604800           seconds for which a sender may keep the policy: 31557600 (a year) at most

Lines end with LF or CRLF. Fields that a reader does not know are to be ignored; of any but mx the first one counts.
Each of these is needed, but for mx in mode none. A sender gets the policy by a GET that follows no redirect, verifies
the certificate for that very host, and takes status 200 alone (section 3.3). If that fails it delivers as if there were
no policy, unless it has kept one. It asks for the policy again only when that grows old or `id` changes, so a policy
that is changed under the same id is not seen for weeks (sections 3.1, 5.1); the new text comes first, and its id
afterwards.

Under a policy in force a host counts if its name, as it stands in the MX record, matches a pattern, and if it shows
over STARTTLS, in TLS 1.2 or newer (section 7.2), a certificate for that name that is in date and trusted (sections 4.1,
4.2). In mode enforce no mail goes to a host that does not count (section 5): where none does, mail waits, and comes
back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from exporter.mail import names
from exporter.mail.policy_txt import WHITE_SPACE, PolicyTxtKind, PolicyTxtSyntaxError, fields
from exporter.mail.tag_list import LONGEST

RECORD = PolicyTxtKind("_mta-sts", "STSv1")
OLDEST = 31557600  # seconds that a policy may be kept
MOST_LINES = 1000
_MOST_FAULTS = 5  # told of one policy

_ID = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*([^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?)")
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)


class Mode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


_MODES = {str(mode): mode for mode in Mode}


@dataclass(frozen=True, slots=True)
class MtaStsPolicy:
    """A policy that can be understood. `faults` are those that a careful reader refuses all the same."""

    mode: Mode
    max_age: int  # seconds
    patterns: tuple[str, ...]  # lower case, each once
    lines: tuple[str, ...]  # as published, empty ones left out
    faults: tuple[str, ...]

    def matching(self, host: str) -> frozenset[str]:
        """The patterns that a host name in lower case matches (section 4.1)."""
        _, _, parent = host.partition(".")
        return frozenset(self.patterns) & {host, f"*.{parent}"}


def policy_url(domain: str) -> str:
    """Section 3.3."""
    return f"https://mta-sts.{domain}/.well-known/mta-sts.txt"


def policy_id(text: bytes) -> str:
    """The id= of a record. Raise AnnouncementSyntaxError, and nothing else."""
    found = dict(reversed(fields(text, RECORD, ("id",))))  # the first of several counts
    if "id" not in found:
        raise PolicyTxtSyntaxError("it has no id=")
    if not _ID.fullmatch(found["id"]):
        raise PolicyTxtSyntaxError(f"id={found['id']} is not 1 to 32 letters and digits")
    return found["id"]


def parse(body: bytes) -> MtaStsPolicy:
    """The text of a policy. Raise AnnouncementSyntaxError, and nothing else, for one that nobody can follow."""
    if len(body) > LONGEST:
        raise PolicyTxtSyntaxError(f"{len(body)} bytes are more than a policy can need")
    rows = body.decode("utf-8", "backslashreplace").split("\n", MOST_LINES)
    if len(rows) > MOST_LINES:
        raise PolicyTxtSyntaxError(f"it has more than {MOST_LINES} lines")
    if not rows[-1]:
        rows.pop()  # the end of the last line
    given: list[tuple[str, str]] = []
    faults = []
    for number, row in enumerate(rows, 1):
        line = row.removesuffix("\r").rstrip(WHITE_SPACE)
        found = _LINE.fullmatch(line)
        if not found:
            faults.append(f'line {number}, "{line}", is not name: value' if line else f"line {number} is empty")
        name, colon, value = line.partition(":")
        if colon:
            given.append((name.strip(), value.strip()))
    mode, max_age = _required(dict(reversed(given)))
    patterns = dict.fromkeys(value.lower() for name, value in given if name == "mx")
    bad = {pattern for pattern in patterns if not names.is_hostname(pattern.removeprefix("*."))}
    faults += [f'mx "{pattern}" is no host name' for pattern in patterns if pattern in bad]
    good = tuple(pattern for pattern in patterns if pattern not in bad)
    if mode is not Mode.NONE and not good:
        raise PolicyTxtSyntaxError("it lists no MX host")
    lines = tuple(line for row in rows if (line := row.strip()))
    return MtaStsPolicy(mode, max_age, good, lines, tuple(faults[:_MOST_FAULTS]))


def _required(found: dict[str, str]) -> tuple[Mode, int]:
    missing = [f"{name}:" for name in ("version", "mode", "max_age") if name not in found]
    if missing:
        raise PolicyTxtSyntaxError(f"it has no line {', '.join(missing)}")
    if found["version"] != RECORD.version:
        raise PolicyTxtSyntaxError(f'version "{found["version"]}" is not {RECORD.version}')
    if found["mode"] not in _MODES:
        raise PolicyTxtSyntaxError(f'mode "{found["mode"]}" is none of enforce, testing, none')
    if not _SECONDS.fullmatch(found["max_age"]) or int(found["max_age"]) > OLDEST:
        raise PolicyTxtSyntaxError(f'max_age "{found["max_age"]}" is no number from 0 to {OLDEST}')
    return _MODES[found["mode"]], int(found["max_age"])
