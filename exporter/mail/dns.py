r"""The words of DNS: what is asked, and the closed set of things that can come back (RFC 1034, 1035, 2308).

A resolver either *answers* or it does not. NXDOMAIN ("no such name") and NODATA ("the name exists, but has
no record of this type", RFC 2308 section 2.2) are answers: they prove absence. SERVFAIL, REFUSED, a
timeout or a mangled packet prove nothing, and a checker that folds them into "absent" pages people for its
own resolver's troubles. The two are therefore different in kind here: `Status.conclusive`.

Names are text in presentation format (RFC 1035 section 5.1), lower case, absolute, without the trailing
dot; a dot or any octet outside printable ASCII *inside* a label is escaped as `\.` or `\DDD`. The root is ".".
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias, TypeVar

from exporter.facts import Doubt, Reason


class Status(StrEnum):
    ANSWER = "answer"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    NETWORK = "network"  # no nameserver could be reached at all
    MALFORMED = "malformed"  # answers that cannot be parsed, or are over our size and label budget
    TRUNCATED = "truncated"  # TC over UDP and nothing better over TCP
    BOGUS = "bogus"  # the resolver refuses on DNSSEC grounds (RFC 4035 section 5.5)
    RATE_LIMITED = "rate_limited"  # our own pace did not let the question out in time
    LOCAL_RESOURCES = "local_resources"  # this machine lacks files, memory or ports to ask with

    @property
    def conclusive(self) -> bool:
        return self in _CONCLUSIVE

    @property
    def reason(self) -> Reason:
        """Why nothing is known; KeyError for a conclusive status."""
        return _REASONS[self]


_CONCLUSIVE = frozenset({Status.ANSWER, Status.NODATA, Status.NXDOMAIN})
_REASONS = {
    Status.SERVFAIL: Reason.DNS_SERVFAIL,
    Status.REFUSED: Reason.DNS_REFUSED,
    Status.TIMEOUT: Reason.DNS_TIMEOUT,
    Status.NETWORK: Reason.NETWORK,
    Status.MALFORMED: Reason.MALFORMED,
    Status.TRUNCATED: Reason.TRUNCATED,
    Status.BOGUS: Reason.BOGUS,
    Status.RATE_LIMITED: Reason.RATE_LIMITED,
    Status.LOCAL_RESOURCES: Reason.LOCAL_RESOURCES,
}


class Question(NamedTuple):
    name: str
    rdtype: str  # "A", "MX", "TXT", ...

    def __str__(self) -> str:
        return f"{self.name} {self.rdtype}"


class MX(NamedTuple):
    preference: int
    exchange: str  # "." in a null MX (RFC 7505)


class TXT(NamedTuple):
    """Of the types TXT and SPF (RFC 7208 section 14.1), whose data are alike."""

    strings: tuple[bytes, ...]

    @property
    def text(self) -> bytes:
        """The strings concatenated without spaces (RFC 7208 section 3.3, RFC 6376 section 3.6.2.2)."""
        return b"".join(self.strings)


class SOA(NamedTuple):
    mname: str
    rname: str
    serial: int
    refresh: int = 0  # seconds after which a secondary server looks for a new serial


class TLSA(NamedTuple):
    """RFC 6698 section 2.1; `data` is a certificate or a key, whole or its digest."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


_ADDRESSES = IPv4Address, IPv6Address
Rdata: TypeAlias = IPv4Address | IPv6Address | MX | TXT | SOA | TLSA | str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one question, from the resolver's last word to the facts a person will want to see."""

    question: Question
    status: Status
    records: tuple[Rdata, ...] = ()
    chain: tuple[str, ...] = ()  # the CNAME targets followed to get there, in order
    ttl: int = 0  # seconds; of the answer, or of the negative answer
    authenticated: bool = False  # AD: the resolver validated it (RFC 4035 section 3.2.3)
    extended_errors: tuple[str, ...] = ()  # RFC 8914
    server: str = ""
    transport: str = ""  # "udp", "tcp", "cache"
    seconds: float = 0.0
    detail: str = ""  # why it is not conclusive, for a person

    @property
    def doubt(self) -> Doubt | None:
        """Why it says nothing; None where it is conclusive."""
        if self.status.conclusive:
            return None
        return Doubt(self.status.reason, f"{self.question}: {self.detail or self.status}")

    @property
    def exists(self) -> bool:
        return self.status is Status.ANSWER

    @property
    def void(self) -> bool:
        """A conclusive answer without records: what RFC 7208 section 4.6.4 calls a void lookup."""
        return self.status in (Status.NODATA, Status.NXDOMAIN)

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        return tuple([r for r in self.records if isinstance(r, _ADDRESSES)])

    @property
    def names(self) -> tuple[str, ...]:
        """The targets of PTR, NS or CNAME records."""
        return tuple([r for r in self.records if isinstance(r, str)])

    @property
    def exchanges(self) -> tuple[MX, ...]:
        return tuple([r for r in self.records if isinstance(r, MX)])

    @property
    def texts(self) -> tuple[TXT, ...]:
        return tuple([r for r in self.records if isinstance(r, TXT)])

    @property
    def associations(self) -> tuple[TLSA, ...]:
        return tuple([r for r in self.records if isinstance(r, TLSA)])


class Referral(NamedTuple):
    """The NS records of a zone that a server sends the asker to, with the addresses it adds to them (glue)."""

    zone: str
    nameservers: tuple[str, ...]
    glue: tuple[tuple[str, IPv4Address | IPv6Address], ...] = ()


class Signature(NamedTuple):
    """Between which unix seconds a signature is good (RFC 4034 section 3.1.5)."""

    begins: int
    ends: int


def doubts(*replies: Reply | None) -> Iterator[Doubt]:
    """One for each of these replies that says nothing."""
    for reply in replies:
        if reply and reply.doubt:
            yield reply.doubt


@dataclass(frozen=True, slots=True)
class ServerReply(Reply):
    """What one server of a zone itself said, asked without recursion.

    `passed_over` says why it was not asked at all; the status is NETWORK then.
    """

    authoritative: bool = False  # AA (RFC 1035 section 4.1.1): it speaks from the zone, not from hearsay
    referral: Referral | None = None
    signature: Signature | None = None  # the answer's; of several, the one that is good for longest
    passed_over: str = ""


T = TypeVar("T")
Evaluation: TypeAlias = Generator[Question, Reply, T]


def once(evaluation: Evaluation[T], replies: dict[Question, Reply]) -> Evaluation[T]:
    """The evaluation, without the questions that were answered before; `replies` takes those of the others."""
    try:
        question = next(evaluation)
        while True:
            if question not in replies:
                replies[question] = yield question
            question = evaluation.send(replies[question])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # StopIteration carries it untyped
