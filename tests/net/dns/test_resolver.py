"""The resolver, over real sockets on loopback: what it tells apart, and whom it asks next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import dns.flags
import dns.message
import dns.rcode
import pytest

from exporter.demo.nameserver import NameServer, ZoneData
from exporter.mail.dns import Question, Status
from tests.lab.process import free
from tests.support.hostile import Answers, Hostile, checking_disabled, edns, framed, response, silence
from tests.support.memory import MemoryResolver
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
    other_name,
    over_tcp,
    resolving,
    saying,
    truncated,
)

# --- every type, every outcome, both transports -----------------------------------------------------------------------

DATA = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "MX": "10 mx.example.",
    "TXT": '"v=spf1" " -all"',
    "PTR": "mail.example.",
    "NS": "ns.example.",
}
FAULTS = ("servfail", "refused", "timeout", "bogus", "malformed")
OUTCOMES = ("answer", "alias", "nodata", "nxdomain", "alias-to-nothing", *FAULTS)
WORLD = "\n".join(
    [
        *[f"; {fault}: {fault}.example. *" for fault in FAULTS],
        *[f"answer.example. {rdtype} {data}" for rdtype, data in DATA.items()],
        "alias.example. CNAME answer.example.",
        "nodata.example. HINFO some thing",
        "alias-to-nothing.example. CNAME nxdomain.example.",
        *[f"{fault}.example. A 192.0.2.9" for fault in FAULTS],
    ]
)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("rdtype", DATA)
@pytest.mark.parametrize("truncate", [False, True], ids=["udp", "tcp"])
async def test_each_outcome_is_told_apart(rdtype: str, outcome: str, truncate: bool) -> None:
    question = Question(f"{outcome}.example", rdtype)
    server = NameServer(ZoneData(WORLD), truncate=truncate)
    await server.start()
    patience = 0.05 if outcome == "timeout" else 5.0  # whoever answers may take a while on a busy machine
    try:
        async with resolving(server.address, timeout=patience) as resolver:
            reply = await resolver.ask(question)
    finally:
        await server.stop()
    expected = await MemoryResolver(ZoneData(WORLD)).ask(question)
    assert reply.status is expected.status
    assert (reply.records, reply.chain) == (expected.records, expected.chain)
    assert reply.ttl == (expected.ttl if reply.status.conclusive else 0)
    assert reply.transport == ("tcp" if truncate and outcome != "timeout" else "udp")
    assert reply.server == f"127.0.0.1:{server.address[1]}"
    assert bool(reply.detail) is not reply.status.conclusive


# --- truncation and TCP -----------------------------------------------------------------------------------------------


async def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    async with Hostile(truncated, over_tcp) as server, resolving(server) as resolver:
        reply = await resolver.ask(A)
        assert (reply.records, reply.transport, server.transports) == (TRUE, "tcp", ["udp", "tcp"])


def another(query: bytes) -> Iterable[bytes]:
    return [framed(other_name(query))]


def still_truncated(query: bytes) -> Iterable[bytes]:
    return [framed(response(query, flags=dns.flags.TC))]


@pytest.mark.parametrize("tcp", [None, silence, cut_off, another, still_truncated, drip, nothing])
async def test_a_truncated_answer_without_a_better_one_stays_truncated(tcp: Answers | None) -> None:
    async with Hostile(truncated, tcp) as server, resolving(server) as resolver:
        started = time.monotonic()
        reply = await resolver.ask(A)
        assert reply.status is Status.TRUNCATED
        assert reply.detail
        assert time.monotonic() - started < TIMEOUT + SLACK


async def test_tcp_can_be_asked_for() -> None:
    async with Hostile(honest, over_tcp) as server, resolving(server) as resolver:
        await resolver.ask(A)
        assert (await resolver.ask(A, tcp=True)).transport == "tcp"
        assert server.transports == ["udp", "tcp"]


async def test_a_failure_over_tcp_does_not_spoil_what_is_known() -> None:
    async with Hostile(honest) as server, resolving(server) as resolver:
        await resolver.ask(A)
        assert (await resolver.ask(A, tcp=True)).status is Status.NETWORK
        assert (await resolver.ask(A)).records == TRUE


# --- EDNS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refuse",
    [
        saying(dns.rcode.FORMERR),
        saying(dns.rcode.NOTIMP),
        saying(dns.rcode.BADVERS),
        lambda query: [query[:2] + b"\x81\x81" + bytes(8)],
    ],
)
async def test_who_does_not_know_edns_is_asked_without(refuse: Answers) -> None:
    async with (
        Hostile(lambda query: refuse(query) if edns(query) else honest(query)) as server,
        resolving(server) as resolver,
    ):
        assert (await resolver.ask(A)).records == TRUE
        assert len(server.seen) == 2


@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP])
async def test_a_refusal_with_and_without_edns_proves_nothing(rcode: dns.rcode.Rcode) -> None:
    async with Hostile(saying(rcode)) as server, resolving(server) as resolver:
        reply = await resolver.ask(A)
        assert (reply.status, len(server.seen)) == (Status.SERVFAIL, 2)
        assert dns.rcode.to_text(rcode) in reply.detail


# --- several nameservers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        silence,
        saying(dns.rcode.SERVFAIL),
        saying(dns.rcode.REFUSED),
        truncated,
        lambda query: [response(query, "evil.example. 60 IN A 203.0.113.66")],
        lambda query: [response(query, rcode=dns.rcode.NXDOMAIN, ede=(17, "filtered"))],
    ],
)
async def test_the_next_nameserver_is_asked_when_one_cannot_answer(first: Answers) -> None:
    async with Hostile(first) as one, Hostile(honest) as two, resolving(one, two) as resolver:
        reply = await resolver.ask(A)
        assert (reply.records, reply.server) == (TRUE, label(two))


async def test_an_answer_of_the_first_is_the_answer() -> None:
    """Only who cannot answer is passed over: a NXDOMAIN counts, and nobody else is asked for a better one."""
    async with Hostile(saying(dns.rcode.NXDOMAIN)) as one, Hostile(honest) as two, resolving(one, two) as resolver:
        assert (await resolver.ask(A)).status is Status.NXDOMAIN
        assert two.seen == []


async def test_a_dead_nameserver_is_passed_over() -> None:
    async with Hostile(silence) as gone:
        address = gone.address
    async with Hostile(honest) as two, resolving(address, two) as resolver:
        assert (await resolver.ask(A)).records == TRUE


async def test_who_was_silent_is_asked_last() -> None:
    async with Hostile(silence) as one, Hostile(saying(dns.rcode.NXDOMAIN)) as two, resolving(one, two) as resolver:
        await resolver.ask(A)
        for number in range(5):
            await resolver.ask(Question(f"{number}.example", "A"))
        assert len(one.seen) == 1


async def test_a_slow_answer_counts_while_others_are_asked() -> None:
    late: list[bytes] = []

    def slow(query: bytes) -> Iterable[bytes]:
        late.append(query)
        if len(late) == 1:
            loop = asyncio.get_running_loop()
            loop.call_later(0.15, lambda: one._udp.sendto(response(late[0], GOOD), one.peer))
        return ()

    async with Hostile(slow) as one, Hostile(silence) as two, resolving(one, two, timeout=0.3) as resolver:
        reply = await resolver.ask(A)
        assert (reply.records, reply.server) == (TRUE, label(one))
        assert len(two.seen) == 1


async def test_a_lost_datagram_is_sent_again() -> None:
    seen: list[bytes] = []

    def lossy(query: bytes) -> Iterable[bytes]:
        seen.append(query)
        return honest(query) if len(seen) > 1 else ()

    async with Hostile(lossy) as server, resolving(server) as resolver:
        reply = await resolver.ask(A)
        assert reply.records == TRUE
        assert seen[0][:2] != seen[1][:2]


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (silence, silence, Status.TIMEOUT),
        (silence, saying(dns.rcode.SERVFAIL), Status.SERVFAIL),
        (saying(dns.rcode.REFUSED), saying(dns.rcode.SERVFAIL), Status.SERVFAIL),
        (saying(dns.rcode.REFUSED), silence, Status.REFUSED),
        (saying(dns.rcode.REFUSED), truncated, Status.TRUNCATED),
        (
            lambda query: [response(query, "evil.example. 60 IN A 203.0.113.66")],
            saying(dns.rcode.REFUSED),
            Status.MALFORMED,
        ),
    ],
)
async def test_of_several_failures_the_most_telling_is_told(first: Answers, second: Answers, status: Status) -> None:
    async with Hostile(first) as one, Hostile(second) as two, resolving(one, two) as resolver:
        started = time.monotonic()
        reply = await resolver.ask(A)
        assert reply.status is status
        assert label(one) in reply.detail
        assert label(two) in reply.detail
        assert time.monotonic() - started < TIMEOUT + SLACK


async def test_no_nameserver_at_all_is_network() -> None:
    async with resolving(free()) as resolver:
        reply = await resolver.ask(A)
        assert reply.status is Status.NETWORK
        assert "Connection refused" in reply.detail


async def test_a_nameserver_may_have_an_ipv6_address() -> None:
    server = NameServer(ZoneData("www.example. A 192.0.2.1"))
    await server.start("::1")
    try:
        async with resolving(server.address) as resolver:
            for tcp in (False, True):
                reply = await resolver.ask(A, tcp=tcp)
                assert (reply.records, reply.server) == (TRUE, f"[::1]:{server.address[1]}")
    finally:
        await server.stop()


# --- DNSSEC -----------------------------------------------------------------------------------------------------------


def checks(query: bytes, ede: tuple[int, str] | None = None) -> Iterable[bytes]:
    return honest(query) if checking_disabled(query) else [response(query, rcode=dns.rcode.SERVFAIL, ede=ede)]


async def test_servfail_that_ends_without_checking_is_bogus() -> None:
    async with (
        Hostile(lambda query: checks(query, (7, "signature expired"))) as server,
        resolving(server) as resolver,
    ):
        reply = await resolver.ask(A)
        assert (reply.status, reply.records) == (Status.BOGUS, ())
        assert reply.extended_errors == ("EDE 7 (signature expired): signature expired",)
        assert len(server.seen) == 2


async def test_without_an_extended_error_the_servfail_must_last() -> None:
    async with Hostile(checks) as server, resolving(server) as resolver:
        assert (await resolver.ask(A)).status is Status.BOGUS
        assert [checking_disabled(query) for _, query in server.seen] == [False, True, False]


async def test_trouble_that_has_passed_is_not_bogus() -> None:
    seen: list[bytes] = []

    def recovering(query: bytes) -> Iterable[bytes]:
        seen.append(query)
        return honest(query) if len(seen) > 1 else [response(query, rcode=dns.rcode.SERVFAIL)]

    async with Hostile(recovering) as server, resolving(server) as resolver:
        assert (await resolver.ask(A)).records == TRUE


async def test_servfail_without_checking_too_is_servfail_with_its_extended_error() -> None:
    async with (
        Hostile(saying(dns.rcode.SERVFAIL, (22, "at delegation example."))) as server,
        resolving(server) as resolver,
    ):
        reply = await resolver.ask(A)
        assert reply.status is Status.SERVFAIL
        assert reply.extended_errors == ("EDE 22 (no reachable authority): at delegation example.",)
