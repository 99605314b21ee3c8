"""A name server that a test scripts: any octets, in any order, over UDP and TCP on one loopback port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Self, TypeAlias

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Answers: TypeAlias = Callable[[bytes], Iterable[bytes]]


def response(
    query: bytes,
    *records: str,
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    authority: Iterable[str] = (),
    ede: tuple[int, str] | None = None,
    flags: int = 0,
    clear: int = 0,
) -> bytes:
    """An honest answer to a query. Records are one line each: owner, TTL, IN, type, data."""
    asked = dns.message.from_wire(query)
    reply = dns.message.make_response(asked, recursion_available=True)
    reply.set_rcode(rcode)
    reply.answer.extend(_rrset(line) for line in records)
    reply.authority.extend(_rrset(line) for line in authority)
    reply.flags = (reply.flags | flags) & ~clear
    if ede:
        reply.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.make(ede[0]), ede[1])])
    return reply.to_wire(max_size=65535)


def _rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, *rest = line.split(None, 4)
    return dns.rrset.from_text(owner, int(ttl), *rest)


def edns(query: bytes) -> bool:
    return dns.message.from_wire(query).edns >= 0


def checking_disabled(query: bytes) -> bool:
    return bool(query[3] & 0x10)


def silence(query: bytes) -> Iterable[bytes]:
    return ()


class Hostile(asyncio.DatagramProtocol):
    """`udp` and `tcp` make the answers to a query; over TCP they are sent as they are, length included if wanted.

    Without `tcp`, nothing listens there. `seen` are the queries with their transport, `forge` sends from elsewhere.
    """

    def __init__(self, udp: Answers, tcp: Answers | None = None) -> None:
        self._answer_udp, self._answer_tcp = udp, tcp
        self.seen: list[tuple[str, bytes]] = []
        self.peer: tuple[str, int] = ("", 0)
        self.address: tuple[str, int] = ("", 0)

    @property
    def transports(self) -> list[str]:
        return [transport for transport, _ in self.seen]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        while True:
            self._half = socket.socket()  # held although nobody may listen, so that no other process does
            self._half.bind(("127.0.0.1", 0))
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self._half.getsockname())
            except OSError:  # that half is taken
                self._half.close()
            else:
                break
        self.address = self._udp.get_extra_info("sockname")
        self._tcp = await asyncio.start_server(self._stream, sock=self._half) if self._answer_tcp else None
        self._open: dict[object, asyncio.StreamWriter] = {}
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        for writer in self._open.values():
            writer.close()
        await asyncio.gather(*self._open)  # type: ignore[call-overload]  # they are tasks
        if self._tcp:
            self._tcp.close()
            await self._tcp.wait_closed()
        self._half.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.seen.append(("udp", data))
        self.peer = addr
        for answer in self._answer_udp(data):
            self._udp.sendto(answer, addr)

    def forge(self, message: bytes) -> None:
        """Send to whoever asked last, from another port."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(message, self.peer)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        self._open[me] = writer
        try:
            query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            self.seen.append(("tcp", query))
            assert self._answer_tcp
            answers = list(self._answer_tcp(query))
            for answer in answers:
                writer.write(answer)
            if not answers:
                await reader.read()  # until the other side gives up
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            del self._open[me]


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2) + message
