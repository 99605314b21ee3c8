"""What is kept of a pair that has left: its confirmed findings, and the history of its records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.check_state import CheckState, RecordHistory, WrongTimes
from exporter.confirmation import ActiveFinding, EndedFinding


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one pair that left at a time (unix seconds)."""

    at: float
    findings: tuple[EndedFinding, ...]
    records: tuple[RecordHistory, ...]

    @classmethod
    def of(
        cls,
        now: float,
        findings: Iterable[ActiveFinding] = (),
        ended: Iterable[EndedFinding] = (),
        records: Iterable[RecordHistory] = (),
        *,
        noted: bool = False,
    ) -> Kept | None:
        """From a state. None if there is nothing to keep, and nothing is `noted` elsewhere of the pair."""
        standing = (EndedFinding(it.finding.key, it.since, now, left=True) for it in findings if it.confirmed)
        kept = (*(it for it in ended if it.left), *standing)
        changed = tuple(replace(it, news=None) for it in records if it.changes)
        return cls(now, kept, changed) if kept or changed or noted else None

    def timed(self, times: WrongTimes) -> Kept:
        findings = tuple(it.timed(times.right) for it in self.findings)
        return Kept(times.right(self.at), findings, tuple(it.timed(times.right) for it in self.records))

    def back(self, new: CheckState, now: float) -> CheckState:
        """The state of the pair that is back. It is pending."""
        return replace(new, ended=tuple(replace(it, at=now) for it in self.findings), records=self.records)
