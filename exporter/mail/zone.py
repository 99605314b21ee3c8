"""A zone and its servers: who speaks for a domain, and do they all say the same (RFC 1034, RFC 1912, RFC 2182).

DNS is a tree cut into *zones*. The parent zone names the servers of a child with NS records, the *delegation*
(RFC 1034 section 4.2.1); the child repeats them at its top, the *apex*, beside its SOA record. A domain may be the apex
of a zone or lie somewhere below one. A server of the zone answers with AA, "authoritative", set (RFC 1035 section
4.1.1). One that the delegation names but that refuses, sends the asker elsewhere or speaks from hearsay is *lame*
(RFC 1912 section 2.8): whoever happens to ask it loses time, or the answer.

One server is written to, the others copy: when the *serial* of the SOA has grown, by the circular arithmetic of
RFC 1982, at the latest after *refresh* seconds (RFC 1035 section 3.3.13). When copying fails, servers give different
answers, and mail fails for those receivers alone that ask the wrong one: a resolver asks one of them and keeps the
answer, so that nobody sees it who does not ask each server.

With DNSSEC the parent holds a DS record, the digest of a DNSKEY of the child (RFC 4034 section 5), and each answer has
signatures that end at a given time (section 3.1.5). If the parent has no DS, the zone is *insecure*, which is no
fault. If it has one and the chain does not hold, the zone is *bogus* (RFC 4035 section 4.3), and for whoever validates,
it has no data at all.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dmarc import record as dmarc
from exporter.mail.dns import SOA, Evaluation, Question, Reply, ServerReply, Signature, Status
from exporter.mail.spf import record as spf_record

# What validators of today know (RFC 8624 section 3.1); a DS of another algorithm counts as none (RFC 4035 section 5.2).
_KNOWN_ALGORITHMS = frozenset({5, 7, 8, 10, 13, 14, 15, 16})
_SILENCE = frozenset({Status.TIMEOUT, Status.NETWORK})


def serial_lt(serial: int, other: int) -> bool:
    """RFC 1982 section 3.2, with 32 bits."""
    return 0 < (other - serial) % 2**32 < 2**31


def parent(name: str) -> str:
    """The name without its first label; the root's own is the root."""
    return name.partition(".")[2] or "."


def is_subdomain(name: str, zone: str) -> bool:
    """Is the name the zone's own or below it? Everything is below the root."""
    return zone == "." or names.under(name, zone)


def inside(name: str, zone: str) -> bool:
    """Is the name below the zone's own?"""
    return name != zone and is_subdomain(name, zone)


@dataclass(frozen=True, slots=True)
class ZoneCut:
    """The closest zone that answers for itself. `doubt` is the first reply below it that says nothing.

    A zone whose servers all fail is not found, but the one above it, with doubt.
    """

    zone: str | None
    exists: bool  # the name, as far as is known
    doubt: Reply | None


def find(domain: str) -> Evaluation[ZoneCut]:
    """Ask for SOA records upwards; only an apex has one. The root is not asked: no domain of anybody lies in it."""
    name, exists = domain, True
    doubt: Reply | None = None
    while name != ".":
        reply = yield Question(name, "SOA")
        if reply.exists and not reply.chain:
            return ZoneCut(name, exists, doubt)
        if name == domain:
            exists = reply.status is not Status.NXDOMAIN
        if not reply.status.conclusive and doubt is None:
            doubt = reply
        name = parent(name)
    return ZoneCut(None, exists, doubt)


@dataclass(frozen=True, slots=True)
class ServerHost:
    """One name server by its name. `doubt` is a reply that leaves open whether it has addresses.

    `stale` are addresses that only the parent zone gives for it (glue), and that its own records do not have.
    """

    name: str
    addresses: tuple[IP, ...]
    alias: str | None  # the CNAME target behind the name
    doubt: Reply | None
    stale: tuple[IP, ...] = ()

    @property
    def without_address(self) -> bool:
        return not self.addresses and self.doubt is None


