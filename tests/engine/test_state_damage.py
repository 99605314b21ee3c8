"""Whatever is done to the state file, the exporter starts, keeps what can be read, and says so in one line."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter.check_state import CheckState
from exporter.checks import ptr
from exporter.engine import catalogue
from exporter.engine.state_file import StateFile
from exporter.facts import Record
from exporter.model import Outcome
from exporter.net.dnsbl.snapshot import readable
from exporter.targets import Address
from tests.support.damage import Damage, of_octets, of_rows, of_tables, shapes
from tests.support.torture import seed, size

CATALOGUE = catalogue.load()
CHECK = CATALOGUE.checks["ptr"]
ROWS = 60
UNKNOWN = "CREATE TABLE ledger (id INTEGER PRIMARY KEY, said TEXT, octets BLOB)"
SNAPSHOT = {"at": 1000.0, "lists": {}}


def target(number: int) -> Address:
    return Address(ip=ip_address(f"192.0.2.{number}"), helo=("mail.example.com",))


def state_of(number: int, at: float = 1000.0) -> CheckState:
    host = target(number)
    found = ptr.MISSING(ip=host.ip, pointer=f"{number}.2.0.192.in-addr.arpa", helo="mail.example.com")
    record = Record.of("in-addr.arpa PTR", ["x" * 300])
    run = Outcome(
        check=CHECK, target=host, findings=(found,), samples=(ptr.NAMES(0),), doubts=(), transcript=(), started=at,
        duration=0.0, records=(record,),
    )  # fmt: skip
    return replace(CheckState(CHECK, host).after(run), latest=None, latest_trouble=None)


KNOWN = {number: state_of(number) for number in range(1, ROWS + 1)}


async def opened(path: Path, save_all: Callable[[], None] = lambda: None) -> StateFile:
    return await StateFile.open(path, CATALOGUE, sift=readable, save_all=save_all, wall=lambda: 1_780_000_000.0)


def recalled(state: StateFile) -> dict[int, CheckState]:
    left = state.left()
    return {number: state.recall(CheckState(CHECK, target(number))) for number in KNOWN if KNOWN[number].key in left}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole file, with a table that nobody knows; beside it, as `killed`, what kill -9 leaves of it."""
    path = tmp_path_factory.mktemp("whole") / "state"
    asyncio.run(filled(path))
    return path


async def filled(path: Path) -> None:
    state = await opened(path)
    for it in KNOWN.values():
        state.save(it)
    state.save_blocklists(SNAPSHOT)
    await state.written()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(UNKNOWN)
        db.executemany("INSERT INTO ledger VALUES (?, ?, ?)", [(it, f"é{it}", b"\xff\x00") for it in range(30)])
    for end in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{end}", f"{path.with_name('killed')}{end}")
    await state.close()


def copied(whole: Path, to: Path, name: str = "state") -> Path:
    to.mkdir()
    for end in ("", "-wal", "-shm"):
        if (source := whole.with_name(name + end)).exists():
            shutil.copy(source, to / f"state{end}")
    return to / "state"


def plainly(path: Path) -> set[str]:
    """The targets of the rows that SQLite reads by itself before it meets damage."""
    found: set[str] = set()
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&vfs=unix-none", uri=True)) as db:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.text_factory = lambda octets: octets.decode("utf-8", "replace")
            for it, body in db.execute("SELECT target, body FROM held"):
                if isinstance(body, str) and body.isprintable():
                    found.add(it)
    except (sqlite3.Error, UnicodeDecodeError):
        pass
    return found


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]


async def stands(path: Path, damage: Damage, caplog: pytest.LogCaptureFixture, spared: int) -> float:
    """The seconds of the start after that damage. Raise AssertionError unless all that must hold does."""
    damage.do(path)
    before = plainly(path)
    caplog.clear()
    began = time.monotonic()
    state = await opened(path)
    took = time.monotonic() - began
    kept, told = recalled(state), errors(caplog)
    assert state.writable, (damage.name, state.trouble)
    aside = sorted(it.name for it in path.parent.glob("state.*Z"))
    assert len(told) == len(aside) <= 1, (damage.name, told, aside)
    if told:
        assert aside[0].startswith(("state.damaged-format", "state.format0-")), damage.name
        assert aside[0].endswith("-20260528T202640Z"), aside
        assert str(path.with_name(aside[0])) in told[0]
    missing = {KNOWN[number].target.key for number in KNOWN.keys() - kept.keys()}
    if spared:
        assert len(missing) <= ROWS - spared, (damage.name, sorted(missing))
        assert all(kept[it] == KNOWN[it] for it in kept if it > 1), damage.name
    elif not damage.name.startswith(
        ("a view", "bit", "1 octets", "3 octets", "16 octets", "200 octets", "5000 octets")
    ):
        assert not missing & before, (damage.name, "SQLite itself reads them")
    again = state_of(1, at=2000.0)
    state.save(again)
    await state.close()
    caplog.clear()
    state = await opened(path)
    assert recalled(state)[1] == again, damage.name
    await state.close()
    assert errors(caplog) == [], (damage.name, "it is mended for good")
    return took


