"""The history says what broke, healed and changed: only what is certain, each once, and over restarts and damage."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.check_state import CheckState, FindingPolicy, WrongTimes
from exporter.confirmation import Looks
from exporter.engine.departures import KEPT, Departures
from exporter.engine.events import Event, Kind
from exporter.engine.history import OTHERS_LOOK, SAME, History
from exporter.engine.state_copy import HISTORY
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.facts import Finding, Reason, Record, Severity
from exporter.model import Acceptance, Check
from exporter.targets import Domain
from tests.engine.test_state_file import CATALOGUE
from tests.support.checks import BROKEN, EXAMPLE, NOTE, SAMPLE, outcome
from tests.support.clock import FakeClock

BAD = BROKEN(what="it")
LOOKS = Looks(240.0)
MINUTE = 60.0


class Watched:
    """A store and the history of what is put into it. Each look is a minute after the one before."""

    def __init__(
        self,
        *targets: Domain,
        history: History | None = None,
        clock: FakeClock | None = None,
        runs: Check = SAMPLE,
    ) -> None:
        self.check = runs
        self.clock = clock or FakeClock()
        self.store = Store()
        self.history = history or History(self.clock)
        self.policy = FindingPolicy()
        for target in targets or (EXAMPLE,):
            self.hold(target)

    def hold(self, target: Domain = EXAMPLE) -> CheckState:
        self.store.hold(self.check, target, looks=LOOKS)
        state = self.store[SAMPLE.id, target.key]
        self.history.hold(state, self.policy)
        return state

    def look(self, *facts: Finding | Record, target: Domain = EXAMPLE, doubt: Reason | None = None) -> CheckState:
        self.clock.pass_(MINUTE)
        ran = outcome(*facts, at=self.clock.wall(), target=target, doubt=doubt)
        state = self.store.record(replace(ran, check=self.check))
        assert state is not None
        self.history.take(state, self.policy)
        if sure := self.store.confirm(state.key, float("inf")):
            self.history.take(sure, self.policy)
        return sure or state

    def told(self) -> list[tuple[Kind, float]]:
        """The kinds of all events, the oldest first, each with the minutes since now."""
        now = self.clock.wall()
        return [(it.kind, (it.at - now) / MINUTE) for it in reversed(list(self.history))]


def test_a_finding_breaks_at_its_first_look_and_heals_at_the_first_good_one() -> None:
    it = Watched()
    it.look()
    for _ in range(2):
        it.look(BAD)
        assert it.told() == [], "nothing is certain yet"
    it.look(BAD)
    assert it.told() == [(Kind.BROKE, -2)]
    for _ in range(2):
        it.look()
    assert it.told() == [(Kind.BROKE, -4)], "one good look more decides"
    it.look()
    assert it.told() == [(Kind.BROKE, -5), (Kind.HEALED, -2)]
    (_, healed) = reversed(list(it.history))
    assert (healed.since, healed.severity, healed.about) == (it.clock.wall() - 5 * MINUTE, Severity.CRITICAL, BAD.id)


def test_one_bad_look_and_a_look_in_doubt_make_no_event() -> None:
    it = Watched()
    it.look()
    it.look(BAD)
    it.look()
    it.look(doubt=Reason.DNS_TIMEOUT)
    assert it.told() == []


def test_what_the_first_look_finds_has_not_broken_but_it_heals() -> None:
    it = Watched()
    it.look(doubt=Reason.DNS_TIMEOUT)
    for _ in range(4):
        it.look(BAD)
    assert it.told() == []
    for _ in range(4):
        it.look()
    assert [kind for kind, _ in it.told()] == [Kind.HEALED]


def test_a_check_that_reads_others_has_its_first_look_when_they_have_looked() -> None:
    """Whether an MX host can be reached is known an hour after it was first visited."""
    it = Watched(runs=replace(SAMPLE, after=frozenset({"other"})))
    it.look()
    it.clock.pass_(OTHERS_LOOK - 10 * MINUTE)
    for _ in range(4):
        it.look(BAD)
    for _ in range(4):
        it.look()
    assert [kind for kind, _ in it.told()] == [Kind.HEALED]
    it.clock.pass_(OTHERS_LOOK)
    it.look()
    for _ in range(3):
        it.look(BAD)
    assert [kind for kind, _ in it.told()] == [Kind.HEALED, Kind.BROKE]


def test_information_breaks_nothing_and_what_is_accepted_says_so() -> None:
    accepted = replace(EXAMPLE, accept=(Acceptance(finding=BAD.id, until=None, reason="we know"),))
    it = Watched(accepted)
    it.look(target=accepted)
    for _ in range(4):
        it.look(BAD, NOTE(what="it"), target=accepted)
    assert [(event.about, event.accepted) for event in it.history] == [(BAD.id, True)]


def test_a_new_opinion_of_the_operator_has_broken_nothing() -> None:
    it = Watched()
    it.look()
    for _ in range(4):
        it.look(NOTE(what="it"))
    it.policy = FindingPolicy({"sample.note": Severity.CRITICAL})
    it.history.hold(it.store[SAMPLE.id, EXAMPLE.key], it.policy)  # as a reload does
    it.look(NOTE(what="it"))
    assert it.told() == []


def test_what_comes_and_goes_is_told_as_flapping_once() -> None:
    it = Watched()
    it.look()
    for _ in range(5):
        for _ in range(3):
            it.look(BAD)
        it.look()
    kinds = [kind for kind, _ in it.told()]
    assert kinds == [Kind.BROKE, Kind.FLAPS]


def test_what_returns_soon_after_its_end_broke_again_then() -> None:
    it = Watched()
    it.look()
    for facts in ((BAD,), (BAD,), (BAD,), (), (), (), (BAD,)):
        it.look(*facts)
    assert it.told() == [(Kind.BROKE, -6), (Kind.HEALED, -3), (Kind.BROKE, 0)]
    first, _, last = reversed(list(it.history))
    assert last.since == first.since, "alerts say the same"


def test_a_changed_record_is_told_once_however_many_checks_read_it() -> None:
    other = replace(EXAMPLE, name="other.example")
    it = Watched(EXAMPLE, other)
    for text in ("a", "b", "a"):
        for target in (EXAMPLE, other):
            it.look(Record.of("_dmarc.example.com TXT", [text]), target=target)
    assert [(e.before, e.after) for e in reversed(list(it.history))] == [(("a",), ("b",)), (("b",), ("a",))]
    it.clock.pass_(SAME)
    it.look(Record.of("_dmarc.example.com TXT", ["b"]))
    assert len(list(it.history)) == 3, "it is another change by now"


def test_the_log_has_bounds_for_each_pair_and_in_all() -> None:
    it = Watched(EXAMPLE, history=History(clock := FakeClock(), most=6, most_of_pair=4), clock=clock)
    for number in range(20):
        it.look(Record.of("example.com TXT", [str(number)]))
    assert len(list(it.history)) == 4
    for number in range(5):
        it.hold(target := replace(EXAMPLE, name=f"n{number}.example"))
        it.look(Record.of(f"n{number}.example TXT", ["a"]), target=target)
        it.look(Record.of(f"n{number}.example TXT", ["b"]), target=target)
    assert [event.about for event in it.history][:5] == [f"n{n}.example TXT" for n in range(4, -1, -1)]
    assert len(list(it.history)) == 6
    assert len(it.history._of) == 6
    assert len(it.history._seen) == 6


def test_what_left_is_remembered_for_a_week_and_comes_back_without_an_event() -> None:
    it = Watched()
    it.look()
    for _ in range(3):
        it.look(BAD)
    for _ in range(3):
        it.look()
    state = it.store[SAMPLE.id, EXAMPLE.key]
    departures = Departures(it.clock, noted=it.history.knows)

    def settle() -> int:
        departures.settle(it.store.keys())
        it.history.settle(it.store.keys().union(departures))
        return len(list(it.history))

    departures.leave(state)
    it.store.remove(state.key)
    it.history.forget(state.key)
    assert settle() == 2
    it.clock.pass_(KEPT - MINUTE)
    assert settle() == 2
    it.clock.pass_(2 * MINUTE)
    assert settle() == 0


def _body(**other: object) -> str:
    """A row of the file, with one value that no version writes there."""
    row = {"at": 1.0, "kind": "broke", "check": "a", "target": "b", "about": "c", "subject": [], "cause": []}
    row |= {"severity": "critical", "accepted": False, "since": 0, "before": [], "after": []}
    return json.dumps(list((row | other).values()))


async def opened(path: Path, history: History) -> StateFile:
    file = await StateFile.open(path, CATALOGUE)
    history.open(file)
    return file


def noted(at: float = 1000.0, **other: object) -> Event:
    event = Event(at, Kind.BROKE, SAMPLE.id, EXAMPLE.key, BAD.id, (("ip", "192.0.2.1"),), (("a", "b"),), BAD.severity)
    return replace(event, **other)  # type: ignore[arg-type]  # a test gives what the field wants


async def test_a_restart_loses_no_event_and_makes_none(tmp_path: Path) -> None:
    before = Watched()
    file = await opened(tmp_path / "state", before.history)
    before.look(Record.of("example.com TXT", ["a"]))
    before.look(many := Record.of("example.com TXT", ["x" * 999, *"bcdefgh"]))
    for _ in range(3):
        before.look(BAD, many)
    state, kept = before.store[SAMPLE.id, EXAMPLE.key], list(before.history)
    await file.close()
    after = Watched(clock=before.clock)
    file = await opened(tmp_path / "state", after.history)
    after.store.hold(SAMPLE, EXAMPLE, lambda _new: state, LOOKS)
    after.store._states[state.key] = state
    after.history.hold(state, after.policy)
    assert list(after.history) == kept
    assert [event.kind for event in kept] == [Kind.BROKE, Kind.CHANGED]
    for _ in range(3):
        after.look()
    assert next(iter(after.history)).kind is Kind.HEALED
    await file.close()


async def test_a_kill_between_an_event_and_its_state_tells_nothing_twice(tmp_path: Path) -> None:
    """The event is on the disk, and the state there is the one before."""
    it = Watched()
    file = await opened(tmp_path / "state", it.history)
    it.look()
    it.look(BAD)
    unconfirmed = it.look(BAD)
    confirmed = it.look(BAD)
    for _ in range(3):
        it.look()
    kinds = [event.kind for event in it.history]
    assert kinds == [Kind.HEALED, Kind.BROKE]
    await file.close()
    for state in (unconfirmed, confirmed):
        again = Watched(clock=it.clock)
        file = await opened(tmp_path / "state", again.history)
        again.store._states[state.key] = state
        again.history.hold(state, again.policy)
        again.look(BAD)
        assert [event.kind for event in again.history] == kinds
        for _ in range(3):
            again.look()
        assert [event.kind for event in again.history] == kinds
        await file.close()


@pytest.mark.parametrize(
    "body",
    [
        "{", "[]", "null", "3", '"x"', "[" * 70_000, "[NaN" + ", 1" * 11 + "]",
        _body(at=1e300), _body(kind="burst"), _body(severity=""), _body(about=5), _body(kind="changed"),
        _body(subject=[["x"]]), _body(accepted=1),
    ],
)  # fmt: skip
async def test_damage_of_an_event_loses_that_event_alone(
    tmp_path: Path, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = await StateFile.open(tmp_path / "state", CATALOGUE)
    file.save_blocklists({"at": 1.0})
    for number in range(3):
        file.note(HISTORY, f"{number:012}", noted(1000.0 + number))
    await file.close()
    with closing(sqlite3.connect(tmp_path / "state", isolation_level=None)) as db:
        db.execute("UPDATE history SET body = ? WHERE name = '000000000001'", (body,))
    history = History(FakeClock())
    file = await opened(tmp_path / "state", history)
    assert file.recall_blocklists() == {"at": 1.0}
    assert [event.at for event in history] == [1002.0, 1000.0]
    assert [it.levelno for it in caplog.records] == [logging.ERROR], "it is said in one line"
    await file.close()
    assert list(tmp_path.glob("state.damaged-*"))


async def test_a_file_of_an_older_version_gets_the_section_and_is_not_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await (await StateFile.open(tmp_path / "state", CATALOGUE)).close()
    with closing(sqlite3.connect(tmp_path / "state", isolation_level=None)) as db:
        db.execute("DROP TABLE history")
    for _ in range(2):
        history = History(FakeClock())
        file = await opened(tmp_path / "state", history)
        if not list(history):
            file.note(HISTORY, f"{0:012}", noted())
        await file.close()
    assert len(list(history)) == 1
    assert caplog.records == []
    assert not list(tmp_path.glob("state.*aged*"))


async def test_a_new_file_gets_all_events(tmp_path: Path) -> None:
    history = History(FakeClock())
    path = tmp_path / "state"
    file = await StateFile.open(path, CATALOGUE, save_all=history.save_all)
    history.open(file)
    for number in range(3):
        history._add(noted(1000.0 + number))
    await file.written()
    for it in tmp_path.iterdir():
        if it.name != "state.lock":
            it.unlink()
    history._add(noted(2000.0))
    await file.written()
    await file.close()
    read = History(FakeClock())
    file = await opened(path, read)
    assert [event.at for event in read] == [2000.0, 1002.0, 1001.0, 1000.0]
    await file.close()


def test_a_wrong_clock_is_put_right_and_no_event_is_shown_in_the_future() -> None:
    clock = FakeClock(10_000)
    history = History(clock)
    history._add(noted(9_990.0, since=9_980.0))
    history._add(noted(20_000.0))
    assert [event.when(clock.wall()) for event in history] == [10_000, 9_990]
    clock.step_wall(500)
    list(history.move(WrongTimes(500.0, 9_000.0, 10_000.0)))
    assert [(event.at, event.since) for event in history] == [(20_000.0, 0.0), (10_490.0, 10_480.0)]
