"""How many targets are overdue is counted while runs end: never too early, and whatever the wall clock does."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.check_state import CheckState
from exporter.engine.earliest import SPARE, Earliest
from exporter.engine.lateness import INTERVALS, SLACK, Lateness, patience
from exporter.targets import Domain
from tests.support.checks import SAMPLE
from tests.support.clock import FakeClock

INTERVAL = 900.0
LONGEST = SAMPLE.timeout.total_seconds()
PATIENCE = patience(INTERVAL, LONGEST)


def pair(name: str, last_run: float = 0.0) -> CheckState:
    return CheckState(SAMPLE, Domain(name=name, mail_from=()), last_run=last_run)


def lateness(clock: FakeClock) -> Lateness:
    made = Lateness(clock)
    made.patience = {"sample": PATIENCE}
    return made


def test_overdue_is_more_than_two_intervals_and_a_little_more() -> None:
    clock = FakeClock()
    late, ran = lateness(clock), clock.wall()
    assert PATIENCE == INTERVALS * INTERVAL + LONGEST + SLACK
    late.put(pair("a.example", ran))
    clock.pass_(PATIENCE)
    assert late.overdue() == {"sample": 0}
    clock.pass_(1)
    assert late.overdue() == {"sample": 1}
    assert late.oldest() == {"sample": ran}
    late.put(pair("a.example", clock.wall()))
    assert late.overdue() == {"sample": 0}
    assert late.oldest() == {"sample": clock.wall()}


def test_what_has_never_run_is_overdue_in_time_and_is_not_the_oldest_run() -> None:
    clock = FakeClock()
    late = lateness(clock)
    late.put(pair("a.example"))
    clock.pass_(PATIENCE - 1)
    late.put(pair("a.example"))  # its labels have changed
    late.put(pair("b.example"))
    clock.pass_(2)
    assert late.overdue() == {"sample": 1}
    assert late.oldest() == {}
    late.put(pair("a.example", clock.wall()))
    assert late.overdue() == {"sample": 0}


def test_a_saved_run_of_long_ago_is_overdue_at_once() -> None:
    """A crash loop that never ends a run does not begin to count anew with each start."""
    clock = FakeClock()
    late = lateness(clock)
    late.put(pair("a.example", clock.wall() - PATIENCE - 1))
    assert late.overdue() == {"sample": 1}


def test_a_wall_clock_that_jumps_makes_nothing_overdue_and_corrects_the_oldest() -> None:
    clock = FakeClock()
    late = lateness(clock)
    late.put(pair("a.example", clock.wall()))
    for step in (7200, -3600):
        clock.step_wall(step)
        assert late.overdue() == {"sample": 0}
        assert late.oldest() == {"sample": clock.wall()}


def test_a_longer_interval_ends_the_delay_and_what_is_removed_counts_no_more() -> None:
    clock = FakeClock()
    late = lateness(clock)
    late.put(pair("a.example", clock.wall()))
    clock.pass_(PATIENCE + 1)
    assert late.overdue() == {"sample": 1}
    late.patience = {"sample": 2 * PATIENCE}
    assert late.overdue() == {"sample": 0}
    late.patience = {"sample": PATIENCE}
    assert late.overdue() == {"sample": 1}
    late.remove(("sample", "domain=a.example"))
    assert (late.overdue(), late.oldest()) == ({}, {})


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcde"), st.sampled_from(["run", "saved", "remove", "again", "look"]), st.integers(0, 2000)
    )
)


@given(STEPS)
def test_the_count_is_always_that_of_a_look_at_every_pair(steps: list[tuple[str, str, int]]) -> None:
    clock = FakeClock()
    late = lateness(clock)
    states: dict[str, CheckState] = {}
    came: dict[str, float] = {}
    for name, what, seconds in steps:
        clock.pass_(seconds)
        if what == "remove":
            states.pop(name, None)
            late.remove(("sample", f"domain={name}"))
        elif what in ("run", "saved"):
            states[name] = pair(name, clock.wall() - (1.5 * seconds if what == "saved" else 0))
            late.put(states[name])
        elif what == "again":
            if name not in states:
                came[name] = clock.wall()
            states.setdefault(name, pair(name))
            late.put(replace(states[name]))
        now = clock.wall()
        overdue = sum(now - (it.last_run or came[key]) > PATIENCE for key, it in states.items())
        assert late.overdue() == ({"sample": overdue} if states else {})
        ran = [it.last_run for it in states.values() if it.last_run]
        assert late.oldest() == ({"sample": min(ran)} if ran else {})


def test_saved_runs_are_put_in_order_by_the_next_runs() -> None:
    clock = FakeClock()
    late = lateness(clock)
    for number in range(10):
        late.put(pair(f"{number}.example", clock.wall() - number))
    assert len(late._checks["sample"].unordered) == 9
    for number in range(10):
        clock.pass_(1)
        late.put(pair(f"{number}.example", clock.wall()))
    assert not late._checks["sample"].unordered
    assert late.oldest() == {"sample": clock.wall() - 9}


def test_times_that_change_often_hold_no_more_memory_than_few() -> None:
    times = Earliest()
    for at in range(10_000):
        times.put(("sample", "a"), float(at))
        times.put(("sample", "b"), -1.0)
    assert len(times._heap) <= 2 * len(times) + SPARE
    assert times.first() == (("sample", "b"), -1.0)
