"""What people may do to a running exporter: acknowledge a finding, take that back, and check again now.

The problem: whoever has repaired a record wants to know at once, and whoever knows of a fault wants no more alerts. But
the exporter owes manners to those whom it asks, and not every request is a wise one.

The rules:

- A target is named by its key, by some of its labels, by the value of one, or as HOST:PORT. All that fit are meant.
- Only an active finding can be acknowledged. The configuration wins (acknowledged.py).
- A recheck moves the next run of a check forward, and never adds one: what waits or runs already is not asked again.
- Checks that ask DNS servers alone run DNS_APART seconds after their last run at the earliest. The others visit mail
  hosts, lists or registries, and keep VISITS_APART seconds, or the least interval of the check if that is longer.
- The run looks past our own DNS cache. Each client still keeps its own pace.
- A target is checked again once in TARGET_APART seconds. All actions share a budget: BUDGET checks at once, and then
  PER_SECOND in a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from exporter.check_state import CheckState, Key
from exporter.clock import Clock
from exporter.engine.acknowledged import Acknowledgements
from exporter.engine.acknowledgement import LONGEST, MOST_REASON, Acknowledgement
from exporter.engine.catalogue import Catalogue
from exporter.engine.directory import NO_LABEL
from exporter.engine.schedule import DEPENDENTS_PER_SECOND, Schedule
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.model import TARGET_LABELS, Door, Target
from exporter.text import printable

log = logging.getLogger(__name__)

ACKNOWLEDGE, WITHDRAW, RECHECK = ACTIONS = ("acknowledge", "withdraw", "recheck")
_LOGGED = {
    ACKNOWLEDGE: "finding acknowledged",
    WITHDRAW: "acknowledgement withdrawn",
    RECHECK: "check again asked for",
}
DNS_APART, VISITS_APART = 10.0, 300.0  # seconds from one run to the next
TARGET_APART = 30.0  # seconds
BUDGET, PER_SECOND = 300, 1.0
MOST_TARGETS = 200  # of one acknowledgement
SOON = 0.5  # seconds
NOTICES, NOTICE_SHOWN = 500, 120.0  # how many, and for how many seconds


class ActionRefusedError(Exception):
    """It was not done, and the text says why. `retry`: seconds after which it may be."""

    def __init__(self, text: str, retry: float | None = None) -> None:
        super().__init__(text)
        self.retry = retry


class NothingToActOnError(ActionRefusedError):
    """There is no such target, check or finding."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """A check of a target that runs again in so many seconds; 0: it runs already."""

    check: str
    target: str
    seconds: float


class Actions:
    """What can be done, and what was. `changed` is called with each state that an acknowledgement has changed."""

    def __init__(
        self,
        store: Store,
        schedule: Schedule,
        catalogue: Catalogue,
        clock: Clock,
        changed: Callable[[CheckState], None],
        *,
        enabled: bool = True,
    ) -> None:
        """`enabled`: else nothing that was acknowledged before counts, since nobody could withdraw it."""
        self._enabled = enabled
        self._store = store
        self._schedule = schedule
        self._catalogue = catalogue
        self._clock = clock
        self._changed = changed
        self.acknowledged = Acknowledgements(clock)
        self.done: Counter[str] = Counter(dict.fromkeys(ACTIONS, 0))
        self._fresh: set[Key] = set()  # pairs whose next run looks past our own cache
        self._asked: dict[str, float] = {}  # when a target was last checked again, in monotonic seconds
        self._left, self._filled = float(BUDGET), clock.monotonic()
        self._notices: dict[str, tuple[float, str]] = {}  # by the key of a target: when, in monotonic seconds, and what

    def open(self, file: StateFile) -> None:
        self.acknowledged.open(file)

    def knows(self, key: Key) -> bool:
        return self.acknowledged.knows(key[1])

    def settle(self, known: set[Key]) -> None:
        targets = {it.target for it in self.acknowledged}
        self.acknowledged.settle(targets and targets.intersection(target for _, target in known))

    def save_all(self) -> None:
        self.acknowledged.save_all()

    def applied(self, target: Target) -> Target:
        """The target with what is acknowledged of it."""
        return self.acknowledged.applied(target) if self._enabled else target

    def wants_fresh(self, key: Key) -> bool:
        """Shall its next run look past our own cache?"""
        return key in self._fresh

    def looked_fresh(self, key: Key) -> None:
        """That run has begun."""
        self._fresh.discard(key)

    def notice(self, target: str) -> str:
        """What was done to the target with that key a moment ago; empty if nothing was."""
        at, text = self._notices.get(target, (-math.inf, ""))
        past = self._clock.monotonic() - at
        return f"{text} ({past:.0f} s ago)" if past < NOTICE_SHOWN else ""

    async def acknowledge(self, named: str, finding: str, until: float, reason: str, by: str) -> list[Acknowledgement]:
        """Accept that finding of all targets that are meant, until then (unix seconds). Raise ActionRefusedError."""
        now = self._clock.wall()
        if not now < until <= now + LONGEST:
            raise ActionRefusedError(
                "until lies in the past, or more than a year ahead; longer is for the configuration"
            )
        if not reason.strip() or printable(reason, MOST_REASON) != reason:
            raise ActionRefusedError(f"a reason is one line of 1 to {MOST_REASON} characters that can be shown")
        targets = self._with_finding(named, finding)
        free = [it for it in targets if not _configured(it, finding)]
        if not free:
            raise ActionRefusedError(f"the configuration has an accept entry for {finding} there, and it wins")
        self._pay(len(free))
        given = []
        for target in free:
            if self.acknowledged.full:
                raise ActionRefusedError("there are too many acknowledgements; withdraw some first")
            given.append(self.acknowledged.give(target.key, finding, until, reason.strip(), by))
            await self._apply(target.key)
            self._tell(ACKNOWLEDGE, target.key, by, f"{finding} is acknowledged", finding=finding, reason=reason)
        self.done[ACKNOWLEDGE] += 1
        return given

    async def withdraw(self, named: str, finding: str, by: str) -> list[str]:
        """Take acknowledgements back. Return the keys of the targets. Raise ActionRefusedError."""
        meant = {state.target.key for state in self._meant(named)}
        keys = sorted(it.target for it in self.acknowledged if it.finding == finding and it.target in meant)
        if not keys:
            raise NothingToActOnError(f"{_shown(finding)} of {_shown(named)} is not acknowledged")
        self._pay(len(keys))
        for key in keys:
            self.acknowledged.withdraw(key, finding)
            await self._apply(key)
            self._tell(WITHDRAW, key, by, f"{finding} is not acknowledged any more", finding=finding)
        self.done[WITHDRAW] += 1
        return keys

    def recheck(self, named: str, check: str, by: str) -> list[Rerun]:
        """Run the check, or all if it is empty, of all targets that are meant soon. Raise ActionRefusedError."""
        if check and check not in self._catalogue.checks:
            raise NothingToActOnError(f"there is no check {_shown(check)}")
        states = [it for it in self._meant(named) if not check or it.check.id == check]
        if not states:
            raise NothingToActOnError(f"{check} does not look at {_shown(named)}")
        now = self._clock.monotonic()
        self._asked = {key: at for key, at in self._asked.items() if now - at < TARGET_APART}
        due = [it for it in states if it.target.key not in self._asked]
        if not due:
            wait = TARGET_APART - now + min(self._asked[it.target.key] for it in states)
            raise ActionRefusedError("it was checked again a moment ago", retry=wait)
        self._pay(len(due))
        reruns = [self._rerun(state, number) for number, state in enumerate(due)]
        for state in due:
            self._asked[state.target.key] = now
        for key in dict.fromkeys(state.target.key for state in due):
            those = [it for it in reruns if it.target == key]
            said = ", ".join(f"{it.check} {in_words(it.seconds)}" for it in those)
            self._tell(RECHECK, key, by, f"It is checked again: {said}", checks=str(len(those)))
        self.done[RECHECK] += 1
        return reruns

    def _rerun(self, state: CheckState, number: int) -> Rerun:
        """Move its next run forward as far as manners allow."""
        key, doors = state.key, state.check.doors
        apart = (
            DNS_APART if doors <= {Door.NAMESERVERS} else max(VISITS_APART, state.check.min_interval.total_seconds())
        )
        waits = apart - (self._clock.wall() - state.last_run) if state.last_run else 0.0
        waits = min(max(waits, 0.0), apart) + SOON + number / DEPENDENTS_PER_SECOND
        self._fresh.add(key)
        if self._schedule.due_in(key):
            self._schedule.look_again(key, waits)
        return Rerun(state.check.id, state.target.key, self._schedule.due_in(key) or 0.0)

    def _meant(self, named: str) -> list[CheckState]:
        """The states of all targets that are meant. Raise NothingToActOnError if there is none."""
        asked = _written_out(named.strip())
        if "=" in asked:
            parts = (part.partition("=") for part in asked.split(","))
            labels = [(name, value) for name, _, value in parts]
            keys = min((self._store.pairs_of(*label) for label in labels), key=len)
            found = [it for key in keys if set(labels) <= {*(it := self._store[key]).target.identity}]
        else:
            values = (self._store.pairs_of(name, asked.lower()) for name in TARGET_LABELS)
            alone = (key for key in self._store.pairs_of(*NO_LABEL) if key[1] == asked)
            found = [self._store[key] for key in dict.fromkeys(chain(*values, alone))]
        if not found:
            raise NothingToActOnError(f"there is no target {_shown(named)}")
        return found

    def _with_finding(self, named: str, finding: str) -> list[Target]:
        if finding not in self._catalogue.rules:
            raise NothingToActOnError(f"there is no finding {_shown(finding)}")
        states = (it for it in self._meant(named) if any(its.finding.id == finding for its in it.findings))
        targets = list({state.target.key: state.target for state in states}.values())
        if not targets:
            raise NothingToActOnError(f"{finding} is not active on {_shown(named)}")
        if len(targets) > MOST_TARGETS:
            raise ActionRefusedError(
                f"{len(targets)} targets have it, and {MOST_TARGETS} at most are taken; name fewer"
            )
        return targets

    async def _apply(self, target: str) -> None:
        await asyncio.sleep(0)  # there may be many, and each makes series anew
        for check in self._catalogue.checks:
            if state := self._store.accept(check, target, self.acknowledged.applied):
                self._changed(state)

    def _pay(self, checks: int) -> None:
        """Take from the budget. Raise ActionRefusedError if there is not enough."""
        now = self._clock.monotonic()
        self._left = min(self._left + (now - self._filled) * PER_SECOND, BUDGET)
        self._filled = now
        if checks > BUDGET:
            raise ActionRefusedError(f"these are {checks} checks, and {BUDGET} at most are taken; name fewer")
        if checks > self._left:
            raise ActionRefusedError("too much is asked for at once", retry=(checks - self._left) / PER_SECOND)
        self._left -= checks

    def _tell(self, action: str, target: str, by: str, text: str, **fields: str) -> None:
        log.info("%s", _LOGGED[action], extra={"fields": {"target": target, **({"by": by} if by else {}), **fields}})
        self._notices.pop(target, None)
        self._notices[target] = self._clock.monotonic(), f"{text}."
        while len(self._notices) > NOTICES:
            del self._notices[next(iter(self._notices))]


def in_words(seconds: float) -> str:
    """`in 12 s`, or `now`."""
    return f"in {math.ceil(seconds)} s" if seconds else "now"


def _written_out(named: str) -> str:
    """The labels of a mail host that is written HOST:PORT; everything else as it is."""
    host, colon, port = named.rpartition(":")
    plain = colon and port.isascii() and port.isdecimal() and not set(host) & set("=:,")
    return f"mail_host={host.lower()},mail_port={port}" if plain else named


def _configured(target: Target, finding: str) -> bool:
    return any(it.finding == finding and it.by is None for it in target.accept)


def _shown(text: str) -> str:
    return repr(printable(text, 100))
