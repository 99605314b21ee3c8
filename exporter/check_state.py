"""What is known of one check of one target: its findings, samples and records, and its latest run.

The problem: a run can fail for reasons that say nothing about the target, such as a timeout. A fault must not disappear
because of that, and must not be made up either.

The rules (truth rule 5 of the contract):

- A run without doubt replaces all samples, and all findings that are not confirmed.
- A run in doubt may add findings. It keeps the earlier findings that its doubts leave open. It changes the samples of
  those metrics whose question it answered all the same (`Measured`). It does not move the time of the last conclusive
  run.
- A record that has been read is remembered with its latest changes, even if the run then met a doubt.
- Nothing expires by age.
- One look can be wrong. So a finding is confirmed by several bad looks, and a confirmed one ends by several good ones
  (confirmation.py). What only informs wakes nobody, so it waits for the usual looks.
- A record has changed once the resolver has passed its own test after the change was seen.
- No time is in the future. If a saved time is, then the clock of before was wrong, or ours is, and NTP will put it
  forward soon. So such a time becomes that of the restart, and comes back if our clock is put past it.

All objects here are immutable, so a reader always sees the state of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TypeAlias

from exporter.confirmation import ActiveFinding, EndedFinding, Looks
from exporter.facts import Doubt, Finding, Reason, Record, Sample, Severity, Verdict
from exporter.model import Check, Outcome, Target
from exporter.past_run import PastRun

Key: TypeAlias = tuple[str, str]  # check id, target key

CHANGES_KEPT = 5  # of one record: enough for a story, and a record that flaps stays small
AHEAD = 2.0  # seconds by which a time may be ahead of the clock
DISTINCT = 0.0001  # seconds between times that were ahead: the order of what happened stays
PENDING = Doubt(Reason.PENDING, "no run has ended yet")


@dataclass(frozen=True, slots=True)
class WrongTimes:
    """The wall clock was corrected by `seconds`: its times from `begin` to `end` (unix seconds) were wrong by that."""

    seconds: float
    begin: float
    end: float

    def right(self, at: float) -> float:
        """The corrected time. A time outside that range came from another clock or an earlier process, and stays."""
        return at + self.seconds if self.begin <= at <= self.end else at


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record was replaced by another. `at` is when the new one was first seen, in unix seconds."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """A Record as it is now, since when it is so (unix seconds), and its latest changes, newest first.

    `news`: another record was read, at that time. It does not count before the resolver has passed its own test.
    """

    record: Record
    since: float
    changes: tuple[RecordChange, ...] = ()
    news: tuple[Record, float] | None = None

    def timed(self, right: Callable[[float], float]) -> RecordHistory:
        changes = tuple(replace(it, at=right(it.at)) for it in self.changes)
        news = self.news and (self.news[0], right(self.news[1]))
        return RecordHistory(self.record, right(self.since), changes, news)

    def now(self, record: Record, at: float) -> RecordHistory:
        """The history after the record was read."""
        if record.digest == self.record.digest:
            return replace(self, news=None) if self.news else self
        if self.news and self.news[0].digest == record.digest:
            return self
        return replace(self, news=(record, at))

    def confirmed(self, tested: float) -> RecordHistory:
        """The history with its news, if the resolver passed its own test after they were read."""
        if self.news is None or self.news[1] >= tested:
            return self
        record, at = self.news
        change = RecordChange(self.record.texts, record.texts, at)
        return RecordHistory(record, at, (change, *self.changes[: CHANGES_KEPT - 1]))


@dataclass(frozen=True, slots=True)
class EffectiveFinding:
    """An active finding under the operator's policy: its severity here, and until when it is accepted."""

    active: ActiveFinding
    severity: Severity
    accepted_until: float | None  # None: not accepted; infinity: for good

    @property
    def finding(self) -> Finding:
        return self.active.finding

    @property
    def fails(self) -> bool:
        return self.severity.fails and self.accepted_until is None


