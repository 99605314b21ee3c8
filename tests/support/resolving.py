"""A resolver with hostile servers, for the tests of exporter/net/dns/resolver.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import dns.flags
import dns.message
import dns.rcode

from exporter.clock import Clock
from exporter.mail.dns import Question
from exporter.net.dns.resolver import Resolver
from tests.support.clock import FakeClock
from tests.support.hostile import Answers, Hostile, framed, response

A = Question("www.example", "A")
GOOD = "www.example. 60 IN A 192.0.2.1"
EVIL = "www.example. 60 IN A 203.0.113.66"
TRUE = (IPv4Address("192.0.2.1"),)
TIMEOUT = 0.2
SLACK = 0.25  # what a busy machine may add


@asynccontextmanager
async def resolving(
    *servers: Hostile | tuple[str, int],
    clock: Clock | None = None,
    timeout: float = TIMEOUT,
    per_second: float = 1e9,
    zones: dict[str, float] | None = None,
    queue_timeout: float = 5,
) -> AsyncIterator[Resolver]:
    addresses = [server.address if isinstance(server, Hostile) else server for server in servers]
    resolver = Resolver(
        addresses,
        clock or FakeClock(),
        timeout=timeout,
        queries_per_second=per_second,
        zones=zones,
        queue_timeout=queue_timeout,
    )
    await resolver.start()
    try:
        yield resolver
    finally:
        await resolver.close()


def honest(query: bytes) -> Iterable[bytes]:
    return [response(query, GOOD)]


def truncated(query: bytes) -> Iterable[bytes]:
    return [response(query, flags=dns.flags.TC)]


def saying(rcode: dns.rcode.Rcode, ede: tuple[int, str] | None = None) -> Answers:
    return lambda query: [response(query, rcode=rcode, ede=ede)]


def over_tcp(query: bytes) -> Iterable[bytes]:
    return [framed(response(query, GOOD))]


def label(server: Hostile) -> str:
    return f"127.0.0.1:{server.address[1]}"


def other_name(query: bytes) -> bytes:
    asked = dns.message.make_query("evil.example", "A", id=int.from_bytes(query[:2]))
    return response(asked.to_wire(), "evil.example. 60 IN A 203.0.113.66")


def cut_off(query: bytes) -> Iterable[bytes]:
    return [over_tcp(query)[0][:-3]]  # type: ignore[index]  # a list


def drip(query: bytes) -> Iterable[bytes]:
    return [b"\0"]


def nothing(query: bytes) -> Iterable[bytes]:
    return [b"\0\0"]
