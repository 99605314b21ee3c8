"""What is known: per check and target the verdict, findings and measures held together, and the latest run.

Contract, truth rule 5. A run that ended without doubt replaces all three. A run that broke off may add
findings, but removes none, changes no measure and does not move the time of the last conclusive answer.
Records are remembered beside them, with their latest changes. Nothing held expires by age. The event loop is
the only writer and every Held is immutable, so a view may read the store at any time without a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from exporter.model import (
    Check,
    Doubt,
    Exchange,
    Finding,
    Known,
    Outcome,
    Reason,
    RecordHistory,
    Sample,
    Severity,
    Target,
    Verdict,
)

Key: TypeAlias = tuple[str, str]  # check id, target key

COMPACT_LINES = 3  # of each exchange of a run that passed
PENDING = Doubt(Reason.PENDING, "no run has ended yet")


@dataclass(frozen=True, slots=True)
class ActiveFinding:
    """A finding and since when it stands (unix seconds)."""

    finding: Finding
    since: float


@dataclass(frozen=True, slots=True)
class EffectiveFinding:
    """A standing finding under the operator's policy: its severity here, and until when it is accepted."""

    standing: ActiveFinding
    severity: Severity
    accepted_until: float | None  # None: not accepted; infinity: for good

    @property
    def finding(self) -> Finding:
        return self.standing.finding

    @property
    def fails(self) -> bool:
        return self.severity.fails and self.accepted_until is None


@dataclass(frozen=True, slots=True)
class FindingPolicy:
    """What the operator decided about findings: severities by id. Acceptances lie on the targets."""

    severities: Mapping[str, Severity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckState:
    """Everything known about one check of one target. Times are unix seconds; 0 means never."""

    check: Check
    target: Target
    findings: tuple[ActiveFinding, ...] = ()
    samples: tuple[Sample, ...] = ()
    doubt: Doubt | None = PENDING  # of the latest run
    last_run: float = 0.0
    last_conclusive: float = 0.0
    latest: Outcome | None = None
    latest_trouble: Outcome | None = None  # the latest run that did not pass, kept when later ones do
    records: tuple[RecordHistory, ...] = ()

    @property
    def key(self) -> Key:
        return self.check.id, self.target.key

    @property
    def changed(self) -> float:
        """When one of its records last changed; 0: never since the first sight of it."""
        return max((it.changes[0].at for it in self.records if it.changes), default=0.0)

    def judged(self, policy: FindingPolicy, now: float) -> tuple[EffectiveFinding, ...]:
        accepted = {
            a.finding: float("inf") if a.until is None else a.until
            for a in self.target.accept
            if a.until is None or a.until > now
        }
        return tuple(
            EffectiveFinding(s, policy.severities.get(s.finding.id, s.finding.severity), accepted.get(s.finding.id))
            for s in self.findings
        )

    def ok(self, policy: FindingPolicy, now: float) -> bool | None:
        """The last conclusive verdict; None until there is one."""
        if any(j.fails for j in self.judged(policy, now)):
            return False
        return True if self.last_conclusive else None

    def verdict(self, policy: FindingPolicy, now: float) -> Verdict:
        """For a person: fail outweighs doubt, doubt outweighs an older pass."""
        if self.ok(policy, now) is False:
            return Verdict.FAIL
        return Verdict.UNKNOWN if self.doubt else Verdict.PASS

    def after(self, outcome: Outcome) -> CheckState:
        """What is held once this run has been taken in."""
        began = {s.finding.key: s.since for s in self.findings}
        ended = outcome.started + outcome.duration
        new = tuple(ActiveFinding(f, began.get(f.key, ended)) for f in outcome.findings)
        took = replace(
            self,
            target=outcome.target,
            doubt=outcome.doubt,
            last_run=ended,
            latest=_compact(outcome),
            records=self._recorded(outcome, ended),
        )
        if outcome.verdict is not Verdict.PASS:
            took = replace(took, latest_trouble=outcome)
        if outcome.doubt is None:
            return replace(took, findings=new, samples=outcome.samples, last_conclusive=ended)
        renewed = {s.finding.key for s in new}
        return replace(took, findings=(*(s for s in self.findings if s.finding.key not in renewed), *new))

    def _recorded(self, outcome: Outcome, ended: float) -> tuple[RecordHistory, ...]:
        """Each record was an answer of its own, so a run that broke off teaches too; only it forgets nothing."""
        held = {it.record.name: it for it in self.records}
        seen = {
            record.name: held[record.name].now(record, ended) if record.name in held else RecordHistory(record, ended)
            for record in outcome.records
        }
        return tuple((held | seen if outcome.doubt else seen).values())


def _compact(outcome: Outcome) -> Outcome:
    if outcome.verdict is not Verdict.PASS:
        return outcome
    short = tuple(
        Exchange(e.asked, e.got if len(e.got) <= COMPACT_LINES else (*e.got[:COMPACT_LINES], "…"), e.via, e.seconds)
        for e in outcome.transcript
    )
    return replace(outcome, transcript=short)


class Store:
    """All that is held, by check and target. A pair that is not wanted (any more) is not kept."""

    def __init__(self) -> None:
        self._held: dict[Key, CheckState] = {}

    def __iter__(self) -> Iterator[CheckState]:
        return iter(self._held.values())

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, key: Key) -> CheckState:
        return self._held[key]

    def known(self, check: str, target: str) -> Known | None:
        """What that check holds of the target with that key, accepted or not; None: it never looks at it."""
        held = self._held.get((check, target))
        if held is None:
            return None
        return Known(tuple(standing.finding for standing in held.findings), held.doubt, held.records)

    def record(self, outcome: Outcome) -> CheckState | None:
        """Take a run in; None if its target has left the configuration meanwhile."""
        key = outcome.check.id, outcome.target.key
        held = self._held.get(key)
        if held is None:
            return None
        # a reload during the run may have changed labels or acceptances: the newer target stays
        self._held[key] = replace(held.after(outcome), target=held.target)
        return self._held[key]

    def want(self, check: Check, target: Target, recall: Callable[[CheckState], CheckState] = lambda new: new) -> bool:
        """Hold this pair from now on; tell whether that is news. `recall` may know a new one from a former life.

        What is known of a pair that is held already stays, under the check and target as they are now.
        """
        key = check.id, target.key
        held = self._held.get(key)
        if held is None:
            self._held[key] = recall(CheckState(check, target))
        elif held.target != target:
            self._held[key] = replace(held, target=target)
        else:
            return False
        return True

    def drop(self, key: Key) -> None:
        self._held.pop(key, None)

    def keys(self) -> set[Key]:
        return set(self._held)
