"""Many questions at once, over real sockets on loopback, with honest, broken and hostile nameservers."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import dns.flags
import dns.rcode
import pytest

from exporter.mail.dns import Question, Status
from exporter.net.dns import sweep, upstream, wire
from exporter.net.dns.resolver import MOST_IN_FLIGHT, Resolver
from tests.net.dns.test_forgery import FORGERIES
from tests.support.hostile import Answers, Hostile, response, silence
from tests.support.resolving import A, honest, label, over_tcp, resolving, saying, truncated

Story: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
_REAL_TIME = 3.0  # seconds of `timeout`: whoever answers may take a while on a busy machine


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    """Run a story under that loop."""
    uvloop = pytest.importorskip("uvloop", reason="an optional extra") if request.param == "uvloop" else None

    def run(story: Story) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
            runner.run(story())

    return run


def queries(number: int, below: str = "www.example") -> list[wire.Query]:
    return [wire.query(Question(f"{n}.{below}", "A")) for n in range(number)]


def nobody(query: bytes) -> Iterable[bytes]:
    """No such name, as a resolver says it that adds nothing."""
    return [query[:2] + b"\x81\x83\0\1" + bytes(6) + question(query)]


def question(query: bytes) -> bytes:
    return query[12 : query.index(b"\0", 12) + 5]


def place(query: bytes) -> int:
    return int(query[13 : 13 + query[12]])


class Judge:
    """Settles all that it sees, and notes it."""

    def __init__(self) -> None:
        self.seen: dict[int, bytes] = {}

    def __call__(self, place: int, message: bytes) -> bool:
        self.seen[place] = message
        return True


# --- what is settled --------------------------------------------------------------------------------------------------


def test_all_are_asked_and_counted_as_by_the_present_path(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(nobody) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            judge, asked = Judge(), queries(600)
            assert await resolver.sweep(asked, judge) == []
            assert sorted(judge.seen) == [*range(600)]
            assert all(message[12:] == asked[place].asked for place, message in judge.seen.items())
            stats = resolver.stats.nameservers[label(server)]
            assert (stats.queries, stats.seconds.count, stats.ignored) == (600, 600, 0)
            assert stats.responses == {Status.NXDOMAIN: 600}
            assert len({query[:2] for _, query in server.seen}) > 550

    play(story)


def test_ports_differ_and_are_given_up(play: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "USES", 50)
    ports: dict[object, int] = {}

    async def story() -> None:
        def note(query: bytes) -> Iterable[bytes]:
            ports[server.peer] = ports.get(server.peer, 0) + 1
            return nobody(query)

        async with Hostile(note) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            number = upstream.USES * (upstream.PORTS + 1)
            assert await resolver.sweep(queries(number), Judge()) == []

    play(story)
    assert len(ports) > upstream.PORTS
    assert max(ports.values()) <= upstream.USES


def test_what_the_judge_refuses_is_left(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(nobody) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            assert await resolver.sweep(queries(50), lambda place, _: place % 10 != 7) == [7, 17, 27, 37, 47]
            assert resolver.stats.nameservers[label(server)].responses == {Status.NXDOMAIN: 50}

    play(story)


NO_ANSWERS: dict[str, Answers] = {
    "silence": silence,
    "truncated": truncated,
    "truncated absence": lambda query: [response(query, rcode=dns.rcode.NXDOMAIN, flags=dns.flags.TC)],
    "servfail": saying(dns.rcode.SERVFAIL),
    "refused": saying(dns.rcode.REFUSED),
    "bare refusal": lambda query: [query[:2] + b"\x81\x85" + bytes(8)],
    "no edns": lambda query: [query[:2] + b"\x81\x81" + bytes(8)],
} | {forge.__name__: lambda query, forge=forge: [forge(query)] for forge in FORGERIES}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_what_is_no_answer_is_never_shown(what: str, play: Callable[[Story], None]) -> None:
    async def story() -> None:
        def mixed(query: bytes) -> Iterable[bytes]:
            return NO_ANSWERS[what](query) if place(query) == 1 else nobody(query)

        async with Hostile(mixed) as server, resolving(server, timeout=0.15) as resolver:
            judge = Judge()
            assert await resolver.sweep(queries(3), judge) == [1]
            assert sorted(judge.seen) == [0, 2]

    play(story)


# --- an attacker ------------------------------------------------------------------------------------------------------


def test_nothing_is_settled_while_somebody_guesses(play: Callable[[Story], None]) -> None:
    def guess(query: bytes) -> Iterable[bytes]:
        number = int.from_bytes(query[:2])
        forged = [((number + 1 + i) % 65536).to_bytes(2) + next(iter(nobody(query)))[2:] for i in range(20)]
        return [*forged, *nobody(query)] if place(query) == 0 else nobody(query)

    async def story() -> None:
        async with Hostile(guess, over_tcp) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            assert 0 in await resolver.sweep(queries(1), Judge())
            judge = Judge()
            assert await resolver.sweep(queries(20), judge) == [*range(20)]
            assert not judge.seen
            assert server.transports == ["udp"]
            assert (await resolver.ask(A)).transport == "tcp"

    play(story)


def test_nor_is_what_arrives_on_other_ports_meanwhile(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        came: list[tuple[bytes, tuple[str, int]]] = []

        def hold(query: bytes) -> Iterable[bytes]:
            came.append((query, server.peer))
            if len(came) == upstream.PORTS:
                first, peer = came[0]
                for number in range(1, 20):
                    server._udp.sendto((int.from_bytes(first[:2]) ^ number).to_bytes(2) + first[2:], peer)
                for asked, peer in came:
                    server._udp.sendto(next(iter(nobody(asked))), peer)
            return ()

        async with Hostile(hold, over_tcp) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            judge = Judge()
            assert await resolver.sweep(queries(upstream.PORTS), judge) == [*range(upstream.PORTS)]
            assert not judge.seen

    play(story)


def test_answers_that_come_twice_are_no_guesses(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(lambda q: [*nobody(q)] * 10) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            for _ in range(3):
                assert await resolver.sweep(queries(50), Judge()) == []

    play(story)


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_what_is_lost_is_left(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with (
            Hostile(lambda query: nobody(query) if place(query) % 3 else ()) as server,
            resolving(server, timeout=0.3) as resolver,
        ):
            assert await resolver.sweep(queries(30), Judge()) == [*range(0, 30, 3)]
            assert resolver.stats.nameservers[label(server)].responses == {Status.NXDOMAIN: 20, Status.TIMEOUT: 10}

    play(story)


def test_a_dead_nameserver_of_two_gets_one_question_at_most(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(silence) as dead, Hostile(nobody) as alive, resolving(dead, alive, timeout=0.3) as resolver:
            await resolver.sweep(queries(60), Judge())
            lost = len(dead.seen)
            assert lost <= 60
            for _ in range(8):
                assert await resolver.sweep(queries(60), Judge()) == []
            assert len(dead.seen) == lost

    play(story)


def test_if_all_nameservers_are_silent_the_present_path_asks(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(silence) as dead, resolving(dead, timeout=0.3) as resolver:
            await resolver.sweep(queries(60), Judge())
            lost = len(dead.seen)
            assert await resolver.sweep(queries(60), Judge()) == [*range(60)]
            assert len(dead.seen) == lost

    play(story)


def test_one_silent_name_does_not_make_a_nameserver_silent(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with (
            Hostile(lambda query: nobody(query) if place(query) else ()) as server,
            resolving(server, timeout=0.15) as resolver,
        ):
            for _ in range(sweep.SILENT + 2):
                assert await resolver.sweep(queries(5), Judge()) == [0]

    play(story)


def test_a_closed_port_is_no_silence(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(silence) as gone:
            address = gone.address
        async with resolving(address, timeout=60) as resolver:
            assert await resolver.sweep(queries(5), Judge()) == [*range(5)]
            (stats,) = resolver.stats.nameservers.values()
            assert set(stats.responses) == {Status.NETWORK}

    play(story)


def test_without_a_file_for_a_socket_the_present_path_says_so(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(nobody) as server, resolving(server, timeout=60) as resolver:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
            try:
                assert await resolver.sweep(queries(5), Judge()) == [*range(5)]
                assert (await resolver.ask(A)).status is Status.LOCAL_RESOURCES
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert set(resolver.stats.nameservers[label(server)].responses) == {Status.LOCAL_RESOURCES}
            assert await resolver.sweep(queries(5), Judge()) == []

    play(story)


def test_a_wrong_judge_does_not_harm_others(play: Callable[[Story], None]) -> None:
    def wrong(place: int, _: bytes) -> bool:
        raise ZeroDivisionError(place)

    async def story() -> None:
        async with Hostile(nobody) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            bad, good = asyncio.ensure_future(resolver.sweep(queries(5), wrong)), resolver.sweep(queries(50), Judge())
            assert await good == []
            with pytest.raises(ZeroDivisionError):
                await bad

    play(story)


# --- close, cancel, and what is shared --------------------------------------------------------------------------------


def test_close_leaves_all_that_is_open(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(lambda q: nobody(q) if place(q) < 10 else ()) as server:
            async with resolving(server, timeout=60) as resolver:
                judge = Judge()
                asking = [asyncio.ensure_future(resolver.sweep(queries(500), judge)) for _ in range(3)]
                while len(judge.seen) < 10:
                    await asyncio.sleep(0)
            for left in await asyncio.gather(*asking):
                assert left[-490:] == [*range(10, 500)]
            assert await resolver.sweep(queries(5), judge) == [*range(5)]

    play(story)


def test_who_is_cancelled_takes_nothing_along(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(nobody) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            asked = queries(200)
            for _ in range(5):
                judge = Judge()
                asking = asyncio.ensure_future(resolver.sweep(asked, judge))
                while not judge.seen:
                    await asyncio.sleep(0)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
            assert await resolver.sweep(asked, Judge()) == []
            assert not resolver._slots.locked()

    play(story)


def test_the_window_is_shared_and_others_have_room(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with (
            Hostile(lambda query: honest(query) if b"\3www" in query else ()) as server,
            resolving(server, timeout=60) as resolver,
        ):
            asking = asyncio.ensure_future(resolver.sweep(queries(1000, "example.net"), Judge()))
            while len(server.seen) < MOST_IN_FLIGHT - sweep.SPARE:
                await asyncio.sleep(0)
            for _ in range(10):
                assert (await resolver.ask(A, fresh=True)).exists
            assert len(server.seen) == MOST_IN_FLIGHT - sweep.SPARE + 10
            asking.cancel()

    play(story)


def test_the_loop_breathes(play: Callable[[Story], None]) -> None:
    async def story() -> None:
        async with Hostile(nobody) as server, resolving(server, timeout=_REAL_TIME) as resolver:
            stats = resolver.stats.nameservers[label(server)]
            asking = asyncio.ensure_future(resolver.sweep(queries(600), Judge()))
            steps = [(0, 0)]
            while not asking.done():
                await asyncio.sleep(0)
                steps.append((stats.queries, stats.seconds.count))
            for before, after in pairwise(steps):
                assert after[0] - before[0] <= upstream.AT_ONCE
                assert after[1] - before[1] <= upstream.AT_ONCE

    play(story)


# --- pace -------------------------------------------------------------------------------------------------------------


async def settled(resolver: Resolver, asked: Sequence[wire.Query], zones: Sequence[str] = ()) -> int:
    return len(asked) - len(await resolver.sweep(asked, Judge(), zones))


@pytest.mark.parametrize("named", [True, False])
async def test_a_zone_has_its_own_rate(named: bool) -> None:
    """Its second question would have to wait longer than the queue allows: the present path says so, as always."""
    async with (
        Hostile(nobody) as server,
        resolving(server, zones={"www.example": 0.01}, timeout=_REAL_TIME) as resolver,
    ):
        zones = ["www.example"] * 3 if named else []
        assert await settled(resolver, queries(3), zones) == 1
        assert await settled(resolver, queries(3, "example.net")) == 3
        assert (await resolver.ask(Question("a.www.example", "A"))).status is Status.RATE_LIMITED
        assert len(server.seen) == 4


async def test_the_rate_of_all_is_shared() -> None:
    async with Hostile(nobody) as server, resolving(server, per_second=0.01, timeout=_REAL_TIME) as resolver:
        assert await settled(resolver, queries(3)) == 1
        assert (await resolver.ask(A)).status is Status.RATE_LIMITED
        assert len(server.seen) == 1


async def test_who_waits_for_a_zone_does_not_delay_others() -> None:
    async with (
        Hostile(nobody) as server,
        resolving(server, zones={"slow.example": 10.0}, timeout=_REAL_TIME) as resolver,
    ):
        assert await settled(resolver, [*queries(3, "slow.example"), *queries(3)]) == 6
        order = [place(query) + 10 * (b"slow" in query) for _, query in server.seen]
        assert order == [10, 0, 1, 2, 11, 12]
