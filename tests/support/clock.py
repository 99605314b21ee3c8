"""A clock that moves only when a test moves it."""

from __future__ import annotations


class FakeClock:
    def __init__(self, wall: float = 1_780_000_000.0) -> None:
        self._wall = wall
        self._monotonic = 1000.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def pass_(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds

    def step_wall(self, seconds: float) -> None:
        self._wall += seconds
