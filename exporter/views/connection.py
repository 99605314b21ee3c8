"""One connection to the HTTP server: what it is doing, and how long it may.

The problem: a client that sends half a request, or reads no answer, costs a file and memory for as long as it likes.
aiohttp ends only those that are idle between two requests.

The idea: each connection knows what it is doing and since when. The listener asks it once a second whether it is
overdue.

The rules:

- The head of a request is there within `head` seconds: of the first one since the connection was accepted, TLS
  handshake included, of a later one since its first octet. Trickled octets win no time.
- A head has at most HEAD octets, a body at most BODY, and the body is there `head` seconds after its head.
- A client that takes no octet of its answer for `stall` seconds is cut off, and so is an answer that takes longer than
  `response` seconds.
- What aiohttp's parser refuses is answered in one plain line and counted. It is not logged: anybody can cause it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, TypeVar, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.typedefs import Handler

from exporter.views.http_stats import Disconnection, HttpStats

E = TypeVar("E", bound=web.HTTPException)

log = logging.getLogger(__name__)

HEAD = 16 * 1024  # octets of one request head
HEADERS = 100  # fields of one request head
BODY = 64 * 1024  # octets of one request's body: a bounce that is pasted fits
TOO_LARGE = f"the text is longer than {BODY // 1024} KiB; paste only the part with the rejection\n"
SHARE = 0.75  # of all places for one kind of answer, for one address
_NO_LINGER = struct.pack("ii", 1, 0)
FAULTS = 10  # of our own that are logged in one FAULT_WINDOW
FAULT_WINDOW = 60.0  # seconds
SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer", browsers hide the origin of our own forms from us
    "Server": "deliverability-exporter",  # aiohttp would say its version and Python's
}


@dataclass(frozen=True)
class Limits:
    """Of the HTTP server. All times are in seconds."""

    connections: int = 256  # fewer where the process may open few files
    head: float = 5.0
    idle: float = 30.0  # between two requests
    linger: float = 2.0  # in which the rest of a refused body is thrown away, so that the client can read why
    stall: float = 10.0
    response: float = 60.0
    patience: float = 1.0  # a client that takes no octet for so long makes room where room is needed
    look: float = 1.0  # between two looks at the deadlines
    scrapes: int = 16
    pages: int = 16


class Doing(Enum):
    ASKING = auto()  # the head of a request is not complete
    READING = auto()  # the body of a request is not complete
    BUSY = auto()  # a request is being answered
    IDLE = auto()  # it may send another request
    ENDING = auto()  # the answer was the last one


class Faults:
    """Logs faults of our own: each is a line, and there are not many of them."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._count = 0

    def tell(self, now: float, message: str, error: BaseException | None) -> None:
        if now - self._since > FAULT_WINDOW:
            if self._count > FAULTS:
                log.error("%d more faults of the HTTP server were not logged", self._count - FAULTS)
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= FAULTS:
            log.error("the HTTP server: %s", message, exc_info=error)