def look_up(name: str, glue: tuple[IP, ...] = ()) -> Evaluation[ServerHost]:
    """Where DNS has no addresses, those that the parent zone adds to its delegation stand in."""
    v4 = yield Question(name, "A")
    v6 = yield Question(name, "AAAA")
    chain = v4.chain or v6.chain
    own = (*v4.addresses, *v6.addresses)
    doubt = next((reply for reply in (v4, v6) if not reply.status.conclusive), None)
    stale = tuple(ip for ip in glue if ip not in own and (v4 if ip.version == 4 else v6).status.conclusive)
    return ServerHost(name, own or glue, chain[-1] if chain else None, doubt, stale)


class ServerState(StrEnum):
    """What one answer to the question for the zone's SOA amounts to."""

    GOOD = "good"
    LAME = "lame"
    FAILING = "failing"  # SERVFAIL and the like: an expired copy, or a moment's trouble
    SILENT = "silent"
    UNKNOWN = "unknown"


def word(reply: ServerReply) -> ServerState:
    if soa(reply):
        return ServerState.GOOD
    if reply.passed_over:
        return ServerState.UNKNOWN
    if reply.status.conclusive or reply.status is Status.REFUSED:
        return ServerState.LAME
    if reply.status is Status.SERVFAIL:
        return ServerState.FAILING
    return ServerState.SILENT if reply.status in _SILENCE else ServerState.UNKNOWN


def soa(reply: ServerReply) -> SOA | None:
    """The SOA record, if it comes from the zone itself."""
    if not (reply.authoritative and reply.exists and not reply.chain):
        return None
    return next((record for record in reply.records if isinstance(record, SOA)), None)


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """One address of a name server, and what it said when asked for the SOA over UDP and over TCP."""

    server: str
    ip: IP
    udp: ServerReply
    tcp: ServerReply
    stale: bool = False  # an address that only the parent zone gives to that name

    @property
    def label(self) -> str:
        """The name that distinguishes it from the other servers."""
        return str(self) if self.stale else self.server

    def __str__(self) -> str:
        return f"{self.server} ({self.ip})"

    @property
    def good(self) -> bool:
        return self.word is ServerState.GOOD

    @property
    def version(self) -> int:
        return self.ip.version

    @property
    def passed_over(self) -> bool:
        return bool(self.udp.passed_over)

    @property
    def word(self) -> ServerState:
        """One good word is enough; without, the one that says most."""
        said = {word(self.udp), word(self.tcp)}
        return next(
            w
            for w in (ServerState.GOOD, ServerState.LAME, ServerState.UNKNOWN, ServerState.FAILING, ServerState.SILENT)
            if w in said
        )

    @property
    def soa(self) -> SOA | None:
        return soa(self.udp) or soa(self.tcp)

    @property
    def fault(self) -> ServerReply:
        """The reply that tells why it is not good."""
        return next(reply for reply in (self.udp, self.tcp) if word(reply) is self.word)

    @property
    def how(self) -> str:
        """What a lame or failing server did, as the end of "the server ..."."""
        reply = self.fault
        if reply.referral:
            return f"sends the asker to the servers of {reply.referral.zone}"
        if not reply.status.conclusive:
            return reply.detail.removeprefix(f"{self.ip} ") or str(reply.status)
        if reply.authoritative:
            return "says that there is no such zone"
        return "answers without authority, from what it heard elsewhere"


class ItemKind(StrEnum):
    NS = "NS"
    MX = "MX"
    SPF = "SPF"
    DMARC = "DMARC"
    DKIM = "DKIM"


class Item(NamedTuple):
    """Data that mail depends on, and that every server of the zone must have alike."""

    kind: ItemKind
    name: str

    @property
    def question(self) -> Question:
        return Question(self.name, str(self.kind) if self.kind in (ItemKind.NS, ItemKind.MX) else "TXT")

    def data(self, reply: ServerReply) -> tuple[str, ...] | None:
        """In an order of its own; None where there is none: at a zone cut, or without an answer."""
        if not reply.status.conclusive:
            return None
        if reply.chain:
            return (f"CNAME {reply.chain[0]}",)
        if self.kind is ItemKind.NS:
            return tuple(sorted(reply.names))
        if self.kind is ItemKind.MX:
            return tuple(sorted(f"{mx.preference} {mx.exchange}" for mx in reply.exchanges))
        texts = [record.text for record in reply.texts]
        if self.kind is ItemKind.SPF:
            texts = [text for text in texts if spf_record.is_spf(text)]
        elif self.kind is ItemKind.DMARC:
            texts = [text for text in texts if dmarc.is_record(text)]
        return tuple(sorted(text.decode("utf-8", "backslashreplace") for text in texts))


