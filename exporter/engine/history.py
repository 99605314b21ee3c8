"""Remembers what broke, what healed and which records changed, over all targets.

The problem: a verdict says what is wrong now. People also ask what happened tonight, and whether a finding comes and
goes. Nobody can look through all states for that.

The idea: one log of events, made of the states as they change. It has bounds, for each pair and in all.

The rules (truth rule 5 of the contract):

- Only a confirmed finding that counts has broken something. It broke at its first bad look.
- It has healed once further looks have ended it, and it healed at the first of those good looks.
- What the first look at a target finds has not broken: nobody knows when it began. A check that reads others has no
  first look before they have looked for OTHERS_LOOK seconds.
- What comes and goes by turns is told as flapping, once while it keeps its `since`.
- A restart makes no event, and neither does what leaves the configuration. Its events are kept as long as
  departures.py keeps it.
- A record that several checks read has changed once. It is told of the check that saw it first.
- Checks that only combine the results of others make no events.
- An event is noted for the disk before the state that it comes from. So `kill -9` between them loses no event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from exporter.check_state import CheckState, EffectiveFinding, FindingPolicy, Key, RecordChange, WrongTimes
from exporter.clock import Clock
from exporter.engine.events import Event, Kind, name_of, number_of, shortened
from exporter.engine.problems import cause
from exporter.engine.state_copy import HISTORY
from exporter.engine.state_file import StateFile
from exporter.facts import Labels, Severity

MOST = 20_000  # events
MOST_OF_PAIR = 40  # events of one check of one target
OTHERS_LOOK = 7200.0
SLICE = 500  # events
SAME = 6 * 3600.0  # seconds in which several checks see one change of a record

_Finding: TypeAlias = tuple[str, Labels]
_Change: TypeAlias = tuple[str, tuple[str, ...], tuple[str, ...]]  # the name of a record, before and after


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is remembered of a confirmed finding, since nothing of it is known when it has ended."""

    since: float
    severity: Severity
    accepted: bool
    cause: Labels
    flaps: bool
    well: float  # when the first of the latest good looks ended; 0: the latest look was bad


