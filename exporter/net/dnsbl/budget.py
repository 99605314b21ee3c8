"""How many questions of the day a list has been asked, tests included. A part is set aside for tests."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.net.dnsbl.answers import DAY, NEVER

SET_ASIDE = 100  # questions of the day kept for tests; a tenth of the ceiling at most


@dataclass(slots=True)
class QuestionBudget:
    """`limit` is questions a day, None without a ceiling; `day` is when it began, in monotonic seconds."""

    limit: int | None = None
    day: float = NEVER
    used: int = 0

    def consume(self, now: float, *, test: bool) -> bool:
        """Take one question from the day's ceiling, if there is one left."""
        if now - self.day >= DAY:
            self.day, self.used = now, 0
        if self.limit is not None:
            aside = 0 if test else min(SET_ASIDE, self.limit // 10)
            if self.used + aside >= self.limit:
                return False
        self.used += 1
        return True

    def remaining(self, now: float) -> float | None:
        """The part of the day's ceiling that is left, 0 to 1; None without a ceiling."""
        if self.limit is None:
            return None
        return 1.0 if now - self.day >= DAY else max(0.0, 1 - self.used / self.limit)
