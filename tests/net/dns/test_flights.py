"""Questions under way: who shares them, who leaves them, and what a nameserver that dies costs the others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable

import dns.message
import pytest

from exporter.clock import SystemClock
from exporter.mail.dns import Question, Reply, Status
from exporter.net.dns import resolver as resolvers
from exporter.net.dns.attempts import PENALTY, UpstreamState
from exporter.net.dns.upstream import Upstream
from tests.net.dns.conftest import Story
from tests.support.clock import FakeClock
from tests.support.hostile import Hostile, response, silence
from tests.support.messages import HERE, rr
from tests.support.resolving import GOOD, TRUE, A, honest, label, resolving

LONG = 60.0  # seconds: nobody waits for that


def echo(query: bytes) -> Iterable[bytes]:
    return [response(query, f"{_name(query)} 60 IN A 192.0.2.1")]


def _name(query: bytes) -> str:
    return str(dns.message.from_wire(query).question[0].name)


def questions(number: int, below: str = "example") -> list[Question]:
    return [Question(f"{n}.{below}", "A") for n in range(number)]


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0)


# --- a dead nameserver of two -----------------------------------------------------------------------------------------


def test_a_nameserver_that_dies_under_load_holds_nobody_up(on_each_loop: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(silence) as dead, Hostile(echo) as well, resolving(dead, well, timeout=LONG) as resolver:
            started = time.monotonic()
            replies = await asyncio.gather(*map(resolver.ask, questions(200)))
            assert time.monotonic() - started < LONG / 3, "each of them would have waited for so long"
            assert {reply.server for reply in replies} == {label(well)}
            assert {reply.records for reply in replies} == {TRUE}
            assert len(dead.seen) == resolvers.MOST_IN_FLIGHT
            assert len(well.seen) == 200
            await asyncio.gather(*map(resolver.ask, questions(50, "next.example")))
            assert len(dead.seen) == resolvers.MOST_IN_FLIGHT

    on_each_loop(story)


async def test_few_questions_wait_their_time_for_a_slow_nameserver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolvers, "QUIET", 0.0)
    asked: list[tuple[bytes, tuple[str, int]]] = []

    def later(query: bytes) -> Iterable[bytes]:
        asked.append((query, slow.peer))
        return ()

    async with Hostile(later) as slow, Hostile(echo) as well, resolving(slow, well, timeout=LONG) as resolver:
        few = questions(resolvers.QUIET_QUESTIONS)
        asking = [asyncio.ensure_future(resolver.ask(it)) for it in few[1:]]
        await until(lambda: len(asked) == len(asking))
        for _ in range(50):
            await asyncio.sleep(0)
        assert well.seen == []
        asking.append(asyncio.ensure_future(resolver.ask(few[0])))
        await until(lambda: well.seen)
        for query, peer in asked:  # it was only slow: whoever answers first is heard
            slow._udp.sendto(next(iter(echo(query))), peer)
        assert {reply.records for reply in await asyncio.gather(*asking)} == {TRUE}


def test_a_silent_nameserver_is_tried_with_one_question_at_a_time() -> None:
    server = UpstreamState(Upstream("127.0.0.1", 53))
    server.fell_silent(100.0)
    assert [server.takes(100.0 + since) for since in (0, PENALTY - 1, PENALTY, PENALTY + 1)] == [
        False,
        False,
        True,
        False,
    ]
    assert server.silent_since(99.0)
    assert not server.silent_since(100.0 + PENALTY), "the question that tries it has its whole share of the time"
    server.spoke(131.0, 0.1)
    assert server.takes(131.0)


# --- askers -----------------------------------------------------------------------------------------------------------


async def test_who_gives_up_before_the_question_leaves_takes_nobody_along() -> None:
    async with Hostile(honest) as server, resolving(server, per_second=20) as resolver:
        await resolver.ask(Question("first.example", "A"))
        impatient, patient = asyncio.ensure_future(resolver.ask(A)), asyncio.ensure_future(resolver.ask(A))
        await asyncio.sleep(0)
        impatient.cancel()
        assert (await patient).records == TRUE
        assert impatient.cancelled()
        assert len(server.seen) == 2


async def test_a_question_that_nobody_waits_for_any_more_is_answered_all_the_same() -> None:
    """Whoever asks next gets it from the cache, and its place in flight is free."""
    async with Hostile(silence) as server, resolving(server, timeout=LONG) as resolver:
        asking = asyncio.ensure_future(resolver.ask(A))
        await until(lambda: server.seen)
        asking.cancel()
        server._udp.sendto(response(server.seen[0][1], GOOD), server.peer)
        await until(lambda: not resolver._flights)
        assert (await resolver.ask(A)).transport == "cache"
        assert resolver._slots.take(resolvers.MOST_IN_FLIGHT - 1)


async def test_closing_tells_those_who_wait_to_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One has the place in flight, one waits for it, and one waits for the rate limit."""
    monkeypatch.setattr(resolvers, "MOST_IN_FLIGHT", 1)
    zones = {"slow.example": 1e-3}
    async with Hostile(silence) as server, resolving(server, timeout=LONG, zones=zones, queue_timeout=1e6) as resolver:
        asking = [asyncio.ensure_future(resolver.ask(it)) for it in (*questions(2, "slow.example"), *questions(1))]
        await until(lambda: server.seen)
        await resolver.close()
        assert {reply.status for reply in await asyncio.gather(*asking)} == {Status.NETWORK}
        assert len(server.seen) == 1
        assert resolver._slots.take()


