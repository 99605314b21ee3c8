"""The client for given servers: whom it never asks, which answers it accepts, how fast it asks."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from exporter.clock import SystemClock
from exporter.facts import IP
from exporter.mail.dns import Question, ServerReply, Status
from exporter.net.dns.attempts import PENALTY
from exporter.net.dns.authoritative import SILENT, AuthoritativeClient, Unanswered
from tests.support.clock import FakeClock
from tests.support.hostile import Answers, Hostile, edns, framed, response, silence
from tests.support.resolving import SLACK, other_name

SERVER = ip_address("192.0.2.53")
SOA = Question("www.example", "SOA")
GOOD = "www.example. 60 IN SOA ns.example. h.example. 7 3600 600 86400 300"
TIMEOUT = 0.3


def right(query: bytes) -> Iterable[bytes]:
    return [response(query, GOOD, flags=dns.flags.AA, clear=dns.flags.RA)]


def right_over_tcp(query: bytes) -> Iterable[bytes]:
    return [framed(message) for message in right(query)]


def door(
    *servers: Hostile, fault: int = 0, per_server: float = 1e9, clock: FakeClock | None = None
) -> AuthoritativeClient:
    """The address SERVER and those after it lead to the servers."""

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        assert port == 53
        if fault:
            raise OSError(fault, os.strerror(fault))
        return servers[int(ip) - int(SERVER)].address

    return AuthoritativeClient(clock or SystemClock(), dial=dial, timeout=TIMEOUT, per_server=per_server)


async def ask(udp: Answers, tcp: Answers | None = None, *, over_tcp: bool = False) -> tuple[ServerReply, Hostile]:
    async with Hostile(udp, tcp) as server:
        return await door(server).ask(SERVER, SOA, tcp=over_tcp), server


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
async def test_an_address_that_is_not_public_is_never_contacted(
    ip: str, tcp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zone says whom to ask, and may mean the router of whoever asks."""
    monkeypatch.setattr("exporter.net.dns.authoritative.Upstream", None)
    monkeypatch.setattr("socket.socket", None)
    reply = await AuthoritativeClient(SystemClock()).ask(ip_address(ip), SOA, tcp=tcp)
    assert "no public address" in reply.passed_over
    assert reply.status is Status.NETWORK


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_it_asks_the_server_itself_and_for_no_more(over_tcp: bool) -> None:
    reply, server = await ask(right, right_over_tcp, over_tcp=over_tcp)
    assert reply.authoritative
    assert (reply.status, reply.transport) == (Status.ANSWER, "tcp" if over_tcp else "udp")
    assert reply.server == str(SERVER)
    assert server.transports == [reply.transport]
    asked = dns.message.from_wire(server.seen[0][1])
    assert not asked.flags & dns.flags.RD
    assert asked.ednsflags & dns.flags.DO


async def test_a_lost_datagram_is_sent_again() -> None:
    seen: list[bytes] = []

    def second(query: bytes) -> Iterable[bytes]:
        seen.append(query)
        return right(query) if len(seen) > 1 else []

    reply, _ = await ask(second)
    assert reply.exists


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_silence_is_no_answer_and_has_an_end(over_tcp: bool) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    reply, _ = await ask(silence, silence, over_tcp=over_tcp)
    assert reply.status is Status.TIMEOUT
    assert not reply.passed_over
    assert TIMEOUT <= loop.time() - started < TIMEOUT + SLACK


async def test_an_answer_to_something_else_is_none() -> None:
    reply, _ = await ask(lambda query: [other_name(query), bytes([query[0] ^ 1]) + next(iter(right(query)))[1:]])
    assert reply.status is Status.TIMEOUT
    reply, _ = await ask(lambda query: [other_name(query), *right(query)])
    assert reply.exists


async def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    reply, server = await ask(lambda query: [response(query, flags=dns.flags.TC)], right_over_tcp)
    assert (reply.status, reply.transport) == (Status.ANSWER, "tcp")
    assert server.transports == ["udp", "tcp"]
    reply, _ = await ask(lambda query: [response(query, flags=dns.flags.TC)])
    assert reply.status is Status.TRUNCATED


async def test_a_server_that_knows_no_edns_is_asked_without() -> None:
    reply, _ = await ask(lambda q: right(q) if not edns(q) else [response(q, rcode=dns.rcode.FORMERR)])
    assert reply.exists


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda query: [response(query, rcode=dns.rcode.REFUSED)], Status.REFUSED),
        (lambda query: [response(query, rcode=dns.rcode.SERVFAIL)], Status.SERVFAIL),
        (lambda query: [response(query, rcode=dns.rcode.NOTAUTH)], Status.SERVFAIL),
        (lambda query: [query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + query[12:-11] + b"\xff" * 9], Status.MALFORMED),
    ],
)
async def test_what_is_no_answer_keeps_its_kind(answer: Answers, status: Status) -> None:
    reply, _ = await ask(answer)
    assert reply.status is status
    assert reply.detail.startswith(f"{SERVER} ")


async def test_a_port_that_nobody_listens_at_is_heard_of_at_once() -> None:
    async with Hostile(silence) as server:
        pass
    reply = await door(server).ask(SERVER, SOA, tcp=True)
    assert reply.status is Status.NETWORK
    assert not reply.passed_over


