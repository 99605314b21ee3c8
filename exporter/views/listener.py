"""Takes connections to the HTTP server: never more than there is room for, and never without a file for a scrape.

The problem: the loops' own servers take all connections there are. Then thousands of half requests use up the files of
the process, and no scrape gets in. They also know nothing of a connection before its TLS handshake is over.

The rules:

- One connection is taken at a time, and then the loop does other work.
- Where as many are open as may be, one makes room: of the address that has most of them, the oldest that has asked for
  nothing; then the one idle for longest; then one that does not read its answer. So a flood drops its own connections.
  If each is at work for its client, the new one is not taken.
- RESERVE files are kept open for nothing. If the process has no other left, two of them make room: one for the
  connection, one for what the scrape has to open.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from exporter.views.connection import Connection, Faults, Limits
from exporter.views.http_stats import Disconnection, HttpStats

BACKLOG = 1024  # connections that the kernel keeps for us: a scrape must not be refused there because others are many
SHARE = 4  # one of so many files of the process may be a connection here
RESERVE = 16  # files
PAUSE = 0.1  # seconds until the next try where nothing makes room
GRACE = 0.5  # seconds in which answers may be finished at the end
_USED_UP = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


Tls: TypeAlias = Callable[[], ssl.SSLContext | None]  # asked for each connection; None: without TLS


def no_tls() -> None:
    """HTTP without TLS."""


def bound(host: str | None, port: int) -> list[socket.socket]:
    """Sockets that listen there; without a host on all addresses. Raise OSError."""
    found: list[socket.socket] = []
    unusable: OSError | None = None
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # of a label that is empty or too long
        raise OSError(errno.EINVAL, f"{host} is no host name") from None
    for family, _, _, _, address in dict.fromkeys(places):
        try:
            found.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
        except OSError as error:
            if host is None and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # no IPv6 here, say
                unusable = error
                continue
            for it in found:
                it.close()
            raise
    if not found and unusable:
        raise unusable
    return found


class Listener:
    """All connections of one HTTP server. `connect` makes one of a socket and of what it calls at its end."""

    def __init__(
        self,
        connect: Callable[[socket.socket, Callable[[Connection], None]], Connection],
        limits: Limits,
        stats: HttpStats,
        faults: Faults,
    ) -> None:
        self._connect = connect
        self._faults = faults
        self._limits = limits
        self._stats = stats
        self._most = stats.most_connections = min(
            limits.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE
        )
        self._open: dict[Connection, str] = {}  # with the client's address; the oldest first
        self._from: Counter[str] = Counter()  # how many of each address
        self._listening: dict[socket.socket, Tls] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._spare: list[int] = []
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._stopped = False
        self._refill()
        self._looking = self._keep(self._look())

    def listen(self, on: socket.socket, tls: Tls = no_tls) -> None:
        """Take connections from this socket, which listens already. What `tls` returns may change meanwhile."""
        on.setblocking(False)
        self._listening[on] = tls
        asyncio.get_running_loop().add_reader(on, self._accept, on)

    async def stop(self) -> None:
        """Take no more. What is being answered has GRACE seconds."""
        self._looking.cancel()
        for sock in self._listening:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        self._listening.clear()
        for connection in list(self._open):
            if connection.busy:
                connection.close()
            else:
                self._drop(connection)
        try:
            async with asyncio.timeout(GRACE):
                await self._emptied.wait()
        except TimeoutError:
            for connection in list(self._open):
                self._drop(connection)
        await asyncio.sleep(0)
        self._stopped = True
        while self._spare:
            os.close(self._spare.pop())

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _accept(self, on: socket.socket) -> None:
        """Take one of those that wait. The loop calls this again after its other work, as long as somebody waits."""
        try:
            sock, peer = on.accept()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:  # of one connection that has gone already, or there is no file for it
            if error.errno not in _USED_UP or not self._make_files():
                loop = asyncio.get_running_loop()
                loop.remove_reader(on)
                loop.call_later(PAUSE, self._resume, on)
        else:
            sock.setblocking(False)
            self._admit(sock, peer[0] if isinstance(peer, tuple) else "", self._listening[on])

    def _resume(self, on: socket.socket) -> None:
        if on in self._listening:
            asyncio.get_running_loop().add_reader(on, self._accept, on)

    def _admit(self, sock: socket.socket, address: str, tls: Tls) -> None:
        if len(self._open) >= self._most and not self._make_room(Disconnection.REPLACED):
            self._stats.rejected[Disconnection.FULL] += 1
            sock.close()
            return
        connection = self._connect(sock, self._forget)
        self._open[connection] = address
        self._from[address] += 1
        self._emptied.clear()
        self._stats.connections = len(self._open)
        self._keep(self._shake_hands(connection, sock, tls))

    async def _shake_hands(self, connection: Connection, sock: socket.socket, tls: Tls) -> None:
        loop, within = asyncio.get_running_loop(), self._limits.head
        try:
            if context := tls():
                await loop.connect_accepted_socket(
                    lambda: connection, sock, ssl=context, ssl_handshake_timeout=within, ssl_shutdown_timeout=within
                )
            else:
                await loop.connect_accepted_socket(lambda: connection, sock)
        except Exception as error:  # noqa: BLE001  (whatever it is: it is the end of one connection, and no more)
            if not isinstance(error, OSError):  # which ssl.SSLError and the end of the handshake's time are
                self._faults.tell(loop.time(), "a connection could not be opened", error)
            if connection in self._open:  # else it was dropped, and counted
                self._stats.rejected[Disconnection.TLS] += 1
                self._forget(connection)
            sock.close()

    def _make_room(self, why: Disconnection) -> bool:
        now = asyncio.get_running_loop().time()
        ranks = [
            ((-self._from[address], rank), connection)
            for connection, address in self._open.items()
            if (rank := connection.dispensable(now))
        ]
        if not ranks:
            return False
        self._drop(min(ranks, key=lambda it: it[0])[1], why)
        return True

    def _make_files(self) -> bool:
        """Give a connection a file although the process has used up its own. Return False if it has to wait for one."""
        if not self._spare:
            self._make_room(Disconnection.NO_FILES)
            return False
        for _ in range(min(2, len(self._spare))):
            os.close(self._spare.pop())
        return True

    def _refill(self) -> None:
        try:
            while len(self._spare) < RESERVE and not self._stopped:
                self._spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:  # none left: the next connection that ends gives one back
            pass

    def _drop(self, connection: Connection, why: Disconnection | None = None) -> None:
        self._forget(connection)
        connection.drop(why)

    def _forget(self, connection: Connection) -> None:
        address = self._open.pop(connection, None)
        if address is not None:
            self._from[address] -= 1
            self._from += Counter()  # which drops those that have none
        self._stats.connections = len(self._open)
        if not self._open:
            self._emptied.set()
        if len(self._spare) < RESERVE:
            asyncio.get_running_loop().call_soon(self._refill)  # its file is closed by then

    async def _look(self) -> None:
        """End what is overdue, again and again."""
        while True:
            await asyncio.sleep(self._limits.look)
            self._end_overdue()  # apart: a variable here would keep a connection, however long ago it ended
            self._refill()

    def _end_overdue(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            if why := connection.overdue(now):
                self._drop(connection, why)