class History:
    """The log. `revision` grows with each change of it."""

    def __init__(self, clock: Clock, most: int = MOST, most_of_pair: int = MOST_OF_PAIR) -> None:
        self._clock = clock
        self._most, self._most_of_pair = most, most_of_pair
        self._file: StateFile | None = None
        self._events: dict[int, Event] = {}  # by number, the latest last
        self._of: dict[Key, list[int]] = {}
        self._next = 0
        self._standing: dict[Key, dict[_Finding, _Standing]] = {}
        self._first: dict[Key, float] = {}  # of new pairs: when the first look without doubt ended; infinity: none has
        self._read: dict[Key, float] = {}  # until when the changes of records are told
        self._seen: dict[_Change, tuple[Key, float]] = {}
        self.revision = 0

    def __iter__(self) -> Iterator[Event]:
        """What was noted last comes first. That is nearly the order of the times."""
        return iter(list(reversed(self._events.values())))

    def of(self, keys: Iterable[Key]) -> list[Event]:
        """The events of these pairs, in the order in which they were noted."""
        numbers = sorted(number for key in keys for number in self._of.get(key, ()))
        return [self._events[number] for number in numbers]

    def open(self, file: StateFile) -> None:
        """Take in what an earlier process saved."""
        self._file = file
        for name, entry in sorted(file.entries(HISTORY).items()):
            if isinstance(entry, Event):
                self._put(number_of(name), entry)
        self._prune()

    def hold(self, state: CheckState, policy: FindingPolicy) -> None:
        """Take in a state that is new here. What stands has not broken now."""
        if state.check.concludes:
            return
        if state.changed:
            self._read[state.key] = state.changed
        if not state.last_conclusive:
            self._first[state.key] = float("inf")
        present = {it.finding.key for it in state.findings}
        known = {it: was for it, was in self._standing.pop(state.key, {}).items() if it in present}
        if standing := known | self._of_state(state, policy):
            self._standing[state.key] = standing
        self.take(state, policy)

    def take(self, state: CheckState, policy: FindingPolicy) -> None:
        """Note what has changed since the last time."""
        if state.check.concludes:
            return
        key = state.key
        if self._first.get(key) == float("inf") and state.last_conclusive:
            self._first[key] = state.last_conclusive + (OTHERS_LOOK if state.check.after else 0.0)
        if state.findings or key in self._standing:
            self._compare(state, policy)
        if state.last_run > self._first.get(key, float("inf")) and all(it.confirmed for it in state.findings):
            del self._first[key]
        if state.records and state.changed > self._read.get(key, 0.0):
            self._read_records(state)

    def begins(self, key: Key) -> bool:
        """Is what it finds still what stood there before anybody looked?"""
        return key in self._first

    def forget(self, key: Key) -> None:
        """Its pair has left."""
        for known in (self._first, self._read, self._standing):
            known.pop(key, None)

    def knows(self, key: Key) -> bool:
        """Is there an event of that pair?"""
        return key in self._of

    def settle(self, known: set[Key]) -> None:
        """A configuration is in force: these pairs are there, or have left lately. The events of others go."""
        for key in [key for key in self._of if key not in known]:
            for number in list(self._of[key]):
                self._drop(number)

    def move(self, times: WrongTimes) -> Iterator[None]:
        """Correct times that a wrong clock gave, in slices: between two, other work may be done."""
        for count, (number, event) in enumerate(list(self._events.items()), 1):
            if count % SLICE == 0:
                yield
            if number not in self._events:
                continue
            wrong = times.begin <= max(event.at, event.since) and min(event.at, event.since) <= times.end
            if wrong and (right := event.timed(times)) != event:
                self._events[number] = right
                self._write(number, right)
                self.revision += 1

    def save_all(self) -> None:
        for number, event in self._events.items():
            self._write(number, event)

    def _compare(self, state: CheckState, policy: FindingPolicy) -> None:
        known, now = self._standing.get(state.key, {}), self._of_state(state, policy)
        present = {it.finding.key for it in state.findings}
        for finding, was in known.items():
            if finding in now:
                continue
            if finding in present:  # it does not count now
                now[finding] = was
            else:
                self._heal(state, finding, was)
        for finding, it in now.items():
            before = known.get(finding)
            if before is None:
                self._break(state, finding, it)
            if it.flaps and not (before and before.flaps):
                self._flap(state, finding, it)
        if now:
            self._standing[state.key] = now
        else:
            self._standing.pop(state.key, None)

    def _of_state(self, state: CheckState, policy: FindingPolicy) -> dict[_Finding, _Standing]:
        now, found = self._clock.wall(), dict[_Finding, _Standing]()
        for it in state.effective(policy, now) if state.findings else ():
            if it.active.confirmed and it.severity.fails:
                known = found.get(it.finding.key)
                if known is None or it.active.since < known.since:
                    found[it.finding.key] = _standing(state, it, now)
        return found

    def _break(self, state: CheckState, finding: _Finding, it: _Standing) -> None:
        last = self._last(state.key, finding)
        if last is None or last.since != it.since:
            if it.since > self._first.get(state.key, 0.0):
                self._note(state, Kind.BROKE, finding, it, it.since)
        elif last.kind is Kind.HEALED and (turned := _turned(state, finding)) > last.at:
            self._note(state, Kind.BROKE, finding, it, turned)

    def _heal(self, state: CheckState, finding: _Finding, was: _Standing) -> None:
        last = self._last(state.key, finding)
        if last is None or last.kind is not Kind.HEALED or last.since != was.since:  # else it was told before a restart
            at = min(max(was.well or state.last_run, was.since), self._clock.wall())
            self._note(state, Kind.HEALED, finding, was, at)

    def _flap(self, state: CheckState, finding: _Finding, it: _Standing) -> None:
        told = (self._events[number] for number in self._of.get(state.key, ()))
        if not any(e.kind is Kind.FLAPS and e.finding == finding and e.since == it.since for e in told):
            self._note(state, Kind.FLAPS, finding, it, _turned(state, finding))

    def _last(self, key: Key, finding: _Finding) -> Event | None:
        events = (self._events[number] for number in reversed(self._of.get(key, ())))
        return next((it for it in events if it.severity and it.finding == finding), None)

    def _note(self, state: CheckState, kind: Kind, finding: _Finding, it: _Standing, at: float) -> None:
        about, subject = finding
        check, target = state.key
        self._add(Event(at, kind, check, target, about, subject, it.cause, it.severity, it.accepted, it.since))

    def _read_records(self, state: CheckState) -> None:
        told, self._read[state.key] = self._read.get(state.key, 0.0), state.changed
        changes = ((it.record.name, change) for it in state.records for change in it.changes if change.at > told)
        for name, change in sorted(changes, key=lambda it: it[1].at):
            if not self._is_seen(state.key, name, change):
                before, after = shortened(change.before), shortened(change.after)
                self._add(Event(change.at, Kind.CHANGED, *state.key, name, before=before, after=after))

    def _is_seen(self, key: Key, name: str, change: RecordChange) -> bool:
        seen = self._seen.get((name, shortened(change.before), shortened(change.after)))
        return seen is not None and seen[0] != key and abs(change.at - seen[1]) < SAME

    def _add(self, event: Event) -> None:
        number = self._next
        self._put(number, event)
        self._write(number, event)
        self._prune()
        of_pair = self._of[event.key]
        if len(of_pair) > self._most_of_pair:
            self._drop(of_pair[0])

    def _put(self, number: int, event: Event) -> None:
        self._events[number] = event
        self._of.setdefault(event.key, []).append(number)
        self._next = number + 1
        if event.kind is Kind.CHANGED:
            self._seen[event.about, event.before, event.after] = event.key, event.at
        self.revision += 1

    def _prune(self) -> None:
        while len(self._events) > self._most:
            self._drop(next(iter(self._events)))

    def _drop(self, number: int) -> None:
        event = self._events.pop(number)
        of_pair = self._of[event.key]
        of_pair.remove(number)
        if not of_pair:
            del self._of[event.key]
        if self._seen.get(change := (event.about, event.before, event.after)) == (event.key, event.at):
            del self._seen[change]
        self.revision += 1
        self._write(number, None)

    def _write(self, number: int, event: Event | None) -> None:
        if self._file:
            self._file.note(HISTORY, name_of(number), event)


def _turned(state: CheckState, finding: _Finding) -> float:
    """When it turned bad again last; 0: it did not."""
    return max((it.turns[-1] for it in state.findings if it.finding.key == finding and it.turns), default=0.0)


def _standing(state: CheckState, it: EffectiveFinding, now: float) -> _Standing:
    active = it.active
    flaps, accepted = active.flapping(now, state.looks), it.accepted_until is not None
    return _Standing(active.since, it.severity, accepted, cause(it.finding, state.target), flaps, active.well)
