"""Disks that are full or read-only, files that vanish, and two processes with one file."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from exporter import app, clients
from exporter.cli import serve
from exporter.cli.exit_codes import Exit
from exporter.clock import SystemClock
from exporter.config import load
from exporter.engine import state_copy, state_database
from exporter.engine.state_file import StateFile
from exporter.engine.state_lock import StateInUseError
from exporter.systemd import ServiceManager
from tests.engine.test_state_damage import (
    CATALOGUE,
    KNOWN,
    UNKNOWN,
    copied,
    errors,
    opened,
    recalled,
    state_of,
)
from tests.engine.test_state_damage import whole as whole  # noqa: PLC0414  (a fixture)
from tests.support.daemon import Daemon, daemon
from tests.support.torture import size

ROOT = Path(__file__).parents[2]
CONFIG = """
resolver: {nameservers: ["127.0.0.1:9"], timeout: 1s}
blocklists: []
schedule: {default: 1h}
senders: [{name: out, addresses: [192.0.2.1, 192.0.2.2], helo: mail.example.com}]
"""
WRITABLE = "deliverability_exporter_state_writable"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


async def filled(path: Path) -> StateFile:
    def save_all() -> None:
        for it in KNOWN.values():
            state.save(it)

    state = await opened(path, save_all)
    save_all()
    await state.written()
    return state


async def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    first = await filled(tmp_path / "state")
    (tmp_path / "other").symlink_to(tmp_path / "state")
    for name in ("state", "other"):
        with pytest.raises(StateInUseError, match=rf"process {os.getpid()} uses.*--storage\.path"):
            await opened(tmp_path / name)
    await first.close()
    second = await opened(tmp_path / "state")
    assert recalled(second) == KNOWN
    await second.close()


async def test_the_second_process_says_who_has_the_file_and_ends(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await opened(config.with_name("state"))
    read = partial(load, config, CATALOGUE)
    second = app.Daemon(read, clients.open_clients, CATALOGUE, SystemClock(), state_path=config.with_name("state"))
    assert await serve._serve(second, ServiceManager({}), [("127.0.0.1", 0)]) == Exit.USAGE
    await first.close()
    told = capsys.readouterr().err
    assert f"process {os.getpid()} uses this state file" in told
    assert "give this one another --storage.path" in told


@pytest.mark.parametrize("what", ["deleted", "log deleted", "replaced", "folder deleted"])
async def test_a_file_that_vanishes_is_noticed_and_everything_is_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    path = tmp_path / "folder" / "state"
    state = await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(UNKNOWN)
        db.execute("INSERT INTO ledger VALUES (1, 'kept', NULL)")
    if what == "log deleted":
        path.with_name("state-wal").unlink()
    elif what == "replaced":
        path.rename(path.with_name("before"))
        path.write_bytes(b"")
    else:
        for it in path.parent.iterdir():
            it.unlink()
        if what == "folder deleted":
            path.parent.rmdir()
    state.save(state_of(1, at=2000.0))
    await state.written()
    (told,) = errors(caplog)
    assert "was deleted or replaced" in told
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM held").fetchone() == (len(KNOWN),)
        if what not in {"replaced", "folder deleted"}:
            assert db.execute("SELECT said FROM ledger").fetchall() == [("kept",)], "what nobody knows, too"
    with pytest.raises(StateInUseError):
        await opened(path)
    await state.close()


async def test_a_file_that_vanishes_while_nothing_can_be_written_is_noticed_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, asked = tmp_path / "state", list[str]()
    await (await filled(path)).close()
    state = await opened(path, lambda: asked.append("all"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        state.save(state_of(1, at=2000.0))
        await state.written()
        assert state.trouble
        for it in (path, path.with_name("state-wal"), path.with_name("state-shm")):
            it.unlink(missing_ok=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    state.retry()
    await state.written()
    assert not state.trouble
    assert asked == ["all"]
    assert [it for it in errors(caplog) if "was deleted or replaced" in it]
    await state.close()


async def test_what_was_done_to_a_file_is_told_though_the_next_step_failed(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = copied(whole, tmp_path / "there"), list[str]()
    with path.open("r+b") as file:
        file.seek(4 * 4096)
        file.write(bytes(4096))

    def full(at: Path) -> sqlite3.Connection:
        if at == path:
            raise sqlite3.OperationalError("database or disk is full")
        return state_copy.made(at)

    monkeypatch.setattr(state_database, "made", full)
    state = await opened(path, lambda: asked.append("all"))
    assert state.trouble
    monkeypatch.setattr(state_database, "made", state_copy.made)
    state.retry()
    await state.written()
    assert not state.trouble
    assert asked == ["all"]
    assert len([it for it in errors(caplog) if "is damaged" in it]) == 1
    await state.close()


async def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    path = tmp_path / "state"
    before = os.umask(0)
    try:
        path.touch(0o666)
        state = await filled(path)
        modes = {it.name: it.stat().st_mode & 0o777 for it in tmp_path.iterdir()}
        await state.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("state", "state-wal", "state-shm", "state.lock"), 0o600)


@asynccontextmanager
async def on_small_disk(config: Path, prepare: str) -> AsyncIterator[tuple[Daemon, Path, Callable[[str], None]]]:
    """The real process in a mount namespace of its own, its state on a disk of 400 kB. Commands can be run in there."""
    disk = config.parent / "disk"
    disk.mkdir()
    started = (
        f"mount -t tmpfs -o size=400k none {disk} && {prepare.format(disk=disk)} && "
        f'exec {sys.executable} -m exporter "$@"'
    )
    flags = (f"--config.file={config}", f"--storage.path={disk / 'state'}")
    async with daemon(*flags, through=("unshare", "-Urm", "sh", "-c", started, "sh")) as running:
        pid = running.process.pid

        def inside(command: str) -> None:
            enter = ["nsenter", f"--target={pid}", "--user", "--mount", "--preserve-credentials", "sh", "-c"]
            subprocess.run([*enter, command.format(disk=disk)], check=True)

        yield running, Path(f"/proc/{pid}/root{disk}"), inside


FILL = "dd if=/dev/zero of={disk}/full bs=1k status=none 2>/dev/null || true"
BAD = ((FILL, "rm {disk}/full"), ("mount -o remount,ro {disk}", "mount -o remount,rw {disk}"))


@pytest.mark.long
@pytest.mark.torture
@pytest.mark.parametrize(("prepare", "mend"), BAD[: size(1, 2)], ids=["full", "read-only"][: size(1, 2)])
async def test_a_bad_disk_at_the_start_is_told_once_and_everything_is_written_once_it_is_good(
    config: Path, prepare: str, mend: str
) -> None:
    async with on_small_disk(config, f"({prepare})") as (running, disk, inside):
        assert (await running.get("/-/healthy"))[0] == 200
        scrape = await running.settled()
        assert scrape.value(WRITABLE) == 0
        _, page = await running.get("/")
        assert "The state file cannot be written" in page
        inside(mend)
        running.process.send_signal(signal.SIGHUP)
        await running.until(lambda s: s.value(WRITABLE) == 1, "it is writable")
        await running.until(lambda _: written(disk, config.parent) == {"192.0.2.1", "192.0.2.2"}, "all is written")
        assert await running.stop() == 0
    told = [line for line in running.log if "level=error" in line]
    assert len(told) == 1
    assert "state cannot be saved" in told[0]


def written(disk: Path, to: Path) -> set[str]:
    """The addresses whose `ptr` is in the file. It is copied, because SQLite resolves the way into the namespace."""
    for end in ("", "-wal"):
        shutil.copy(disk / f"state{end}", to / f"copy{end}")
    with closing(sqlite3.connect(to / "copy")) as db:
        return {key.removeprefix("ip=") for (key,) in db.execute("SELECT target FROM held WHERE check_id = 'ptr'")}


async def test_a_disk_that_fills_later_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state"
    state = await filled(path)
    later = {number: state_of(number, 2000.0) for number in KNOWN}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        for it in later.values():
            state.save(it)
        await state.written()
        state.retry()
        await state.written()
        trouble = state.trouble
        (told,) = errors(caplog)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert trouble in told
    assert trouble
    state.retry()
    await state.written()
    assert state.writable
    await state.close()
    state = await opened(path)
    assert recalled(state) == later
    await state.close()
    assert errors(caplog) == [told]


@pytest.mark.torture
async def test_a_start_with_very_many_rows_leaves_the_loop_free(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The loop has to be free while the file is opened, checked and read. The bound is one of CPU time."""
    rows, path = size(2000, 100_000), tmp_path / "state"
    await (await filled(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (body,) = db.execute("SELECT body FROM held LIMIT 1").fetchone()
        db.execute("BEGIN")
        db.executemany("REPLACE INTO held VALUES ('ptr', ?, ?)", ((f"ip=x{it}", body) for it in range(rows)))
        db.execute("COMMIT")
    gc.disable()  # as the daemon does before it starts
    for damaged in (False, True):
        if damaged:
            with path.open("r+b") as file:
                file.seek(20 * 4096)
                file.write(bytes(4096))
        late = [0.0]

        async def watch(late: list[float] = late) -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                late.append(time.monotonic() - before - 0.01)

        watching = asyncio.create_task(watch())
        began, busy = time.monotonic(), time.process_time()
        state = await opened(path)
        took, used = time.monotonic() - began, time.process_time() - busy
        watching.cancel()
        assert len(state.left()) > rows - 100
        await state.close()
        record_property(
            f"{'damaged' if damaged else 'whole'} start",
            f"{took:.2f} s, {used:.2f} s of CPU, loop {max(late) * 1000:.0f} ms late",
        )
        assert used < 10, "four seconds, where nobody else is at work"
    gc.enable()
