"""A clock that was wrong: each time that a state holds is corrected, while we run and at a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import count

import pytest

from exporter.check_state import CheckState, RecordChange, RecordHistory, WrongTimes
from exporter.confirmation import ActiveFinding, EndedFinding, Looks
from exporter.facts import Record
from tests.support.checks import BROKEN, EXAMPLE, SAMPLE, outcome

HOUR = 3600.0
BEGAN = 1_780_000_000.0
ELSEWHERE = {"check", "target", "latest", "latest_trouble", "again"}  # `again` counts at a restart alone


def life() -> CheckState:
    """A finding that turned bad twice and looks well, one that has ended, and a record with news: each time differs."""
    moment = (BEGAN + 100.0 * number for number in count())
    return CheckState(
        SAMPLE,
        EXAMPLE,
        looks=Looks(900),
        ended=(EndedFinding(("sample.odd", ()), next(moment), next(moment), (next(moment),)),),
        records=(
            RecordHistory(
                Record.of("r", ["b"]),
                next(moment),
                (RecordChange(("a",), ("b",), next(moment)),),
                (Record.of("r", ["c"]), next(moment)),
            ),
        ),
        findings=(
            ActiveFinding(
                BROKEN(what="x"),
                next(moment),
                confirmed=True,
                turns=(next(moment), next(moment)),
                well=next(moment),
                looked=next(moment),
                good=2,
            ),
        ),
        last_conclusive=next(moment),
        last_run=next(moment),
    )


def times(held: object) -> Iterator[tuple[str, float]]:
    """All numbers of a state that are times of our days, by where they are."""
    if isinstance(held, float) and held > BEGAN / 2:
        yield "", held
    elif isinstance(held, tuple):
        for number, it in enumerate(held):
            yield from ((f"[{number}]{place}", at) for place, at in times(it))
    elif is_dataclass(held):
        for field in fields(held):
            if field.name not in ELSEWHERE:
                yield from ((f".{field.name}{place}", at) for place, at in times(getattr(held, field.name)))


@pytest.mark.parametrize("seconds", [-2 * HOUR, -HOUR, HOUR, 2 * HOUR, -400_000.0])
def test_every_time_moves_with_the_clock(seconds: float) -> None:
    state = life()
    assert len(list(times(state))) == 13
    now = BEGAN + 7000
    moved = state.moved(WrongTimes(seconds, BEGAN - 10, now))
    assert dict(times(moved)) == {place: at + seconds for place, at in times(state)}
    assert max(at for _, at in times(moved)) <= now + seconds


def test_no_time_is_in_the_future_after_a_restart_and_their_order_stays() -> None:
    """A look that was tomorrow would else be the last one that counts until then."""
    state, now = life(), BEGAN - 2 * 86400.0
    restored = replace(state.restored(now), ahead=())
    before, after = dict(times(state)), dict(times(restored))
    assert max(after.values()) <= now
    assert sorted(before, key=before.__getitem__) == sorted(after, key=after.__getitem__)
    back = state.restored(now).restored(BEGAN + 7000)
    assert dict(times(replace(back, ahead=()))) == before, "our clock was wrong, and theirs was right"


def test_looks_of_tomorrow_do_not_stop_the_count() -> None:
    now = BEGAN - 86400.0
    state = CheckState(SAMPLE, EXAMPLE).after(outcome(BROKEN(what="x"), at=BEGAN)).restored(now)
    for at in (now + 60, now + 180):
        state = state.after(outcome(BROKEN(what="x"), at=at)).confirmed(at + 1)
    assert [it.confirmed for it in state.findings] == [True]
