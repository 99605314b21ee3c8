"""What somebody has acknowledged: a finding of a target, until a date, with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.engine.state_rows import moment, text_of

DAY = 86400.0
LONGEST = 366 * DAY
MOST_REASON, MOST_NAME = 200, 64  # characters


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody accepts a finding of a target. `at` and `until` are unix seconds; `by` may be empty."""

    target: str  # its key
    finding: str
    until: float
    reason: str
    by: str
    at: float

    @property
    def name(self) -> str:
        """In the state file."""
        return f"{self.finding} {self.target}"

    def written(self) -> list[Any]:
        """For the state file."""
        return [self.target, self.finding, self.until, self.reason, self.by, self.at]


def read(name: Any, saved: Any) -> Acknowledgement:
    """Raise one of UNSOUND (state_rows.py) unless `written` made it."""
    target, finding, until, reason, by, at = saved
    made = Acknowledgement(
        text_of(target), text_of(finding), moment(until), text_of(reason), text_of(by), moment(at)
    )  # fmt: skip
    if made.name != name or len(made.reason) > MOST_REASON or len(made.by) > MOST_NAME or until > at + LONGEST + DAY:
        raise ValueError("it is no acknowledgement")
    return made
