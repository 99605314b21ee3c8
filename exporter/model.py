"""The types that everything shares: a Target is judged, a Check asks one question about it, a run makes an Outcome.

A check declares what it needs, and yields facts: findings, samples, records, doubts, and targets that it has found. It
yields a Doubt if the world gives no usable answer, and raises CannotTell if it cannot go on. Any other exception is a
bug of ours, never a verdict about somebody's mail.

The verdict follows Kleene's logic. If a fault is proven, the verdict is fail, whatever else is in doubt. If no fault is
proven but there is a doubt, the verdict is unknown.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from exporter.facts import Doubt, Finding, Labels, LookAgain, Measured, Metric, Record, Sample, Verdict, worst

Given = TypeVar("Given", bound="Options")

# What a series can say of its target, in the order in which people read it; each kind of target has some of these.
TARGET_LABELS = ("domain", "sender", "ip", "selector", "mail_host", "mail_port", "blocklist")
IDENTITY_LABELS = ("check", *TARGET_LABELS)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question that a run asked, and the answer, as people see them."""

    asked: str
    got: tuple[str, ...]
    via: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A finding the operator has decided to live with, for a while or for good.

    `by` is who acknowledged it on a page or by a command; empty if nobody had to say. None: the configuration says so.
    """

    finding: str
    until: float | None  # unix seconds; None = no end
    reason: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Configuration keys of one check, below `checks: {ID: {...}}`. The check's file defines a subclass.

    A field is a bool or a tuple of domains, and is made by `option`. For a bool, the value in an entry has precedence
    over the general one. Domains in an entry are added to the general ones.
    """


def option(default: Any, says: str) -> Any:
    """A field of Options; `says` is its meaning for a person who writes a configuration."""
    return field(default=default, metadata={"says": says})


def _key(identity: Labels) -> str:
    return ",".join(f"{name}={value}" for name, value in identity)


def _title(identity: Labels) -> str:
    return " ".join(value for _, value in identity)


@dataclass(frozen=True, slots=True)
class TargetId:
    """The identity of a target, for code that only refers to it."""

    identity: Labels
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", _key(self.identity))

    @property
    def title(self) -> str:
        return _title(self.identity)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What checks judge. `labels` are the operator's own, `off` are the ids of the checks that are off for it.

    Each kind of target declares its identity labels, and a noun that says which targets there are.
    """

    LABELS: ClassVar[tuple[str, ...]] = ()
    ONE_OF_LABELS: ClassVar[bool] = False  # a target of this kind has one of them, or else it has all
    NOUN: ClassVar[str] = ""
    KIND: ClassVar[str] = ""  # what people call it, as a label value; several classes may say the same

    labels: Labels = ()
    off: frozenset[str] = frozenset()
    accept: tuple[Acceptance, ...] = ()
    options: tuple[Options, ...] = ()  # what is configured for single checks, where it is not their default
    rests_on: tuple[TargetId, ...] = ()  # the targets whose results decide about this one
    likely: bool = False  # it was found, and nobody has said that it sends: what is wrong with it never counts

    @property
    def identity(self) -> Labels:
        """The identity labels, in canonical form. With the check they identify a verdict, for ever."""
        return tuple(
            (label, str(name)) for label, name in zip(self.LABELS, self._names(), strict=True) if name is not None
        )

    def _names(self) -> tuple[object, ...]:
        """The value of each of LABELS, in their order; None if this target does not have that label."""
        raise NotImplementedError  # every kind of target in targets.py says who it is

    @classmethod
    def identities(cls) -> tuple[tuple[str, ...], ...]:
        """The labels of one target, in each way that this kind has."""
        return tuple((label,) for label in cls.LABELS) if cls.ONE_OF_LABELS else (cls.LABELS,)

    @cached_property
    def key(self) -> str:
        return _key(self.identity)

    @property
    def title(self) -> str:
        return _title(self.identity)

    @property
    def kind(self) -> str:
        return self.KIND

    def option(self, kind: type[Given]) -> Given:
        """The configured options of the check that declares this kind."""
        return next((given for given in self.options if isinstance(given, kind)), kind())


Fact: TypeAlias = Finding | Sample | Measured | Record | Doubt | LookAgain | Target
Facts: TypeAlias = AsyncGenerator[Fact | Iterable[Fact], None]
Run: TypeAlias = Callable[[Any, Any], Facts]


class Door(StrEnum):
    """A client, besides the DNS resolver, that a check may need."""

    NAMESERVERS = "nameservers"  # the servers of a zone, each by itself
    SMTP = "smtp"  # mail hosts, to whom we give a name of our own
    EHLO = "ehlo"  # mail hosts of others, to whom we give the name of a sender
    HTTPS = "https"
    RDAP = "rdap"
    BLOCKLISTS = "blocklists"


class Light(StrEnum):
    """What people ask first of the mail of a domain or an address, in the order in which pages show it."""

    PTR = "PTR"
    HELO = "HELO"
    SPF = "SPF"
    DKIM = "DKIM"
    DMARC = "DMARC"
    BLOCKLISTS = "Blocklists"
    TLS = "TLS"
    RECEIVERS = "Receivers"


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one kind of target, asked once in an interval (None: the configured default).

    `needs` are the clients that every run uses, `may_need` those that some runs use. `finds` are the kinds of target
    that it may yield. `after` are the checks whose results it reads: when their findings about a target change, it runs
    again. A check that `concludes` only combines results. It waits until the others have run, and runs again when
    their doubts change, too. `light` is what it answers a part of. A check that `proves` nothing can make its
    light worse, but not good. `questions` is how many DNS questions a run asks if all is well, besides those of
    blocklists. Those are asked once in `lists_every` for one name, if that is longer than the interval.
    """

    id: str
    question: str
    over: tuple[type[Target], ...]
    interval: timedelta | None
    timeout: timedelta
    run: Run
    min_interval: timedelta = timedelta(seconds=1)  # between two runs, whatever is configured
    needs: frozenset[Door] = frozenset()
    may_need: frozenset[Door] = frozenset()
    finds: tuple[type[Target], ...] = ()
    after: frozenset[str] = frozenset()
    concludes: bool = False
    options: type[Options] | None = None
    light: Light | None = None
    proves: bool = True
    questions: int = 0
    lists_every: timedelta = timedelta(0)

    @property
    def asks_dns_alone(self) -> bool:
        """Does it visit nobody, so that it may look again at any time?"""
        return self.doors <= {Door.NAMESERVERS, Door.BLOCKLISTS}

    @property
    def doors(self) -> frozenset[Door]:
        """All clients that it may use."""
        return self.needs | self.may_need