@dataclass(frozen=True, slots=True)
class FindingPolicy:
    """What the operator decided about findings: severities by id. Targets have the acceptances."""

    severities: Mapping[str, Severity] = field(default_factory=dict)

    def counts(self, finding: Finding) -> bool:
        """Is it more than information?"""
        return self.severities.get(finding.id, finding.severity).fails


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
    repeated: int = 0  # runs since the latest that was evaluated: DNS gave the same answers, so its result held
    latest: PastRun | None = None
    latest_trouble: PastRun | None = None  # the latest run that did not pass, kept when later ones do
    records: tuple[RecordHistory, ...] = ()
    found: tuple[Target, ...] = ()  # by the latest run without doubt; and `missed`
    missed: tuple[Target, ...] = ()  # found before, but not by that run: they go after the resolver's own test
    again: float = 0.0  # when the latest run wanted to look again
    ended: tuple[EndedFinding, ...] = ()  # confirmed findings that ended lately
    looks: Looks = field(default_factory=Looks)
    # Times that were in the future: what stands here in their place, and what was saved.
    ahead: tuple[tuple[float, float], ...] = ()

    @property
    def key(self) -> Key:
        return self.check.id, self.target.key

    @property
    def changed(self) -> float:
        """When one of its records last changed; 0 if none has changed since it was first seen."""
        times = [it.changes[0].at for it in self.records if it.changes]
        return max(times) if times else 0.0

    def effective(self, policy: FindingPolicy, now: float) -> tuple[EffectiveFinding, ...]:
        if not self.findings:
            return ()
        accepted = {
            a.finding: float("inf") if a.until is None else a.until
            for a in self.target.accept
            if a.until is None or a.until > now
        }
        return tuple(
            EffectiveFinding(
                s,
                Severity.INFO if self.target.likely else policy.severities.get(s.finding.id, s.finding.severity),
                accepted.get(s.finding.id),
            )
            for s in self.findings
        )

    def ok(self, policy: FindingPolicy, now: float) -> bool | None:
        """The last conclusive verdict; None until there is one."""
        if self.findings and any(j.fails for j in self.effective(policy, now)):
            return False
        return True if self.last_conclusive else None

    def verdict(self, policy: FindingPolicy, now: float) -> Verdict:
        """The verdict for people: a failure has precedence over a doubt, and a doubt over an older pass."""
        if self.ok(policy, now) is False:
            return Verdict.FAIL
        return Verdict.UNKNOWN if self.doubt else Verdict.PASS

    def moved(self, times: WrongTimes) -> CheckState:
        """The state with corrected times; the same object if none was wrong."""
        now = times.end + times.seconds
        back = {held: told for held, told in self.ahead if times.end < told <= now}
        return self._came_back(back, times.right).up_to(now)

    def restored(self, now: float) -> CheckState:
        """The state as an earlier process saved it. Its clock may have been ahead; or it was right, and ours is not."""
        if not self.ahead:
            return self.up_to(now)
        back = {held: told for held, told in self.ahead if told <= now}
        return self._came_back(back, lambda at: at).up_to(now)

    def _came_back(self, back: Mapping[float, float], right: Callable[[float], float]) -> CheckState:
        left = tuple((right(held), told) for held, told in self.ahead if held not in back)
        made = replace(self._timed(lambda at: back.get(at, right(at))), ahead=left)
        return self if made == self else made

    def up_to(self, now: float) -> CheckState:
        """The state without a time after `now`; the same object if there was none."""
        ahead = sorted({at for at in self._times() if at > now + AHEAD})
        if not ahead:
            return self
        held = {at: now - DISTINCT * (len(ahead) - place) for place, at in enumerate(ahead, 1)}
        told = (*self.ahead, *((new, at) for at, new in held.items()))
        return replace(self._timed(lambda at: held.get(at, at)), ahead=told)

    def _times(self) -> Iterator[float]:
        yield from (self.last_run, self.last_conclusive)
        for active in self.findings:
            yield from (active.since, active.looked, active.well, *active.turns)
        for ended in self.ended:
            yield from (ended.since, ended.at, *ended.turns)
        for it in self.records:
            yield from (it.since, *(change.at for change in it.changes))
            if it.news:
                yield it.news[1]

    def _timed(self, right: Callable[[float], float]) -> CheckState:
        """The state with other times."""
        return replace(
            self,
            findings=tuple(it.timed(right) for it in self.findings),
            ended=tuple(it.timed(right) for it in self.ended),
            records=tuple(it.timed(right) for it in self.records),
            last_run=right(self.last_run),
            last_conclusive=right(self.last_conclusive),
        )

    def after(self, outcome: Outcome) -> CheckState:
        """The state after this run."""
        at, ran = outcome.started + outcome.duration, PastRun.of(outcome)
        findings, over = self.findings, self.ended
        if findings or over or outcome.findings:
            findings, over = self._looked(outcome, at)
        samples, found, missed = outcome.samples, self.found, self.missed
        if outcome.doubts:
            held = (it for it in self.samples if it.metric not in outcome.measured)
            samples = (*held, *(it for it in samples if it.metric in outcome.measured))
        elif found or missed or outcome.found:
            again = {it.key for it in outcome.found}
            missed = tuple(it for it in found if it.key not in again)
            found = (*outcome.found, *missed)
        return replace(
            self,
            target=outcome.target,
            findings=findings,
            samples=samples,
            doubt=outcome.doubt,
            last_run=at,
            last_conclusive=self.last_conclusive if outcome.doubts else at,
            repeated=0,
            latest=ran,
            latest_trouble=self.latest_trouble if outcome.verdict is Verdict.PASS else ran,
            records=self._recorded(outcome, at),
            found=found,
            missed=missed,
            again=0.0 if outcome.again is None else at + outcome.again,
            ended=over,
        )

    @property
    def stands(self) -> bool:
        """If the outcome of its latest run holds again, does nothing change but times? Then nobody gets news of it."""
        waits = self.doubt or self.ended or self.missed or self.again
        return not (waits or any(it.news for it in self.records)) and all(it.stands for it in self.findings)

    def stood(self, at: float) -> CheckState:
        """The same after the outcome of its latest run held again; the evidence stays. Only for one that `stands`."""
        check, target, findings, samples, doubt, _, _, repeated, *rest = _FIELDS(self)
        if findings:
            findings = tuple([it.seen(at, self.looks) for it in findings])
        return CheckState(check, target, findings, samples, doubt, at, at, repeated + 1, *rest)

    def tells_as(self, before: CheckState) -> bool:
        """Has nothing changed since then but the times of runs and looks? While it is in doubt, each may matter."""
        if self.doubt or before.doubt or self.target is not before.target or len(self.findings) != len(before.findings):
            return False
        mine, its = (
            (it.samples, it.records, it.found, it.missed, it.again, it.ended, bool(it.last_conclusive))
            for it in (self, before)
        )
        same = mine == its and all(map(ActiveFinding.stands_as, self.findings, before.findings))
        return same and not any(it.turns for it in self.findings)  # whether it flaps depends on the time

    def _looked(self, outcome: Outcome, at: float) -> tuple[tuple[ActiveFinding, ...], tuple[EndedFinding, ...]]:
        """The findings that stand after this run, and those that are over and remembered."""
        looks = self.looks
        before = {it.finding.key: it for it in self.findings}
        lately = {it.key: it for it in self.ended}
        new = tuple(_seen(f, before.get(f.key), lately.get(f.key), at, looks) for f in outcome.findings)
        renewed = {it.finding.key for it in new}
        kept = []
        for it in self.findings:
            if outcome.leaves_open(it.finding):
                if it.finding.key not in renewed or outcome.singles_out(it.finding):
                    kept.append(it)
            elif it.finding.key not in renewed and (still := it.not_seen(at, looks)):
                kept.append(still)
        over = tuple(it for it in self.ended if it.key not in renewed and _goes_on(it, outcome, looks))
        return (*kept, *new), over

    def next_look(self, policy: FindingPolicy) -> float | None:
        """In how many seconds another look is due, because what counts is neither confirmed nor over. None: no need."""
        if not self.findings:
            return None
        waits = (it.next_look(self.looks) for it in self.findings if policy.counts(it.finding))
        return min((wait for wait in waits if wait is not None), default=None)

    def unsettled(self, policy: FindingPolicy) -> bool:
        """Has it findings that count, and are neither confirmed nor certain to last?"""
        findings = self.findings
        return bool(findings) and any((not it.confirmed or it.good) and policy.counts(it.finding) for it in findings)

    @property
    def awaits_test(self) -> bool:
        """Has it findings, records or found targets that only wait for the resolver's own test?"""
        if self.missed or any(it.news for it in self.records):
            return True
        return bool(self.findings) and any(it.ripe or it.over for it in self.findings)

    def confirmed(self, tested: float) -> CheckState:
        """The state after the resolver has passed its own test, which began at `tested` (unix seconds)."""
        ended = [it for it in self.findings if it.over and it.looked < tested]
        left = tuple(
            replace(it, confirmed=True) if it.ripe and it.looked < tested else it
            for it in self.findings
            if it not in ended
        )
        over = (*self.ended, *(EndedFinding(it.finding.key, it.since, it.looked, it.turns) for it in ended))
        records = tuple(it.confirmed(tested) for it in self.records)
        known = replace(self, findings=left, ended=over, records=records)
        if not self.missed or self.last_conclusive >= tested:
            return known
        return replace(known, found=tuple(it for it in self.found if it not in self.missed), missed=())

    def unproven(self) -> CheckState:
        """The state when the resolver passes its test again after it failed: the looks before that prove nothing."""
        records = tuple(replace(it, news=None) if it.news else it for it in self.records)
        return replace(self, findings=tuple(it.unproven() for it in self.findings), records=records, missed=())

    def _recorded(self, outcome: Outcome, ended: float) -> tuple[RecordHistory, ...]:
        """Records of a run in doubt count too: each is an answer of its own. But such a run removes no record."""
        if not (self.records or outcome.records):
            return ()
        known = {it.record.name: it for it in self.records}
        seen = {
            record.name: known[record.name].now(record, ended) if record.name in known else RecordHistory(record, ended)
            for record in outcome.records
        }
        return tuple((known | seen if outcome.doubts else seen).values())


_FIELDS = attrgetter(*(it.name for it in fields(CheckState)))  # in their order


def _seen(
    finding: Finding, before: ActiveFinding | None, lately: EndedFinding | None, at: float, looks: Looks
) -> ActiveFinding:
    """The finding after a look that saw it."""
    if before is not None:
        return replace(before, finding=finding).seen(at, looks)
    if lately is not None and lately.remembered(at, looks):
        return lately.again(finding, at)
    return ActiveFinding(finding, at, looked=at).sure()


def _goes_on(it: EndedFinding, outcome: Outcome, looks: Looks) -> bool:
    """Is a finding that this run has not seen still remembered?"""
    return it.remembered(outcome.started + outcome.duration, looks) and bool(outcome.doubts or not it.left)
