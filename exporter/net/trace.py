"""What the result of one run rests on, so that a later look can tell whether it still holds without evaluating anew.

The problem: records seldom change. To evaluate the same answers again and again costs a fleet most of its time.

The idea: a verifying trace. A run notes what it asked, and a digest of the very answers that it got. Later the same
questions are asked again. If all answers are the same, so is the result.

Why that is sound. A check is a function of its target and of what `Net` gives it, in the order in which it asks. Each
later question depends on the answers before it. So if every answer that the run used comes again, then a run now would
ask the same questions one after the other, get the same answers, and yield the same facts. The digests are those of the
answers that the evaluation itself used, from the cache or not. A change at any moment after such an answer, even while
the run went on, therefore shows when its question is next asked: nothing is compared with a second asking.

The rules:

- A run has a trace only if all that it used can be compared: plain questions to DNS with conclusive answers, what it
  read of results of ours (`read`, `other`), and the wall clock as far as it asked for whole days (`between`).
- Whatever else it uses takes its trace away (`beyond`). `Net` says so by itself: no check declares anything.
- The digest has all that a check can see of an answer but its TTL, its server and how long it took. Checks see records
  in one order, whatever the order of the answer.
- SPF ends after MOST_SECONDS of waiting for answers (RFC 7208 section 4.6.4). A run that waited longer has no trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol

from exporter.mail.dns import Question, Rdata, Reply, Status
from exporter.mail.spf.limits import MOST_SECONDS
from exporter.model import OtherResult


class Said(Protocol):
    """What an answer says, decoded or as a check gets it."""

    @property
    def status(self) -> Status: ...
    @property
    def records(self) -> tuple[Rdata, ...]: ...
    @property
    def chain(self) -> tuple[str, ...]: ...
    @property
    def authenticated(self) -> bool: ...
    @property
    def extended_errors(self) -> tuple[str, ...]: ...


def in_order(records: tuple[Rdata, ...]) -> tuple[Rdata, ...]:
    """The records of one answer in the one order in which checks see them: an RRset has none (RFC 2181 section 5)."""
    return tuple(sorted(records)) if len(records) > 1 else records


def digest(said: Said) -> int:
    """64 bits, keyed anew by each process. The order of the records does not matter."""
    return hash((said.status, in_order(said.records), said.chain, said.authenticated, said.extended_errors))


class HeardAnswer(NamedTuple):
    """A question with the digest of its answer, and for how many seconds the answer may be kept."""

    question: Question
    digest: int
    ttl: int
    exists: bool


class States(Protocol):
    """The results of all checks."""

    def get(self, check: str, target: str) -> OtherResult | None: ...


def _said(state: OtherResult | None) -> tuple[object, ...] | None:
    return None if state is None else (state.doubt, *[it.finding for it in state.findings])


def said_by(states: States, *keys: str) -> int:
    """A digest of what these results say: check and target key of one after the other."""
    return hash(tuple([_said(states.get(check, target)) for check, target in zip(keys[::2], keys[1::2], strict=True)]))


class Read(NamedTuple):
    """Something else that a run read, and what it found. `look` finds it again."""

    look: Callable[..., object]
    arguments: tuple[Any, ...]
    found: object

    @property
    def holds(self) -> bool:
        return self.look(*self.arguments) == self.found


@dataclass(frozen=True, slots=True)
class Trace:
    """What one run rests on. `begin` and `end` are unix seconds: before and after them it says something else."""

    heard: tuple[HeardAnswer, ...]
    reads: tuple[Read, ...] = ()
    begin: float = -inf
    end: float = inf


class Notes:
    """Makes the trace of one run."""

    __slots__ = ("_begin", "_end", "_heard", "_others", "_reads", "_seconds", "_states")

    def __init__(self) -> None:
        self._heard: dict[Question, HeardAnswer] | None = {}
        self._reads: list[Read] = []
        self._states: States | None = None
        self._others: dict[tuple[str, str], tuple[object, ...] | None] = {}
        self._begin, self._end = -inf, inf
        self._seconds = 0.0

    @property
    def trace(self) -> Trace | None:
        """None: the run used what nobody can compare."""
        if self._heard is None or self._seconds > MOST_SECONDS:
            return None
        reads = list(self._reads)
        if self._states and self._others:
            keys = tuple(name for key in self._others for name in key)
            reads.append(Read(said_by, (self._states, *keys), hash(tuple(self._others.values()))))
        return Trace(tuple(self._heard.values()), tuple(reads), self._begin, self._end)

    def answered(self, reply: Reply) -> None:
        """The run asked, and got this reply."""
        if self._heard is None:
            return
        if not reply.status.conclusive:
            self._heard = None
            return
        heard = HeardAnswer(reply.question, digest(reply), reply.ttl, reply.exists)
        if self._heard.setdefault(reply.question, heard).digest != heard.digest:
            self._heard = None  # two answers to one question
        self._seconds += reply.seconds

    def read(self, look: Callable[..., object], *arguments: object, found: object) -> None:
        """The run read something of ours."""
        if self._heard is not None:
            self._reads.append(Read(look, arguments, found))

    def other(self, states: States, check: str, target: str) -> None:
        """The run read the result of another check."""
        said = _said(states.get(check, target))
        self._states = states
        if self._others.setdefault((check, target), said) != said:
            self._heard = None

    def between(self, begin: float, end: float) -> None:
        """What the run read of the wall clock is the same from `begin` on and before `end`, in unix seconds."""
        self._begin, self._end = max(self._begin, begin), min(self._end, end)

    def beyond(self) -> None:
        """The run used something that cannot be compared."""
        self._heard = None