@dataclass(frozen=True, slots=True)
class Gathered:
    """One item as each of several servers has it. A name that one of them delegates away is nobody's here."""

    item: Item
    replies: tuple[ServerReply, ...]

    @property
    def unanswered(self) -> tuple[ServerReply, ...]:
        return tuple(r for r in self.replies if not r.status.conclusive and not self._cut(r))

    @property
    def without_authority(self) -> tuple[int, ...]:
        """The positions of servers that answered without authority. None if the name is delegated away."""
        if any(map(self._cut, self.replies)):
            return ()
        return tuple(
            at
            for at, reply in enumerate(self.replies)
            if reply.status.conclusive and not reply.authoritative and not reply.referral
        )

    @property
    def differ(self) -> bool:
        return len(self._data()) > 1 and not any(map(self._cut, self.replies))

    def shown(self, servers: Sequence[str]) -> str:
        """Which of the servers have what."""
        return "; ".join(
            f"{', '.join(map(_short, data)) or 'none'} at {', '.join(dict.fromkeys(servers[at] for at in where))}"
            for data, where in self._data().items()
        )

    def _data(self) -> dict[tuple[str, ...], list[int]]:
        found: dict[tuple[str, ...], list[int]] = {}
        for at, reply in enumerate(self.replies):
            data = self.item.data(reply)
            if data is not None:
                found.setdefault(data, []).append(at)
        return found

    def _cut(self, reply: ServerReply) -> bool:
        return reply.referral is not None and is_subdomain(self.item.name, reply.referral.zone)


def _short(text: str) -> str:
    """Keys differ at their ends."""
    return f'"{text}"' if len(text) <= 120 else f'"{text[:60]}…{text[-50:]}"'


class DnssecKey(NamedTuple):
    """By which a DS record means a DNSKEY: key tag and algorithm (RFC 4034 section 5.1)."""

    tag: int
    algorithm: int

    def __str__(self) -> str:
        return f"{self.tag} (algorithm {self.algorithm})"


def wanted_keys(ds: Iterable[object]) -> set[DnssecKey]:
    """Of DS records in presentation format, those that a validator heeds."""
    fields = (str(record).split() for record in ds)
    keys = {DnssecKey(int(f[0]), int(f[1])) for f in fields if len(f) > 3 and f[0].isdecimal() and f[1].isdecimal()}
    return {key for key in keys if key.algorithm in _KNOWN_ALGORITHMS}


def keys(dnskeys: Iterable[object]) -> set[DnssecKey]:
    """Of DNSKEY records in presentation format: flags, protocol, algorithm, key in base64."""
    found = set()
    for record in dnskeys:
        flags, protocol, algorithm, *material = str(record).split()
        try:
            key = base64.b64decode("".join(material), validate=True)
            rdata = int(flags).to_bytes(2) + bytes([int(protocol), int(algorithm)]) + key
        except (binascii.Error, ValueError, OverflowError):
            continue
        found.add(DnssecKey(_tag(rdata), int(algorithm)))
    return found


def _tag(rdata: bytes) -> int:
    """RFC 4034 appendix B."""
    total = sum(octet << 8 if at % 2 == 0 else octet for at, octet in enumerate(rdata))
    return (total + (total >> 16)) & 0xFFFF


def ends_soon(signature: Signature, now: float, margin: float) -> bool:
    """Servers that sign while they answer make signatures of a day or two: a quarter of such a life is enough."""
    return signature.ends - now < min(margin, (signature.ends - signature.begins) / 4)
