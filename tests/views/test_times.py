"""Moments and durations as they are written."""

from __future__ import annotations

import pytest

from exporter.views.times import ago, span, timestamp, until

NOW = 1_780_000_000.0


def test_a_timestamp_is_rfc_3339_in_utc_and_never_is_none() -> None:
    assert timestamp(NOW + 0.9) == "2026-05-28T20:26:40+00:00"
    assert timestamp(None) is timestamp(0) is None


def test_what_is_accepted_has_an_end_or_none() -> None:
    assert until(NOW) == "2026-05-28T20:26:40+00:00"
    assert until(float("inf")) == "permanently"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "never"),
        (0, "never"),
        (NOW + 5, "just now"),
        (NOW, "just now"),
        (NOW - 0.1, "1 s ago"),  # by the second that is shown
        (NOW - 119, "119 s ago"),
        (NOW - 120, "2 min ago"),
    ],
)
def test_how_long_ago(seconds: float | None, told: str) -> None:
    assert ago(seconds, NOW) == told


def test_a_span_is_in_its_largest_whole_unit() -> None:
    assert [span(s) for s in (45, 180, 5 * 3600, 12 * 86400)] == ["45 s", "3 min", "5 h", "12 d"]