def spared(damage: Damage) -> int:
    if damage.spares_all:
        return ROWS
    return ROWS - 1 if damage.name in {it.name for it in of_rows()} else 0


@pytest.mark.torture
async def test_any_damage_costs_no_start_and_no_row_that_can_be_read(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    drawn = shapes(whole.stat().st_size, seed(), size(25, 10_000))
    times = []
    for number, damage in enumerate(drawn):
        times.append(await stands(copied(whole, tmp_path / str(number)), damage, caplog, spared(damage)))
        shutil.rmtree(tmp_path / str(number))
    record_property("damages", len(drawn))
    record_property("slowest start", f"{max(times):.2f} s")
    assert max(times) < 5


@pytest.mark.torture
async def test_what_kill_9_left_can_be_damaged_too(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    killed = whole.with_name("killed")
    length = killed.with_name("killed-wal").stat().st_size
    chance = random.Random(seed())
    drawn = [it for it in of_octets(length, chance, size(8, 160)) if "journal" not in it.name and "-shm" not in it.name]
    chance.shuffle(drawn)
    for number, damage in enumerate(drawn[: size(4, 1000)]):
        path = copied(whole, tmp_path / str(number), "killed")
        if "-wal" not in damage.name:
            (path.with_name("state-wal")).rename(path.with_name("x"))
            damage.do(path.with_name("x"))
            (path.with_name("x")).rename(path.with_name("state-wal"))
        await stands(path, Damage(damage.name, lambda _: None), caplog, 0)
    record_property("damages", len(drawn))


@pytest.mark.parametrize("damage", [*of_tables()], ids=lambda it: it.name)
async def test_tables_that_nobody_knows_are_kept(whole: Path, tmp_path: Path, damage: Damage) -> None:
    path = copied(whole, tmp_path / "x")
    damage.do(path)
    state = await opened(path)
    await state.close()
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT * FROM ledger").fetchall()
    assert rows == [(it, f"é{it}", b"\xff\x00") for it in range(30)]


async def test_damaged_files_do_not_replace_each_other_and_three_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for number in range(5):
        path.write_bytes(f"no database {number}".encode() * 1000)
        await (await opened(path)).close()
    aside = sorted(tmp_path.glob("state.damaged-*"), key=lambda it: it.stat().st_ctime_ns)
    assert [it.read_bytes()[:13] for it in aside] == [b"no database 2", b"no database 3", b"no database 4"]


@pytest.mark.parametrize("number", [2, 7])
async def test_a_file_of_another_format_is_kept_as_it_is(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    path = copied(whole, tmp_path / "x")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={number}")
        db.execute("PRAGMA journal_mode=DELETE")
    before = path.read_bytes()
    state = await opened(path)
    assert recalled(state) == KNOWN, "a section of a format that is known is taken over"
    await state.close()
    assert path.with_name(f"state.format{number}-20260528T202640Z").read_bytes() == before
    (told,) = errors(caplog)
    assert f"has format {number}, this version writes 1" in told


async def test_a_section_of_another_format_stays_beside_ours(whole: Path, tmp_path: Path) -> None:
    path = copied(whole, tmp_path / "x")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE held_2 (key TEXT PRIMARY KEY, more TEXT) WITHOUT ROWID")
        db.execute("INSERT INTO held_2 VALUES ('a', 'b')")
        db.execute("UPDATE held SET body = '{' WHERE rowid = 1")
    await (await opened(path)).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM held_2").fetchall() == [("a", "b")]


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sock(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [folder, pipe, sock, loop])
async def test_what_is_no_file_is_left_alone_and_state_is_written_once_it_has_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "state"
    make(path)
    before = path.lstat()
    state = await opened(path)
    state.save(KNOWN[1])
    await state.written()
    assert not state.writable
    (told,) = errors(caplog)
    assert "--storage.path" in told
    assert path.lstat().st_ino == before.st_ino
    if make is folder:
        path.rmdir()
    else:
        path.unlink()
    state.retry()
    await state.written()
    assert state.trouble == ""
    await state.close()
    state = await opened(path)
    assert recalled(state) == {1: KNOWN[1]}
    await state.close()


async def test_a_link_without_an_end_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.symlink_to(tmp_path / "elsewhere")
    state = await opened(path)
    state.save(KNOWN[1])
    await state.close()
    assert path.is_symlink()
    assert (tmp_path / "elsewhere").is_file()


async def test_damage_that_shows_long_after_the_start_is_mended_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state"

    def save_all() -> None:
        for it in KNOWN.values():
            state.save(it)

    state = await opened(path, save_all)
    save_all()
    await state.written()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE held")
    state.save(state_of(1, at=2000.0))
    await state.written()
    (told,) = errors(caplog)
    assert "is damaged" in told
    caplog.clear()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(4096))
        db.execute("DELETE FROM door")  # so that nobody uses what they have of the file in memory
    state.save(state_of(1, at=2000.0))
    await state.written()
    (told,) = errors(caplog)
    assert "is damaged" in told
    await state.close()
    state = await opened(path)
    kept = recalled(state)
    await state.close()
    assert kept == KNOWN
