"""What the resolver keeps, shares, holds back and counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from exporter.mail.dns import Question, Reply, Status
from exporter.net.dns import cache
from exporter.net.dns.resolver import Resolver, system_nameservers
from tests.support.clock import FakeClock
from tests.support.hostile import Answers, Hostile, response, silence
from tests.support.resolving import (
    GOOD,
    SLACK,
    TIMEOUT,
    TRUE,
    A,
    cut_off,
    drip,
    honest,
    label,
    nothing,
    over_tcp,
    resolving,
    saying,
    truncated,
)

# --- cache ------------------------------------------------------------------------------------------------------------


async def test_an_answer_is_kept_for_its_ttl() -> None:
    clock = FakeClock()
    async with Hostile(honest) as server, resolving(server, clock=clock) as resolver:
        first = await resolver.ask(A)
        clock.pass_(59.5)
        second = await resolver.ask(A)
        assert (first.ttl, second.ttl, second.transport, second.seconds) == (60, 1, "cache", 0.0)
        assert (second.records, second.server) == (first.records, first.server)
        assert resolver.stats.cache_hits == 1
        clock.pass_(0.5)
        assert (await resolver.ask(A)).transport == "udp"


async def test_a_step_of_the_wall_clock_changes_nothing() -> None:
    clock = FakeClock()
    async with Hostile(honest) as server, resolving(server, clock=clock) as resolver:
        await resolver.ask(A)
        clock.step_wall(-86_400)
        assert (await resolver.ask(A)).ttl == 60


@pytest.mark.parametrize(
    ("ttl", "minimum", "kept"), [(900, 60, 60), (30, 900, 30), (86_400, 86_400, cache.LONGEST_ABSENCE), (0, 300, 0)]
)
async def test_absence_is_kept_as_the_soa_says_and_not_for_long(ttl: int, minimum: int, kept: float) -> None:
    clock = FakeClock()
    soa = [f"example. {ttl} IN SOA ns.example. h.example. 1 2 3 4 {minimum}"]
    async with (
        Hostile(lambda query: [response(query, rcode=dns.rcode.NXDOMAIN, authority=soa)]) as server,
        resolving(server, clock=clock) as resolver,
    ):
        await resolver.ask(A)
        if kept:
            clock.pass_(kept - 0.1)
            assert (await resolver.ask(A)).transport == "cache"
        clock.pass_(0.1)
        reply = await resolver.ask(A)
        assert (reply.transport, reply.ttl) == ("udp", min(ttl, minimum))


async def test_a_failure_is_kept_for_a_moment_only() -> None:
    clock = FakeClock()
    async with Hostile(saying(dns.rcode.REFUSED)) as server, resolving(server, clock=clock) as resolver:
        await resolver.ask(A)
        assert (await resolver.ask(A)).transport == "cache"
        clock.pass_(cache.FAILURE)
        assert (await resolver.ask(A)).transport == "udp"


async def test_fresh_passes_the_cache_by_and_fills_it() -> None:
    ttls = iter([60, 90])
    async with (
        Hostile(lambda query: [response(query, f"www.example. {next(ttls)} IN A 192.0.2.1")]) as server,
        resolving(server) as resolver,
    ):
        assert (await resolver.ask(A)).ttl == 60
        assert (await resolver.ask(A, fresh=True)).ttl == 90
        assert (await resolver.ask(A)).ttl == 90


async def test_answers_that_cannot_be_believed_are_forgotten() -> None:
    addresses = iter(["192.0.2.66", "192.0.2.1"])
    async with (
        Hostile(lambda query: [response(query, f"www.example. 60 IN A {next(addresses)}")]) as server,
        resolving(server) as resolver,
    ):
        assert [str(it) for it in (await resolver.ask(A)).addresses] == ["192.0.2.66"]
        resolver.forget_answers()
        assert [str(it) for it in (await resolver.ask(A)).addresses] == ["192.0.2.1"]


async def test_an_answer_that_was_under_way_when_they_were_forgotten_is_not_kept() -> None:
    addresses = iter(["192.0.2.66", "192.0.2.1"])

    def answer(query: bytes) -> list[bytes]:
        address = next(addresses)
        if address == "192.0.2.66":
            resolver.forget_answers()
        return [response(query, f"www.example. 60 IN A {address}")]

    async with Hostile(answer) as server, resolving(server) as resolver:
        assert [str(it) for it in (await resolver.ask(A)).addresses] == ["192.0.2.66"]
        assert [str(it) for it in (await resolver.ask(A)).addresses] == ["192.0.2.1"]


def absent(number: int, ttl: int = 60) -> Reply:
    return Reply(Question(f"{number}.example", "A"), Status.NXDOMAIN, ttl=ttl)


def test_the_cache_is_bounded() -> None:
    kept = cache.Cache(FakeClock(), 10)
    for number in range(25):
        kept.put(absent(number))
    assert len(kept) == 10
    assert kept.get(Question("14.example", "A")) is None
    assert kept.get(Question("15.example", "A"))


def test_what_is_used_stays_longest() -> None:
    kept = cache.Cache(FakeClock(), 10)
    for number in range(100):
        kept.put(absent(number))
        assert kept.get(Question("0.example", "A"))
    assert kept.get(Question("90.example", "A")) is None


def test_what_is_over_leaves_first() -> None:
    clock = FakeClock()
    kept = cache.Cache(clock, 10)
    for number in range(10):
        kept.put(absent(number, ttl=60 if number < 5 else 5))
    clock.pass_(5)
    for number in range(10, 15):
        kept.put(absent(number))
    assert all(kept.get(Question(f"{number}.example", "A")) for number in (*range(5), *range(10, 15)))


async def test_answers_of_blocklists_displace_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 lists say "no" about each address, and the cache is for the names that many domains share."""
    monkeypatch.setattr("exporter.net.dns.resolver.MOST_OF_ZONES", 10)

    def answer(query: bytes) -> list[bytes]:
        name = dns.message.from_wire(query).question[0].name
        return [response(query, f"{name} 60 IN A 192.0.2.1")]

    async with Hostile(answer) as server, resolving(server, zones={"bl.example": 1e6}) as resolver:
        await resolver.ask(A)
        for number in range(30):
            await resolver.ask(Question(f"{number}.bl.example", "A"))
        assert [len(it) for it in resolver._caches] == [1, 10]
        assert (await resolver.ask(A)).transport == "cache"
        assert (await resolver.ask(Question("29.bl.example", "A"))).transport == "cache"
        assert (await resolver.ask(Question("0.bl.example", "A"))).transport == "udp"


