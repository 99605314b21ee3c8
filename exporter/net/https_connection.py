"""Connects to a web server, and bounds what that server can cost us.

The problem: a server can send without end what never becomes an answer: interim responses (RFC 9110 section 15.2),
chunk extensions, TLS messages. asyncio and aiohttp take in all that has arrived before any other task gets a turn, and
they count only lines and bodies.

The idea: TLS runs in memory here, between the network and aiohttp. So each octet is counted on both sides of TLS.

The rules:

- Octets are taken in by pieces of PIECE. All connections together take in one piece in one turn of the loop.
- The limits are HANDSHAKE for TLS itself, HEAD for all that stands in front of the answer's body, and twice the largest
  body for the body and its framing. In TLS records, all of it may have four times that size.
- A server that goes beyond a limit is left at once, with `TooMuch`.

Nothing here has a deadline; the caller sets one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohappyeyeballs
import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

PIECE = 4096  # octets: the worst of them, 200 interim responses, take a few milliseconds
HANDSHAKE = 2**17  # octets; OpenSSL itself takes no more than 100 KiB of certificates
HEAD = 2**16  # octets of interim responses, status line and header
_CLOSED = "the server closed the connection"
_NEXT = 0.25  # seconds until the next address is tried too (RFC 8305 section 8)


class TooMuch(ConnectionError):  # noqa: N818 (a fact about the server, not an error of ours)
    """The server sent more than it may. `in_body`: it had begun its answer."""

    def __init__(self, why: str, *, in_body: bool) -> None:
        super().__init__(why)
        self.in_body = in_body


class WebConnection(asyncio.Transport):
    """A TLS connection, for one GET, that aiohttp takes for an ordinary transport. `turns` is shared by all of them.

    `begun`: aiohttp has it. `excess` says what was too much, if anything was.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, turns: asyncio.Lock) -> None:
        super().__init__()
        self._reader, self._writer, self._turns = reader, writer, turns
        self._encrypted, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._raw, self._clear = HANDSHAKE, HEAD  # octets that it may still send
        self._in_body = False
        self.begun = False
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._lost = False
        self.excess: TooMuch | None = None

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """The handshake. Raise OSError, of which ssl.SSLError and TooMuch are kinds."""
        self._tls = context.wrap_bio(self._encrypted, self._to_send, server_hostname=host)
        while not await self._shaken():
            self._encrypted.write(await self._received())
        self._raw += 4 * HEAD

    async def _shaken(self) -> bool:
        async with self._turns:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            finally:
                self._flush()  # an alert too: the server's log should say why we left
                await asyncio.sleep(0)
        return True

    async def _received(self) -> bytes:
        octets = await self._reader.read(PIECE)
        if not octets:
            raise ConnectionResetError(_CLOSED)
        self._raw -= len(octets)
        if self._raw < 0:
            raise self._too_much("more bytes of TLS than any answer needs")
        return octets

    def begin(self, protocol: ResponseHandler) -> None:
        """Pass on to aiohttp what comes from now on."""
        self._protocol, self.begun = protocol, True
        protocol.connection_made(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def allow_body(self, largest: int) -> None:
        """The answer has begun, and its body may have so many octets."""
        self._in_body = True
        self._clear += 2 * largest
        self._raw += 8 * largest

    def connector(self) -> aiohttp.BaseConnector:
        return _Given(self)

    async def hang_up(self) -> None:
        """Close, and leave nothing behind: neither a task, nor a file that waits for a server that does not read."""
        try:
            if self._task:
                self.close()
                await asyncio.wait([self._task])
            with suppress(ssl.SSLError):
                self._tls.unwrap()  # which only writes a goodbye here
            self._flush()
            await asyncio.sleep(0)  # uvloop sends at the end of a turn
            if not self._writer.transport.get_write_buffer_size():
                self._writer.close()
                with suppress(OSError):
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()
            self._task = None  # how it ended leads back to us: a circle, which only the garbage collector would find

    async def _run(self) -> None:
        fault: OSError | None = None
        try:
            while True:
                self._encrypted.write(await self._received())
                while await self._passed_on():
                    await self._may_read.wait()
                await self._writer.drain()
        except (ConnectionResetError, ssl.SSLZeroReturnError):
            pass  # aiohttp knows whether the answer was complete
        except OSError as error:
            fault = error
        self._lose(fault)

    async def _passed_on(self) -> bool:
        """Take one piece out of TLS, if there is one, and let everybody else have a turn."""
        async with self._turns:
            try:
                octets = self._tls.read(PIECE)
            except ssl.SSLWantReadError:
                return False
            finally:
                self._flush()
                await asyncio.sleep(0)
            if not octets:
                raise ssl.SSLZeroReturnError
            self._clear -= len(octets)
            if self._clear < 0:
                raise self._too_much("more bytes than its body may have, or a head larger than any answer needs")
            if not self._closing:
                self._protocol.data_received(octets)
        return True

    def _too_much(self, why: str) -> TooMuch:
        self.excess = TooMuch(why, in_body=self._in_body)
        return self.excess

    def _flush(self) -> None:
        if octets := self._to_send.read():
            self._writer.write(octets)

    def _lose(self, fault: OSError | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(fault)

    # what aiohttp uses of a transport

    def write(self, data: Any) -> None:
        with suppress(ssl.SSLError):  # after a fault in TLS; reading tells it
            self._tls.write(data)
        self._flush()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._writer.get_extra_info(name, default)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if self._task:
                self._task.cancel()
            asyncio.get_running_loop().call_soon(self._lose, None)

    def abort(self) -> None:
        self.close()


class _Given(aiohttp.BaseConnector):
    """Gives aiohttp a connection that is there already."""

    def __init__(self, connection: WebConnection) -> None:
        super().__init__(force_close=True)
        self._connection = connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        if self._connection.begun:  # aiohttp asks a server again that has hung up
            raise ConnectionResetError(_CLOSED)
        protocol = ResponseHandler(self._loop)
        self._connection.begin(protocol)
        return protocol


async def connect(
    found: Sequence[tuple[str, int]], host: str, context: ssl.SSLContext, turns: asyncio.Lock
) -> WebConnection:
    """Connect to the first address that speaks TLS as it should.

    If none does, raise OSError: of the first that was connected to, or of all if that was none.
    """
    places: list[aiohappyeyeballs.AddrInfoType] = [
        (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (ip, port))
        for ip, port in found
    ]
    fault: OSError | None = None
    while places:
        try:
            connected, place = await _reached(places)
        except OSError as error:  # each place that was left has been tried
            raise fault or error from None
        try:
            return await _secured(connected, host, context, turns)
        except OSError as error:
            fault = fault or error
        places.remove(place)
    raise fault or OSError(f"{host} has no address")


async def _reached(
    places: Sequence[aiohappyeyeballs.AddrInfoType],
) -> tuple[socket.socket, aiohappyeyeballs.AddrInfoType]:
    opened: dict[socket.socket, aiohappyeyeballs.AddrInfoType] = {}

    def factory(place: aiohappyeyeballs.AddrInfoType) -> socket.socket:
        sock = socket.socket(*place[:3])
        opened[sock] = place
        return sock

    connected = await aiohappyeyeballs.start_connection(places, happy_eyeballs_delay=_NEXT, socket_factory=factory)
    return connected, opened[connected]


async def _secured(connected: socket.socket, host: str, context: ssl.SSLContext, turns: asyncio.Lock) -> WebConnection:
    try:
        reader, writer = await asyncio.open_connection(sock=connected, limit=PIECE)
    except BaseException:
        connected.close()
        raise
    connection = WebConnection(reader, writer, turns)
    try:
        await connection.secure(context, host)
    except BaseException:
        await connection.hang_up()
        raise
    return connection
