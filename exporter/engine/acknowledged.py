"""Acknowledgements: findings that people accept until a date, from a page or by a command.

The rules:

- It counts as an `accept` entry of the configuration, for one finding of one target. If the configuration has an entry
  for that finding of that target, only that counts, also when it has expired.
- When such an entry leaves the configuration, an acknowledgement from before counts again, if it has not expired.
- It ends by itself at its date, at most LONGEST from when it was given: longer decisions belong in the configuration.
- It outlives a restart. There are MOST at most. That of a target which has left is kept as
  long as departures.py keeps one of its pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from exporter.clock import Clock
from exporter.engine.acknowledgement import MOST_NAME, Acknowledgement
from exporter.engine.departures import KEPT
from exporter.engine.state_copy import ACKNOWLEDGED
from exporter.engine.state_file import StateFile
from exporter.model import Acceptance, Target
from exporter.text import printable

MOST = 10_000


class Acknowledgements:
    """All of them, by target and finding."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._file: StateFile | None = None
        self._of: dict[str, dict[str, Acknowledgement]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Acknowledgement]:
        return (it for those in self._of.values() for it in those.values())

    @property
    def full(self) -> bool:
        """Is there no room for another one?"""
        if self._count >= self._most:
            self._forget_expired(0.0)
        return self._count >= self._most

    def of(self, targets: Iterable[str]) -> list[Acknowledgement]:
        """Those of the targets with these keys."""
        return [it for target in targets for it in self._of.get(target, {}).values()]

    def open(self, file: StateFile) -> None:
        """Take in what an earlier process saved."""
        self._file = file
        for entry in file.entries(ACKNOWLEDGED).values():
            if isinstance(entry, Acknowledgement) and self._count < self._most:
                self._put(entry)

    def applied(self, target: Target) -> Target:
        """The target with what is acknowledged of it; the same object if nothing is new."""
        configured = tuple(it for it in target.accept if it.by is None)
        said = {it.finding for it in configured}
        more = (it for it in self._of.get(target.key, {}).values() if it.finding not in said)
        accept = (*configured, *(Acceptance(finding=a.finding, until=a.until, reason=a.reason, by=a.by) for a in more))
        return target if accept == target.accept else replace(target, accept=accept)

    def give(self, target: str, finding: str, until: float, reason: str, by: str) -> Acknowledgement:
        """Note it, in the place of what was acknowledged of that finding before. The caller has asked for room."""
        made = Acknowledgement(target, finding, until, reason, printable(by, MOST_NAME)[:MOST_NAME], self._clock.wall())
        self._put(made)
        self._write(made.name, made)
        return made

    def withdraw(self, target: str, finding: str) -> bool:
        """Forget it. False: there was none."""
        those = self._of.get(target, {})
        gone = those.pop(finding, None)
        if gone is None:
            return False
        if not those:
            del self._of[target]
        self._count -= 1
        self._write(gone.name, None)
        return True

    def knows(self, target: str) -> bool:
        """Is something acknowledged of the target with that key?"""
        return target in self._of

    def settle(self, known: set[str]) -> None:
        """A configuration is in force: targets with these keys are there, or have left lately. Those of others go."""
        for key in [key for key in self._of if key not in known]:
            for finding in list(self._of[key]):
                self.withdraw(key, finding)
        self._forget_expired(KEPT)  # a clock that is ahead for a moment takes nothing away

    def save_all(self) -> None:
        for it in self:
            self._write(it.name, it)

    def _forget_expired(self, grace: float) -> None:
        now = self._clock.wall()
        for it in [it for it in self if it.until + grace <= now]:
            self.withdraw(it.target, it.finding)

    def _put(self, it: Acknowledgement) -> None:
        those = self._of.setdefault(it.target, {})
        self._count += it.finding not in those
        those[it.finding] = it

    def _write(self, name: str, it: Acknowledgement | None) -> None:
        if self._file:
            self._file.note(ACKNOWLEDGED, name, it)
