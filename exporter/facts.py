"""The facts that a check yields: Finding, Sample, Record and Doubt; and how a check declares its rules and metrics."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, TypeAlias

from exporter.remedies import NOTHING, Remedy
from exporter.text import listed, printable

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
    """Why a run had no conclusive result, in order of precedence. The list is closed, because it is a label value."""

    BUG = "bug"
    PENDING = "pending"
    LOCAL_RESOURCES = "local_resources"
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
    def from_here(self) -> bool:
        """Is its cause where the exporter runs? Then it affects many targets at once."""
        return self in (Reason.EGRESS, Reason.BLOCKLIST_UNHEALTHY, Reason.RATE_LIMITED, Reason.LOCAL_RESOURCES)

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
    """A question got no usable answer, and the run cannot go on without it. A check never catches this."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {printable(detail)}")
        self.reason = reason
        self.detail = printable(detail)


class Dead(StrEnum):
    """What a finding proves to be dead, so that other findings about the domain are consequences: a label value."""

    DOMAIN = "domain"  # it does not exist: what else is wrong with it follows from that
    ZONE = "zone"  # its data cannot be had, or not by everybody: not knowing follows; what is found wrong is wrong


# Evidence that says what has to change: the name of a record, and what serves it. The first that a rule has counts.
CAUSES = ("name", "place", "helo", "host", "mail_host", "zone", "url")


class Known(Protocol):
    """What is held besides the findings that are to be repaired. Nobody is asked."""

    def texts(self, record: str) -> tuple[str, ...] | None:
        """All texts of the Record of that name, as published. None: they are not known, or not as a whole."""

    def findings(self, about: str) -> Sequence[Finding]:
        """The active findings whose evidence says that their name, domain or helo is this one."""

    def senders(self, mail_from: str) -> tuple[Sequence[IP], Sequence[str]]:
        """Who is configured to send with this envelope domain: addresses, and names of policies to include."""

    def shared_include(self, addresses: Collection[IP]) -> tuple[str, int] | None:
        """The policy by whose include other domains let all these addresses pass, and how many domains do."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing that can be wrong, declared once. To call it with its evidence makes a Finding.

    `says` states the fact about the target, `why` says what it does to mail, and `fix` is one imperative sentence.
    Evidence stands in braces in `says` and `fix`. `ref` names the source. `refusals` quotes what receivers answer
    because of it. `subjects` are the keys of the evidence that become labels of the finding's series.

    `cause` are the keys of the evidence that say what has to change: the findings that agree in them are one problem.
    Without it, it is the first of CAUSES that is evidence, and else the target. `merged` writes the fix of the
    findings of one problem; without it, or if it has nothing to say, the evidence in which they differ is listed.
    `remedy` makes records and settings of the same findings.

    For alerts: `implies` says what is dead if the finding is active. `doubts` means that results from the same
    resolver or blocklist are not reliable meanwhile.
    A rule is `certain` if its check has looked several times before it says so: it needs no confirmation.
    """

    id: str
    severity: Severity
    says: str
    why: str
    fix: str
    ref: str
    refusals: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    implies: Dead | None = None
    doubts: bool = False
    certain: bool = False
    cause: tuple[str, ...] | None = None
    merged: Callable[[Sequence[Finding], Known], str] | None = field(default=None, repr=False)
    remedy: Callable[[Sequence[Finding], Known], Remedy] | None = field(default=None, repr=False)
    fields: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {f for text in (self.says, self.fix) for _, f, _, _ in string.Formatter().parse(text) if f}
        object.__setattr__(self, "fields", frozenset(named | set(self.subjects)))
        if self.cause is None:
            first = next((name for name in CAUSES if name in self.fields), None)
            object.__setattr__(self, "cause", (first,) if first else None)
        elif unknown := set(self.cause) - self.fields:
            raise TypeError(f"{self.id}: no evidence is called {', '.join(sorted(unknown))}")

    def text_of(self, findings: Sequence[Finding]) -> str:
        """The fact that several findings of this rule state, in one clause."""
        return self.says.format_map(_joined(findings))

    def fix_of(self, findings: Sequence[Finding], known: Known) -> str:
        """One fix for all these findings of this rule."""
        merged = self.merged(findings, known) if self.merged else ""
        return merged or self.fix.format_map(_joined(findings))

    def remedy_of(self, findings: Sequence[Finding], known: Known) -> Remedy:
        """What repairs several findings of this rule, as data; there may be nothing that is certain enough."""
        made = self.remedy(findings, known) if self.remedy else NOTHING
        # Beside an alias there can be no other record (RFC 1034 section 3.6.2); what it leads to is not ours.
        sound = all(it.plain and not known.texts(f"{it.name} CNAME") for it in made.records)
        return made if sound else NOTHING

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
        """The labels in which findings of the same rule on the same target differ."""
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


