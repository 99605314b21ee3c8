"""What a run rests on: each way out of a check is compared later, or takes the trace away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any, TypeAlias

import pytest

from exporter.demo.mailserver import Behaviour
from exporter.demo.nameserver import ZoneData, records
from exporter.engine.store import Store
from exporter.facts import Doubt, Reason, Record
from exporter.mail.dns import MX, Question, Reply, Status
from exporter.mail.spf.limits import MOST_SECONDS
from exporter.net import DAY, Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.smtp.probe import SmtpResult
from exporter.net.trace import digest
from exporter.targets import Peer
from tests.support.checks import BROKEN, EXAMPLE, ODD, SAMPLE, outcome
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver

WORLD = """
example.com. TXT "one"
example.com. MX 10 a.example.com.
example.com. MX 20 b.example.com.
; servfail: broken.example.com. *
"""
IP = ip_address("192.0.2.1")
KEY = Record.of("key", ["k"])


class World:
    """A Net of one run at a time, with all that it can read."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), Store()
        self.dns: Any = MemoryResolver(ZoneData(WORLD))
        self.mail: Any = None
        self.begin()

    def begin(self) -> None:
        lists = DnsblClient(self.clock)
        self.net = Net(self.dns, self.clock, states=self.store, blocklists=lists, mail=self.mail)

    def serve(self) -> Net:
        self.store.hold(SAMPLE, EXAMPLE)
        self.net.serve(SAMPLE)
        return self.net


Use: TypeAlias = Callable[[World], Any]


async def asked(world: World) -> None:
    await world.net.query("example.com", "TXT")


COMPARED: dict[str, Use] = {
    "query": asked,
    "resolve": lambda world: world.net.resolve("example.com", "TXT"),
    "remembered": lambda world: world.serve().remembered(EXAMPLE, "key"),
    "active": lambda world: world.serve().active(EXAMPLE, BROKEN),
    "state": lambda world: world.net.state("sample", EXAMPLE.key),
    "days_since": lambda world: world.net.days_since(world.clock.wall() - 100.0),
}
BEYOND: dict[str, Use] = {
    "clock": lambda world: world.net.clock.wall(),
    "query": lambda world: world.net.query("broken.example.com", "TXT"),
    "sweeper": lambda world: world.net.sweeper,
    "ask_server": lambda world: world.net.ask_server(IP, "example.com", "SOA"),
    "zone_silences": lambda world: world.net.zone_silences(),
    "serial_lag": lambda world: world.net.serial_lag("example.com", {1}, complete=True),
    "listed": lambda world: world.net.listed(IP, []),
    "list_condition": lambda world: world.net.list_condition(None),  # type: ignore[arg-type]  # no list is needed for that
    "probe": lambda world: world.net.probe(None, IP),  # type: ignore[arg-type]  # nobody is visited
    "ehlo": lambda world: world.net.ehlo(Peer("example.net"), [IP], "name"),
    "fetch": lambda world: world.net.fetch("https://example.com"),
    "registration": lambda world: world.net.registration("example.com"),
    "unchanged_since": lambda world: world.serve().unchanged_since(EXAMPLE, KEY),
}
OF_NO_CONSEQUENCE = {"serve", "trace", "drive", "transcript", "questions", "unreachable"}  # unreachable: see below


async def used(use: Use, world: World) -> None:
    """Do it after a question, whatever becomes of it: not each client is there."""
    await asked(world)
    try:
        done = use(world)
        if isinstance(done, Awaitable):
            await done
    except (RuntimeError, AttributeError):
        pass


def test_each_way_of_a_check_is_named_here() -> None:
    public = {name for name in vars(Net) if not name.startswith("_")}
    public |= {name for name in vars(World().net) if not name.startswith("_")}
    assert public == COMPARED.keys() | BEYOND.keys() | OF_NO_CONSEQUENCE


@pytest.mark.parametrize("way", COMPARED)
async def test_what_can_be_compared_leaves_the_trace(way: str) -> None:
    world = World()
    await used(COMPARED[way], world)
    assert world.net.trace is not None
    assert [heard.question for heard in world.net.trace.heard] == [Question("example.com", "TXT")]


@pytest.mark.parametrize("way", BEYOND)
async def test_what_cannot_be_compared_takes_the_trace_away(way: str) -> None:
    world = World()
    await used(BEYOND[way], world)
    assert world.net.trace is None


@pytest.mark.parametrize("more", [{"fresh": True}, {"tcp": True}, {"hide": str}], ids=lambda it: next(iter(it)))
async def test_a_question_out_of_the_usual_takes_the_trace_away(more: dict[str, Any]) -> None:
    world = World()
    await world.net.query("example.com", "TXT", **more)
    assert world.net.trace is None


async def test_two_answers_to_one_question_are_no_trace() -> None:
    world = World()
    zone = ZoneData(WORLD)
    world.dns = MemoryResolver(zone)
    world.begin()
    await asked(world)
    zone.put(records("example.com", "TXT", "two"))
    await asked(world)
    assert world.net.trace is None


# --- what is compared -------------------------------------------------------------------------------------------------


async def test_checks_see_records_in_one_order() -> None:
    class Turned(MemoryResolver):
        async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
            reply = await super().ask(question, fresh=fresh, tcp=tcp)
            return replace(reply, records=reply.records[::-1])

    world = World()
    one = await world.net.query("example.com", "MX")
    world.dns = Turned(ZoneData(WORLD))
    world.begin()
    other = await world.net.query("example.com", "MX")
    assert one.records == other.records == (MX(10, "a.example.com"), MX(20, "b.example.com"))


