"""What happened to a pair of a check and a target: something broke, healed or flaps, or a record was changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from exporter.check_state import Key, WrongTimes
from exporter.engine.state_rows import labels_of, moment, text_of, texts_of
from exporter.facts import Labels, Severity

SHOWN_TEXTS = 4  # of a record before or after a change
SHOWN_TEXT = 400  # characters of each


class Kind(StrEnum):
    BROKE = "broke"
    HEALED = "healed"
    FLAPS = "flaps"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Event:
    """`at` and `since` are unix seconds. `about` is the id of a finding, or the name of a record.

    A finding broke at its first bad look, and healed at the first of the good looks that ended it. `since` is when what
    healed had begun. `cause` says what had to change (problems.py). `accepted`: the operator had accepted it.
    """

    at: float
    kind: Kind
    check: str
    target: str  # its key
    about: str
    subject: Labels = ()
    cause: Labels = ()
    severity: Severity | None = None  # None: it is about a record
    accepted: bool = False
    since: float = 0.0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.check, self.target

    @property
    def finding(self) -> tuple[str, Labels]:
        return self.about, self.subject

    def when(self, now: float) -> float:
        """The time to show. A clock that was ahead may have written a later one."""
        return min(self.at, now)

    def timed(self, times: WrongTimes) -> Event:
        return replace(self, at=times.right(self.at), since=times.right(self.since))

    def written(self) -> list[Any]:
        """For the state file."""
        about = [self.about, self.subject, self.cause, self.severity or "", self.accepted]
        return [self.at, self.kind, self.check, self.target, *about, self.since, self.before, self.after]


def read(name: Any, saved: Any) -> Event:
    """Raise one of UNSOUND (state_rows.py) unless `written` made it."""
    number_of(name)
    at, kind, check, target, about, subject, cause, severity, accepted, since, before, after = saved
    if (Kind(kind) is Kind.CHANGED) == bool(severity):
        raise ValueError("a finding has a severity, and a record has none")
    if not isinstance(accepted, bool):
        raise TypeError(f"{type(accepted).__name__} is no yes or no")
    return Event(
        moment(at), Kind(kind), text_of(check), text_of(target), text_of(about), labels_of(subject), labels_of(cause),
        Severity(severity) if severity else None, accepted, moment(since), _short(texts_of(before)),
        _short(texts_of(after)),
    )  # fmt: skip


def _short(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Raise ValueError if `shortened` has not made them."""
    if len(texts) > SHOWN_TEXTS + 1 or any(len(it) > SHOWN_TEXT + 1 for it in texts):
        raise ValueError("these texts are too long")
    return texts


def name_of(number: int) -> str:
    """The name of the event with that number in the state file."""
    return f"{number:012}"


def number_of(name: str) -> int:
    """Raise ValueError or AttributeError if it is no such name."""
    if not (name.isascii() and name.isdecimal() and len(name) == len(name_of(0))):
        raise ValueError(f"{name[:20]!r} is no number")
    return int(name)


def shortened(texts: Iterable[str]) -> tuple[str, ...]:
    """What the log keeps of a record. The page of the target has it whole."""
    all_ = tuple(it if len(it) <= SHOWN_TEXT else it[:SHOWN_TEXT] + "…" for it in texts)
    return all_ if len(all_) <= SHOWN_TEXTS else (*all_[:SHOWN_TEXTS], f"and {len(all_) - SHOWN_TEXTS} more")
