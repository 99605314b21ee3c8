"""DNS blocklists, and how to read what one says (RFC 5782; manners of the lists: RFC 6471).

A blocklist is a DNS zone. To ask about 192.0.2.10 one reverses its octets and looks up the A record of
`10.2.0.192.bl.example.net` (section 2.1); for IPv6 the 32 nibbles are reversed (section 2.4), and a list of
domains is asked `example.com.bl.example.net` (section 2.2). No such name means "not listed". An answer inside
127.0.0.0/8 means "listed", and the address tells why: each list has its own codes (section 2.1), some use
the last octet as a set of bits (section 2.3). A TXT record at the same name gives the reason in words.

Not every answer is a listing. Codes in 127.255.255.0/24 and codes that a list reserves say "I do not serve
you": the question came through a public resolver, or there were too many. An address outside 127.0.0.0/8 is
nobody's verdict: the zone is parked or the resolver rewrites answers. Such an answer speaks of the list and not
of the subject, so one among several addresses makes the whole answer an Error; otherwise all are read and the
worst decides. A code in 127.0.0.0/8 that the list has not explained is a listing of unknown meaning, but never
127.0.0.0 or 127.0.0.1, which ad blockers and refusing lists return.

A list that is dead, or that hides from us, says "not listed" about everybody; one that has been shut down in
anger lists the whole world. Section 5 therefore gives each list two test points: 127.0.0.2 must be listed and
127.0.0.1 must not be (for domains `test` and `invalid`). Only both together make an answer believable. IPv6 has
its own pair, ::FFFF:7F00:2 and ::FFFF:7F00:1. These lie outside of the addresses that are in use, and few lists carry
them. So an address for documentation (RFC 3849), which nobody can send from, is asked too and must not be listed. If it
is not, a list without the IPv6 pair is believed as long as its IPv4 pair is right.

A zone may hold a customer's key. It is never shown: not by repr, and `hide` takes it out of any text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

from exporter.facts import IP, Doubt, Severity
from exporter.mail import names
from exporter.mail.dns import Reply

LISTING_RANGE = ip_network("127.0.0.0/8")
REFUSAL_RANGE = ip_network("127.255.255.0/24")
DOCUMENTATION = ip_network("2001:db8::/32")  # RFC 3849
IPV6_POINTS = ("::ffff:7f00:2", "::ffff:7f00:1")
NEVER_A_CODE = (IPv4Address("127.0.0.0"), IPv4Address("127.0.0.1"))
KEY_LENGTH = 16  # a label of a zone this long is taken for a key, and hidden wherever it stands alone
PER_SECOND = 50  # questions, so that the list's operator does not block us
DEFAULT_REMEDY = "spam, a taken-over account or machine, or mail to addresses that never asked for it"


class Lists(StrEnum):
    """What a blocklist lists."""

    IPS = "ip"
    DOMAINS = "domain"


class ListFault(StrEnum):
    """Why a list cannot be believed."""

    WORLD = "world"  # it lists what must not be listed
    DEAD = "dead"  # it does not list what must be listed
    RESOLVER = "resolver"  # it refuses the resolver that asks
    VOLUME = "volume"  # it refuses because there were too many questions
    ZONE = "zone"  # it does not know the zone that is asked
    WRONG = "wrong"  # its answers are none that a blocklist gives


@dataclass(frozen=True, slots=True)
class Code:
    """What one return code of a list means. `remedy` says what usually ends the cause, if that is special."""

    meaning: str
    severity: Severity
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ListError:
    """The answer, or the test, says that the list cannot be believed."""

    fault: ListFault
    detail: str


@dataclass(frozen=True, slots=True)
class Listed:
    codes: tuple[str, ...]
    meaning: str
    severity: Severity
    remedy: str


@dataclass(frozen=True, slots=True)
class NotListed:
    """A clean "no"; the codes of a reputation or whitelist that mean no harm are one too."""


NOT_LISTED = NotListed()
ParsedAnswer: TypeAlias = NotListed | Listed | ListError

_REFUSALS = {
    "127.255.255.252": ListError(ListFault.ZONE, "127.255.255.252: the zone's name is mistyped"),
    "127.255.255.254": ListError(
        ListFault.RESOLVER, "127.255.255.254: asked through a public or unattributable resolver"
    ),
    "127.255.255.255": ListError(ListFault.VOLUME, "127.255.255.255: too many questions"),
}


@dataclass(frozen=True)
class Blocklist:
    """One list: `name` is shown everywhere, `zone` is asked and may hold a key, so it is never shown.

    `codes` are keyed by address ("127.0.0.2"), or by the value of a bit ("2") when `bits`; so are `harmless`
    and `errors`, which are never a listing. `severity` is that of a listing on a list without codes.
    """

    name: str
    zone: str = field(repr=False)
    lists: Lists = Lists.IPS
    codes: Mapping[str, Code] = field(default_factory=dict, hash=False, compare=False)
    bits: bool = False
    harmless: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False, repr=False)
    errors: Mapping[str, ListError] = field(default_factory=dict, hash=False, compare=False, repr=False)
    severity: Severity = Severity.WARNING
    ipv4: bool = True
    ipv6: bool = True
    whole_name: bool = False  # a list of domains that wants the host's full name, not the registrable domain
    test_listed: str = ""  # instead of RFC 5782's test points
    test_unlisted: str = ""
    queries_per_day: int | None = None
    queries_per_second: int = field(default=PER_SECOND, compare=False)  # no verdict depends on it
    delist: str = ""  # where removal is asked for
    terms: str = ""
    default: bool = False

    def holds(self, subject: IP | str) -> bool:
        """Can the subject be in this list at all?"""
        if isinstance(subject, str):
            return self.lists is Lists.DOMAINS
        return self.lists is Lists.IPS and (self.ipv4 if subject.version == 4 else self.ipv6)

    def question(self, subject: IP | str) -> str:
        """The name to look up. Of a host name too long for it, as many labels from the right as fit."""
        if not isinstance(subject, str):
            return f"{names.reverse_octets(subject)}.{self.zone}"
        name = subject if self.whole_name else names.registrable(subject)
        while len(name) + len(self.zone) >= names.LONGEST_NAME and "." in name:
            name = name.partition(".")[2]
        return f"{name}.{self.zone}"

    @property
    def test_points(self) -> tuple[str, str]:
        """The names that must and must not be listed (section 5)."""
        listed, unlisted = ("127.0.0.2", "127.0.0.1") if self.lists is Lists.IPS else ("test", "invalid")
        return self._point(self.test_listed or listed), self._point(self.test_unlisted or unlisted)

    @property
    def test_points_ipv6(self) -> tuple[str, str]:
        """The names that must and must not be listed if the list has IPv6 addresses (section 5)."""
        given = (self.test_listed, IPV6_POINTS[0]), (self.test_unlisted, IPV6_POINTS[1])
        listed, unlisted = (own if ":" in own else point for own, point in given)
        return self._point(listed), self._point(unlisted)

    def control(self, number: int) -> str:
        """The name of an address for documentation that must not be listed, another one for each number."""
        digest = hashlib.sha256(f"{self.zone} {number}".encode()).digest()
        return self.question(IPv6Address(DOCUMENTATION.network_address.packed[:4] + digest[:12]))

    def independent(self, other: Blocklist) -> bool:
        """Has the other list another operator, as far as can be seen?"""
        hosts = {urlsplit(of.delist).hostname for of in (self, other)}
        asks_elsewhere = len(hosts) > 1 or None in hosts
        return asks_elsewhere and names.registrable(self.zone) != names.registrable(other.zone)

    def _point(self, point: str) -> str:
        before = names.reverse_octets(ip_address(point)) if self.lists is Lists.IPS else point
        return f"{before}.{self.zone}"

    def hide(self, text: str) -> str:
        """The text with the list's name where its zone or the key in it stood."""
        return self._secret.sub(f"<{self.name}>", text)

    @cached_property
    def _secret(self) -> re.Pattern[str]:
        keys = [label for label in self.zone.split(".") if len(label) >= KEY_LENGTH]
        return re.compile("|".join(map(re.escape, (self.zone, *keys))), re.IGNORECASE)

    def read(self, reply: Reply) -> ParsedAnswer:
        """What a conclusive reply to an A question says."""
        if reply.void:
            return NOT_LISTED
        if not reply.addresses:
            return ListError(ListFault.WRONG, "an answer without an address")
        found: list[tuple[str, Code]] = []
        for address in reply.addresses:
            meant = self._meaning(address)
            if isinstance(meant, ListError):
                return meant
            found.extend((str(address), code) for code in meant)
        if not found:
            return NOT_LISTED
        return Listed(
            codes=tuple(sorted({address for address, _ in found})),
            meaning="; ".join(dict.fromkeys(code.meaning for _, code in found)),
            severity=min((code.severity for _, code in found), key=list(Severity).index),
            remedy="; ".join(dict.fromkeys(code.remedy for _, code in found if code.remedy)) or DEFAULT_REMEDY,
        )

    def _meaning(self, address: IP) -> ListError | tuple[Code, ...]:
        text = str(address)
        if not isinstance(address, IPv4Address) or address not in LISTING_RANGE:
            return ListError(ListFault.WRONG, f"{text} is outside 127.0.0.0/8")
        if address in REFUSAL_RANGE:
            return _REFUSALS.get(text, ListError(ListFault.RESOLVER, f"{text}: the list refuses to answer"))
        keys = _bits(address) if self.bits else (text,)
        refusal = next((self.errors[key] for key in keys if key in self.errors), None)
        if refusal:
            return ListError(refusal.fault, f"{text}: {refusal.detail}")
        if address in NEVER_A_CODE and not any(key in self.codes or key in self.harmless for key in keys):
            return ListError(ListFault.WRONG, f"{text} is no code of a blocklist")
        if not keys:
            return ListError(ListFault.WRONG, f"{text} has no bit set")
        unknown = Code("a code of unknown meaning", Severity.WARNING)
        if not self.codes:
            unknown = Code("reason not given", self.severity)
        return tuple(self.codes.get(key, unknown) for key in keys if key not in self.harmless)

    def judge(self, listed: Reply, unlisted: Reply) -> ListError | Doubt | None:
        """What the replies to both test points prove: None that the list can be believed, Doubt nothing.

        Proven bad stays bad when the other point is unanswered.
        """
        must, must_not = (self.read(reply) if reply.status.conclusive else None for reply in (listed, unlisted))
        fault = _fault(must, must_not)
        if fault:
            return fault
        if listed.void:
            return ListError(ListFault.DEAD, "its test entry is not listed")
        return self._unanswered(listed, unlisted)

    def judge_ipv6(
        self, listed: Reply, unlisted: Reply, control: Reply, ipv4: ListError | Doubt | None
    ) -> ListError | Doubt | None:
        """The same for IPv6. `control` is about an address of nobody's; `ipv4` is what the IPv4 pair has proved.

        A list that does not carry the IPv6 pair can be believed if it answers rightly otherwise.
        """
        must, *must_not = (self.read(it) if it.status.conclusive else None for it in (listed, unlisted, control))
        fault = _fault(must, *must_not)
        if fault:
            return ListError(fault.fault, f"IPv6: {fault.detail}")
        doubt = self._unanswered(listed, unlisted, control)
        return doubt or (ipv4 if listed.void else None)

    def _unanswered(self, *replies: Reply) -> Doubt | None:
        for reply in replies:
            if not reply.status.conclusive:
                return Doubt(
                    reply.status.reason, self.hide(f"self-test of {self.name}: {reply.detail or reply.status}")
                )
        return None


def _fault(must: ParsedAnswer | None, *must_not: ParsedAnswer | None) -> ListError | None:
    """What answers about test points prove against the list."""
    for answer in (must, *must_not):
        if isinstance(answer, ListError):
            return answer
    for answer in must_not:
        if isinstance(answer, Listed):
            return ListError(ListFault.WORLD, f"it lists what it must not list: {', '.join(answer.codes)}")
    return None


def _bits(address: IPv4Address) -> tuple[str, ...]:
    """The values of the bits set in the last octet (section 2.3); the others are reserved, and ignored."""
    return tuple(str(1 << n) for n in range(8) if address.packed[3] >> n & 1)
