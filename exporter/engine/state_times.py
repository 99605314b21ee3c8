"""The times of all pairs, which each run changes, apart from what seldom changes.

The problem: a run that finds all as it was changes only two times of a pair. If the pair were written anew for that, a
fleet would write a hundred times its state file each day.

The idea: the times of many pairs together are one row of a section of their own. Once a minute those rows are written
in which a time has changed.

The rules:

- Each pair's own row has times, too. The later ones count. So a version that does not know this section spoils nothing.
- Whatever else changes is written at once, with its times. So is a time that becomes an earlier one.
- A row has the pairs of one check that run at about the same time: the phase of the schedule decides. So the runs of a
  minute touch few rows, whatever the interval.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import le
from typing import Any, TypeAlias

from exporter.check_state import CheckState, Key
from exporter.confirmation import ActiveFinding
from exporter.engine.schedule import phase
from exporter.engine.state_rows import LONGEST, SavedState, moment, text_of

PARTS = 32  # rows of one check

Times: TypeAlias = tuple[float, ...]  # of the last run, of the last conclusive one, and of the look at each finding


class PairTimes:
    """The states as they were last held, in the parts that are written together."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, CheckState]] = {}
        self.due: dict[str, None] = {}  # parts with times that are not written

    def hold(self, state: CheckState) -> bool:
        """Hold this state. True if only times have changed, and to later ones: then its part is due.

        It is due after a change to earlier ones, too, since the saved ones are wrong and would count.
        """
        name = _part(state.key)
        part = self._parts.setdefault(name, {})
        before = part.get(state.target.key)
        part[state.target.key] = state
        if before is None:
            return False
        later = _later(before, state)
        same = later and _same(before, state)
        if not later or (same and _times(before) != _times(state)):
            self.due[name] = None
        return same

    def moved(self, state: CheckState) -> bool:
        """Hold this state, of which its caller knows that only times have changed. False if they went back."""
        name = _part(state.key)
        part = self._parts.get(name, {})
        before = part.get(state.target.key)
        if before is None or before.last_run > state.last_run:
            return False
        part[state.target.key] = state
        self.due[name] = None
        return True

    def forget(self, key: Key) -> None:
        """The next state of this pair is one that was never held."""
        if part := self._parts.get(name := _part(key)):
            part.pop(key[1], None)
            if not part:
                del self._parts[name]

    def forget_all(self) -> None:
        self._parts.clear()
        self.due.clear()

    def take_due(self) -> Iterator[tuple[str, list[CheckState]]]:
        """The parts that are due, by name. They are no longer due then."""
        while self.due:
            name, _ = self.due.popitem()
            yield name, list(self._parts.get(name, {}).values())


def written_times(states: Iterable[CheckState]) -> str:
    """A part as JSON. Milliseconds are enough."""
    return json.dumps({it.target.key: [round(at, 3) for at in _times(it)] for it in states}, separators=(",", ":"))


def read_times(name: Any, body: Any) -> Mapping[Key, Times]:
    """What the part of that name says. Raise one of UNSOUND (state_rows.py) unless it is one."""
    check, _, number = text_of(name).rpartition(" ")
    if len(body) > LONGEST or int(number) not in range(PARTS):
        raise ValueError(f"{name} is no part")
    told = json.loads(body)
    made = {(check, target): tuple(map(moment, times)) for target, times in told.items()}
    if not all(len(times) >= 2 for times in made.values()):
        raise ValueError("a time is missing")
    return made


def with_times(saved: SavedState, times: Times) -> SavedState:
    """The same with these times, if they are later."""
    last_run, last_conclusive, *looked = times
    if last_run <= saved.last_run:
        return saved
    findings = saved.findings
    if len(looked) == len(findings):
        findings = tuple([replace(it, looked=at) for it, at in zip(findings, looked, strict=True)])
    return saved._replace(last_run=last_run, last_conclusive=last_conclusive, findings=findings)


def _part(key: Key) -> str:
    return f"{key[0]} {int(phase(key) * PARTS)}"


def _times(state: CheckState) -> Times:
    return state.last_run, state.last_conclusive, *(it.looked for it in state.findings)


def _later(before: CheckState, after: CheckState) -> bool:
    """Is no time of the second one earlier than in the first one?"""
    return all(map(le, _times(before), _times(after)))


def _same(before: CheckState, after: CheckState) -> bool:
    """Does the pair's own row say the same of both, but for times that later runs of the same result change?"""
    return _rest(before) == _rest(after) and (before.findings == after.findings or _looked(before) == _looked(after))


def _rest(it: CheckState) -> tuple[object, ...]:
    return len(it.findings), it.samples, it.records, it.found, it.doubt, it.again, it.ended, it.ahead


def _looked(it: CheckState) -> list[ActiveFinding]:
    return [replace(active, looked=0.0) for active in it.findings]