@pytest.mark.parametrize("fault", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
async def test_without_a_route_nothing_is_said_about_the_server(fault: int) -> None:
    assert "no route" in (await door(fault=fault).ask(SERVER, SOA)).passed_over


async def test_want_of_file_descriptors_is_our_own_trouble() -> None:
    reply = await door(fault=errno.EMFILE).ask(SERVER, SOA)
    assert reply.status is Status.LOCAL_RESOURCES


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", "ä.example"])
async def test_a_name_that_cannot_be_asked_is_malformed(name: str) -> None:
    reply = await door().ask(SERVER, Question(name, "MX"))
    assert reply.status is Status.MALFORMED


async def test_each_server_has_a_pace_of_its_own() -> None:
    async with Hostile(right) as one, Hostile(right) as other:
        slow = door(one, other, per_server=0.01, clock=FakeClock())
        assert (await slow.ask(SERVER, SOA)).exists
        assert (await slow.ask(SERVER, SOA)).status is Status.RATE_LIMITED
        assert (await slow.ask(SERVER + 1, SOA)).exists
        assert len(one.seen) == 1


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_no_socket_stays_open() -> None:
    async with Hostile(right, right_over_tcp) as server:
        servers = door(server)
        before = open_files()
        for tcp in (False, True):
            await servers.ask(SERVER, SOA, tcp=tcp)
        await asyncio.sleep(0)
        assert open_files() <= before + 1  # the server's end of the stream may still close


def test_a_lag_lasts_until_the_last_server_has_what_the_first_one_had() -> None:
    clock = FakeClock()
    servers = AuthoritativeClient(clock)
    assert servers.lag("example.com", {5}) == 0
    assert servers.lag("example.com", {5, 6}) == 0
    clock.pass_(100)
    assert servers.lag("example.com", {5, 7}) == 100
    assert servers.lag("example.net", {1, 2}) == 0
    clock.pass_(100)
    assert servers.lag("example.com", {6, 8}) == 0, "6 has arrived everywhere; 8 is new"
    clock.pass_(100)
    assert servers.lag("example.com", {6, 8}) == 100
    assert servers.lag("example.com", {8}) == 0
    clock.pass_(100)
    assert servers.lag("example.com", {8, 9}) == 0


def test_a_server_that_says_nothing_for_once_has_caught_up_with_nobody() -> None:
    clock = FakeClock()
    servers = AuthoritativeClient(clock)
    servers.lag("example.com", {5, 6})
    clock.pass_(100)
    assert servers.lag("example.com", {6}, complete=False) == 0
    assert servers.lag("example.com", set(), complete=False) == 0
    clock.pass_(100)
    assert servers.lag("example.com", {5, 6}) == 200
    servers.lag("example.com", {6}, complete=False)
    assert servers.lag("example.com", {6, 7}) == 0, "it has 6 by now"


def test_a_serial_that_went_around_is_the_newer_one() -> None:
    clock = FakeClock()
    servers = AuthoritativeClient(clock)
    servers.lag("example.com", {2**32 - 1, 0})
    clock.pass_(100)
    assert servers.lag("example.com", {0, 1}) == 0
    servers.lag("example.net", {2**32 - 1, 0})
    clock.pass_(100)
    assert servers.lag("example.net", {2**32 - 1, 1}) == 100


# --- a dead server ----------------------------------------------------------------------------------------------------


def said(status: Status) -> ServerReply:
    return ServerReply(SOA, status)


def test_a_server_that_is_silent_is_waited_for_less_until_it_answers() -> None:
    server = Unanswered()
    for number in range(SILENT):
        assert server.patience(number, 3.0) == 3.0
        server.take(said(Status.TIMEOUT))
    assert server.patience(SILENT, 3.0) == 1.0
    server.take(said(Status.NETWORK))
    server.take(said(Status.LOCAL_RESOURCES))
    assert server.patience(SILENT - 2 + PENALTY, 3.0) == 1.0
    assert server.patience(SILENT - 1 + PENALTY, 3.0) == 3.0, "one question has the whole time"
    assert server.patience(SILENT + PENALTY, 3.0) == 1.0
    server.take(said(Status.SERVFAIL))
    assert server.patience(SILENT + PENALTY, 3.0) == 3.0


async def test_a_dead_server_of_many_zones_holds_up_its_zones_less_and_no_other_server() -> None:
    async with Hostile(silence) as dead, Hostile(right) as well:
        client = door(dead, well, clock=FakeClock())
        await asyncio.gather(*(client.ask(SERVER, SOA) for _ in range(SILENT)))
        waited = [(await client.ask(SERVER, SOA)) for _ in range(3)]
        assert {reply.status for reply in waited} == {Status.TIMEOUT}
        assert min(reply.seconds for reply in waited) < TIMEOUT * 2 / 3
        assert (await client.ask(SERVER + 1, SOA)).authoritative
        assert client._silence(SERVER, tcp=True).patience(0.0, TIMEOUT) == TIMEOUT, "TCP is another way"
        dead._answer_udp = right
        assert (await client.ask(SERVER, SOA)).authoritative
        assert client._silence(SERVER, tcp=False).patience(0.0, TIMEOUT) == TIMEOUT
