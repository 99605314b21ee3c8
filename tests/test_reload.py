"""A reload decides whatever the files are, and neither it nor a start holds up the end."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.clock import SystemClock
from exporter.config import ConfigError, Nameserver, Settings, defaults, load
from exporter.files import PATIENCE, Files, Reader
from tests.support import daemon as process
from tests.support.configuration import CATALOGUE
from tests.support.hung_mount import hung_mount
from tests.support.torture import FULL, size

EMPTY = 'resolver: {nameservers: ["127.0.0.1:9"]}\nblocklists: []\n'
LATEST = 5.0  # seconds from SIGTERM to the end


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(EMPTY)
    return path


@pytest.fixture
def gone(tmp_path: Path) -> Iterator[Path]:
    """A folder in which every file hangs."""
    path = tmp_path / "gone"
    path.mkdir()
    with hung_mount(path):
        yield path


def settings() -> Settings:
    nowhere = (Nameserver("127.0.0.1", 9),)
    return replace(defaults(CATALOGUE), nameservers=nowhere, blocklists=(), targets=())


async def idle(daemon: Daemon) -> None:
    async with asyncio.timeout(LATEST):
        while daemon.reading:
            await asyncio.sleep(0)


async def test_a_reload_that_hangs_names_the_file_and_the_next_one_reads_anew() -> None:
    mended, reads = threading.Event(), 0
    told: list[tuple[str, ...]] = []

    def load(files: Files) -> Settings:
        nonlocal reads
        reads += 1
        now = reads
        if now == 2:
            files.waiting_for("/mnt/gone/targets.yaml", mended.wait)
        return replace(settings(), digest=f"{now}")

    def tell(*lines: str) -> None:
        told.append(lines)

    daemon = Daemon(load, clients.open_clients, CATALOGUE, SystemClock(), patience=0.2, told=tell)
    await daemon.start([("127.0.0.1", 0)])
    try:
        (problem,) = await daemon.reload()
        assert problem.startswith("/mnt/gone/targets.yaml: cannot be read within 0.2 s")
        async with aiohttp.ClientSession() as session, session.get(daemon.web.addresses[0]) as page:
            assert "cannot be read within 0.2 s" in await page.text()
        assert await daemon.reload() == []
        assert daemon.reading, "the first one still hangs"
        mended.set()
        await idle(daemon)
        async with aiohttp.ClientSession() as session, session.get(f"{daemon.web.addresses[0]}/metrics") as scrape:
            assert 'config_hash_info{hash="3"}' in await scrape.text(), "what hung came too late: it counts for nothing"
    finally:
        mended.set()
        await daemon.stop()
    assert [lines[0] for lines in told] == ["RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", told[0][1])
    assert told[1][1].startswith("STATUS=The configuration is wrong, and the old one is in force: /mnt/gone/targets")
    assert told[3][1].startswith("STATUS=Looks at 0 targets, serves at http://127.0.0.1:")


async def test_a_storm_of_reloads_reads_twice_and_a_bug_is_told() -> None:
    reads = 0

    def load(_files: Files) -> Settings:
        nonlocal reads
        reads += 1
        if reads == 4:
            raise ZeroDivisionError
        return settings()

    daemon = Daemon(load, clients.open_clients, CATALOGUE, SystemClock())
    await daemon.start([("127.0.0.1", 0)])
    try:
        first = asyncio.create_task(daemon.reload())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await asyncio.gather(*(daemon.reload() for _ in range(1000))) == [[]] * 1000
        assert await first == []
        assert reads == 3, "the start, the first, and one for all who asked meanwhile"
        assert await daemon.reload() == ["a bug in the exporter: ZeroDivisionError; its log has the trace"]
        assert await daemon.reload() == []
    finally:
        await daemon.stop()


@pytest.mark.long
@pytest.mark.torture
async def test_a_hung_mount_holds_up_neither_scrapes_nor_the_end(
    config: Path, gone: Path, record_property: Callable[[str, object], None]
) -> None:
    async with process.daemon(f"--config.file={config}") as running:
        config.write_text(f"{EMPTY}include: [{gone}/targets.yaml]\n")
        began = time.monotonic()
        running.process.send_signal(signal.SIGHUP)
        if FULL:
            await running.until(lambda s: s.value("deliverability_exporter_config_last_reload_successful") == 0, "no")
            record_property("seconds to refuse a reload on a hung mount", round(time.monotonic() - began, 1))
            assert f"{gone}/targets.yaml: cannot be read within {PATIENCE:g} s" in "".join(running.log)
        else:
            until_it_reads(running.process.pid)
        for _ in range(20):
            assert await running.scrape()
        began = time.monotonic()
        assert await running.stop() == 0
        assert time.monotonic() - began < LATEST


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "exporter", *arguments, "--web.listen-address=127.0.0.1:0"]
    return subprocess.Popen(command, cwd=process.ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
def test_a_start_on_a_hung_mount_ends_when_it_is_told_to(gone: Path) -> None:
    starting = started(f"--config.file={gone}/config.yaml")
    try:
        until_it_reads(starting.pid)
        starting.terminate()
        _, log = starting.communicate(timeout=LATEST)
    finally:
        starting.kill()
    assert starting.returncode == 0, log
    assert "Traceback" not in log


@pytest.mark.long
def test_a_large_configuration_that_is_being_read_does_not_hold_up_the_end(config: Path) -> None:
    """Python may not stop the thread in the middle of compiled code, which would end the process with SIGABRT."""
    config.write_text(EMPTY + "domains:\n" + "".join(f"- {{name: d{n}.example}}\n" for n in range(20_000)))
    starting = started(f"--config.file={config}")
    try:
        until_it_reads(starting.pid)
        starting.terminate()
        _, log = starting.communicate(timeout=LATEST)
    finally:
        starting.kill()
    assert starting.returncode == 0, log


def until_it_reads(pid: int) -> None:
    """Until the process handles SIGTERM, and has a thread beside those of the loop and of the watch over it."""
    deadline = time.monotonic() + process.PATIENCE
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if int(status.partition("Threads:")[2].split()[0]) > 2 and caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("it reads nothing")


@pytest.mark.torture
async def test_the_loop_turns_while_a_large_configuration_is_read(
    config: Path, record_property: Callable[[str, object], None]
) -> None:
    """Measured as CPU time of this process between two turns: other work on the machine must not count."""
    domains = size(1000, 10_000)
    turns: list[float] = []
    config.write_text(
        f"{EMPTY}domains:\n" + "".join(f"- {{name: d{n}.example, senders: []}}\n" for n in range(domains))
    )

    async def turn() -> None:
        while True:
            before = time.process_time()
            await asyncio.sleep(0.005)
            turns.append(time.process_time() - before)

    turning = asyncio.create_task(turn())
    with pytest.raises(ConfigError, match=r"smtp\.helo_name: is missing"):
        await Reader(patience=60).read(lambda files: load(config, CATALOGUE, files))
    turning.cancel()
    record_property(f"seconds that reading {domains} domains held the loop at most", round(max(turns), 3))
    assert len(turns) > 1
    assert max(turns) <= 0.2  # on a machine with nothing else to do, half of that