def _joined(findings: Sequence[Finding]) -> dict[str, str]:
    """The evidence of all of them. Of values that differ, the first few are listed."""
    values: dict[str, dict[str, None]] = {}
    for finding in findings:
        for name, value in finding.evidence:
            values.setdefault(name, {})[value] = None
    return {name: listed(of) for name, of in values.items()}


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question that got no usable answer, and which findings it leaves open: all, unless `over` names some.

    The findings that a doubt leaves open stay as they were. All others have been decided by the run. A rule can be left
    open for some evidence alone: `doubt.over(MISSING, name="example.com")`. Two doubts are equal if a person reads the
    same.
    """

    reason: Reason
    detail: str  # safe to show
    # Rule ids, and evidence that must agree.
    left_open: tuple[tuple[str, Labels], ...] | None = field(default=None, compare=False)
    # In the same form: what is not left open, even if `left_open` names it. An empty id means every rule.
    answered: tuple[tuple[str, Labels], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(self.detail))

    def over(self, *rules: Rule, **evidence: object) -> Doubt:
        """The same doubt, but it also leaves open these rules (only with this evidence, if there is some).

        The first call replaces "everything" by these rules. So `over()` without a rule leaves nothing open.
        """
        return replace(self, left_open=(*(self.left_open or ()), *(_about(rule, evidence) for rule in rules)))

    def but(self, rule: Rule, **evidence: object) -> Doubt:
        """The same doubt, but findings of this rule with this evidence are not left open: they were answered."""
        return replace(self, answered=(*self.answered, _about(rule, evidence)))

    def sparing(self, **evidence: object) -> Doubt:
        """The same doubt, but no finding with this evidence is left open: a question of its own was answered."""
        return replace(self, answered=(*self.answered, ("", _labels(evidence))))

    def leaves_open(self, finding: Finding) -> bool:
        """Could the missing answer have changed this finding?"""
        if any(_matches(finding, it) for it in self.answered):
            return False
        return self.left_open is None or any(_matches(finding, it) for it in self.left_open)

    def singles_out(self, finding: Finding) -> bool:
        """Does it leave open this finding, but not others with the same labels? It names evidence that is no label."""
        return any(_matches(finding, it) and not set(it[1]) <= set(finding.subject) for it in self.left_open or ())


def _about(rule: Rule, evidence: Mapping[str, object]) -> tuple[str, Labels]:
    if unknown := evidence.keys() - rule.fields:
        raise TypeError(f"{rule.id} has no evidence called {', '.join(sorted(unknown))}")
    return rule.id, _labels(evidence)


def _labels(evidence: Mapping[str, object]) -> Labels:
    return tuple((name, printable(value)) for name, value in sorted(evidence.items()))


def _matches(finding: Finding, about: tuple[str, Labels]) -> bool:
    rule, labels = about
    return rule in ("", finding.id) and set(labels) <= set(finding.evidence)


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The check wants to run again in so many seconds, because it can decide more then."""

    seconds: float


def worst(doubts: Iterable[Doubt]) -> Doubt | None:
    """The doubt to show to people: the first by precedence, and the earliest one if several have the same reason."""
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
        return shared_sample(self, float(value), tuple(labels.items()))


@dataclass(frozen=True, slots=True)
class Sample:
    metric: Metric
    value: float
    labels: Labels = ()


shared_sample = lru_cache(4096)(Sample)  # equal ones are one object: a fleet measures few different numbers


@dataclass(frozen=True, slots=True)
class Measured:
    """The question of this metric was answered: its samples of this run count, or their absence, even beside a doubt.

    Without it, a run in doubt changes no sample, because a number may rest on what was not answered.
    """

    metric: Metric


@dataclass(frozen=True, slots=True)
class Record:
    """What is published under one name, as people read it. Its changes are remembered. No texts: nothing is published.

    Long texts are cut, so `digest` shows whether two records with the same texts differ. A question without an answer
    makes no Record.
    """

    name: str
    texts: tuple[str, ...]
    digest: str

    @classmethod
    def of(cls, name: str, texts: Iterable[str | bytes]) -> Record:
        """`name` says where and what (`_dmarc.example.com TXT`); the order of the texts means nothing."""
        octets = sorted([text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in texts])
        digest = hashlib.sha256(b"".join([len(text).to_bytes(4, "big") + text for text in octets])).hexdigest()[:32]
        shown = [text.decode("utf-8", "backslashreplace") for text in octets[:RECORD_TEXTS]]
        return cls(name, tuple([printable(text, RECORD_LIMIT) for text in shown]), digest)
