"""The text of an SPF policy, read as a whole before anything is asked (RFC 7208 sections 4.5, 4.6 and 12).

    v=spf1 ip4:192.0.2.0/24 include:_spf.example.net -all

The policy of a name is its one TXT record, the strings joined, that is `v=spf1` or begins with that and a space;
of two, nobody could say which is meant: a permerror (3.2, 3.3, 4.5). Between spaces stand its terms (4.6.1).

*Mechanisms* are tried from left to right until one matches the client's address:

    all                      everybody (5.1)
    include:DOMAIN           who passes by that domain's policy (5.2)
    a  a:NAME  a:NAME/24     the addresses of the name, here of the domain itself, and what is near them (5.3)
    mx  mx:NAME  mx/24//64   the addresses of its mail hosts; the second length is for IPv6 (5.4)
    ptr  ptr:NAME            clients whose own name lies inside it; not to be used any more (5.5)
    ip4:NETWORK  ip6:NETWORK the addresses in it (5.6)
    exists:NAME              everybody, if the name has an address: for macros (5.7)

The sign before the one that matches is the result: `+` or none pass, `-` fail, `~` softfail, `?` neutral (4.6.2).

*Modifiers* are `name=value`, anywhere in the record: `redirect` hands over to another name's policy when nothing
matched (6.1), `exp` names the text for a refusal (6.2), the others are ignored (6).

A syntax error anywhere in the record spoils all of it, even behind a term that would match: a permerror (4.6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from exporter.facts import IP
from exporter.mail.dns import Reply
from exporter.mail.spf.macro import MacroString, SpfSyntaxError, domain_spec, macro_string, query_name

LONGEST_RECORD = 64 * 1024  # octets; no DNS answer holds more
# Texts of that many octets, and of no more, are remembered: a provider's policy is read for each domain that includes
# it. Both bound what a hostile text of many terms can fill.
REMEMBERED, LONGEST_REMEMBERED = 256, 512


class SpfResult(StrEnum):
    """The seven results of section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 (a result, not a password)
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_QUALIFIERS = {
    "": SpfResult.PASS,
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}
MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
ASKS_DNS = frozenset({"include", "a", "mx", "ptr", "exists"})  # and redirect: section 4.6.4

_VERSION = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)
_LOOKALIKE = re.compile(rb"""[\s"'\xef\xbb\xbf]*(?:v\s*=\s*spf|spf1[\s:])""", re.IGNORECASE)
_SENDER_ID = re.compile(rb"spf2\.0/", re.IGNORECASE)
_TERM = re.compile(r"([+\-?~]?)([A-Za-z][A-Za-z0-9._-]*)(.*)", re.DOTALL)
_DUAL_CIDR = re.compile(r"(.*?)(?:/([0-9]+))?(?://([0-9]+))?", re.DOTALL)
_CIDR = re.compile(r"([^/]*)(?:/([0-9]+))?")
_BITS = {4: 32, 6: 128}


class Mechanism(NamedTuple):
    """`prefix4` and `prefix6` are the CIDR lengths that apply to a client of that version."""

    text: str  # as written
    name: str
    qualifier: SpfResult
    domain: MacroString | None = None
    address: IP | None = None
    prefix4: int = 32
    prefix6: int = 128

    def covers(self, address: IP, client: IP) -> bool:
        """Is the client in the network of this prefix length round the address?"""
        if address.version != client.version:
            return False
        shift = 32 - self.prefix4 if client.version == 4 else 128 - self.prefix6
        return int(address) >> shift == int(client) >> shift


class Modifier(NamedTuple):
    text: str  # as written
    name: str  # lower case
    value: MacroString


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """`reachable` are the mechanisms up to the first `all`: what follows it is never tried (section 5.1)."""

    text: str
    mechanisms: tuple[Mechanism, ...]
    redirect: Modifier | None
    exp: Modifier | None
    unknown: tuple[Modifier, ...]
    reachable: tuple[Mechanism, ...]

    @property
    def all(self) -> Mechanism | None:
        """The `all` that ends the record."""
        last = self.reachable[-1] if self.reachable else None
        return last if last and last.name == "all" else None

    def explained(self, name: str) -> str | None:
        """Where the text of exp= stands when this is the record of that name; None if that depends on the message."""
        if self.exp is None or self.exp.value.letters - {"d", "o"}:
            return None
        return query_name(self.exp.value.target({"d": name, "o": name}))


