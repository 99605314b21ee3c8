"""Our own HTTP server with a web configuration, and clients that log in or try to."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import bcrypt
import pytest

from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.store import Store
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from exporter.views.public import PublicAddress
from exporter.views.security import WebSecurity
from exporter.views.web import Web, WebContext
from tests.support.checks import BROKEN, SAMPLE, SIZE
from tests.support.clock import FakeClock

CATALOGUE = Catalogue((CatalogueEntry(SAMPLE, (BROKEN,), (SIZE,)),))
LOOPS = ("asyncio", "uvloop")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # by name in small letters
    body: bytes


def hashed(password: str, cost: int = 4) -> str:
    salt = f"$2b${cost:02}$OneSaltForAllOfTheseTe".encode()  # the same in each process: hashes are in names of tests
    return bcrypt.hashpw(password.encode(), salt).decode()


def basic(name: str, password: str) -> dict[str, str]:
    """The header of this login."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Guarded:
    """A server whose web configuration stands in `file`."""

    def __init__(self, file: Path, *, health_without_auth: bool = False, public: PublicAddress | None = None) -> None:
        self.file = file
        self.clock = FakeClock()
        self.security = WebSecurity(self.clock, file, health_without_auth=health_without_auth)
        exposition = Exposition(CATALOGUE, self.clock, 1000, OwnHealth)

        async def reload(*, force: bool = False) -> list[str]:
            return []

        self.web = Web(
            WebContext(
                store=Store(),
                exposition=exposition,
                catalogue=CATALOGUE,
                clock=self.clock,
                alive=lambda: True,
                notices=list,
                reload=reload,
                security=self.security,
                public=public or PublicAddress(),
            )
        )

    def write(self, text: str) -> None:
        self.file.write_text(text)

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = urlsplit(self.web.addresses[0])
        return await asyncio.open_connection(address.hostname, address.port, ssl=tls)

    async def get(
        self, path: str = "/-/ready", method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str
    ) -> Answer:
        """Over a connection of its own. Raise OSError if TLS does not come about."""
        reader, writer = await self.connect(tls)
        try:
            return await ask(reader, writer, path, method, {"Connection": "close", **headers})
        finally:
            writer.transport.abort()

    async def log_in(
        self, name: str, password: str, path: str = "/-/ready", tls: ssl.SSLContext | None = None
    ) -> Answer:
        return await self.get(path, "GET", tls, **basic(name, password))


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, method: str, headers: dict[str, str]
) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    named = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    if method == "HEAD":
        body = b""
    elif named.get("transfer-encoding") == "chunked":
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
    else:
        body = await reader.readexactly(int(named["content-length"]))
    return Answer(int(head[0].split(" ")[1]), named, body)


@asynccontextmanager
async def guarded(
    file: Path, text: str, *, health_without_auth: bool = False, public: PublicAddress | None = None
) -> AsyncIterator[Guarded]:
    file.write_text(text)
    it = Guarded(file, health_without_auth=health_without_auth, public=public)
    it.security.open()
    await it.web.start([("127.0.0.1", 0)])
    try:
        yield it
    finally:
        await it.web.stop()


@contextmanager
def process(file: Path, text: str, loop: str) -> Iterator[str]:
    """The same server in a process of its own, so that its clients take no time of its loop; its URL."""
    fork = multiprocessing.get_context("fork")  # what is imported need not be imported again
    ours, theirs = fork.Pipe()

    async def serve() -> None:
        async with guarded(file, text) as it:
            theirs.send(it.web.addresses[0])
            await asyncio.Event().wait()

    child = fork.Process(target=lambda: played(loop, serve()))
    child.start()
    try:
        assert ours.poll(20), "the server does not start"
        yield ours.recv()
    finally:
        child.kill()
        child.join()


class Clients:
    """Connections to a server that are used again and again, as many as there are requests at once."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, headers: dict[str, str]) -> Answer:
        one = (
            self._idle.pop()
            if self._idle
            else await asyncio.open_connection(self._address.hostname, self._address.port)
        )
        try:
            answer = await ask(*one, path, "GET", headers)
        except BaseException:
            one[1].transport.abort()
            raise
        self._idle.append(one)
        return answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.transport.abort()


def played(loop: str, play: Coroutine[Any, Any, None]) -> None:
    """On a loop of this kind. An exception that nobody takes is an error."""
    factory = None
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is an optional extra").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        faults: list[dict[str, Any]] = []
        runner.get_loop().set_exception_handler(lambda _, context: faults.append(context))
        runner.run(play)
    assert faults == []