def check(
    *,
    over: type[Target] | tuple[type[Target], ...],
    interval: timedelta | None = None,
    timeout: timedelta = timedelta(seconds=60),
    min_interval: timedelta = timedelta(seconds=1),
    needs: Iterable[Door] = (),
    may_need: Iterable[Door] = (),
    finds: Iterable[type[Target]] = (),
    after: Iterable[str] = (),
    concludes: bool = False,
    options: type[Options] | None = None,
    light: Light | None = None,
    proves: bool = True,
    questions: int = 0,
    lists_every: timedelta = timedelta(0),
) -> Callable[[Run], Check]:
    """Make a Check of an async generator `(target, net)`; its docstring's first line is the question."""

    def declare(run: Run) -> Check:
        question = (run.__doc__ or "").strip().partition("\n")[0]
        kinds = over if isinstance(over, tuple) else (over,)
        return Check(
            id=run.__name__,
            question=question,
            over=kinds,
            interval=interval,
            timeout=timeout,
            run=run,
            min_interval=min_interval,
            needs=frozenset(needs),
            may_need=frozenset(may_need),
            finds=tuple(finds),
            after=frozenset(after),
            concludes=concludes,
            options=options,
            light=light,
            proves=proves,
            questions=questions,
            lists_every=lists_every,
        )

    return declare


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run. `started` is unix seconds, `duration` seconds."""

    check: Check
    target: Target
    findings: tuple[Finding, ...]
    samples: tuple[Sample, ...]
    doubts: tuple[Doubt, ...]
    transcript: tuple[Exchange, ...]
    started: float
    duration: float
    records: tuple[Record, ...] = ()
    found: tuple[Target, ...] = ()
    again: float | None = None  # seconds after which the check wants to look once more
    measured: frozenset[Metric] = frozenset()  # whose samples count even beside a doubt

    @property
    def doubt(self) -> Doubt | None:
        """The doubt to show to people."""
        return worst(self.doubts) if self.doubts else None

    def leaves_open(self, finding: Finding) -> bool:
        """Does this run neither confirm nor refute this finding of an earlier run?"""
        return any(doubt.leaves_open(finding) for doubt in self.doubts)

    def singles_out(self, finding: Finding) -> bool:
        """Is this earlier finding left open, even if the run has made a finding with the same rule and labels?"""
        return any(d.singles_out(finding) and not any(map(d.singles_out, self.findings)) for d in self.doubts)

    @property
    def verdict(self) -> Verdict:
        if any(f.severity.fails for f in self.findings):
            return Verdict.FAIL
        return Verdict.UNKNOWN if self.doubts else Verdict.PASS


class StandingFinding(Protocol):
    """What another check may see of an active finding."""

    @property
    def finding(self) -> Finding: ...


class OtherResult(Protocol):
    """What another check may see of a result: nothing that each run moves. So it can tell whether that is the same."""

    @property
    def findings(self) -> Sequence[StandingFinding]: ...
    @property
    def doubt(self) -> Doubt | None: ...