class Connection(web.RequestHandler):
    """`lost` is called when the connection has ended. It begins when it is accepted, before any TLS handshake."""

    def __init__(
        self,
        server: web.Server,
        limits: Limits,
        stats: HttpStats,
        faults: Faults,
        accepted: socket.socket,
        lost: Callable[[Connection], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        settings: dict[str, Any] = {"access_log": None}  # Any, because aiohttp's annotation forgets None
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle,
            lingering_time=limits.linger,
            max_headers=HEADERS,
            auto_decompress=False,
            **settings,
        )
        self._limits, self._stats, self._faults, self._lost = limits, stats, faults, lost
        self._time = loop.time
        self._later = loop.call_soon
        self._doing = Doing.ASKING
        self._since = self._moved = loop.time()
        self._asked = False  # for anything yet
        self._head = 0  # octets since the last request
        self._unsent = 0  # octets that wait for the client
        self._wire: asyncio.Transport | None = None
        self._accepted = accepted
        self._unwanted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast("asyncio.Transport", transport)  # as all loops make it of a socket
        super().connection_made(transport)
        if self._unwanted:
            self._wire.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        if data and self._doing is Doing.IDLE:
            self._now_does(Doing.ASKING)
        super().data_received(data)
        if self._doing is Doing.ASKING:
            self._head += len(data)
            if self._head > HEAD:  # the task that takes what the parser has found runs before this
                self._later(self._refuse_head)

    def begun(self) -> None:
        """The parser has found a request, or an error."""
        self._asked = True
        self._head = 0
        self._now_does(Doing.BUSY)

    def reading(self) -> None:
        """The rest of the request has yet to come."""
        self._now_does(Doing.READING)

    def log_access(self, request: web.BaseRequest, response: web.StreamResponse, time: float | None) -> None:
        """The answer was written; aiohttp calls this for each, for those to parser errors too."""
        self._stats.requests[response.status] += 1
        self._now_does(Doing.IDLE if response.keep_alive else Doing.ENDING)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            log.debug("a bad request: %r", error)
        else:
            self._faults.tell(self._time(), str(args[0]) if args else "a fault", error)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what the parser refuses, or to a fault of ours: what was wrong is for the log, not for it."""
        if isinstance(exc, ConnectionError):  # the client has left
            exc.__traceback__ = None
            raise ConnectionResetError("the client has left") from None
        self.log_exception(f"{request.method} {request.path[:200]} failed", exc_info=exc)
        if exc is not None:
            exc.__traceback__ = None  # its frames lead back to it: only a collection of all garbage would find them
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer was sent already")
        if isinstance(exc, LineTooLong) or "Too many headers" in (message or ""):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        answer = web.Response(status=status, text=f"{status:d} {HTTPStatus(status).phrase}\n", headers=SAFE_HEADERS)
        answer.force_close()
        return answer

    def overdue(self, now: float) -> Disconnection | None:
        """Why it must end now. The listener asks it regularly: it sees whether the client reads."""
        unsent = self._wire.get_write_buffer_size() if self._wire else 0
        if not unsent or unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        spent = now - self._since
        if self._doing is Doing.ASKING and spent >= self._limits.head:
            return Disconnection.SLOW_REQUEST
        if self._doing is Doing.ENDING and spent >= self._limits.head + self._limits.linger:
            return Disconnection.STALLED
        if self._doing is Doing.BUSY and spent >= self._limits.response:
            return Disconnection.STALLED
        return Disconnection.STALLED if self.stalled(now) >= self._limits.stall else None

    def stalled(self, now: float) -> float:
        """For how many seconds the client has taken no octet of an answer."""
        return now - self._moved if self._unsent else 0.0

    def dispensable(self, now: float) -> tuple[int, float] | None:
        """How well it can make room for a newer one, the least first; None: it cannot."""
        if self._doing is Doing.BUSY:
            return (2, self._moved) if self.stalled(now) >= self._limits.patience else None
        return (1 if self._asked else 0, self._since)

    @property
    def address(self) -> str:
        """The client's, without its port."""
        return str(self.peername[0]) if isinstance(self.peername, tuple) else ""

    @property
    def busy(self) -> bool:
        return self._doing is Doing.BUSY

    def drop(self, why: Disconnection | None = None) -> None:
        """End it at once. What was not sent is lost, also what the kernel would keep for a client that never reads."""
        if why:
            self._stats.rejected[why] += 1
        if self._wire is None:  # the loop is about to make the transport, or is in the handshake: it closes the socket
            self._unwanted = True
            with suppress(OSError):
                self._accepted.shutdown(socket.SHUT_RDWR)
            return
        if (sock := self._wire.get_extra_info("socket")) and not self._wire.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._wire.abort()

    def _now_does(self, what: Doing) -> None:
        self._doing, self._since = what, self._time()

    def _refuse_head(self) -> None:
        if self._doing is not Doing.ASKING or self._wire is None or self._wire.is_closing():
            return
        self._now_does(Doing.ENDING)
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._stats.requests[status] += 1
        text = f"{status:d} {status.phrase}\n"
        headers = {
            **SAFE_HEADERS,
            "Content-Type": "text/plain",
            "Content-Length": str(len(text)),
            "Connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._wire.write(f"HTTP/1.1 {status:d} {status.phrase}\r\n{lines}\r\n{text}".encode())
        self.force_close()


def note_requests(server: web.Server) -> None:
    """Tell each connection of this server when one of its requests begins to be answered."""
    make = server.request_factory

    def begun(
        message: Any, payload: Any, protocol: web.RequestHandler, writer: Any, task: asyncio.Task[None]
    ) -> web.BaseRequest:
        assert isinstance(protocol, Connection)  # noqa: S101  (the listener makes no other)
        protocol.begun()
        return make(message, payload, protocol, writer, task)

    server.request_factory = begun


@web.middleware
async def plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a handler raises as an answer becomes one here: aiohttp would keep its frames, and so the connection."""
    try:
        return await handler(request)
    except ConnectionError as left:  # by the client; aiohttp and the body that was not read would keep the frames, too
        left.__traceback__ = None
        nobody = web.Response()
        nobody.force_close()
        return nobody
    except web.HTTPException as refused:
        refused.__traceback__ = None
        answer = web.Response(status=refused.status, reason=refused.reason, body=refused.body, headers=refused.headers)
        if refused.keep_alive is False or request.can_read_body:  # the rest of it is no next request
            answer.force_close()
        return answer


async def take_in(request: web.Request, limits: Limits) -> None:
    """Read what the request has besides its head. Raise an HTTPException if it is too much, too slow or malformed."""
    head = len(request.raw_path) + sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    try:
        if request.version.major != 1:
            raise _last(web.HTTPBadRequest(text="HTTP/1.1 is spoken here\n"))
        if head > HEAD:
            raise web.HTTPRequestHeaderFieldsTooLarge(text=f"the request head has at most {HEAD} bytes\n")
        if (size := request.content_length or 0) > BODY:
            raise web.HTTPRequestEntityTooLarge(BODY, size, text=TOO_LARGE)
        if request.can_read_body:
            if request.transport is None:
                raise ConnectionResetError("the client has left")  # aiohttp would raise RuntimeError
            if isinstance(request.protocol, Connection):
                request.protocol.reading()
            async with asyncio.timeout(limits.head):
                await request.read()
            if isinstance(request.protocol, Connection):
                request.protocol.begun()
    except TimeoutError:
        raise _last(web.HTTPRequestTimeout(text="the body did not arrive in time\n")) from None
    except web.RequestPayloadError as malformed:
        malformed.__traceback__ = None  # the body keeps it
        raise _last(web.HTTPBadRequest(text="the body is malformed\n")) from None
    except web.HTTPRequestEntityTooLarge:  # aiohttp found it so while it read
        raise _last(web.HTTPRequestEntityTooLarge(BODY, BODY + 1, text=TOO_LARGE)) from None
    except web.HTTPRequestHeaderFieldsTooLarge as refused:
        raise _last(refused) from None


def _last(answer: E) -> E:
    """The connection ends after it, since what follows on it could be anything."""
    answer.force_close()
    return answer


class Slots:
    """So many answers of one kind at once. A client that does not read its answer makes room for one that may.

    Clients of one address have SHARE of them at most: whoever reads slowly there does not keep Prometheus out.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._taken: set[Connection] = set()

    def take(self, connection: Connection) -> None:
        """Raise HTTPServiceUnavailable if all are taken by clients that read."""
        rivals = {it for it in self._taken if it.address == connection.address}
        if len(rivals) < self._most * SHARE:
            rivals = self._taken if len(self._taken) >= self._most else set()
        if rivals:
            now = asyncio.get_running_loop().time()
            slowest = max(rivals, key=lambda it: it.stalled(now))
            if slowest.stalled(now) < self._patience:
                raise _last(
                    web.HTTPServiceUnavailable(text="too many at once; try again\n", headers={"Retry-After": "1"})
                )
            slowest.drop(Disconnection.STALLED)
            self._taken.discard(slowest)
        self._taken.add(connection)

    def free(self, connection: Connection) -> None:
        self._taken.discard(connection)
