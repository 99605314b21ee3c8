"""Clients that do what no client should, and one that scrapes beside them: over raw sockets, to a real process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PAUSE = 0.02  # seconds between two scrapes


@dataclass
class Scrapes:
    """What the scraper has met."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


@asynccontextmanager
async def scraped(url: str, path: str = "/metrics") -> AsyncIterator[Scrapes]:
    """Scrape again and again meanwhile, each time over a connection of its own."""
    met = Scrapes()
    loop = asyncio.get_running_loop()

    async def scrape() -> None:
        while True:
            began = loop.time()
            try:
                async with asyncio.timeout(10):
                    answer = await ask(url, GET.format(path).encode())
                if not answer.startswith(b"HTTP/1.1 200 "):
                    met.failed.append(repr(answer[:80]))
            except (OSError, TimeoutError) as error:
                met.failed.append(repr(error))
            met.seconds.append(loop.time() - began)
            await asyncio.sleep(PAUSE)

    task = asyncio.create_task(scrape())
    try:
        yield met
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(url: str, octets: bytes, source: str = "127.0.0.1") -> bytes:
    """All that is answered to these octets until the connection ends."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, local_addr=(source, 0))
    try:
        writer.write(octets)
        return await reader.read()
    finally:
        writer.transport.abort()


@contextmanager
def opened(
    url: str, many: int, octets: bytes, buffer: int | None = None, source: str = "127.0.0.1"
) -> Iterator[list[socket.socket]]:
    """So many connections on which these octets are sent, and nothing is read. `buffer` is what the kernel takes."""
    address = urlsplit(url)
    made: list[socket.socket] = []
    try:
        for _ in range(many):
            sock = socket.socket()
            made.append(sock)
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.bind((source, 0))
            sock.connect((address.hostname, address.port))
            with suppress(ConnectionError):
                sock.sendall(octets)
        yield made
    finally:
        for sock in made:
            sock.close()


def trickle(sock: socket.socket) -> None:
    """Send one more octet, if that is still possible."""
    with suppress(OSError):
        sock.send(b"x")


def gone(sock: socket.socket) -> bool:
    """Whether the other side has ended the connection. What it has sent before is thrown away."""
    sock.setblocking(False)
    try:
        while sock.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def files(pid: int) -> int:
    """How many files the process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident(pid: int) -> float:
    """The memory of the process, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20