def is_spf(text: bytes) -> bool:
    """Is a TXT record with this text an SPF record (section 4.5)? `v=spf10` and ` v=spf1` are none."""
    return _VERSION.match(text) is not None


def parse(text: bytes) -> SpfRecord:
    """Raise SpfSyntaxError, naming the term, for what is no SPF record."""
    if len(text) > LONGEST_RECORD:
        raise SpfSyntaxError(f"the record is longer than {LONGEST_RECORD} bytes")
    return _parsed(text) if len(text) > LONGEST_REMEMBERED else _remembered(text)


def _parsed(text: bytes) -> SpfRecord:
    if not is_spf(text):
        raise SpfSyntaxError("the record does not begin with 'v=spf1 '")
    if not text.isascii():
        at = next(i for i, octet in enumerate(text, 1) if octet > 0x7F)
        raise SpfSyntaxError(f"byte {at} of the record is not ASCII (section 3.1)")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, Modifier] = {}
    unknown: list[Modifier] = []
    shown = text.decode("ascii")
    read: dict[str, Mechanism | Modifier] = {}  # a term that stands there a thousand times is read once
    for number, word in enumerate(filter(None, shown[len("v=spf1") :].split(" ")), 1):
        try:
            term = read.get(word) or read.setdefault(word, _term(word))
            if isinstance(term, Mechanism):
                mechanisms.append(term)
            elif term.name not in ("redirect", "exp"):
                unknown.append(term)
            elif term.name in modifiers:
                raise SpfSyntaxError(f"{term.name}= appears twice (section 6)")
            else:
                modifiers[term.name] = term
        except SpfSyntaxError as error:
            cut = word if len(word) <= 80 else f"{word[:80]}…"
            raise SpfSyntaxError(f"part {number} {cut!r}: {error}") from None
    names = [mechanism.name for mechanism in mechanisms]
    reachable = mechanisms[: names.index("all") + 1] if "all" in names else mechanisms
    redirect, exp = modifiers.get("redirect"), modifiers.get("exp")
    return SpfRecord(shown, tuple(mechanisms), redirect, exp, tuple(unknown), tuple(reachable))


_remembered = lru_cache(maxsize=REMEMBERED)(_parsed)


def _term(word: str) -> Mechanism | Modifier:
    found = _TERM.fullmatch(word)
    if found is None:
        raise SpfSyntaxError("is neither a mechanism nor a modifier")
    sign, name, rest = found.groups()
    if rest.startswith("="):
        if sign:
            raise SpfSyntaxError(f"a modifier must not have the sign {sign!r}")
        known = name.lower() in ("redirect", "exp")
        return Modifier(word, name.lower(), (domain_spec if known else macro_string)(rest[1:]))
    name = name.lower()
    if name not in MECHANISMS:
        wants = f"write {name}=" if name in ("redirect", "exp") else f"there is no mechanism {name[:40]!r}"
        raise SpfSyntaxError(wants)
    return _mechanism(word, name, _QUALIFIERS[sign], rest)


def _mechanism(word: str, name: str, qualifier: SpfResult, rest: str) -> Mechanism:
    match name:
        case "a" | "mx":
            return _host(word, name, qualifier, rest)
        case "all":
            if rest:
                raise SpfSyntaxError("all must not have an argument")
            return Mechanism(word, name, qualifier)
        case "include" | "exists":
            return Mechanism(word, name, qualifier, domain=domain_spec(_after_colon(rest)))
        case "ptr":
            return Mechanism(word, name, qualifier, domain=domain_spec(_after_colon(rest)) if rest else None)
        case _:  # ip4, ip6
            return _network(word, name, qualifier, _after_colon(rest))


def _after_colon(rest: str) -> str:
    if not rest.startswith(":"):
        raise SpfSyntaxError("needs ':' and a value")
    return rest[1:]


