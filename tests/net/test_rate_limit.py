"""The pace lets questions out evenly, first come first served, and says at once when it cannot in time."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import SystemClock
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


async def test_a_full_pace_refuses_without_waiting() -> None:
    limiter = RateLimiter(FakeClock(), 1)
    assert await limiter.acquire(Question("a.example", "A"), 1000.1)
    assert not await limiter.acquire(Question("b.example", "A"), 1000.1)


async def test_a_zone_has_its_own_pace_and_holds_up_nobody_else() -> None:
    limiter = RateLimiter(FakeClock(), 1e9, {"bl.example": 1, "zen.bl.example": 2})
    latest = 1000.4
    assert await limiter.acquire(Question("1.bl.example", "A"), latest)
    assert not await limiter.acquire(Question("2.bl.example", "A"), latest)
    assert not await limiter.acquire(Question("bl.example", "A"), latest)
    assert await limiter.acquire(Question("notbl.example", "A"), latest)
    assert await limiter.acquire(Question("example", "A"), latest)
    assert await limiter.acquire(Question("1.zen.bl.example", "A"), latest)
    assert not await limiter.acquire(Question("2.zen.bl.example", "A"), latest)


async def test_what_could_not_wait_is_made_up_for_by_the_next() -> None:
    limiter = RateLimiter(FakeClock(), 10, {"bl.example": 1})
    limiter.charge(Question("x.example", "A"))
    assert not await limiter.acquire(Question("y.example", "A"), 1000.05)
    limiter.charge(Question("1.bl.example", "A"))
    assert not await limiter.acquire(Question("2.bl.example", "A"), 1000.9)


async def test_questions_leave_in_the_order_they_came() -> None:
    limiter, order = RateLimiter(SystemClock(), 200), []

    async def one(number: int) -> None:
        assert await limiter.acquire(Question(f"{number}.example", "A"), time.monotonic() + 5)
        order.append(number)

    started = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(20)))
    assert order == list(range(20))
    assert time.monotonic() - started >= 0.04  # 20 questions at 200 a second, a burst of 10 of them at once
