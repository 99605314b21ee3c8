"""What a domain announces in one TXT record below its name.

MTA-STS (RFC 8461 section 3.1) and TLS-RPT (RFC 8460 section 3) were made together, and their records are of one shape:

    v=STSv1; id=20260101T000000;

The version comes first, in just these letters, and a ";" behind it; a text that begins otherwise is none of these
records and is discarded. If then not exactly one record is left, or the one that is left has a fault in its syntax, the
domain has announced nothing. Behind the version stand fields, `name=value`, parted by ";", around which there may be
blanks and tabs; one more ";" may close the list. Names are letters, digits, "_", "-" and ".", at most 32 of them.
Fields that a reader does not know are to be ignored, and of a field that stands there twice the first one counts.

Nobody looks for such a record at the domain itself. A provider may hold it for the domain, by a CNAME.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from exporter.mail.cname import dangling
from exporter.mail.dns import Evaluation, Question, Reply
from exporter.mail.tag_list import LONGEST

T = TypeVar("T")

MOST_FIELDS = 200
WHITE_SPACE = " \t"  # WSP (RFC 5234)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_VALUE = re.compile(r"[!-:<>-~]+", re.ASCII)
_HEAD = 64  # octets in which a version is looked for that is not written as it should be
_DECORATION = b" \t\\\"'"  # what people leave around a record when they copy it


class PolicyTxtSyntaxError(ValueError):
    """The text, or what it leads to, is not what it is meant as; the message says why."""


class PolicyTxtKind(NamedTuple):
    """Where the record stands below the domain, and its version."""

    label: str
    version: str

    def begins(self, text: bytes) -> bool:
        """Does it begin as it must? Everything else is discarded."""
        head = f"v={self.version}".encode()
        return text.startswith(head) and text[len(head) :].lstrip(WHITE_SPACE.encode())[:1] == b";"

    def meant(self, text: bytes) -> bool:
        """Did somebody want it to be such a record, whatever its faults?"""
        name = self.version.rstrip("0123456789").lower().encode()
        return b"v=" + name in text[:_HEAD].lower().translate(None, _DECORATION)


@dataclass(frozen=True, slots=True)
class PolicyTxt:
    """What stands at `name`. `doubt` is the reply that says nothing, if there is one; without `answered` it is all."""

    name: str
    answered: bool = True
    meant: tuple[bytes, ...] = ()  # the texts that are meant as such a record
    records: tuple[bytes, ...] = ()  # those of them that are not discarded
    dangling: str = ""  # the end of a CNAME that leads to no TXT record
    at_apex: bool = False  # a record stands at the domain itself
    doubt: Reply | None = None
    chain: tuple[str, ...] = ()  # where a CNAME leads


def find_policy_txt(domain: str, kind: PolicyTxtKind) -> Evaluation[PolicyTxt]:
    """What the domain announces of that kind, and signs that it wants to where it does not."""
    name = f"{kind.label}.{domain}"
    reply = yield Question(name, "TXT")
    if not reply.status.conclusive:
        return PolicyTxt(name, answered=False, doubt=reply)
    meant = tuple(text.text for text in reply.texts if kind.meant(text.text))
    if meant:
        return PolicyTxt(name, meant=meant, records=tuple(filter(kind.begins, meant)), chain=reply.chain)
    end, unsure = yield from dangling(reply)
    if end or unsure:
        return PolicyTxt(name, dangling=end, doubt=unsure)
    apex = yield Question(domain, "TXT")
    at_apex = any(kind.meant(text.text) for text in apex.texts)
    return PolicyTxt(name, at_apex=at_apex, doubt=None if apex.status.conclusive else apex)


def fields(text: bytes, kind: PolicyTxtKind, known: Container[str]) -> list[tuple[str, str]]:
    """The fields behind the version, in order. Raise AnnouncementSyntaxError, and nothing else.

    The values of those that are `known` are for the caller to judge.
    """
    if len(text) > LONGEST:
        raise PolicyTxtSyntaxError(f"{len(text)} bytes are more than a record can need")
    if not kind.begins(text):
        raise PolicyTxtSyntaxError(f"it does not begin with v={kind.version} and a semicolon")
    _, *terms = text.decode("latin-1").split(";", MOST_FIELDS + 1)
    if len(terms) > 1 and not terms[-1].strip(WHITE_SPACE):
        terms.pop()
    if len(terms) > MOST_FIELDS:
        raise PolicyTxtSyntaxError(f"it has more than {MOST_FIELDS} fields")
    found = []
    for term in terms:
        stripped = term.strip(WHITE_SPACE)
        name, equals, value = stripped.partition("=")
        if not stripped:
            raise PolicyTxtSyntaxError("a field is empty")
        if not equals or not _NAME.fullmatch(name):
            raise PolicyTxtSyntaxError(f'"{stripped}" is no name=value')
        if name not in known and not _VALUE.fullmatch(value):
            raise PolicyTxtSyntaxError(f'the value of "{stripped}" is empty or has characters that are not allowed')
        found.append((name, value))
    return found


def tried(parse: Callable[[bytes], T], octets: bytes) -> tuple[T | None, str]:
    """What the octets say, or why they say nothing."""
    try:
        return parse(octets), ""
    except PolicyTxtSyntaxError as error:
        return None, str(error)
