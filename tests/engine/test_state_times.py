"""A run that changes nothing but times costs the disk next to nothing; whatever else it changes is written at once."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from exporter.check_state import CheckState
from exporter.checks import ptr
from exporter.confirmation import EndedFinding
from exporter.engine.schedule import phase
from exporter.engine.state_file import EVERY, StateFile
from exporter.engine.state_rows import UNSOUND, written
from exporter.engine.state_times import PARTS, read_times
from exporter.facts import Doubt, Reason, Record
from exporter.targets import Address, MailHost
from tests.engine.test_state_damage import CATALOGUE, CHECK, copied, errors, opened, target
from tests.engine.test_state_damage import whole as whole  # noqa: PLC0414  (a fixture)
from tests.engine.test_state_file import ran
from tests.support.checks import HOST
from tests.support.clock import FakeClock
from tests.support.damage import NUMBERS
from tests.support.simulation import simulate

NOW = 1_780_000_000.0


def known_of(state: CheckState) -> CheckState:
    """What a file says of it."""
    return replace(state, latest=None, latest_trouble=None)


FIRST = known_of(CheckState(CHECK, HOST).after(replace(ran(NOW), records=(Record.of("a PTR", ["x"]),))))


def later(state: CheckState, seconds: float) -> CheckState:
    """After a run that has found the same."""
    looked = tuple(replace(it, looked=it.looked + seconds) for it in state.findings)
    at = state.last_run + seconds
    return replace(state, findings=looked, last_run=at, last_conclusive=at)


def fleet(count: int) -> list[CheckState]:
    hosts = (Address(ip=ip_address(f"10.0.{it // 250}.{it % 250}"), helo=()) for it in range(count))
    return [replace(FIRST, target=host) for host in hosts]


def after_a_crash(path: Path, to: Path) -> Path:
    """What a process that is killed now leaves."""
    to.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", to / f"state{end}")
    return to / "state"


async def known(path: Path, state: CheckState = FIRST) -> CheckState:
    file = await StateFile.open(path, CATALOGUE)
    recalled = file.recall(CheckState(state.check, state.target))
    await file.close()
    return recalled


def parts(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM times")}


def watched(file: StateFile) -> list[str]:
    """The statements that are executed from now on."""
    said: list[str] = []
    assert file._database._db is not None
    file._database._db.set_trace_callback(said.append)
    return said


def test_what_is_as_it_was_is_written_once_a_minute_and_a_crash_loses_at_most_that_minute(tmp_path: Path) -> None:
    path = tmp_path / "state"

    async def story() -> None:
        file = await StateFile.open(path, CATALOGUE)
        state = FIRST
        file.save(state)
        await file.written()
        said = watched(file)
        for _ in range(5 * int(EVERY)):
            state = later(state, 1.0)
            file.save(state)
            await asyncio.sleep(1.0)
        put = [it for it in said if it.startswith("REPLACE")]
        assert 4 <= len(put) <= 5
        assert all("INTO times" in it for it in put)
        lost = state.last_run - (await known(after_a_crash(path, tmp_path / "crash"))).last_run
        assert 0 <= lost <= EVERY
        await file.close()
        assert await known(path) == state, "an end in order loses nothing"

    simulate(FakeClock(), story())


async def a_minute_has_passed(file: StateFile) -> None:
    file._note_times()
    await file.written()


OTHERS = {
    "a finding": lambda it: it.after(replace(ran(NOW + 1), findings=())),
    "its evidence": lambda it: it.after(
        replace(ran(NOW + 1), findings=(ptr.MISSING(ip=HOST.ip, pointer="other", helo="x"),))
    ),
    "a look that counts": lambda it: it.after(ran(NOW + 60)),
    "since": lambda it: replace(it, findings=(replace(it.findings[0], since=1.0),)),
    "a good look": lambda it: replace(it, findings=(replace(it.findings[0], good=1, well=NOW),)),
    "a turn": lambda it: replace(it, findings=(replace(it.findings[0], turns=(NOW,)),)),
    "what has ended": lambda it: replace(it, ended=(EndedFinding(("ptr.missing", ()), 1.0, 2.0),)),
    "a sample": lambda it: replace(it, samples=(ptr.NAMES(1),)),
    "a sample that is gone": lambda it: replace(it, samples=()),
    "a record": lambda it: replace(it, records=(replace(it.records[0], record=Record.of("a PTR", ["y"])),)),
    "a doubt": lambda it: it.after(replace(ran(NOW + 1), doubts=(Doubt(Reason.DNS_TIMEOUT, "silent"),))),
    "another doubt": lambda it: replace(it, doubt=Doubt(Reason.DNS_TIMEOUT, "slow")),
    "a second look": lambda it: replace(it, again=NOW + 9),
    "a time that was ahead": lambda it: replace(it, ahead=((NOW, NOW + 9),)),
    "an earlier time": lambda it: replace(it, last_run=NOW - 9),
    "an earlier conclusive one": lambda it: replace(it, last_conclusive=NOW - 9),
    "an earlier look": lambda it: replace(it, findings=(replace(it.findings[0], looked=NOW - 9),)),
}


@pytest.mark.parametrize("other", OTHERS)
async def test_whatever_else_changes_is_written_at_once(tmp_path: Path, other: str) -> None:
    file, path = await StateFile.open(tmp_path / "state", CATALOGUE), tmp_path / "state"
    file.save(FIRST)
    file.save(later(FIRST, 0.5))
    await a_minute_has_passed(file)
    changed = known_of(OTHERS[other](later(FIRST, 0.5)))
    file.save(changed)
    await file.written()
    assert await known(after_a_crash(path, tmp_path / "crash")) == changed or "earlier" in other
    await file.close()
    assert await known(path) == changed


async def test_found_targets_are_no_times(tmp_path: Path) -> None:
    check = CATALOGUE.checks["mx"]
    host = MailHost(host="mx1.example.com", port=25)
    before = replace(FIRST, check=check, findings=(), samples=(), found=())
    file = await StateFile.open(tmp_path / "state", CATALOGUE)
    for state in (before, replace(later(before, 1.0), found=(host,))):
        file.save(state)
        await file.written()
    said = await known(after_a_crash(tmp_path / "state", tmp_path / "crash"), before)
    await file.close()
    assert said.found == (host,)


async def test_a_change_of_the_clock_to_earlier_ones_lasts(tmp_path: Path) -> None:
    """What was saved while the clock was ahead must not come back, although later times count."""
    file, path = await StateFile.open(tmp_path / "state", CATALOGUE), tmp_path / "state"
    file.save(FIRST)
    file.save(later(FIRST, 5000.0))
    await a_minute_has_passed(file)
    right = later(FIRST, 10.0)
    file.save(right)
    await file.close()
    assert await known(path) == right


async def test_what_an_older_version_writes_counts_if_it_is_later(tmp_path: Path) -> None:
    """It keeps the table that it does not know, with times that get older."""
    path, old = tmp_path / "state", later(FIRST, 900.0)
    file = await StateFile.open(path, CATALOGUE)
    file.save(FIRST)
    file.save(later(FIRST, 600.0))
    await file.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE held SET body = ?", (written(old),))
    assert await known(path) == old
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE times")
    assert await known(path) == old


def test_older_versions_can_read_what_is_written() -> None:
    """They want these, and `found` of whoever finds targets: without it, such a check would run at once."""
    wanted = {"findings", "readings", "doubt", "last_run", "last_conclusive"}
    assert wanted <= json.loads(written(FIRST)).keys()
    assert json.loads(written(CheckState(CHECK, HOST))).keys() == wanted
    assert json.loads(written(CheckState(CATALOGUE.checks["mx"], HOST))).keys() == {*wanted, "found"}


async def test_what_left_has_no_times(tmp_path: Path) -> None:
    path = tmp_path / "state"
    file = await StateFile.open(path, CATALOGUE)
    file.save(FIRST)
    file.save(later(FIRST, 600.0))
    await a_minute_has_passed(file)
    file.keep(FIRST.key, None)
    await file.close()
    assert await known(path) == CheckState(CHECK, HOST)
    file = await StateFile.open(path, CATALOGUE)
    file.save(FIRST)
    await file.written()
    assert (await known(after_a_crash(path, tmp_path / "crash"))).findings, "it is back, and new to the file"
    await file.close()


async def test_a_file_that_was_deleted_gets_all_of_a_pair_again(tmp_path: Path) -> None:
    path = tmp_path / "state"
    file = await StateFile.open(path, CATALOGUE, save_all=lambda: file.save(later(FIRST, 3.0)))
    file.save(FIRST)
    await file.written()
    path.unlink()
    file.save(later(FIRST, 2.0))
    await a_minute_has_passed(file)
    await file.close()
    assert await known(path) == later(FIRST, 3.0)


async def test_a_fleet_writes_as_much_as_runs_in_a_minute(tmp_path: Path) -> None:
    """The runs of a minute are neighbours in few rows, whatever else the fleet has."""
    states = fleet(2000)
    file = await StateFile.open(tmp_path / "state", CATALOGUE)
    for it in states:
        file.save(it)
    await file.written()
    said = watched(file)
    of_a_minute = [it for it in states if 0.5 <= phase(it.key) < 0.5 + 60 / 900]
    for it in of_a_minute:
        file.save(later(it, 900.0))
    await a_minute_has_passed(file)
    put = [it for it in said if it.startswith("REPLACE")]
    assert len(put) <= 1 + -(-PARTS * 60 // 900)
    assert sum(map(len, put)) < 80 * len(states) / PARTS * len(put)
    await file.close()
    file = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert {it.key for it in map(file.recall, fleet(2000)) if it.last_run > NOW} == {it.key for it in of_a_minute}
    await file.close()


PART: Any = {"ip=192.0.2.1": [2000.0, 2000.0, 2000.0]}
NOISE: list[Any] = [
    *({"ip=192.0.2.1": [number, 2000.0]} for number in NUMBERS),
    *({"ip=192.0.2.1": [2000.0, 2000.0, number]} for number in NUMBERS),
    *({"ip=192.0.2.1": noise} for noise in ([], [2000.0], *NUMBERS)),
    *([], 3, None, "x", "[" * 100_000),
]


@pytest.mark.parametrize("body", NOISE, ids=lambda it: str(it)[:40])
def test_a_row_that_nobody_can_have_written_is_damage(body: object) -> None:
    with pytest.raises(UNSOUND):
        read_times("ptr 1", body if isinstance(body, str) else json.dumps(body))


@pytest.mark.parametrize("name", ["ptr", f"ptr {PARTS}", "ptr -1", "ptr x", "", None, b"ptr 1"])
def test_so_is_one_with_a_name_that_nobody_gives(name: object) -> None:
    read_times("ptr 1", json.dumps(PART))
    with pytest.raises(UNSOUND):
        read_times(name, json.dumps(PART))


async def test_of_two_rows_with_the_same_pair_the_later_one_counts(tmp_path: Path, whole: Path) -> None:
    """Another version may divide the pairs otherwise, and leave its rows."""
    path = copied(whole, tmp_path / "there")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for number, at in enumerate((3000.0, 2000.0, 4000.0, 1000.0)):
            told = {f"ip=192.0.2.{it}": [at + it, at] for it in (1, 2)}
            db.execute("INSERT INTO times VALUES (?, ?)", (f"ptr {number}", json.dumps(told)))
    file = await opened(path)
    assert [file.recall(CheckState(CHECK, target(it))).last_run for it in (1, 2)] == [4001.0, 4002.0]
    await file.close()


async def test_a_damaged_row_of_times_costs_its_times_alone(
    tmp_path: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = copied(whole, tmp_path / "there")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO times VALUES ('ptr 1', 'noise')")
        db.execute("INSERT INTO times VALUES ('ptr 2', ?)", (json.dumps({"ip=192.0.2.2": [2000.0, 2000.0]}),))
    file = await opened(path)
    assert [file.recall(CheckState(CHECK, target(number))).last_run for number in (1, 2)] == [1000.0, 2000.0]
    await file.close()
    (told,) = errors(caplog)
    assert "a row of times cannot be read" in told
    caplog.clear()
    assert parts(path) == {"ptr 2"}
    await (await opened(path)).close()
    assert errors(caplog) == [], "it is mended for good"
