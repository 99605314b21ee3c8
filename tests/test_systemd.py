"""What the service manager is told: over a real socket, by the real process."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.systemd import LONGEST_LINE, Heart, ServiceManager
from tests.support.daemon import PATIENCE, ROOT, daemon

EMPTY = 'resolver: {nameservers: ["127.0.0.1:9"]}\nblocklists: []\n'


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd's, and what NOTIFY_SOCKET says of it."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        made.bind(path if request.param == "path" else f"\0{path}")
        yield made, path if request.param == "path" else f"@{path}"


def heard(made: socket.socket) -> list[str]:
    told = []
    try:
        while True:
            told.append(made.recv(4096).decode())
    except BlockingIOError:
        return told


async def hears(made: socket.socket, wanted: str) -> str:
    """The first message with this in it. Others are passed over."""
    async with asyncio.timeout(PATIENCE):
        while wanted not in (message := (await asyncio.get_running_loop().sock_recv(made, 4096)).decode()):
            pass
    return message


def test_a_line_is_one_line_and_short(manager: tuple[socket.socket, str]) -> None:
    made, address = manager
    it = ServiceManager({"NOTIFY_SOCKET": address})
    it.tell("READY=1", "STATUS=a\nMAINPID=1" + "x" * 9999)
    (told,) = heard(made)
    ready, status = told.split("\n")
    assert ready == "READY=1"
    assert status.startswith("STATUS=a\\u{a}MAINPID=1xxx")
    assert len(status) < LONGEST_LINE + 10
    it.close()


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": "/nothing/here"}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "@"}]
)
def test_nobody_who_listens_is_no_trouble(environment: dict[str, str]) -> None:
    it = ServiceManager(environment)
    it.tell("READY=1")
    it.close()


def test_a_manager_that_takes_nothing_holds_nobody_up(manager: tuple[socket.socket, str]) -> None:
    made, address = manager
    it = ServiceManager({"NOTIFY_SOCKET": address})
    for _ in range(10_000):  # more than its buffer holds
        it.tell("WATCHDOG=1")
    assert 0 < len(heard(made)) < 10_000
    it.close()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_meant_for_us(environment: dict[str, str], seconds: float | None) -> None:
    it = ServiceManager({"NOTIFY_SOCKET": "/nothing/here", **environment})
    assert it.watchdog == seconds
    assert Heart(it, lambda: True).interval == 1.0, "at half of the time, and every second at least"
    it.close()


def test_there_is_no_sign_of_life_while_the_schedule_is_dead(manager: tuple[socket.socket, str]) -> None:
    made, address = manager
    it, alive = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}), False
    heart = Heart(it, lambda: alive)
    assert heart.interval == 0.2
    heart.beat()
    assert heard(made) == []
    alive = True
    heart.beat()
    heart.stop()
    assert heard(made) == ["WATCHDOG=1"]
    it.close()


STANDS_STILL = """
import threading
from exporter.systemd import Heart, ServiceManager
heart = Heart(ServiceManager({}), lambda: True, stall=0.05)
def stands_still(): threading.Event().wait(0.3)
def goes_on():
    for _ in range(30):
        heart.beat()
        threading.Event().wait(0.001)
goes_on()
print("", file=__import__("sys").stderr, flush=True)
heart.beat()
stands_still()
heart.stop()
"""


def test_a_loop_that_stands_still_says_once_where() -> None:
    done = subprocess.run([sys.executable, "-c", STANDS_STILL], capture_output=True, text=True, check=True, cwd=ROOT)
    calm, _, stalled = done.stderr.partition("\n")
    assert calm == ""
    assert stalled.count("Timeout (") == 1
    assert "in stands_still" in stalled


@pytest.mark.long
@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
async def test_the_process_tells_how_it_is(tmp_path: Path, manager: tuple[socket.socket, str]) -> None:
    made, address = manager
    config = tmp_path / "config.yaml"
    config.write_text(EMPTY)
    env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    async with daemon(f"--config.file={config}", env=env) as running:
        ready = await hears(made, "READY=1")
        assert ready == f"READY=1\nSTATUS=Looks at 1 targets, serves at {running.url}"
        assert (await running.get("/-/ready"))[0] == 200
        await hears(made, "WATCHDOG=1")
        config.write_text("domains: [{nome: x}]")
        running.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", await hears(made, "RELOADING=1"))
        refused = await hears(made, "READY=1")
        assert "\nSTATUS=The configuration is wrong, and the old one is in force: " in refused
        config.write_text(EMPTY)
        running.process.send_signal(signal.SIGHUP)
        await hears(made, "RELOADING=1")
        assert await hears(made, "READY=1") == ready
        await hears(made, "WATCHDOG=1")
        running.process.send_signal(signal.SIGTERM)
        assert await hears(made, "STOPPING=1") == "STOPPING=1\nSTATUS=Stopping"
        assert await running.stop() == 0


@pytest.mark.long
async def test_when_the_watchdog_ends_it_the_log_says_where_it_stood(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(EMPTY)
    async with daemon(f"--config.file={config}") as running:
        assert await running.stop(signal.SIGABRT) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in "".join(running.log)
    assert "most recent call first" in "".join(running.log)
