"""Counts the questions that a list gets in a day, tests included. A part of the quota is reserved for tests."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.net.dnsbl.answers import DAY, NEVER

RESERVED = 100  # questions of the day that are reserved for tests; at most a tenth of the quota


@dataclass(slots=True)
class QuestionBudget:
    """`limit` is the questions a day, None if there is no quota. `day` is when the day began, in monotonic seconds."""

    limit: int | None = None
    day: float = NEVER
    used: int = 0

    def consume(self, now: float, *, test: bool) -> bool:
        """Take one question from the quota of the day. False if none is left."""
        if now - self.day >= DAY:
            self.day, self.used = now, 0
        if self.limit is not None:
            reserved = 0 if test else min(RESERVED, self.limit // 10)
            if self.used + reserved >= self.limit:
                return False
        self.used += 1
        return True

    def refund(self) -> None:
        """The question did not leave, or will be asked again and counted then."""
        self.used = max(0, self.used - 1)

    def remaining(self, now: float) -> float | None:
        """The part of the day's quota that is left, 0 to 1; None if there is no quota."""
        if self.limit is None:
            return None
        return 1.0 if now - self.day >= DAY else max(0.0, 1 - self.used / self.limit)
