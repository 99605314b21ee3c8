"""What each answer of the HTTP server has, also to what is no request, and who may have it reload."""

from __future__ import annotations

import asyncio
import gc
from urllib.parse import urlsplit

import pytest

from exporter.views.connection import FAULTS, SAFE_HEADERS, Connection
from tests.support.http_clients import ask
from tests.views.test_web import Site, served, site

__all__ = ["site"]  # a fixture


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET / HTTP/1.1", 200),
        ("GET /metrics HTTP/1.1", 200),
        ("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1e999", 200),
        ("GET /style.css HTTP/1.1", 200),
        ("GET /nothing HTTP/1.1", 404),
        ("GET /-/reload HTTP/1.1", 403),
        ("DELETE / HTTP/1.1", 405),
        (f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 70000\r\n\r\n{'a' * 70_000}", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz", 400),
        ("GET / HTTP/1.1\r\nExpect: the-worst", 417),
        ("GET / HTTP/1.1\r\nX: \0", 400),
        ("\x16\x03\x01\x02\x00\x01", 400),
        ("PRI * HTTP/2.0", 400),
        ("GET / HTTP/2.0", 400),
        (f"GET /{'a' * 9000} HTTP/1.1", 431),
        (f"GET / HTTP/1.1\r\nX: {'a' * 9000}", 431),
        ("GET / HTTP/1.1" + "\r\nX: a" * 101, 431),
        ("GET / HTTP/1.1" + f"\r\nX: {'a' * 1000}" * 17, 431),
    ],
)
async def test_each_answer_is_safe_and_tells_no_version(site: Site, request_: str, status: int) -> None:
    """Also those to what aiohttp's parser refuses."""
    rest = "" if "\r\n\r\n" in request_ else "\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await ask(site.web.addresses[0], f"{request_}{rest}".encode("latin-1"))
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.split(" ")[1] == str(status)
    for name, value in SAFE_HEADERS.items():
        assert f"\r\n{name}: {value}" in head
    assert "aiohttp" not in head
    assert status == 200 or len(body) < 100
    assert site.web.stats.requests == {status: 1}


async def test_a_head_that_does_not_end_is_refused_once_it_is_too_large(site: Site) -> None:
    octets = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 200) for n in range(90))
    assert (await ask(site.web.addresses[0], octets)).startswith(b"HTTP/1.1 431 ")
    assert site.web.stats.requests == {431: 1}


async def test_head_is_answered_wherever_get_is(site: Site) -> None:
    site.put("example.com")
    for path in ("/", "/metrics", "/targets/domain=example.com", "/findings", "/findings/sample.broken", "/receivers",
                 "/receivers/gmail", "/style.css", "/-/healthy", "/-/ready", "/nothing"):  # fmt: skip
        status, body, headers = await site.get(path, method="HEAD")
        assert (status, body) == ((await site.get(path))[0], "")
        assert headers["Server"] == "deliverability-exporter"


async def test_a_fault_of_ours_is_a_plain_500_and_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def reload(*, force: bool = False) -> list[str]:
        raise ValueError("a secret")

    async for it in served(Site(reload)):
        for _ in range(FAULTS + 5):
            status, body, headers = await it.get("/-/reload", method="POST", Accept="text/html")
            assert (status, body) == (500, "500 Internal Server Error\n")
            assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(caplog.records) == FAULTS
    assert "POST /-/reload failed" in caplog.text
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),  # whose name leads here: DNS rebinding
        ({"Origin": "http://127.0.0.1:1", "Host": "127.0.0.1:2"}, 403),
        ({"Origin": "file://localhost", "Host": "localhost"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:2", "Host": "127.0.0.1:2", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://127.0.0.1:2", "Host": "127.0.0.1:2", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://[::1]:2", "Host": "[::1]:2"}, 200),
        ({"Origin": "http://localhost:2", "Host": "LOCALHOST:2"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
    ],
)
async def test_pages_of_others_may_not_reload(headers: dict[str, str], status: int) -> None:
    """A browser sends such headers; curl does not."""
    calls: list[int] = []

    async def reload(*, force: bool = False) -> list[str]:
        calls.append(1)
        return []

    async for it in served(Site(reload)):
        assert (await it.get("/-/reload", method="POST", **headers))[0] == status
    assert len(calls) == (status == 200)


async def leave(url: str, octets: bytes) -> None:
    """Send this, and be gone before anything is answered."""
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(octets)
    await asyncio.sleep(0)
    writer.transport.abort()


EACH = 5  # connections that ask for the same


async def test_no_connection_outlives_its_end(site: Site) -> None:
    """A raised answer keeps its frames, and so the connection, until all garbage is looked for, which is seldom."""

    def left() -> int:
        return sum(isinstance(it, Connection) for it in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = left()
        for octets in (b"GET / HTTP/1.1", b"GET /nothing HTTP/1.1", b"DELETE / HTTP/1.1", b"\0", b"PRI * HTTP/2.0"):
            for _ in range(EACH):
                await ask(site.web.addresses[0], octets + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
        for octets in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na",
        ):
            for _ in range(EACH):
                await leave(site.web.addresses[0], octets)
        async with asyncio.timeout(5):
            while left() > before:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
