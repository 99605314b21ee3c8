r"""What a client says in HELO/EHLO, and whether it may be said (RFC 5321).

The first words of every SMTP session are the client's name for itself: `EHLO mail.example.com` (section 4.1.1.1).
The argument is a Domain or an address literal, and nothing else (section 4.1.2):

    Domain         = sub-domain *("." sub-domain)
    sub-domain     = Let-dig [Ldh-str]              letters, digits, hyphens; no hyphen at either end
    address-literal = "[" Snum 3("." Snum) "]"  or  "[IPv6:" IPv6-addr "]"     (section 4.1.3)

The grammar has no place for a trailing dot, though DNS writes one; for an underscore, though DNS allows it; for
white space; or for letters outside ASCII, which travel as A-labels (RFC 5890; RFC 6531 section 3.7.1). A label has at
most 63 octets and the whole name 255 on the wire, which is 253 characters (section 4.5.3.1.2, RFC 1035 section 2.3.4).
Grammar is not enough: the name must be fully qualified and resolve (section 2.3.5), for the receiver may look it
up, though it must not refuse mail only because name and address do not agree (section 4.1.4).

Receivers are strict because a careless name is the mark of malware and of forgotten machines. Exchange Online answers
`501 5.5.4 Invalid domain name`, a text that sounds like an objection to a mail address. It is not. X.5.4 of RFC 3463
means "invalid command arguments", and Microsoft documents the text as a reply to EHLO alone, before any address has
been given. The transcripts that show what was said show `MacBook..`, `mylaptopname.`, a good name with a space behind
it, and `say hello`: a library's or a person's idea of a host name, passed on unread. To look for the cause in SPF, MX
or the recipients' addresses is time lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address

from exporter.facts import IP
from exporter.mail import names

LONGEST_INPUT = 8192  # characters; a command line has 512 octets (section 4.5.3.1.4)
LONGEST_LABEL = 63
PORT = "where a port begins, which is no part of a name"
MOST_CODES = 8  # distinct offending characters kept for a person to see

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
_V4 = frozenset("0123456789.")
_V6 = _V4 | frozenset("abcdefABCDEF:")
_DASHED_IP = re.compile(r"([0-9]{1,3})-([0-9]{1,3})-([0-9]{1,3})-([0-9]{1,3})")
_DIGITS = re.compile(r"[0-9]+")
_TAG = re.compile(r"[A-Za-z0-9-]*[A-Za-z0-9]")
_WITH_PORT = re.compile(r"([^:]+):[0-9]{1,5}", re.ASCII)  # one colon: an IPv6 address has more
_RECEIVERS = (
    "gmail.com",
    "google.com",
    "googlemail.com",
    "hotmail.com",
    "live.com",
    "office365.com",
    "outlook.com",
    "yahoo.com",
    "yahoodns.net",
)
_BELOW_RECEIVERS = tuple(f".{name}" for name in _RECEIVERS)
REMEMBERED = 1024  # texts that are no longer than a name: several checks read the name of one sender


class HeloFaultKind(StrEnum):
    """What can be wrong. From SINGLE_LABEL on the grammar is kept, and the name is a bad one all the same."""

    EMPTY = "empty"
    WHITE_SPACE = "white-space"
    TRAILING_DOT = "trailing-dot"
    EMPTY_LABEL = "empty-label"
    TOO_LONG = "too-long"
    UNDERSCORE = "underscore"
    BAD_CHARACTER = "bad-character"
    NON_ASCII = "non-ascii"
    EDGE_HYPHEN = "edge-hyphen"
    BAD_LITERAL = "bad-literal"
    SINGLE_LABEL = "single-label"
    NUMERIC_TLD = "numeric-tld"
    BARE_ADDRESS = "bare-address"
    MAPPED_LITERAL = "mapped-literal"
    LOCAL_NAME = "local-name"

    @property
    def breaks_grammar(self) -> bool:
        return self not in _WELL_FORMED


_WELL_FORMED = frozenset(
    {
        HeloFaultKind.SINGLE_LABEL,
        HeloFaultKind.NUMERIC_TLD,
        HeloFaultKind.BARE_ADDRESS,
        HeloFaultKind.MAPPED_LITERAL,
        HeloFaultKind.LOCAL_NAME,
    }
)


@dataclass(frozen=True, slots=True)
class HeloFault:
    """One kind of thing that is wrong. `position` is the character (from 1) where it shows first."""

    kind: HeloFaultKind
    position: int
    label: str = ""  # the label it is in
    codes: tuple[str, ...] = ()  # the distinct offending characters, as U+XXXX
    detail: str = ""

    @property
    def where(self) -> str:
        """The place in words, for a sentence."""
        codes = f" ({', '.join(self.codes)})" if self.codes else ""
        label = f' in the label "{self.label}"' if self.label else ""
        port = f", {self.detail}" if self.detail == PORT else ""
        return f"character {self.position}{codes}{label}{port}"


@dataclass(frozen=True, slots=True)
class HeloName:
    """The argument of HELO/EHLO, read. `address` is that of a well-formed literal; `name` is lower case."""

    text: str
    faults: tuple[HeloFault, ...] = ()
    name: str = ""
    address: IP | None = None

    @property
    def well_formed(self) -> bool:
        """Does RFC 5321 section 4.1.2 allow it to be said?"""
        return not any(fault.kind.breaks_grammar for fault in self.faults)

    @property
    def host(self) -> str | None:
        """The name as receivers look it up. None if it cannot be looked up."""
        return self.name if self.name and not self.faults else None

    @property
    def repaired(self) -> str | None:
        """The name that was probably meant, if it may be advised: without stray space, dots and port, as A-labels."""
        if self.host:
            return None if receiver(self.host) else self.host
        try:
            name = names.canonical(".".join(filter(None, _without_port(self.text.strip()).split("."))))
        except ValueError:
            return None
        return None if parse(name).faults or receiver(name) else name


def receiver(name: str) -> str | None:
    """The large receiver that owns the name, or None. A sender that says such a name is taken for a forger."""
    if not f".{name}".endswith(_BELOW_RECEIVERS):
        return None
    return next(receiver for receiver in _RECEIVERS if names.under(name, receiver))


def parse(text: str) -> HeloName:
    """Read it exactly as it would be sent; never raises. What lies beyond 8 KiB is not looked at."""
    return _remembered(text) if len(text) <= names.LONGEST_NAME else _parsed(text[:LONGEST_INPUT])


def _parsed(text: str) -> HeloName:
    bare = text.strip()
    if not bare:
        return HeloName(text, (HeloFault(HeloFaultKind.EMPTY, 1),))
    start = len(text) - len(text.lstrip())
    if bare.startswith("["):
        address, fault = _literal(bare, start)
        spaces = _characters(text, white_space_only=True)
        return HeloName(text, (*spaces, *([fault] if fault else [])), address=None if spaces or fault else address)
    host = _without_port(bare)
    name = host.removesuffix(".")
    faults = [*_characters(text, white_space_only=False), *_shape(host, name, start)]
    if names.as_address(name) or _dashed(name):
        faults.append(HeloFault(HeloFaultKind.BARE_ADDRESS, start + 1))
    else:
        faults += _standing(name.lower(), start)
    return HeloName(text, tuple(faults), name.lower())


_remembered = lru_cache(maxsize=REMEMBERED)(_parsed)


def _without_port(bare: str) -> str:
    found = _WITH_PORT.fullmatch(bare)
    return found[1] if found else bare


def _characters(text: str, *, white_space_only: bool) -> list[HeloFault]:
    """One fault for each kind of forbidden character, with the first place and all the code points."""
    if _LETTERS.issuperset(text):
        return []
    port = _WITH_PORT.fullmatch(text.rstrip())
    seen: dict[HeloFaultKind, tuple[int, dict[str, None]]] = {}
    for position, char in enumerate(text):
        if char in _LETTERS:
            continue
        kind = _kind(char)
        if white_space_only and kind is not HeloFaultKind.WHITE_SPACE:
            continue
        codes = seen.setdefault(kind, (position, {}))[1]
        if len(codes) < MOST_CODES:
            codes[_code(char)] = None
    return [
        HeloFault(
            kind,
            position + 1,
            _label_at(text, position),
            tuple(codes),
            PORT if port and position == port.end(1) else "",
        )
        for kind, (position, codes) in seen.items()
    ]


def _kind(char: str) -> HeloFaultKind:
    if char.isspace():
        return HeloFaultKind.WHITE_SPACE
    if char == "_":
        return HeloFaultKind.UNDERSCORE
    return HeloFaultKind.BAD_CHARACTER if char.isascii() else HeloFaultKind.NON_ASCII


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


def _label_at(text: str, position: int) -> str:
    end = text.find(".", position)
    return text[text.rfind(".", 0, position) + 1 : len(text) if end < 0 else end]


def _shape(bare: str, name: str, start: int) -> list[HeloFault]:
    """What is wrong with dots, lengths and hyphens: the first place of each."""
    if name == bare and names.is_hostname(name):
        return []
    faults: dict[HeloFaultKind, HeloFault] = {}
    if name != bare:
        faults[HeloFaultKind.TRAILING_DOT] = HeloFault(HeloFaultKind.TRAILING_DOT, start + len(bare), codes=("U+002E",))
    if len(name) > names.LONGEST_NAME:
        detail = f"the name has {len(name)} characters, {names.LONGEST_NAME} are allowed"
        faults[HeloFaultKind.TOO_LONG] = HeloFault(
            HeloFaultKind.TOO_LONG, start + names.LONGEST_NAME + 1, detail=detail
        )
    position = start + 1
    for label in name.split("."):
        if not label:
            faults.setdefault(
                HeloFaultKind.EMPTY_LABEL, HeloFault(HeloFaultKind.EMPTY_LABEL, position, codes=("U+002E",))
            )
        elif len(label) > LONGEST_LABEL:
            detail = f"a label has {len(label)} characters, {LONGEST_LABEL} are allowed"
            faults.setdefault(
                HeloFaultKind.TOO_LONG,
                HeloFault(HeloFaultKind.TOO_LONG, position + LONGEST_LABEL, label, detail=detail),
            )
        if label.startswith("-") or label.endswith("-"):
            at = position if label.startswith("-") else position + len(label) - 1
            faults.setdefault(HeloFaultKind.EDGE_HYPHEN, HeloFault(HeloFaultKind.EDGE_HYPHEN, at, label, ("U+002D",)))
        position += len(label) + 1
    return list(faults.values())


def _standing(name: str, start: int) -> list[HeloFault]:
    """What a name says of where it is known (RFC 5321 section 2.3.5)."""
    suffix = names.local_suffix(name)
    if suffix:
        return [HeloFault(HeloFaultKind.LOCAL_NAME, start + len(name) - len(suffix) + 1, detail=suffix)]
    head, dot, last = name.rpartition(".")
    if not dot:
        return [] if not name else [HeloFault(HeloFaultKind.SINGLE_LABEL, start + 1)]
    # A top level domain is alphabetic (RFC 1123 section 2.1), which is how a name is told from an address.
    return [HeloFault(HeloFaultKind.NUMERIC_TLD, start + len(head) + 2, last)] if _DIGITS.fullmatch(last) else []


def _dashed(name: str) -> bool:
    match = _DASHED_IP.fullmatch(name)
    return match is not None and all(int(octet) <= 255 for octet in match.groups())


def _literal(bare: str, start: int) -> tuple[IP | None, HeloFault | None]:
    """An address literal (RFC 5321 section 4.1.3), or what is wrong with it."""

    def bad(
        detail: str, kind: HeloFaultKind = HeloFaultKind.BAD_LITERAL, *, at: int = 0, code: bool = False
    ) -> tuple[None, HeloFault]:
        return None, HeloFault(kind, start + at + 1, codes=(_code(bare[at]),) if code else (), detail=detail)

    def strange(detail: str, begin: int, allowed: frozenset[str]) -> tuple[None, HeloFault]:
        """At the first character from there on that no address of the kind has, if there is one."""
        at = next((at for at in range(begin, len(bare) - 1) if bare[at] not in allowed), None)
        return bad(detail) if at is None else bad(detail, at=at, code=True)

    end = bare.find("]")
    if end < 0:
        return bad("the closing bracket is missing", at=len(bare) - 1)
    if "[" in bare[1:]:
        return bad("there is an extra bracket", at=bare.index("[", 1), code=True)
    if end < len(bare) - 1:
        return bad("there is something after the closing bracket", at=end + 1, code=True)
    inner = bare[1:-1]
    tag, colon, rest = inner.partition(":")
    if not colon:
        address = names.as_address(inner)
        return (address, None) if address else strange("this is not an IPv4 address", 1, _V4)
    if tag.lower() != "ipv6":
        if names.as_address(inner):
            return bad('the tag "IPv6:" is missing', at=1)
        # Ldh-str may be any tag that is registered; there is one (RFC 5321 section 4.1.3, IANA).
        return bad("the tag is not registered" if _TAG.fullmatch(tag) else "the tag is malformed", at=1)
    found = names.as_address(rest)
    if not isinstance(found, IPv6Address) or not _six_groups(rest):
        return strange("this is not an IPv6 address", len("[IPv6:"), _V6)
    if found.ipv4_mapped:
        return bad(f"an IPv4-mapped address; the IPv4 form is [{found.ipv4_mapped}]", HeloFaultKind.MAPPED_LITERAL)
    return found, None


def _six_groups(address: str) -> bool:
    """In SMTP a "::" stands for two groups at least: no more than six are written beside it."""
    groups = [group for group in address.split(":") if group]
    return "::" not in address or len(groups) + ("." in address) <= 6
