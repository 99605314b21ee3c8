"""What somebody else sends is never an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import dns.flags
import dns.message
import dns.rcode
import pytest

from exporter.mail.dns import Status
from exporter.net.dns import upstream
from tests.support.hostile import Hostile, response, silence
from tests.support.resolving import (
    EVIL,
    GOOD,
    TRUE,
    A,
    honest,
    label,
    other_name,
    over_tcp,
    resolving,
)


def other_id(query: bytes) -> bytes:
    return bytes([query[0] ^ 1, query[1]]) + response(query, EVIL)[2:]


def other_case(query: bytes) -> bytes:
    return response(query, EVIL).replace(b"\3www", b"\3WWW")


def other_type(query: bytes) -> bytes:
    asked = dns.message.make_query("www.example", "AAAA", id=int.from_bytes(query[:2]))
    return response(asked.to_wire(), "www.example. 60 IN AAAA 2001:db8::bad")


def no_question(query: bytes) -> bytes:
    return query[:2] + b"\x81\x83" + bytes(8)


def a_query(query: bytes) -> bytes:
    message = bytearray(response(query, EVIL))
    message[2] &= 0x7F
    return bytes(message)


def crumbs(query: bytes) -> bytes:
    return query[:2] + b"\x81"


def octet(query: bytes) -> bytes:
    return query[:1]


FORGERIES = [other_id, other_name, other_case, other_type, no_question, a_query, crumbs, octet]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_what_does_not_match_is_ignored_and_counted(forge: object) -> None:
    def race(query: bytes) -> Iterable[bytes]:
        return [forge(query), response(query, GOOD)]  # type: ignore[operator]  # one of the functions above

    async with Hostile(race) as server, resolving(server) as resolver:
        reply = await resolver.ask(A)
        assert (reply.records, reply.transport) == (TRUE, "udp")
        assert resolver.stats.nameservers[label(server)].ignored == 1


@pytest.mark.parametrize("forge", FORGERIES)
async def test_what_does_not_match_is_never_an_answer(forge: object) -> None:
    async with Hostile(lambda query: [forge(query)]) as server, resolving(server, timeout=0.06) as resolver:  # type: ignore[operator]  # one of the functions above
        reply = await resolver.ask(A)
        assert reply.status is Status.TIMEOUT


async def test_an_answer_from_elsewhere_never_arrives() -> None:
    async with Hostile(silence) as server, resolving(server, timeout=0.3) as resolver:
        asking = asyncio.create_task(resolver.ask(A))
        while not server.seen:
            await asyncio.sleep(0)
        server.forge(response(server.seen[0][1], EVIL))
        server._udp.sendto(response(server.seen[0][1], GOOD), server.peer)
        assert (await asking).records == TRUE


async def test_a_guesser_is_met_over_tcp() -> None:
    """A thousand guesses at the id: a handful is heard, then the question is asked where none can be guessed in."""

    def guess(query: bytes) -> Iterable[bytes]:
        forged, number = response(query, EVIL), int.from_bytes(query[:2])
        return [((number + 1 + i) % 65536).to_bytes(2) + forged[2:] for i in range(1000)]

    async with Hostile(guess, over_tcp) as server, resolving(server, timeout=1) as resolver:
        reply = await resolver.ask(A)
        assert (reply.records, reply.transport) == (TRUE, "tcp")
        again = await resolver.ask(A, fresh=True)
        assert again.transport == "tcp"
        assert server.transports.count("udp") == 1
        assert resolver.stats.nameservers[label(server)].ignored == upstream.UNEXPECTED


async def test_answers_that_come_twice_are_no_guesses() -> None:
    async with (
        Hostile(lambda query: [response(query, GOOD)] * 10, over_tcp) as server,
        resolving(server) as resolver,
    ):
        for _ in range(upstream.PORTS * 4):
            assert (await resolver.ask(A, fresh=True)).transport == "udp"


async def test_ids_and_ports_differ_and_ports_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "USES", 5)
    ports = set()

    def note(query: bytes) -> Iterable[bytes]:
        ports.add(server.peer)
        return honest(query)

    async with Hostile(note) as server, resolving(server) as resolver:
        for _ in range(60):
            await resolver.ask(A, fresh=True)
        assert len({query[:2] for _, query in server.seen}) > 50
    assert len(ports) >= 60 / 5
