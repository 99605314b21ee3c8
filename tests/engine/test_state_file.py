"""What is known survives a restart, and a disk that fails costs no verdict."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
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
    return state.recall(CheckState(CHECK, HOST))


def only(store: Store) -> CheckState:
    (held,) = store
    return held


async def saved(path: Path, *outcomes: Outcome) -> CheckState:
    store, state = stored(), await StateFile.open(path, CATALOGUE)
    for outcome in outcomes:
        held = store.record(outcome)
        assert held is not None
        state.save(held)
    await state.close()
    return only(store)


async def test_after_a_restart_the_verdict_is_served_as_saved(tmp_path: Path) -> None:
    before = await saved(tmp_path / "state", ran(1000), ran(2000, doubt=True))
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    after = recalled(state)
    await state.close()
    assert after.findings == before.findings
    assert after.samples == before.samples
    assert (after.last_run, after.last_conclusive, after.doubt) == (2000, 1000, before.doubt)
    assert after.ok(FindingPolicy(), 3000) is False


async def test_since_goes_on_after_a_restart(tmp_path: Path) -> None:
    await saved(tmp_path / "state", ran(1000))
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    after = recalled(state).after(ran(9000))
    await state.close()
    assert [s.since for s in after.findings] == [1000]


async def test_what_left_the_configuration_is_not_brought_back(tmp_path: Path) -> None:
    await saved(tmp_path / "state", ran(1000))
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert state.left() == {("ptr", "ip=192.0.2.1")}
    state.keep(("ptr", "ip=192.0.2.1"), None)
    await state.close()
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert recalled(state).last_run == 0
    await state.close()


async def test_what_the_blocklist_door_knows_survives_too(tmp_path: Path) -> None:
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert state.recall_blocklists() is None
    state.save_blocklists({"lists": {"a": [1, None]}})
    await state.close()
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert state.recall_blocklists() == {"lists": {"a": [1, None]}}
    await state.close()


async def test_what_ends_while_a_write_is_under_way_is_written_together(tmp_path: Path) -> None:
    """A fleet's first round would rewrite the same pages thousands of times over."""
    store, state = stored(), await StateFile.open(tmp_path / "state", CATALOGUE)
    begun: list[str] = []
    assert state._database._db is not None
    state._database._db.set_trace_callback(lambda said: begun.append(said) if said.startswith("BEGIN") else None)
    for second in range(1000, 1500):
        held = store.record(ran(second))
        assert held is not None
        state.save(held)
    await state.close()
    assert len(begun) == 2, "the first at once, all others when that had ended"
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert recalled(state).last_run == 1499
    await state.close()


async def test_only_the_start_reads(tmp_path: Path) -> None:
    """Whoever reads has to wait for the writer, and the loop must not."""
    await saved(tmp_path / "state", ran(1000))
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    said: list[str] = []
    assert state._database._db is not None
    state._database._db.set_trace_callback(said.append)
    assert state.left() == {("ptr", "ip=192.0.2.1")}
    assert recalled(state).last_run == 1000
    assert state.left() == set()
    assert recalled(state).last_run == 0, "it is held by now, or was dropped for good"
    assert not said
    await state.close()


async def test_what_cannot_be_written_holds_up_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = only_ran(1000)
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    state.save(replace(held, check=replace(CHECK, id="surrogate \ud800")))
    state.save(replace(held, last_run=object()))  # type: ignore[arg-type]  # nothing that JSON can hold
    state.save(replace(held, target=replace(HOST, ip=ip_address("192.0.2.9"))))
    await state.close()
    assert caplog.text.count("not saved") == 2
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert state.left() == {("ptr", "ip=192.0.2.9")}
    await state.close()


def only_ran(at: float) -> CheckState:
    return CheckState(CHECK, HOST).after(ran(at))
