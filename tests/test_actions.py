"""Acknowledge and check again in the whole daemon: over reloads and restarts, and past the exporter's own cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.clock import Clock, SystemClock
from exporter.config import load
from exporter.demo.nameserver import NameServer, ZoneData
from tests.support.clock import FakeClock
from tests.support.configuration import CATALOGUE

ZONE = """
$TTL 3600
example.com.         MX   10 mx.example.com.
mx.example.com.      A    192.0.2.25
_dmarc.example.com.  TXT  "v=DMARC1; p=reject; rua=mailto:d@example.com"
"""
SPF = 'example.com.  TXT  "v=spf1 mx -all"\n'
OFF = ("smtp_tls", "dane", "registration", "zone", "mta_sts", "bimi", "resolver")
CONFIG = f"""
resolver: {{{{nameservers: ["127.0.0.1:{{port}}"], timeout: 1s}}}}
checks: {{{{{", ".join(f"{it}: {{{{enabled: false}}}}" for it in OFF)}}}}}
schedule: {{{{default: 1h}}}}
blocklists: []
domains:
"""
PATIENCE = 10.0  # seconds
KEY = ("spf", "domain=example.com")


@pytest.fixture
async def nameserver() -> AsyncIterator[NameServer]:
    server = NameServer(ZoneData(ZONE))
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def running(home: Path, clock: Clock | None = None) -> AsyncIterator[Daemon]:
    read = partial(load, home / "config.yaml", CATALOGUE)
    state = home / "state"
    daemon = Daemon(read, clients.open_clients, CATALOGUE, clock or SystemClock(), state_path=state, actions=True)
    await daemon.start([("127.0.0.1", 0)])
    try:
        yield daemon
    finally:
        await daemon.stop()


def configure(home: Path, server: NameServer, domain: str) -> None:
    (home / "config.yaml").write_text(CONFIG.format(port=server.address[1]) + f"  - {{{domain}}}\n")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def post(daemon: Daemon, path: str, **form: str) -> int:
    url = f"{daemon.web.addresses[0]}/-/{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        return answer.status


def verdict(daemon: Daemon) -> str:
    return str(daemon.store[KEY].verdict(daemon.exposition.policy, SystemClock().wall()))


def accepted(daemon: Daemon) -> list[str]:
    return [it.reason for it in daemon.store[KEY].target.accept]


@pytest.mark.long
async def test_what_is_acknowledged_holds_over_reloads_and_restarts_and_the_configuration_wins(
    tmp_path: Path, nameserver: NameServer
) -> None:
    configure(tmp_path, nameserver, "name: example.com")
    async with running(tmp_path) as daemon:
        await until(lambda: bool(daemon.store[KEY].findings))
        ack = {"target": "example.com", "finding": "spf.missing", "until": "3d", "reason": "moving"}
        runs = daemon._own.runs["spf"]
        assert await post(daemon, "acknowledge", **ack) == 200
        assert verdict(daemon) == "pass"
        await daemon.reload()
        assert verdict(daemon) == "pass"
        assert daemon._own.runs["spf"] == runs, "neither makes a run"
    async with running(tmp_path) as daemon:
        assert accepted(daemon) == ["moving"]
        assert verdict(daemon) == "pass"
        mine = "{finding: spf.missing, until: 2020-01-01, reason: mine}"
        configure(tmp_path, nameserver, f"name: example.com, accept: [{mine}]")
        assert await daemon.reload() == []
        assert accepted(daemon) == ["mine"]
        assert verdict(daemon) == "fail", "the entry has expired, and it wins"
        configure(tmp_path, nameserver, "name: example.com")
        assert await daemon.reload() == []
        assert accepted(daemon) == ["moving"]
        assert await post(daemon, "withdraw", target="example.com", finding="spf.missing") == 200
        assert verdict(daemon) == "fail"


@pytest.mark.long
async def test_check_again_sees_at_once_what_was_published(tmp_path: Path, nameserver: NameServer) -> None:
    """The negative answer is in our cache for minutes, and the next run is an hour away."""
    configure(tmp_path, nameserver, "name: example.com")
    with (tmp_path / "config.yaml").open("a") as file:
        file.write("severities: {spf.missing: info}\n")  # so nothing else makes it look again
    async with running(tmp_path, clock := FakeClock()) as daemon:
        await until(lambda: bool(daemon.store[KEY].findings))
        nameserver.zone = ZoneData(ZONE + SPF)
        clock.pass_(20.0)
        daemon.schedule.tick("spf")
        assert daemon.store[KEY].findings
        assert await post(daemon, "recheck", target="example.com", check="spf") == 200
        clock.pass_(1.0)
        daemon.schedule.tick("spf")
        await until(lambda: not daemon.store[KEY].findings)
