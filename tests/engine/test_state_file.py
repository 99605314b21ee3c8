"""What is known survives a restart, and a disk that fails costs no verdict."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.check_state import CheckState, FindingPolicy
from exporter.checks import ptr
from exporter.engine import catalogue
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.facts import Doubt, Reason
from exporter.model import Outcome
from tests.support.checks import HOST

CATALOGUE = catalogue.load()
CHECK = CATALOGUE.checks["ptr"]


def ran(at: float, *, doubt: bool = False) -> Outcome:
    return Outcome(
        check=CHECK,
        target=HOST,
        findings=(ptr.MISSING(ip=HOST.ip, pointer="1.2.0.192.in-addr.arpa", helo="mail.example.com"),),
        samples=(ptr.NAMES(0),),
        doubts=(Doubt(Reason.DNS_TIMEOUT, "silent"),) if doubt else (),
        transcript=(),
        started=at,
        duration=0.0,
    )


def stored() -> Store:
    store = Store()
    store.hold(CHECK, HOST)
    return store


def recalled(state: StateFile) -> CheckState:
    return state.recall(CheckState(CHECK, HOST), CATALOGUE)


def only(store: Store) -> CheckState:
    (held,) = store
    return held


async def saved(path: Path, *outcomes: Outcome) -> CheckState:
    store, state = stored(), StateFile(path)
    for outcome in outcomes:
        held = store.record(outcome)
        assert held is not None
        state.save(held)
    await state.close()
    return only(store)


async def test_after_a_restart_the_verdict_is_served_as_saved(tmp_path: Path) -> None:
    before = await saved(tmp_path / "state", ran(1000), ran(2000, doubt=True))
    state = StateFile(tmp_path / "state")
    after = recalled(state)
    await state.close()
    assert after.findings == before.findings
    assert after.samples == before.samples
    assert (after.last_run, after.last_conclusive, after.doubt) == (2000, 1000, before.doubt)
    assert after.ok(FindingPolicy(), 3000) is False


async def test_since_goes_on_after_a_restart(tmp_path: Path) -> None:
    await saved(tmp_path / "state", ran(1000))
    state = StateFile(tmp_path / "state")
    after = recalled(state).after(ran(9000))
    await state.close()
    assert [s.since for s in after.findings] == [1000]


async def test_what_left_the_configuration_is_not_brought_back(tmp_path: Path) -> None:
    await saved(tmp_path / "state", ran(1000))
    state = StateFile(tmp_path / "state")
    assert state.left() == {("ptr", "ip=192.0.2.1")}
    state.forget(("ptr", "ip=192.0.2.1"))
    await state.close()
    state = StateFile(tmp_path / "state")
    assert recalled(state).last_run == 0
    await state.close()


async def test_what_the_blocklist_door_knows_survives_too(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state")
    assert state.recall_blocklists() is None
    state.save_blocklists({"lists": {"a": [1, None]}})
    await state.close()
    state = StateFile(tmp_path / "state")
    assert state.recall_blocklists() == {"lists": {"a": [1, None]}}
    await state.close()


async def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"this is no database" * 100)
    state = StateFile(path)
    assert recalled(state).last_run == 0
    await state.close()
    assert (tmp_path / "state.damaged").exists()
    assert "moved to" in caplog.text


async def test_one_unreadable_row_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await saved(tmp_path / "state", ran(1000))
    db = sqlite3.connect(tmp_path / "state", isolation_level=None)
    db.execute("UPDATE held SET body = '{\"findings\": 3}'")
    db.close()
    state = StateFile(tmp_path / "state")
    assert recalled(state).last_run == 0
    await state.close()
    assert "evaluated anew" in caplog.text


async def test_a_write_that_fails_is_known_and_stops_nothing(tmp_path: Path) -> None:
    store, state = stored(), StateFile(tmp_path / "state")
    thief = sqlite3.connect(tmp_path / "state", isolation_level=None)
    thief.execute("DROP TABLE held")
    held = store.record(ran(1000))
    assert held is not None
    state.save(held)
    await state.close()
    thief.close()
    assert not state.writable


async def test_what_ends_while_a_write_is_under_way_is_written_together(tmp_path: Path) -> None:
    """A fleet's first round would rewrite the same pages thousands of times over."""
    store, state = stored(), StateFile(tmp_path / "state")
    begun: list[str] = []
    state._db.set_trace_callback(lambda said: begun.append(said) if said == "BEGIN" else None)
    for second in range(1000, 1500):
        held = store.record(ran(second))
        assert held is not None
        state.save(held)
    await state.close()
    assert len(begun) == 2, "the first at once, all others when that had ended"
    state = StateFile(tmp_path / "state")
    assert recalled(state).last_run == 1499
    await state.close()


async def test_only_the_start_reads(tmp_path: Path) -> None:
    """Whoever reads has to wait for the writer, and the loop must not."""
    await saved(tmp_path / "state", ran(1000))
    state = StateFile(tmp_path / "state")
    assert state.left() == {("ptr", "ip=192.0.2.1")}
    assert recalled(state).last_run == 1000
    said: list[str] = []
    state._db.set_trace_callback(said.append)
    assert state.left() == set()
    assert recalled(state).last_run == 0, "it is held by now, or was dropped for good"
    assert not said
    await state.close()


def test_a_place_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match=r"--storage\.path"):
        StateFile(folder)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.engine.test_state_file import ran, stored
from exporter.engine.state_file import StateFile

async def main():
    store, state = stored(), StateFile(Path(sys.argv[1]))
    for n in range(1, 1_000_000):
        state.save(store.record(ran(float(n))))
        await state.written()
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.long
async def test_kill_9_loses_at_most_the_last_run(tmp_path: Path) -> None:
    for round_ in range(3):
        path = tmp_path / f"state{round_}"
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert writer.stdout is not None
        for _ in range(20 * (round_ + 1)):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        told = writer.communicate()[0].split()
        last = int(told[-1]) if told else 20 * (round_ + 1)
        state = StateFile(path)
        assert recalled(state).last_run >= last
        await state.close()