REPLY = Reply(
    Question("example.com", "A"),
    Status.ANSWER,
    (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")),
    chain=("a.example",),
    extended_errors=("EDE 3 (stale)",),
)


@pytest.mark.parametrize(
    "same",
    [{"ttl": 7}, {"server": "s"}, {"transport": "tcp"}, {"seconds": 1.0}, {"records": REPLY.records[::-1]}],
    ids=str,
)
def test_what_no_check_sees_is_not_in_the_digest(same: dict[str, Any]) -> None:
    assert digest(replace(REPLY, **same)) == digest(REPLY)


@pytest.mark.parametrize(
    "other",
    [
        {"status": Status.NODATA, "records": ()},
        {"status": Status.NXDOMAIN, "records": ()},
        {"records": REPLY.records[:1]},
        {"records": (*REPLY.records, IPv4Address("192.0.2.3"))},
        {"chain": ()},
        {"chain": ("a.example", "b.example")},
        {"authenticated": True},
        {"extended_errors": ()},
    ],
    ids=str,
)
def test_what_a_check_may_see_is_in_the_digest(other: dict[str, Any]) -> None:
    assert digest(replace(REPLY, **other)) != digest(REPLY)


def test_nxdomain_and_nodata_differ() -> None:
    assert digest(Reply(REPLY.question, Status.NODATA)) != digest(Reply(REPLY.question, Status.NXDOMAIN))


async def test_a_run_that_waited_long_has_no_trace() -> None:
    class Slow(MemoryResolver):
        seconds = MOST_SECONDS / 2

        async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
            return replace(await super().ask(question, fresh=fresh, tcp=tcp), seconds=self.seconds)

    world = World()
    world.dns = Slow(ZoneData(WORLD))
    world.begin()
    await world.net.query("example.com", "TXT")
    await world.net.query("example.com", "MX")
    assert world.net.trace is not None
    await world.net.query("www.example.com", "A")
    assert world.net.trace is None


# --- what is read of ours ---------------------------------------------------------------------------------------------


def held(world: World, *facts: Any, at: float = 1000.0) -> None:
    world.store.record(outcome(*facts, at=at))


async def test_an_active_finding_is_compared() -> None:
    world = World()
    world.serve()
    held(world, BROKEN(what="x"))
    assert world.net.active(EXAMPLE, BROKEN) is not None
    trace = world.net.trace
    assert trace is not None
    assert all(read.holds for read in trace.reads)
    held(world, BROKEN(what="x"), at=2000.0)
    assert all(read.holds for read in trace.reads), "seen again"
    held(world, BROKEN(what="y"), at=3000.0)
    assert not all(read.holds for read in trace.reads), "other evidence"
    held(world, at=4000.0)
    assert not all(read.holds for read in trace.reads), "gone"


async def test_a_remembered_record_is_compared() -> None:
    world = World()
    world.serve()
    held(world, KEY)
    world.store.confirm(("sample", EXAMPLE.key), float("inf"))
    world.clock.pass_(50.0)
    assert world.net.unchanged_since(EXAMPLE, KEY) == 1000.0
    trace = world.net.trace
    assert trace is not None
    held(world, KEY, at=2000.0)
    assert all(read.holds for read in trace.reads), "read again"
    held(world, Record.of("key", ["other"]), at=3000.0)
    assert not all(read.holds for read in trace.reads), "another one was read"


async def test_the_results_of_other_checks_are_compared() -> None:
    world = World()
    world.serve()
    held(world, BROKEN(what="x"))
    world.begin()
    assert world.net.state("sample", EXAMPLE.key) is not None
    assert world.net.state("nobody", EXAMPLE.key) is None
    trace = world.net.trace
    assert trace is not None
    (read,) = trace.reads
    held(world, BROKEN(what="x"), at=2000.0)
    assert read.holds, "seen again"
    for facts in ([BROKEN(what="y")], [BROKEN(what="x"), ODD(what="z")], [BROKEN(what="x"), cannot_tell()], []):
        held(world, *facts, at=3000.0)
        assert not read.holds
    held(world, BROKEN(what="x"), at=4000.0)
    assert read.holds
    world.store.remove(("sample", EXAMPLE.key))
    assert not read.holds


async def test_two_answers_of_one_check_are_no_trace() -> None:
    world = World()
    world.serve()
    world.begin()
    world.net.state("sample", EXAMPLE.key)
    held(world, BROKEN(what="x"))
    world.net.state("sample", EXAMPLE.key)
    assert world.net.trace is None


def cannot_tell() -> Doubt:
    return Doubt(Reason.DNS_TIMEOUT, "no answer")


async def test_a_record_that_is_new_is_as_old_as_this_moment() -> None:
    world = World()
    world.serve()
    held(world, KEY)
    assert world.net.unchanged_since(EXAMPLE, Record.of("key", ["other"])) == world.clock.wall()
    assert world.net.trace is None


async def test_whole_days_are_right_until_the_next_one() -> None:
    world = World()
    then = world.clock.wall() - 3.5 * DAY
    assert world.net.days_since(then) == 3
    assert world.net.days_since(then + DAY) == 2
    trace = world.net.trace
    assert trace is not None
    assert (trace.begin, trace.end) == (then + 3 * DAY, then + 4 * DAY)
    world.clock.step_wall(trace.end - world.clock.wall())
    assert world.net.days_since(then) == 4


async def test_whether_an_address_is_unreachable_is_compared() -> None:
    world = World()
    async with mail_door({(IP, 25): Behaviour()}, world.clock) as mail:
        assert mail is not None
        world.mail = mail
        world.begin()
        assert world.net.unreachable(IP, 25) is None
        trace = world.net.trace
        assert trace is not None
        assert [read.holds for read in trace.reads] == [True]
        mail.unreachable.learn(25, SmtpResult(IP, refused=True))
        assert [read.holds for read in trace.reads] == [False]
