"""Counters and histograms without a metrics library. Other parts count with them, and views/metrics.py shows them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts observations by size. `bounds` are inclusive upper limits, ascending. Larger values are counted too."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.sum = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def cumulative(self) -> tuple[int, ...]:
        """For each bound, how many values were at most as large; last, how many there were in total."""
        return tuple(accumulate(self._counts))

    @property
    def count(self) -> int:
        return sum(self._counts)