async def test_each_lost_datagram_is_sent_again_after_its_share() -> None:
    seen: Counter[str] = Counter()

    def lossy(query: bytes) -> Iterable[bytes]:
        seen[_name(query)] += 1
        return echo(query) if seen[_name(query)] > 1 else ()

    async with Hostile(lossy) as server, resolving(server, timeout=0.9) as resolver:
        replies = await asyncio.gather(*map(resolver.ask, questions(20)))
        assert {reply.records for reply in replies} == {TRUE}
        assert min(seen.values()) == 2


class Failing(FakeClock):
    """A clock that breaks."""

    broken = False

    def monotonic(self) -> float:
        if self.broken:
            raise RuntimeError("the clock is broken")
        return super().monotonic()


def test_a_bug_reaches_all_who_wait_and_holds_no_place(on_each_loop: Callable[[Story], None]) -> None:
    async def story() -> None:
        clock = Failing()
        async with Hostile(silence) as server, resolving(server, clock=clock, timeout=LONG) as resolver:
            asking = [asyncio.ensure_future(resolver.ask(A)) for _ in range(3)]
            await until(lambda: server.seen)
            clock.broken = True  # the cache will ask it
            server._udp.sendto(response(server.seen[0][1], GOOD), server.peer)
            told: list[Reply | BaseException] = await asyncio.gather(*asking, return_exceptions=True)
            assert [str(it) for it in told] == ["the clock is broken"] * 3
            assert resolver._slots.take(resolvers.MOST_IN_FLIGHT - 1)
            clock.broken = False
            server._answer_udp = honest
            assert (await resolver.ask(A)).records == TRUE

    on_each_loop(story)


async def test_questions_leave_in_the_order_they_came() -> None:
    async with Hostile(echo) as server, resolving(server, clock=SystemClock(), per_second=200) as resolver:
        started = time.monotonic()
        await asyncio.gather(*map(resolver.ask, questions(20)))
        assert [_name(query) for _, query in server.seen] == [f"{it.name}." for it in questions(20)]
        assert time.monotonic() - started >= 0.04  # 20 questions at 200 a second, a burst of 10 of them at once


# --- hostile nameservers ----------------------------------------------------------------------------------------------


def test_the_loop_breathes_between_messages_that_take_long_to_read(on_each_loop: Callable[[Story], None]) -> None:
    """Each takes more than ten milliseconds, and all are there at once, on four sockets."""
    name = ".".join([r"\007" * 62] * 4)
    target = rr(HERE, 12, HERE)

    async def story() -> None:
        asked: list[tuple[bytes, tuple[str, int]]] = []
        turns: list[int] = []
        turn = 0

        def later(query: bytes) -> Iterable[bytes]:
            asked.append((query, server.peer))
            return ()

        async def ask(number: int) -> None:
            reply = await resolver.ask(Question(name, "PTR"), fresh=True)
            assert reply.exists, reply
            turns.append(turn)

        async with Hostile(later) as server, resolving(server, timeout=LONG) as resolver:
            asking = [asyncio.ensure_future(ask(number)) for number in range(8)]
            await until(lambda: len(asked) == len(asking))
            for query, peer in asked:
                counts = (1).to_bytes(2) + (512).to_bytes(2) + bytes(4)
                server._udp.sendto(query[:2] + b"\x81\x80" + counts + query[12:-11] + target * 512, peer)
            while not all(task.done() for task in asking):
                turn += 1
                await asyncio.sleep(0)
            await asyncio.gather(*asking)
        assert max(Counter(turns).values()) <= 4

    on_each_loop(story)
