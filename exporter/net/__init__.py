"""The only way out. A Net is made fresh for each run of a check and writes down every question and answer.

Checks never learn which resolver or connection serves them; they ask, and get a conclusive answer or
CannotTell. The transcript is what a person reads when asking "why?".
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from exporter.mail.dns import Evaluation, Question, Reply
from exporter.model import CannotTell, Clock, Exchange, printable

T = TypeVar("T")

TRANSCRIPT_LIMIT = 200
LINES_LIMIT = 60


class Asks(Protocol):
    """A DNS resolver, or a zone in memory. It never raises for what happens in DNS; `fresh` passes the cache by."""

    async def ask(self, question: Question, *, fresh: bool = False) -> Reply: ...


class Transcript:
    """The exchanges of one run, in order, bounded."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._left_out = 0

    def note(self, asked: str, got: tuple[str, ...], via: str = "", seconds: float = 0.0) -> None:
        if len(self._exchanges) == TRANSCRIPT_LIMIT:
            self._left_out += 1
            return
        lines = tuple(printable(line) for line in got[:LINES_LIMIT])
        if len(got) > LINES_LIMIT:
            lines += (f"… {len(got) - LINES_LIMIT} more lines",)
        self._exchanges.append(Exchange(printable(asked), lines, via, seconds))

    def freeze(self) -> tuple[Exchange, ...]:
        if self._left_out:
            return (*self._exchanges, Exchange(f"… {self._left_out} more exchanges", (), "", 0.0))
        return tuple(self._exchanges)


def believe(reply: Reply) -> Reply:
    """The reply, when it is conclusive; else raise CannotTell."""
    if not reply.status.conclusive:
        raise CannotTell(reply.status.reason, f"{reply.question}: {reply.detail or reply.status}")
    return reply


class Net:
    """One run's view of the world."""

    def __init__(self, dns: Asks, clock: Clock) -> None:
        self._dns = dns
        self.clock = clock
        self.transcript = Transcript()

    async def ask(self, name: str, rdtype: str) -> Reply:
        """The conclusive answer; raise CannotTell when there is none."""
        return believe(await self.query(name, rdtype))

    async def query(self, name: str, rdtype: str) -> Reply:
        """Whatever came back, conclusive or not: for evaluations that have a word of their own for doubt."""
        question = Question(name, rdtype)
        reply = await self._dns.ask(question)
        self.transcript.note(str(question), _shown(reply), f"{reply.server} {reply.transport}", reply.seconds)
        return reply

    async def follow(self, evaluation: Evaluation[T]) -> T:
        """Play an evaluation of exporter/mail to its end, answering its questions."""
        try:
            question = next(evaluation)
            while True:
                question = evaluation.send(await self.query(*question))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration carries it untyped


def _shown(reply: Reply) -> tuple[str, ...]:
    head = " ".join(
        (
            str(reply.status).upper(),
            *(["AD"] if reply.authenticated else []),
            *([f"ttl={reply.ttl}"] if reply.status.conclusive else []),
            *([reply.detail] if reply.detail else []),
        )
    )
    hops = tuple(f"CNAME {target}" for target in reply.chain)
    return (head, *reply.extended_errors, *hops, *(_text(r, reply.question.rdtype) for r in reply.records))


def _text(record: object, rdtype: str) -> str:
    match record:
        case (int(preference), str(exchange)):
            return f"MX {preference} {exchange}"
        case (tuple(strings),):
            return "TXT " + " ".join('"' + s.decode("utf-8", "backslashreplace") + '"' for s in strings)
        case _:
            return f"{rdtype} {record}"
