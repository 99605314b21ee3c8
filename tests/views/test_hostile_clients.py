"""Clients that hold on to the HTTP server, or send it rubbish: Prometheus is served meanwhile, and nothing grows.

The short slices attack the HTTP server alone, in a process of its own with short limits; the full ones the daemon.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from exporter.views.connection import SHARE, Limits
from tests.support import http_attacks, torture
from tests.support.daemon import EXPORTER, WITHOUT_UVLOOP, Daemon, Scrape, daemon
from tests.support.http_clients import PAUSE, Scrapes, files, gone, opened, resident, scraped, trickle
from tests.support.web_process import LIMITS, PROGRAM

pytestmark = [pytest.mark.long, pytest.mark.torture]

Tell = Callable[[str, object], None]
OWN = "deliverability_exporter_"
ELSEWHERE = "127.0.0.2"  # Prometheus has an address of its own
HALF = (
    b"",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-",
    b"GET",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na",
)
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMALL = "/metrics?name[]=deliverability_exporter_build_info"  # a scrape whose own size costs no time
CONFIG = """
resolver: {nameservers: ["127.0.0.1:1"], timeout: 1s}
blocklists: []
checks: {smtp_tls: {enabled: false}, registration: {enabled: false}, zone: {enabled: false}}
senders: [{name: out, addresses: [192.0.2.10], helo: mail.example.com}]
label_names: [a, b, c, d]
domains:
"""
ENTRY = "  - {{name: d{n}.example, senders: [out], labels: {{a: {long}, b: {long}, c: {long}, d: {long}}}}}\n"


@dataclass(frozen=True)
class Attacked:
    daemon: Daemon
    limits: Limits

    async def counts(self) -> Scrape:
        """What it tells of its HTTP server. A client that holds a slot may be in the way for a moment."""
        async with asyncio.timeout(10):
            while (await self.daemon.get(SMALL))[0] == 503:
                await asyncio.sleep(PAUSE)
        return await self.daemon.scrape()


@asynccontextmanager
async def attacked(tmp_path: Path, *, uvloop: bool, domains: int) -> AsyncIterator[Attacked]:
    """A process that may open 300 files, or 1,024 where it is the daemon."""
    if not torture.FULL:
        async with daemon(
            "--megabytes=3", *([] if uvloop else ["--asyncio"]), through=(sys.executable, *PROGRAM), files=300
        ) as running:
            yield Attacked(running, LIMITS)
        return
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG + "".join(ENTRY.format(n=n, long="x" * 120) for n in range(domains)))
    program = EXPORTER if uvloop else WITHOUT_UVLOOP
    async with daemon(f"--config.file={config}", through=(sys.executable, *program), files=1024) as running:
        await running.settled()
        yield Attacked(running, Limits())


def served(scrapes: Scrapes, tell: Tell, *, of: str = "") -> None:
    """Each scrape was answered, and soon."""
    tell(f"scrapes{of}", len(scrapes.seconds))
    tell(f"scrape p99{of}", f"{scrapes.p99:.3f} s")
    assert not scrapes.failed
    assert len(scrapes.seconds) >= 5
    assert scrapes.p99 < (1 if torture.FULL else 3), "of few scrapes it is the slowest, and other tests run beside"


def lag(scrape: Scrape, tell: Tell) -> None:
    late = scrape.value(OWN + "loop_lag_seconds")
    assert late is not None
    tell("loop lag", f"{late:.3f} s")
    assert late <= (0.5 if torture.FULL else 0.1)


@pytest.mark.parametrize("uvloop", [True, False], ids=["uvloop", "asyncio"])
async def test_clients_that_hold_on_blind_nobody_and_cost_little(
    tmp_path: Path, record_property: Tell, *, uvloop: bool
) -> None:
    """Half requests, then answers that nobody reads, then SIGTERM among such."""
    async with attacked(tmp_path, uvloop=uvloop, domains=300) as it:
        pid, url, limits = it.daemon.process.pid, it.daemon.url, it.limits
        many, before = torture.size(300, 2000), files(pid)
        most = min(limits.connections, torture.size(300, 1024) // 4)
        async with scraped(url, SMALL) as scrapes:
            began = time.monotonic()
            with ExitStack() as stack:
                held: list[socket.socket] = []
                for half in HALF:  # in a thread, since the scrapes are measured on this loop
                    held += await asyncio.to_thread(
                        stack.enter_context, opened(url, many // len(HALF), half, source=ELSEWHERE)
                    )
                assert files(pid) <= before + most + 10
                last = time.monotonic()
                while held := [sock for sock in held if not gone(sock)]:
                    for sock in held[:20]:  # trickled octets win no time
                        trickle(sock)
                    await asyncio.sleep(0.05)
                ended = time.monotonic()
        record_property("half requests", many)
        record_property("all gone after", f"{ended - last:.1f} s")
        assert ended - last < limits.head + limits.look + 1.5, f"all were open {last - began:.1f} s after the first"
        served(scrapes, record_property)
        counts = await it.counts()
        answered = [it for it in counts.all(OWN + "http_requests_total") if it.labels["code"] != "200"]
        ended_early = counts.all(OWN + "http_connections_rejected_total")
        assert sum(it.value for it in (*answered, *ended_early)) >= many - 1, "each is counted"
        assert files(pid) <= before + 5

        many, memory = torture.size(40, 400), resident(pid)
        largest = 0.0
        async with scraped(url, "/-/healthy") as scrapes:
            with opened(url, many, SCRAPE, buffer=4096, source=ELSEWHERE):
                async with asyncio.timeout(10):
                    while files(pid) < before + limits.scrapes * SHARE:
                        await asyncio.sleep(PAUSE)
                began = time.monotonic()
                while files(pid) > before + 5:
                    largest = max(largest, resident(pid) - memory)
                    await asyncio.sleep(PAUSE)
                ended = time.monotonic()
        record_property("unread scrapes", many)
        record_property("all gone after", f"{ended - began:.1f} s")
        assert ended - began < limits.stall + 2 * limits.look + 1.5
        record_property("memory", f"+{largest:.0f} MiB")
        served(scrapes, record_property, of=" of /-/healthy")
        assert largest < 64
        counts = await it.counts()
        refused, stalled = (
            counts.value(OWN + "http_requests_total", code="503") or 0,
            counts.value(OWN + "http_connections_rejected_total", reason="stalled") or 0,
        )
        assert stalled >= limits.scrapes // 4, "the kernel takes some answers whole"
        assert refused + stalled >= many // 2
        lag(counts, record_property)

        with opened(url, many, SCRAPE, buffer=4096, source=ELSEWHERE):
            await asyncio.sleep(PAUSE)
            began = time.monotonic()
            assert await it.daemon.stop() == 0
            took = time.monotonic() - began
        record_property("SIGTERM", f"{took:.1f} s")
        assert took < 5
        assert not any("level=error" in line or "Traceback" in line for line in it.daemon.log), "".join(it.daemon.log)


async def shaken(url: str, many: int, make: Callable[[Random], bytes], *, at_once: int = 20) -> Counter[str]:
    """Send so many requests, read what comes back first, and hang up. Return how often each status was answered.

    Fail at a 5xx that is no 503 with Retry-After, and at an answer that tells too much or lacks the headers of all.
    """
    rng, seen = Random(torture.seed()), Counter[str]()
    address = urlsplit(url)

    async def one() -> None:
        octets, answer = make(rng), b""
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(octets)
            async with asyncio.timeout(0.2):
                answer = await reader.readuntil(b"\r\n\r\n")
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
        status = answer[9:12].decode()
        seen[status] += 1
        assert status[:1] != "5" or (status == "503" and b"Retry-After: " in answer), (octets[:500], answer)
        if answer and status != "100":
            assert b"X-Content-Type-Options: nosniff" in answer, (octets[:500], answer)
            assert b"Server: deliverability-exporter\r\n" in answer, (octets[:500], answer)

    async def some() -> None:
        for _ in range(many // at_once):
            await one()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(some())
    return seen


@pytest.mark.parametrize(
    "uvloop", [True, False] if torture.FULL else [True], ids=lambda it: "uvloop" if it else "asyncio"
)
async def test_hostile_requests_cost_nothing_that_lasts(tmp_path: Path, record_property: Tell, *, uvloop: bool) -> None:
    async with attacked(tmp_path, uvloop=uvloop, domains=20) as it:
        pid, url = it.daemon.process.pid, it.daemon.url
        await shaken(url, 100, http_attacks.request)  # what is made once has been made
        memory, opened_before, lines = resident(pid), files(pid), len(it.daemon.log)
        many = torture.size(800, 100_000)
        async with scraped(url, SMALL) as scrapes:
            seen = await shaken(url, many, http_attacks.request)
        record_property("hostile requests", many)
        record_property("answers", ", ".join(f"{n} of {status or 'none'}" for status, n in sorted(seen.items())))
        served(scrapes, record_property)
        bad = torture.size(200, 12_000)
        await shaken(url, bad, http_attacks.rubbish)
        record_property("of rubbish", bad)
        async with asyncio.timeout(5):
            while files(pid) > opened_before + 3:
                await asyncio.sleep(PAUSE)
        grown = resident(pid) - memory
        record_property("memory", f"+{grown:.1f} MiB")
        assert grown < 16
        record_property("log lines", len(it.daemon.log) - lines)
        assert len(it.daemon.log) - lines <= torture.size(0, 100)
        counts = await it.counts()
        assert counts.value(OWN + "http_requests_total", code="400") > bad * 0.6  # type: ignore[operator]  # it is there
        lag(counts, record_property)
        assert await it.daemon.stop() == 0
