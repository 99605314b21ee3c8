"""The pace lets questions out evenly, first come first served, and says at once when it cannot in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.dns import Question
from exporter.net.rate_limit import BURST, RateLimiter, TokenBucket
from tests.support.clock import FakeClock


def test_a_slow_bucket_spaces_questions_evenly() -> None:
    bucket = TokenBucket(2)
    assert [bucket.take(100.0) for _ in range(4)] == [100.0, 100.5, 101.0, 101.5]


def test_a_fast_bucket_lets_a_small_burst_out_and_no_more() -> None:
    bucket = TokenBucket(1000)
    now = [bucket.take(5.0) for _ in range(100)].count(5.0)
    assert now == pytest.approx(1000 * BURST, abs=1)


def test_an_idle_time_is_not_saved_up() -> None:
    bucket = TokenBucket(10)
    bucket.take(0.0)
    assert [bucket.take(3600.0), bucket.take(3600.0)] == [3600.0, pytest.approx(3600.1)]


def test_who_cannot_leave_in_time_takes_no_place() -> None:
    bucket = TokenBucket(1)
    assert bucket.take(0.0, latest=0.5) == 0.0
    assert bucket.take(0.0, latest=0.5) is None
    assert bucket.take(0.0, latest=1.5) == 1.0


@given(st.floats(0.01, 1e6), st.lists(st.floats(0, 0.5), max_size=60))
def test_never_more_than_the_rate_and_one_burst(rate: float, gaps: list[float]) -> None:
    bucket, now, left = TokenBucket(rate), 1000.0, []
    for gap in gaps:
        now += gap
        left.append(bucket.take(now))
    for first in range(len(left)):
        for last in range(first, len(left)):
            start, end = left[first], left[last]
            assert start is not None
            assert end is not None
            assert last - first <= (end - start) * rate + max(1.0, rate * BURST) + 1e-3


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_pace_is_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        RateLimiter(FakeClock(), rate)


def _leaves(limiter: RateLimiter, question: Question, latest: float) -> bool:
    """Is there a moment for it, now or later: first of its zone, and then of all?"""
    buckets = (limiter.zone(question.name), limiter.everything)
    return all(bucket.take(1000.0, latest) is not None for bucket in buckets if bucket)


def test_a_full_pace_refuses_without_waiting() -> None:
    limiter = RateLimiter(FakeClock(), 1)
    assert _leaves(limiter, Question("a.example", "A"), 1000.1)
    assert not _leaves(limiter, Question("b.example", "A"), 1000.1)


def test_a_zone_has_its_own_pace_and_holds_up_nobody_else() -> None:
    limiter = RateLimiter(FakeClock(), 1e9, {"bl.example": 1, "zen.bl.example": 2})
    latest = 1000.4
    assert _leaves(limiter, Question("1.bl.example", "A"), latest)
    assert not _leaves(limiter, Question("2.bl.example", "A"), latest)
    assert not _leaves(limiter, Question("bl.example", "A"), latest)
    assert _leaves(limiter, Question("notbl.example", "A"), latest)
    assert _leaves(limiter, Question("example", "A"), latest)
    assert _leaves(limiter, Question("1.zen.bl.example", "A"), latest)
    assert not _leaves(limiter, Question("2.zen.bl.example", "A"), latest)


def test_what_could_not_wait_is_made_up_for_by_the_next() -> None:
    limiter = RateLimiter(FakeClock(), 10, {"bl.example": 1})
    limiter.charge(Question("x.example", "A"))
    assert not _leaves(limiter, Question("y.example", "A"), 1000.05)
    limiter.charge(Question("1.bl.example", "A"))
    assert not _leaves(limiter, Question("2.bl.example", "A"), 1000.9)


def test_another_rate_counts_at_once_and_forgets_no_question() -> None:
    limiter = RateLimiter(FakeClock(), 1, {"bl.example": 1, "old.example": 1})
    moments = [limiter.everything.take(1000.0) for _ in range(3)]
    slow = limiter.zone("1.bl.example")
    assert slow
    assert [slow.take(1000.0) for _ in range(3)] == moments == [1000.0, 1001.0, 1002.0]
    limiter.change(10, {"bl.example": 2, "new.example": 4})
    assert [limiter.everything.take(1000.0) for _ in range(2)] == [pytest.approx(1003.0), pytest.approx(1003.1)]
    assert limiter.zone("1.bl.example") is slow
    assert [slow.take(1000.0) for _ in range(2)] == [1003.0, 1003.5]
    assert limiter.zone("1.old.example") is None
    assert limiter.zone("1.new.example")