def _host(word: str, name: str, qualifier: SpfResult, rest: str) -> Mechanism:
    prefix4, prefix6 = 32, 128
    host = rest
    if "/" in rest:
        host, four, six = _DUAL_CIDR.fullmatch(rest).groups()  # type: ignore[union-attr]  # matches any text
        prefix4, prefix6 = _prefix(four, 4), _prefix(six, 6)
    if not host:
        return Mechanism(word, name, qualifier, prefix4=prefix4, prefix6=prefix6)
    domain = _after_colon(host)
    if domain[-1:].isdigit() and _address(domain, "ip4"):
        raise SpfSyntaxError(f"is an address, not a name: write ip4:{domain}")
    return Mechanism(word, name, qualifier, domain=domain_spec(domain), prefix4=prefix4, prefix6=prefix6)


def _network(word: str, name: str, qualifier: SpfResult, value: str) -> Mechanism:
    found = _CIDR.fullmatch(value)
    if found is None:
        raise SpfSyntaxError("needs an address and at most one /length")
    text, length = found.groups()
    address = _address(text, name)
    if address is None:
        raise SpfSyntaxError(f"{text[:60]!r} is not an {'IPv4' if name == 'ip4' else 'IPv6'} address")
    if name == "ip4":
        return Mechanism(word, name, qualifier, address=address, prefix4=_prefix(length, 4))
    return Mechanism(word, name, qualifier, address=address, prefix6=_prefix(length, 6))


def _address(text: str, name: str) -> IP | None:
    try:
        if name == "ip4":
            return IPv4Address(text)
        return None if "%" in text else IPv6Address(text)  # a zone index is no part of ip6-network
    except ValueError:
        return None


def _prefix(digits: str | None, version: int) -> int:
    most = _BITS[version]
    if digits is None:
        return most
    if len(digits) > 3 or (digits[0] == "0" and digits != "0") or int(digits) > most:
        raise SpfSyntaxError(f"/{digits[:10]} is not a prefix length of IPv{version}")
    return int(digits)


@dataclass(frozen=True, slots=True)
class SpfPolicy:
    """What one name publishes: a record, or the reason why it is a permerror, or neither (none)."""

    name: str
    reply: Reply
    texts: tuple[bytes, ...] = ()  # of all its SPF records
    record: SpfRecord | None = None
    error: str = ""

    @property
    def lookalikes(self) -> list[bytes]:
        """The texts that somebody may have meant as SPF records, and that are none."""
        return [t.text for t in self.reply.texts if _LOOKALIKE.match(t.text) and not is_spf(t.text)]

    @property
    def sender_id(self) -> list[bytes]:
        """The texts of Sender ID (RFC 4406), which came after SPF and is gone."""
        return [t.text for t in self.reply.texts if _SENDER_ID.match(t.text)]


def read(reply: Reply) -> SpfPolicy:
    """Select and parse (sections 4.5, 4.6) the policy in the answer to a TXT question."""
    name = reply.question.name
    texts = tuple(txt.text for txt in reply.texts if is_spf(txt.text))
    if len(texts) > 1:
        return SpfPolicy(name, reply, texts, error=f"{name} has {len(texts)} SPF records")
    if not texts:
        return SpfPolicy(name, reply)
    try:
        return SpfPolicy(name, reply, texts, record=parse(texts[0]))
    except SpfSyntaxError as error:
        return SpfPolicy(name, reply, texts, error=f"syntax error in the SPF record of {name}: {error}")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The text that `exp` leads to, or the reason why receivers go without."""

    text: MacroString | None
    error: str = ""


def read_explanation(reply: Reply) -> Explanation:
    """Section 6.2: the one TXT record of that name, in ASCII, with macros."""
    if len(reply.texts) != 1:
        return Explanation(None, f"{reply.question.name} has {len(reply.texts)} TXT records instead of one")
    try:
        return Explanation(macro_string(reply.texts[0].text.decode("ascii"), explanation=True))
    except UnicodeDecodeError:
        return Explanation(None, f"the text of {reply.question.name} is not ASCII")
    except SpfSyntaxError as error:
        return Explanation(None, f"the text of {reply.question.name} is not a valid explanation: {error}")
