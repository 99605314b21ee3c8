"""A client for the name servers of a scenario: real servers, or the same answers from memory."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.demo.nameserver import ZoneData
from exporter.demo.zoneserver import Manner, ZoneServers, seats
from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dns import Question, ServerReply, Status
from exporter.net.dns import wire
from exporter.net.dns.authoritative import AuthoritativeClient, passed_over
from tests.support.clock import FakeClock

_MUTE = {Manner.SILENT, Manner.NO_TCP, Manner.NO_UDP}


class MemoryAuthoritative(AuthoritativeClient):
    """No sockets and no waiting: the servers are handed the octets and asked for theirs."""

    def __init__(self, world: str, clock: FakeClock) -> None:
        super().__init__(clock)
        self._servers = ZoneServers(world, ZoneData(world))

    async def ask(self, server: IP, question: Question, *, tcp: bool = False) -> ServerReply:
        try:
            await self._servers.dial(server)
        except OSError as wrong:
            if wrong.errno == errno.ENETUNREACH:
                return passed_over(question, "no route")
            return ServerReply(question, Status.NETWORK, detail=f"{server} cannot be reached")
        if server not in self._servers.servers:
            return passed_over(question, f"{names.not_public(server)}")
        query = wire.iterative_query(question)
        message = self._servers.servers[server].reply(b"\0\1" + query.tail, udp=not tcp)
        if message is None:
            return ServerReply(question, Status.TIMEOUT, detail=f"{server} gives no answer")
        said = wire.decode(message, query)
        if said.status is Status.TRUNCATED and not tcp:
            return await self.ask(server, question, tcp=True)
        return ServerReply(
            question,
            said.status,
            said.records,
            said.chain,
            server=str(server),
            detail=f"{server} {said.detail}" if said.detail else "",
            authoritative=said.authoritative,
            referral=said.referral,
            signature=said.signature,
        )


@asynccontextmanager
async def zone_servers(world: str, clock: FakeClock) -> AsyncIterator[AuthoritativeClient]:
    """Real ones. Those that are never silent are given time, for the machine may be busy."""
    mute = any(seat.manners & _MUTE for seat in seats(world))
    servers = ZoneServers(world, ZoneData(world))
    await servers.start()
    try:
        yield AuthoritativeClient(
            clock, dial=servers.dial, timeout=0.5 if mute else 5.0, per_second=1e9, per_server=1e9
        )
    finally:
        await servers.stop()
