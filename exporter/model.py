"""The nouns of the house: Target, Check, Rule, Finding, Measure, CannotTell, Outcome.

A check is one question about one kind of target. It yields facts (a Finding, a Reading) and raises
CannotTell when the world gives no usable answer. Any other exception is our own bug and never a
verdict about somebody's mail. The verdict follows Kleene's logic: proven bad stays bad, unproven good
is unknown.
"""

from __future__ import annotations

import hashlib
import string
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol, TypeAlias

from exporter.text import printable

IP: TypeAlias = IPv4Address | IPv6Address
Labels: TypeAlias = tuple[tuple[str, str], ...]

IDENTITY_LABELS = ("check", "domain", "sender", "ip", "selector", "mail_host", "mail_port", "blocklist")
RECORD_LIMIT = 2048  # characters of each text of a record whose changes are kept
RECORD_TEXTS = 20  # of one record
CHANGES_KEPT = 5  # of one record: enough for a story, and a record that flaps stays small


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


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"
    UNKNOWN = "unknown"


class CannotTell(Exception):  # noqa: N818 (a noun of the house; it is no error of anybody's)
    """The question got no usable answer. Raised by the network layer, never caught in a check."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {printable(detail)}")
        self.reason = reason
        self.detail = printable(detail)


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing that can be wrong, declared once; calling it with its evidence makes a Finding.

    `says` states the fact about the target with evidence in braces, `why` what it does to mail, `fix`
    is one imperative sentence (braces too), `ref` names the source. `refusals` quotes what receivers
    answer because of it. `subjects` are evidence keys that become labels of the finding's series.
    """

    id: str
    severity: Severity
    says: str
    why: str
    fix: str
    ref: str
    refusals: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
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
class Metric:
    """A number worth graphing, declared once; calling it makes a Reading. `labels` name the extra ones."""

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


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record taking another's place. `at` is when it was first seen, in unix seconds."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """A Record as it is now, since when it has been seen so (unix seconds), and its latest changes, newest first."""

    record: Record
    since: float
    changes: tuple[RecordChange, ...] = ()

    def now(self, record: Record, at: float) -> RecordHistory:
        """With what is published at this moment."""
        if record.digest == self.record.digest:
            return self
        change = RecordChange(self.record.texts, record.texts, at)
        return RecordHistory(record, at, (change, *self.changes[: CHANGES_KEPT - 1]))


Fact: TypeAlias = Finding | Sample | Record


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question put to the world and what came back, as shown to a person."""

    asked: str
    got: tuple[str, ...]
    via: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A finding the operator has decided to live with, for a while or for good."""

    finding: str
    until: float | None  # unix seconds; None = no end
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who is judged. `labels` are the operator's own, `off` the ids of the checks switched off here."""

    labels: Labels = ()
    off: frozenset[str] = frozenset()
    accept: tuple[Acceptance, ...] = ()

    @property
    def identity(self) -> Labels:
        """The identity labels, canonical; together with the check they name one verdict for ever."""
        raise NotImplementedError  # every kind of target in targets.py says who it is

    @property
    def key(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.identity)

    @property
    def title(self) -> str:
        return " ".join(value for _, value in self.identity)


class Clock(Protocol):
    """Wall time is for what is shown, monotonic time for everything that waits."""

    def wall(self) -> float: ...
    def monotonic(self) -> float: ...


class SystemClock:
    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


Facts: TypeAlias = AsyncGenerator[Fact, None]
Run: TypeAlias = Callable[[Any, Any], Facts]


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one kind of target, asked every so often (None: the configured default)."""

    id: str
    question: str
    over: tuple[type[Target], ...]
    interval: timedelta | None
    timeout: timedelta
    run: Run
    min_interval: timedelta = timedelta(seconds=1)  # between two runs, whatever is configured


def check(
    *,
    over: type[Target] | tuple[type[Target], ...],
    interval: timedelta | None = None,
    timeout: timedelta = timedelta(seconds=60),
    min_interval: timedelta = timedelta(seconds=1),
) -> Callable[[Run], Check]:
    """Make a Check of an async generator `(target, net)`; its docstring's first line is the question."""

    def declare(run: Run) -> Check:
        question = (run.__doc__ or "").strip().partition("\n")[0]
        kinds = over if isinstance(over, tuple) else (over,)
        return Check(run.__name__, question, kinds, interval, timeout, run, min_interval)

    return declare


@dataclass(frozen=True, slots=True)
class Doubt:
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is held of one check of one target: the findings that stand, the doubt of its latest run, its records."""

    findings: tuple[Finding, ...]
    doubt: Doubt | None
    records: tuple[RecordHistory, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run said. `started` is unix seconds, `duration` seconds."""

    check: Check
    target: Target
    findings: tuple[Finding, ...]
    samples: tuple[Sample, ...]
    doubt: Doubt | None
    transcript: tuple[Exchange, ...]
    started: float
    duration: float
    records: tuple[Record, ...] = ()

    @property
    def verdict(self) -> Verdict:
        if any(f.severity.fails for f in self.findings):
            return Verdict.FAIL
        return Verdict.UNKNOWN if self.doubt else Verdict.PASS


async def any_of(questions: Iterable[Awaitable[bool]]) -> bool:
    """True if one is true, whatever happened to the others; the first doubt is raised only if none is.

    The loop of iprev (RFC 8601 section 2.7.3), said once. All are asked, in order.
    """
    doubt: CannotTell | None = None
    found = False
    for question in questions:
        try:
            found = await question or found
        except CannotTell as could_not:
            doubt = doubt or could_not
    if doubt and not found:
        raise doubt
    return found
