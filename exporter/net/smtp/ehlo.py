"""Asks what a peer says to a sender's name: connect, greeting, `EHLO <name>`, QUIT, and never MAIL FROM.

The name is sent octet by octet as it is configured (in UTF-8), because a stray dot or space is what we want to test.
We do not send our own name, and offer no mail.

The server belongs to somebody else, so it is asked gently:

- It has one connection at a time, and PAUSE seconds between two connections.
- It is asked about one name once in an interval, however many addresses of ours use the name.
- Its answer is kept for that time, even if the answer is "not now". Only if no connection came about do we try again
  after UNREACHED seconds.

What the replies mean (RFC 5321 sections 3.2, 4.1.4, 4.2.3):

    250                     the name is accepted so far. Some servers object to a name only after RCPT (Postfix does by
                            default), and we never get so far
    501, 504, 550 ...       the name is refused
    500, 502, 503, 521      the command is refused, or all mail is: nothing is known about the name
    4xx                     not now
    5xx as the greeting     the peer refuses our address before it knows a name: EGRESS. The verdict is not about the
                            name, and the remedy is to ask from another address

No connection means EGRESS too, unless another address has greeted us lately: then our own way out is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from exporter.facts import IP, Doubt, Reason
from exporter.mail.smtp import ReplySyntaxError, SmtpReply
from exporter.net.shortage import shortage
from exporter.net.smtp.connection import SmtpConnection
from exporter.net.smtp.egress import EgressPaths, SlotTimeout, forget, nothing_answers
from exporter.net.smtp.probe import SmtpContext
from exporter.targets import Peer

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

EVERY = 6 * 3600.0  # seconds in which a server is asked about a name once
PAUSE = 2.0  # seconds between two connections to one server
QUEUE_TIMEOUT = 240.0  # seconds until the server is free: 32 runs may wait for each other
SLACK = 60.0  # seconds before the end of an interval, so that the next run does not get the answer of the last
UNREACHED = 900.0  # seconds until a server that could not be connected to is tried again
MOST_ADDRESSES = 2  # of one server, while none of them has said a word

_NOT_THE_NAME = frozenset({500, 502, 503, 521})
_TWO_LINES = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True)
class EhloResult:
    """What a server said to a name. `reply` is its reply to EHLO; if it is not about the name, there is a `doubt`."""

    server: str
    reply: SmtpReply | None = None
    doubt: Doubt | None = None
    reached: bool = False  # it said something, whatever it was
    lines: tuple[str, ...] = ()

    @property
    def refusal(self) -> SmtpReply | None:
        """The reply that refuses the name."""
        return self.reply if self.reply and self.reply.permanent and not self.doubt else None


@dataclass(slots=True)
class _Server:
    slot: asyncio.Lock = field(default_factory=asyncio.Lock)
    free: float = float("-inf")  # monotonic; when the next connection may be made


@dataclass(frozen=True, slots=True)
class _Kept:
    asked: float  # monotonic
    until: float
    said: EhloResult


class EhloClient:
    """Asks, and remembers the answers. `interval`, `pause` and `queue_timeout` are in seconds."""

    def __init__(
        self,
        context: SmtpContext,
        egress: EgressPaths,
        *,
        interval: float = EVERY,
        pause: float = PAUSE,
        queue_timeout: float = QUEUE_TIMEOUT,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._context = context
        self._egress = egress
        self._interval = interval
        self._pause = pause
        self._queue_timeout = queue_timeout
        self._sleep = sleep
        self._servers: dict[tuple[str, int], _Server] = {}
        self._kept: dict[tuple[str, int, str], _Kept] = {}

    async def ask(self, server: Peer, ips: Sequence[IP], name: str) -> EhloResult:
        """What the server at these addresses says to the name. Raises only for faults of our own."""
        octets = _on_the_wire(name)
        if octets is None:
            why = "a name with a line break, NUL or half a character cannot be said in one line, and was not sent"
            return EhloResult(server.name, doubt=Doubt(Reason.MALFORMED, why), lines=(f"-- {why}",))
        known = self._remembered(server, name)
        if known:
            return known
        place = self._place(server)
        try:
            async with asyncio.timeout(self._queue_timeout):
                await place.slot.acquire()
        except TimeoutError:
            why = f"{server.name} was busy with other names of ours for {self._queue_timeout:g} s"
            return EhloResult(server.name, doubt=Doubt(Reason.RATE_LIMITED, why), lines=(f"-- {why}",))
        try:
            return self._remembered(server, name) or await self._first(server, place, ips, name, octets)
        finally:
            place.slot.release()

    def _place(self, server: Peer) -> _Server:
        now = self._context.clock.monotonic()
        key = (server.name, server.port)
        place = self._servers.pop(key) if key in self._servers else _Server()
        self._servers[key] = place  # at the end: they are in order of age
        forget(
            self._servers, lambda old: not old.slot.locked() and now - old.free > self._interval and old is not place
        )
        return place

    def _remembered(self, server: Peer, name: str) -> EhloResult | None:
        kept, now = self._kept.get((server.name, server.port, name)), self._context.clock.monotonic()
        if kept is None or now >= kept.until:
            return None
        note = f"-- asked {now - kept.asked:.0f} s ago; a server is asked about a name once in {self._interval:g} s"
        return replace(kept.said, lines=(note, *kept.said.lines))

    async def _first(self, server: Peer, place: _Server, ips: Sequence[IP], name: str, octets: bytes) -> EhloResult:
        """Ask, one address after the other until one says something, and remember it."""
        lines: tuple[str, ...] = ()
        said = EhloResult(server.name, doubt=Doubt(Reason.NETWORK, f"{server.name} has no address to connect to"))
        for ip in ips[:MOST_ADDRESSES]:
            wait = place.free - self._context.clock.monotonic()
            if wait > 0:
                await self._sleep(wait)
            try:
                said = await self._at(server, ip, octets)
            finally:
                place.free = self._context.clock.monotonic() + self._pause
            lines += said.lines
            if said.reached:
                break
        said = replace(said, lines=lines)
        if said.doubt and said.doubt.reason is Reason.LOCAL_RESOURCES:
            return said  # it was not asked
        now, key = self._context.clock.monotonic(), (server.name, server.port, name)
        self._kept.pop(key, None)
        self._kept[key] = _Kept(now, now + (self._interval - SLACK if said.reached else UNREACHED), said)
        forget(self._kept, lambda old: now - old.asked > self._interval)
        return said

    async def _at(self, server: Peer, ip: IP, octets: bytes) -> EhloResult:
        closed = await self._egress.closed(server.name, ip, server.port, configured=server.exactly)
        if closed:
            return EhloResult(server.name, doubt=Doubt(Reason.NETWORK, closed), lines=(f"-- {closed}",))
        try:
            async with self._egress.slot(ip, server.port, self._context.deadlines.slot):
                call = _Call(self._context, self._egress, server, ip)
                await call.converse(octets)
        except SlotTimeout as late:
            return EhloResult(server.name, doubt=Doubt(Reason.RATE_LIMITED, str(late)), lines=(f"-- {late}",))
        return replace(call.said, lines=tuple(call.lines))


class _Call:
    """One connection. `said` grows as it goes on."""

    def __init__(self, context: SmtpContext, egress: EgressPaths, server: Peer, ip: IP) -> None:
        self.said = EhloResult(f"{server.name} [{ip}]")
        self.lines = [f"-- to {ip} port {server.port}"]
        self._context, self._egress, self._server, self._ip = context, egress, server, ip

    async def converse(self, octets: bytes) -> None:
        session = await self._connect()
        if session is None:
            return
        limit = self._context.deadlines
        try:
            async with asyncio.timeout(limit.session - limit.quit):
                await self._talk(session, octets)
            with suppress(TimeoutError, OSError, ReplySyntaxError):
                async with asyncio.timeout(limit.quit):
                    await session.command("QUIT")
        except ReplySyntaxError as nonsense:
            self._doubt(Reason.MALFORMED, str(nonsense))
        except TimeoutError:
            self._doubt(Reason.NETWORK, f"the conversation did not end within {limit.session:g} s")
        except OSError as broken:
            if not self._lacks(broken):
                self._doubt(Reason.NETWORK, str(broken) or type(broken).__name__)
        finally:
            session.close()

    async def _connect(self) -> SmtpConnection | None:
        """Connect. If that fails, return None; `said` says why."""
        limit = self._context.deadlines.connect
        try:
            async with asyncio.timeout(limit):
                host, port = await self._context.dial(self._ip, self._server.port)
                reader, writer = await asyncio.open_connection(host, port)
        except OSError as broken:
            if self._lacks(broken):
                return None
            how = f"no connection to {self._server.name} at {self._ip} port {self._server.port}: " + (
                str(broken) or f"none within {limit:g} s"
            )
            if self._egress.proven(self._ip, self._server.port):
                self._doubt(Reason.NETWORK, how)
            else:
                self.lines.append(f"-- {how}")
                self._doubt(Reason.EGRESS, nothing_answers(self._ip, self._server.port))
            return None
        return SmtpConnection(reader, writer, self.lines.append)

    def _lacks(self, error: OSError) -> bool:
        """Is the error due to this machine alone? Then say so."""
        short = shortage(error, ipv4=self._ip.version == 4)
        if short:
            self._doubt(Reason.LOCAL_RESOURCES, f"no connection to {self._ip} port {self._server.port}: {short}")
        return short is not None

    async def _talk(self, session: SmtpConnection, octets: bytes) -> None:
        greeting = await session.reply()
        self.said = replace(self.said, reached=True)
        self._egress.banner_seen(self._ip, self._server.port)
        if greeting.permanent:
            self._doubt(Reason.EGRESS, f"{self._server.name} refuses us before any name was said: {greeting}")
        elif greeting.transient:
            self._doubt(Reason.TEMPFAIL, f"{self._server.name} greets with {greeting}")
        elif greeting.code != 220:
            self._doubt(Reason.MALFORMED, f"{self._server.name} greets with {greeting}, where 220 is due")
        else:
            reply = await session.octets(b"EHLO " + octets)
            self.said = replace(self.said, reply=reply)
            if reply.transient:
                self._doubt(Reason.TEMPFAIL, f"{self._server.name} answers EHLO with {reply}")
            elif reply.code in _NOT_THE_NAME or (reply.positive and reply.code != 250):
                why = "which says nothing about the name"
                self._doubt(Reason.MALFORMED, f"{self._server.name} answers EHLO with {reply}, {why}")

    def _doubt(self, reason: Reason, detail: str) -> None:
        self.said = replace(self.said, doubt=Doubt(reason, detail))
        self.lines.append(f"-- {detail}")


def _on_the_wire(name: str) -> bytes | None:
    """The octets of the name; None if it cannot be sent in one line."""
    if _TWO_LINES & set(name):
        return None
    try:
        return name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
