"""Bad weather between the daemon and a small world: loss, silence, lies and closed ways, which a test can change.

Only what goes between them is touched. The world itself, its name servers, mail hosts and web sites, stays as it is.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from exporter.demo.nameserver import NameServer, ZoneData
from exporter.demo.small_world import SmallWorld
from exporter.facts import IP
from exporter.net.interfaces import Dial

DNS, SMTP, HTTPS = 53, 25, 443


class ListMood(Enum):
    """How a blocklist answers whatever is asked; the values are addresses."""

    WORLD = "127.0.0.2"
    REFUSES = "127.255.255.254"
    EMPTY = ""
    SILENT = "silent"


@dataclass
class Weather:
    """As it is now. `loss` is the part of all datagrams that is lost, `delay` the seconds that answers take."""

    chance: random.Random
    loss: float = 0.0
    delay: float = 0.0
    rcode: dns.rcode.Rcode | None = None  # to each question
    dead: set[int] = field(default_factory=set)  # the resolvers that are silent, by number
    truncates: bool = False
    tcp: bool = True
    network: bool = True
    ipv6: bool = True
    lists: dict[str, ListMood] = field(default_factory=dict)  # by zone
    shut: set[int] = field(default_factory=set)  # ports that nobody gets out to
    instead: dict[tuple[IP, int], tuple[str, int]] = field(default_factory=dict)  # who answers for a host

    def clear(self) -> None:
        """As at first. What is random goes on."""
        self.__dict__.update(Weather(self.chance).__dict__)

    def lost(self) -> bool:
        return self.loss > 0 and self.chance.random() < self.loss


class StormyServer(NameServer):
    """Another name server in this weather. With a number, it is one of the resolvers of the daemon."""

    def __init__(self, inner: NameServer, weather: Weather, number: int | None = None) -> None:
        super().__init__(inner.zone)
        self._inner, self._weather, self._number = inner, weather, number

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._weather.lost():
            return
        reply = self.reply(data, udp=True)
        if reply is not None and not self._weather.lost():
            asyncio.get_running_loop().call_later(self._weather.delay, self._send, reply, addr)

    def _send(self, reply: bytes, addr: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(reply, addr)  # type: ignore[attr-defined]  # a datagram transport

    def reply(self, wire: bytes, *, udp: bool) -> bytes | None:
        weather = self._weather
        if self._number is None:
            return self._inner.reply(wire, udp=udp)
        if not weather.network or self._number in weather.dead or not (udp or weather.tcp):
            return None
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query, recursion_available=True)
        name = query.question[0].name.to_text(omit_final_dot=True)
        mood = next((mood for zone, mood in weather.lists.items() if name.endswith(f".{zone}")), None)
        if weather.rcode is not None:
            response.set_rcode(weather.rcode)
        elif udp and weather.truncates:
            return self.sized(query, response, udp=True, truncate=True)
        elif mood is None:
            return self._inner.reply(wire, udp=udp)
        elif mood is ListMood.SILENT:
            return None
        elif mood is ListMood.EMPTY:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif query.question[0].rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "A", mood.value))
        return response.to_wire()


@asynccontextmanager
async def resolvers(zone: ZoneData, weather: Weather) -> AsyncIterator[list[StormyServer]]:
    """Two of them."""
    async with AsyncExitStack() as running:
        servers = [StormyServer(NameServer(zone), weather, number) for number in range(2)]
        for server in servers:
            await server.start()
            running.push_async_callback(server.stop)
        yield servers


@asynccontextmanager
async def way(world: SmallWorld, weather: Weather) -> AsyncIterator[Dial]:
    """The way to a place of the world in this weather."""
    twins = {ip: StormyServer(server, weather) for ip, server in world.zones.servers.items()}

    async def go(ip: IP, port: int) -> tuple[str, int]:
        if not weather.network or (ip.version == 6 and not weather.ipv6):
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if port in weather.shut:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if (ip, port) in weather.instead:
            return weather.instead[ip, port]
        place = await world.dial(ip, port)
        return twins[ip].address if port == DNS and ip in twins else place

    async with AsyncExitStack() as running:
        for twin in twins.values():
            await twin.start()
            running.push_async_callback(twin.stop)
        yield go


async def come_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A mail host that lets nobody introduce himself."""
    writer.write(b"220 mx ESMTP\r\n")
    with suppress(ConnectionError):
        while line := await reader.readline():
            writer.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"450 4.7.1 greylisted, come again\r\n")
    writer.close()