# --- asking together --------------------------------------------------------------------------------------------------


async def test_the_same_question_at_the_same_time_is_asked_once() -> None:
    async with Hostile(honest) as server, resolving(server) as resolver:
        replies = await asyncio.gather(*(resolver.ask(A) for _ in range(20)))
        assert {reply.records for reply in replies} == {TRUE}
        assert len(server.seen) == 1


async def test_who_gives_up_takes_nobody_along() -> None:
    async with Hostile(silence) as server, resolving(server, timeout=0.5) as resolver:
        impatient, patient = asyncio.create_task(resolver.ask(A)), asyncio.create_task(resolver.ask(A))
        while not server.seen:
            await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        server._udp.sendto(response(server.seen[0][1], GOOD), server.peer)
        assert (await patient).records == TRUE


async def test_a_fresh_question_does_not_share_an_older_one() -> None:
    async with Hostile(honest) as server, resolving(server) as resolver:
        await asyncio.gather(resolver.ask(A), resolver.ask(A, fresh=True))
        assert len(server.seen) == 2


async def test_closing_tells_who_still_waits() -> None:
    async with Hostile(silence) as server, resolving(server, timeout=30) as resolver:
        asking = asyncio.create_task(resolver.ask(A))
        while not server.seen:
            await asyncio.sleep(0)
        await resolver.close()
        assert (await asking).status is Status.NETWORK
        assert (await resolver.ask(A)).status is Status.NETWORK


async def test_many_questions_at_once_all_get_their_own_answer() -> None:
    def echo(query: bytes) -> Iterable[bytes]:
        name = dns.message.from_wire(query).question[0].name
        return [response(query, f"{name} 60 IN TXT {name}")]

    async with Hostile(echo) as server, resolving(server, timeout=5) as resolver:
        questions = [Question(f"{number}.example", "TXT") for number in range(600)]
        replies = await asyncio.gather(*map(resolver.ask, questions))
        assert [reply.texts[0].text.decode() for reply in replies] == [f"{q.name}." for q in questions]


# --- pace and deadlines -----------------------------------------------------------------------------------------------


