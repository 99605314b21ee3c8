"""A web host with several addresses is asked at each of them, and judged by all of them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from exporter.demo.ca import Authority
from exporter.demo.website import server_context
from exporter.facts import IP, Reason
from exporter.net.https import MOST_ADDRESSES, Failure, HttpsClient
from tests.support.web import NAME, NOBODY, URL, answering, failed, sites


async def test_the_answer_of_the_host_itself_proves_no_way_to_it() -> None:
    async with sites(answering()) as https:
        assert (await https.get(URL)).status == 200
        https._addresses._dial = nowhere
        assert failed(await https.get(URL)) == (Failure.CONNECTION, Reason.EGRESS)


async def nowhere(ip: IP, port: int) -> tuple[str, int]:
    return NOBODY


SIX = f"{NAME}. AAAA 2001:db8::80\n"


@asynccontextmanager
async def another_server_over_ipv6(zone: str = SIX, *, ipv4: bool = True) -> AsyncIterator[HttpsClient]:
    """NAME at its own address, and over IPv6 a server that shows a certificate of another authority."""
    now = time.time()
    stranger = Authority(now, "another authority").issue(NAME, not_before=now - 86400, not_after=now + 86400)
    six = await asyncio.start_server(lambda _, writer: writer.close(), "::1", 0, ssl=server_context(stranger))
    port_of_six = six.sockets[0].getsockname()[1]
    async with six, sites(answering(), zone=zone) as https:
        direct = https._addresses._dial

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            if ip.version == 6:
                return "::1", port_of_six
            return await direct(ip, port) if ipv4 else NOBODY

        https._addresses._dial = dial
        yield https


async def test_the_first_address_that_speaks_tls_as_it_should_is_asked() -> None:
    async with another_server_over_ipv6() as https:
        assert (await https.get(URL)).status == 200


async def test_an_address_that_refuses_hides_no_fault_of_one_that_answers() -> None:
    async with another_server_over_ipv6(ipv4=False) as https:
        assert failed(await https.get(URL)) == (Failure.CERTIFICATE, Reason.NETWORK)


async def test_nothing_is_charged_to_a_host_while_some_of_its_addresses_are_unknown() -> None:
    """Whoever knows them may be served well."""
    dark = "; servfail: half.example.com. A\nhalf.example.com. AAAA 2001:db8::80\n"
    async with another_server_over_ipv6(dark) as https:
        assert failed(await https.get("https://half.example.com/")) == (Failure.DNS, Reason.DNS_SERVFAIL)


async def test_each_address_that_refuses_is_tried_once() -> None:
    tried: list[Any] = []
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def counted(sock: socket.socket, where: Any) -> None:
        tried.append(where)
        await connect(sock, where)

    loop.sock_connect = counted  # type: ignore[method-assign,assignment]  # to see what it is asked for
    try:
        async with sites(answering(), zone="".join(f"{NAME}. A 192.0.2.{number}\n" for number in range(1, 8))) as https:
            https._addresses._dial = nowhere
            assert failed(await https.get(URL)) == (Failure.CONNECTION, Reason.EGRESS)
    finally:
        del loop.sock_connect
    assert len(tried) == MOST_ADDRESSES
