"""Times of many things, with the earliest at hand."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from exporter.check_state import Key

SPARE = 64  # entries of the heap that are out of date before it is made anew


class Earliest:
    """A time for each key. To set, remove and find the earliest costs little, however many there are."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []  # also what is out of date

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[tuple[Key, float]]:
        return iter(self._times.items())

    def put(self, key: Key, at: float) -> None:
        self._times[key] = at
        heapq.heappush(self._heap, (at, key))
        if len(self._heap) > 2 * len(self._times) + SPARE:
            self._heap = [(time, it) for it, time in self._times.items()]
            heapq.heapify(self._heap)

    def remove(self, key: Key) -> None:
        self._times.pop(key, None)

    def first(self) -> tuple[Key, float] | None:
        """The key with the earliest time. None if there is no key."""
        while self._heap:
            at, key = self._heap[0]
            if self._times.get(key) == at:
                return key, at
            heapq.heappop(self._heap)
        return None

    def take_before(self, limit: float) -> Iterator[tuple[Key, float]]:
        """Remove the keys whose time is before the limit, the earliest first."""
        while (first := self.first()) and first[1] < limit:
            self.remove(first[0])
            yield first