async def test_what_the_pace_cannot_let_out_in_time_is_rate_limited_and_not_kept() -> None:
    clock = FakeClock()
    async with Hostile(honest) as server, resolving(server, clock=clock, per_second=1, queue_timeout=0.5) as resolver:
        assert (await resolver.ask(Question("other.example", "A"))).status.conclusive is False  # another name's record
        reply = await resolver.ask(A)
        assert (reply.status, len(server.seen)) == (Status.RATE_LIMITED, 1)
        clock.pass_(1)
        assert (await resolver.ask(A)).records == TRUE


async def test_a_zone_has_its_own_pace() -> None:
    async with Hostile(honest) as server, resolving(server, zones={"bl.example": 1}, queue_timeout=0.5) as resolver:
        assert (await resolver.ask(Question("1.bl.example", "A"))).status is not Status.RATE_LIMITED
        assert (await resolver.ask(Question("2.bl.example", "A"))).status is Status.RATE_LIMITED
        assert (await resolver.ask(A)).records == TRUE


async def test_questions_in_flight_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.net.dns.resolver.MOST_IN_FLIGHT", 3)
    async with Hostile(silence) as server, resolving(server, timeout=0.3, queue_timeout=0.1) as resolver:
        replies = await asyncio.gather(*(resolver.ask(Question(f"{n}.example", "A")) for n in range(5)))
        statuses = [reply.status for reply in replies]
        assert statuses.count(Status.RATE_LIMITED) == 2
        assert statuses.count(Status.TIMEOUT) == 3


@pytest.mark.parametrize("tcp", [silence, drip, nothing, cut_off])
@pytest.mark.parametrize("udp", [silence, truncated])
async def test_every_question_ends_by_its_deadline(udp: Answers, tcp: Answers) -> None:
    async with Hostile(udp, tcp) as one, Hostile(udp, tcp) as two, resolving(one, two) as resolver:
        started = time.monotonic()
        reply = await resolver.ask(A)
        assert not reply.status.conclusive
        assert time.monotonic() - started < TIMEOUT + SLACK
        assert reply.seconds < TIMEOUT + SLACK


async def test_a_name_that_cannot_be_is_no_answer_and_nobody_is_asked() -> None:
    async with Hostile(honest) as server, resolving(server) as resolver:
        reply = await resolver.ask(Question("a..b", "A"))
        assert (reply.status, server.seen) == (Status.MALFORMED, [])


# --- what is configured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("servers", [[], [("localhost", 53)], [("", 53)], [("dns.example.", 53)]])
def test_nameservers_are_addresses(servers: list[tuple[str, int]]) -> None:
    with pytest.raises(ValueError, match=r"nameserver|address"):
        Resolver(servers, FakeClock())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [("127.0.0.1", 53)]),
        ("# nameserver 192.0.2.1\nsearch example.com\n", [("127.0.0.1", 53)]),
        (
            "nameserver 192.0.2.1\noptions ndots:5\n nameserver\t2001:db8::1 # two\n",
            [("192.0.2.1", 53), ("2001:db8::1", 53)],
        ),
        ("nameserver fe80::1%lo\nnameserver", [("fe80::1%lo", 53)]),
    ],
)
def test_the_systems_nameservers_are_read(tmp_path: Path, text: str, found: list[tuple[str, int]]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert list(system_nameservers(path)) == found
    Resolver(found, FakeClock())


async def test_what_was_done_is_counted() -> None:
    async with (
        Hostile(saying(dns.rcode.REFUSED)) as one,
        Hostile(honest) as two,
        resolving(one, two) as resolver,
    ):
        await resolver.ask(A)
        await resolver.ask(A)
        first, second = (resolver.stats.nameservers[label(server)] for server in (one, two))
        assert (first.queries, dict(first.responses)) == (1, {Status.REFUSED: 1})
        assert (second.queries, dict(second.responses)) == (1, {Status.ANSWER: 1})
        assert second.seconds.count == 1
        assert second.seconds.cumulative[-1] == 1
        assert second.seconds.sum > 0
        assert resolver.stats.cache_hits == 1


async def test_sockets_are_closed_in_the_end() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with Hostile(truncated, over_tcp) as server:
        for _ in range(3):
            async with resolving(server) as resolver:
                await asyncio.gather(*(resolver.ask(Question(f"{n}.example", "A")) for n in range(20)))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
