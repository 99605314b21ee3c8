"""Blocklists whose behaviour a test can change at any time, behind one resolver that logs each question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address

from exporter.checks.blocklist import blocklist as check
from exporter.checks.blocklist_health import blocklist_health
from exporter.engine.evaluate import evaluate
from exporter.mail.dns import TXT, Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.dns.wire import Query
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.dnsbl.verdict import ListVerdict
from exporter.targets import ListHealth, Reputation
from tests.support.clock import FakeClock

KEY = "abcdefghijklmnopqrstuvwxyz"
IP, OTHER = "192.0.2.10", "192.0.2.20"
NAME = f"10.2.0.192.{KEY}.zen.example"
POINTS = [f"2.0.0.127.{KEY}.zen.example", f"1.0.0.127.{KEY}.zen.example"]
ASKED, TEST = f"{NAME} A", [f"{point} A" for point in POINTS]


class Mode(Enum):
    GOOD = "answers rightly"
    WORLD = "lists everybody"
    DEAD = "lists nobody"
    REFUSES = "refuses"
    PARKED = "is parked"
    SILENT = "does not answer"


@dataclass
class Scripted:
    """One list: its mode, and whom it lists with which code."""

    blocklist: Blocklist
    mode: Mode = Mode.GOOD
    lists: dict[str, str] = field(default_factory=dict)

    def answer(self, question: Question) -> Reply:
        name = question.name
        if self.mode is Mode.SILENT:
            return Reply(question, Status.TIMEOUT, detail=f"no answer for {name}")
        code = {Mode.WORLD: "127.0.0.2", Mode.REFUSES: "127.255.255.254", Mode.PARKED: "203.0.113.80"}.get(self.mode)
        if self.mode is Mode.GOOD:
            listed, _ = self.blocklist.test_points
            named = {self.blocklist.question(ip_address(subject)): code for subject, code in self.lists.items()}
            code = {**named, listed: "127.0.0.2"}.get(name)
        if code is None:
            return Reply(question, Status.NXDOMAIN)
        if question.rdtype == "TXT":
            return Reply(question, Status.ANSWER, (TXT((b"because",)),))
        return Reply(question, Status.ANSWER, (ip_address(code),))


@dataclass
class World:
    """The resolver, the clock and the client. `asked` holds list, question, reply and the time of each question."""

    lists: list[Scripted]
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[tuple[str, Question, Reply, float]] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)  # names whose questions are not answered
    cached: dict[Question, Reply] = field(default_factory=dict)  # given unless a question wants to be fresh
    slow: bool = False  # let other tasks run before each answer
    sweeps: bool = False  # many questions can be asked at once
    swept: int = 0  # questions that were settled so
    watch: Callable[[Question], None] = lambda _: None

    def __post_init__(self) -> None:
        self.client = DnsblClient(self.clock)
        self.transcripts: list[str] = []

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        if not fresh and question in self.cached:
            return self.cached[question]
        if self.slow:
            await asyncio.sleep(0)
        of = next(one for one in self.lists if question.name.endswith("." + one.blocklist.zone))
        self.watch(question)
        reply = of.answer(question)
        if question.name in self.lost:
            reply = Reply(question, Status.SERVFAIL, detail=f"lost {question.name}")
        self.asked.append((of.blocklist.name, question, reply, self.clock.monotonic()))
        self.fresh.append(fresh)
        return reply

    async def sweep(
        self, queries: Sequence[Query], settles: Callable[[int, bytes], bool], zones: Sequence[str] = ()
    ) -> list[int]:
        """Only a "no" that is settled leaves a trace here: whatever is left is asked singly, too."""
        left = []
        for place, query in enumerate(queries):
            question = asked(query)
            of = next(one for one in self.lists if question.name.endswith("." + one.blocklist.zone))
            reply = of.answer(question)
            plain = reply.status is Status.NXDOMAIN and question.name not in self.lost and question not in self.cached
            if self.slow:
                await asyncio.sleep(0)
            if plain and settles(place, absence(query)):
                self.watch(question)
                self.asked.append((of.blocklist.name, question, reply, self.clock.monotonic()))
                self.fresh.append(False)
                self.swept += 1
            else:
                left.append(place)
        return left

    def net(self) -> Net:
        return Net(self, self.clock, blocklists=self.client, sweeper=self if self.sweeps else None)

    async def look(self, subject: str, *lists: Scripted) -> list[ListVerdict]:
        net = self.net()
        found = await net.listed(ip_address(subject), [one.blocklist for one in lists or self.lists])
        self.transcripts.append(str(net.transcript.freeze()))
        return found

    def names(self, since: int = 0) -> list[str]:
        return [str(question) for _, question, _, _ in self.asked[since:]]


def asked(query: Query) -> Question:
    """The question of a message in wire format."""
    labels, at = [], 0
    while length := query.asked[at]:
        labels.append(query.asked[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return Question(".".join(labels), "A")


def absence(query: Query) -> bytes:
    """No such name, without any record."""
    return b"\1\2\x81\x83\0\1" + bytes(6) + query.asked


def scripted(**given: object) -> Scripted:
    return Scripted(Blocklist("keyed", f"{KEY}.zen.example", **given))  # type: ignore[arg-type]  # fields of Blocklist


def stands(standings: Sequence[ListVerdict]) -> bool:
    (only,) = standings
    return only.listing is not None


async def run(world: World, subject: str = IP, lists: Sequence[Scripted] = ()) -> Outcome:
    blocklists = tuple(one.blocklist for one in lists or world.lists)
    return await evaluate(check, Reputation(subject=ip_address(subject), lists=blocklists), world.net, world.clock)


async def health(world: World, of: Scripted) -> Outcome:
    return await evaluate(blocklist_health, ListHealth(blocklist=of.blocklist), world.net, world.clock)


def reborn(world: World) -> None:
    """The daemon ends and starts again."""
    saved = json.loads(json.dumps(world.client.snapshot()))
    world.client = DnsblClient(world.clock)
    world.client.restore(saved)
