"""The facts that a check yields: Finding, Sample, Record and Doubt; and how a check declares its rules and metrics."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from exporter.text import printable

IP: TypeAlias = IPv4Address | IPv6Address
Labels: TypeAlias = tuple[tuple[str, str], ...]

RECORD_LIMIT = 2048  # characters of each text of a record whose changes are kept
RECORD_TEXTS = 20  # of one record


class Severity(StrEnum):
    """CRITICAL: mail is being refused. WARNING: it will be, or is distrusted. INFO: never fails a check."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def fails(self) -> bool:
        return self is not Severity.INFO


class Reason(StrEnum):
    """Why a run could not tell: a closed list, since it is a label value. In order of precedence."""

    BUG = "bug"
    PENDING = "pending"
    DEADLINE = "deadline"
    RATE_LIMITED = "rate_limited"
    BLOCKLIST_UNHEALTHY = "blocklist_unhealthy"
    EGRESS = "egress"
    BOGUS = "bogus"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    DNS_SERVFAIL = "dns_servfail"
    DNS_REFUSED = "dns_refused"
    DNS_TIMEOUT = "dns_timeout"
    NETWORK = "network"
    TEMPFAIL = "tempfail"

    @property
    def rank(self) -> int:
        """Its place in the order of precedence, the first is 0."""
        return _RANKS[self]


_RANKS = {reason: rank for rank, reason in enumerate(Reason)}


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"
    UNKNOWN = "unknown"


class CannotTell(Exception):  # noqa: N818 (a noun of the house; it is no error of anybody's)
    """The question got no usable answer, and the run cannot go on without. Never caught in a check."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {printable(detail)}")
        self.reason = reason
        self.detail = printable(detail)


class Dead(StrEnum):
    """What a finding proves to be dead, so that other trouble of the same domain follows from it: a label value."""

    DOMAIN = "domain"  # it does not exist: what else is wrong with it follows from that
    ZONE = "zone"  # its data cannot be had, or not by everybody: not knowing follows; what is found wrong is wrong


@dataclass(frozen=True, slots=True)
class Expiry:
    """What ends at a known time: the metric says when. The threshold `NOUN_days` says how long before it is told of."""

    noun: str
    metric: Metric


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing that can be wrong, declared once; calling it with its evidence makes a Finding.

    `says` states the fact about the target with evidence in braces, `why` what it does to mail, `fix`
    is one imperative sentence (braces too), `ref` names the source. `refusals` quotes what receivers
    answer because of it. `subjects` are evidence keys that become labels of the finding's series.

    For whoever is alerted: `expiry` has a threshold in place of an age, `implies` says what follows from it for the
    domain, and `doubts` that what others found by the same resolver or blocklist cannot be believed meanwhile.
    """

    id: str
    severity: Severity
    says: str
    why: str
    fix: str
    ref: str
    refusals: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    expiry: Expiry | None = None
    implies: Dead | None = None
    doubts: bool = False
    fields: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {f for text in (self.says, self.fix) for _, f, _, _ in string.Formatter().parse(text) if f}
        object.__setattr__(self, "fields", frozenset(named | set(self.subjects)))

    def __call__(self, *, severity: Severity | None = None, **evidence: object) -> Finding:
        """Raise TypeError if the evidence is not exactly what the sentences name: that is our bug."""
        if evidence.keys() != self.fields:
            wrong = sorted(evidence.keys() ^ self.fields)
            raise TypeError(f"{self.id}: evidence and sentence disagree about {', '.join(wrong)}")
        shown = tuple((name, printable(value)) for name, value in sorted(evidence.items()))
        return Finding(self, shown, severity or self.severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """A Rule that applies now, with its evidence."""

    rule: Rule
    evidence: Labels
    severity: Severity

    @property
    def id(self) -> str:
        return self.rule.id

    @property
    def subject(self) -> Labels:
        """The labels that tell this finding from another of the same rule on the same target."""
        return tuple((k, v) for k, v in self.evidence if k in self.rule.subjects)

    @property
    def key(self) -> tuple[str, Labels]:
        return self.rule.id, self.subject

    @property
    def text(self) -> str:
        return self.rule.says.format_map(dict(self.evidence))

    @property
    def fix(self) -> str:
        return self.rule.fix.format_map(dict(self.evidence))


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question that got no usable answer, and what that leaves open: the whole run, unless `over` names less.

    Findings that a doubt leaves open are kept as they were; what it does not leave open has been answered.
    """

    reason: Reason
    detail: str  # safe to show
    left_open: tuple[tuple[str, Labels], ...] | None = None  # rule ids, and subject labels that must agree

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(self.detail))

    def over(self, rule: Rule, **subject: object) -> Doubt:
        """The same doubt, leaving open this rule (of this subject alone, if one is given), and what it did before."""
        labels = tuple((name, printable(value)) for name, value in sorted(subject.items()))
        return replace(self, left_open=(*(self.left_open or ()), (rule.id, labels)))

    def leaves_open(self, finding: Finding) -> bool:
        """Does it stand between us and the answer to this finding's question?"""
        if self.left_open is None:
            return True
        return any(rule == finding.id and set(labels) <= set(finding.subject) for rule, labels in self.left_open)


def worst(doubts: Iterable[Doubt]) -> Doubt | None:
    """The one that a person is told: the first by precedence, and of the same reason the earliest."""
    return min(doubts, key=lambda doubt: doubt.reason.rank, default=None)


@dataclass(frozen=True, slots=True)
class Metric:
    """A number worth graphing, declared once; calling it makes a Sample. `labels` name the extra ones."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def __call__(self, value: float, **labels: str) -> Sample:
        if tuple(labels) != self.labels:
            raise TypeError(f"{self.name}: wants the labels {self.labels}, got {tuple(labels)}")
        return Sample(self, float(value), tuple(labels.items()))


@dataclass(frozen=True, slots=True)
class Sample:
    metric: Metric
    value: float
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What is published under one name, as a person reads it: a fact whose changes are remembered. No texts: nothing.

    `digest` tells two records apart whose shown texts are cut alike. Only what was answered is a Record; a question
    without an answer makes none.
    """

    name: str
    texts: tuple[str, ...]
    digest: str

    @classmethod
    def of(cls, name: str, texts: Iterable[str | bytes]) -> Record:
        """`name` says where and what (`_dmarc.example.com TXT`); the order of the texts means nothing."""
        octets = sorted(text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts)
        digest = hashlib.sha256(b"".join(len(text).to_bytes(4, "big") + text for text in octets)).hexdigest()[:32]
        shown = tuple(
            printable(text.decode("utf-8", "backslashreplace"), RECORD_LIMIT) for text in octets[:RECORD_TEXTS]
        )
        return cls(name, shown, digest)
