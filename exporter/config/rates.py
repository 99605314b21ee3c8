"""Tells whether the configured rates let all checks run in their intervals, and what to set if they do not.

What is reckoned is the usual run of each check, as it declares it, and each blocklist once for each address or name.
The cache makes it less, and faults in DNS make it more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta

from exporter.config.problems import ConfigProblem, Where
from exporter.config.settings import Settings
from exporter.config.values import written
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Door, Target
from exporter.targets import Greeting, Reputation

DAY = timedelta(days=1).total_seconds()
STEPS = (60, 300, 3600, DAY)  # seconds to whose multiples intervals are rounded up


@dataclass
class _Alike:
    """Targets for which the same checks run, with the same lists."""

    kind: type[Target]
    off: frozenset[str]
    lists: tuple[Blocklist, ...]
    count: int = 0
    subjects: set[object] = field(default_factory=set)  # that are looked up in the lists


class _Loads:
    """Questions a second by the id of the check that asks them: all, and `of` each list."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._every = {name: every.total_seconds() for name, every in settings.intervals.items()}
        self.all: dict[str, float] = defaultdict(float)
        self.of: dict[Blocklist, dict[str, float]] = {}
        for alike in _alike(settings.targets):
            self._add(alike, settings.running - alike.off)

    def _add(self, alike: _Alike, running: AbstractSet[str]) -> None:
        for check in self._settings.checks.values():
            if check.id not in running or not issubclass(alike.kind, check.over):
                continue
            self.all[check.id] += alike.count * check.questions / self._every[check.id]
            if Door.BLOCKLISTS in check.doors:
                looks = len(alike.subjects) / max(self._every[check.id], check.lists_every.total_seconds())
                self.all[check.id] += looks * len(alike.lists)
                for blocklist in alike.lists:
                    self.of.setdefault(blocklist, defaultdict(float))[check.id] += looks

    def longer(self, load: Mapping[str, float], allowed: float) -> str:
        """`schedule.CHECK to 20m` for the check that asks most, if that is enough."""
        check = max(load, key=lambda it: load[it])
        left = allowed - sum(load.values()) + load[check]
        if left <= 0:
            return ""
        seconds = self._every[check] * load[check] / left
        step = max(it for it in STEPS if it <= max(STEPS[0], seconds / 2))
        return f"schedule.{check} to {written(timedelta(seconds=math.ceil(round(seconds / step, 6)) * step))}"


def doubts(settings: Settings, top: Where) -> Iterator[ConfigProblem]:
    """At most one each for the rate of all questions, for those of single lists, and for their questions of a day."""
    loads = _Loads(settings)
    if said := _of_all(loads, settings.queries_per_second):
        yield (top / "resolver" / "queries_per_second").problem(said)
    rates = {it: float(it.queries_per_second) for it in loads.of}
    ceilings = {it: it.queries_per_day / DAY for it in loads.of if it.queries_per_day}
    for key, unit, seconds, allowed in (
        ("queries_per_second", "second", 1.0, rates),
        ("queries_per_day", "day", DAY, ceilings),
    ):
        if said := _of_lists(loads, allowed, key, unit, seconds):
            yield (top / "blocklists").problem(said)


def _of_all(loads: _Loads, allowed: float) -> str:
    need = sum(loads.all.values())
    if need <= allowed:
        return ""
    check, part = max(loads.all.items(), key=lambda it: it[1])
    longer = loads.longer(loads.all, allowed)
    return (
        f"the checks need {_up(need)} questions a second, {_up(part)} of them for {check}, "
        f"and the limit is {allowed:,}: set it to {_rounded(need)}{longer and f', or {longer}'}"
    )


def _of_lists(loads: _Loads, allowed: Mapping[Blocklist, float], key: str, unit: str, seconds: float) -> str:
    """About the list that lacks most. What is allowed is in questions a second, `seconds` are those of the unit."""
    lack = {it: sum(loads.of[it].values()) / most for it, most in allowed.items()}
    scarce = [it for it in lack if lack[it] > 1]
    if not scarce:
        return ""
    worst = max(scarce, key=lambda it: lack[it])
    most = allowed[worst]
    need = most * lack[worst] * seconds
    whose, each, agreed = f"{worst.name} needs", "", "it agrees"
    if len(scarce) > 1:
        whose, each, agreed = f"{worst.name} and {len(scarce) - 1} more need", " each", "they agree"
    longer = loads.longer(loads.of[worst], most)
    return (
        f"{whose} {_up(need)} questions a {unit}{each}, and the limit is {_up(most * seconds)}: "
        f"set {longer and f'{longer}, or '}{key} to {_rounded(need)} if {agreed}"
    )


def _alike(targets: Iterable[Target]) -> Iterable[_Alike]:
    found: dict[object, _Alike] = {}
    for target in targets:
        subject: object = None
        lists: tuple[Blocklist, ...] = ()
        if isinstance(target, Reputation):
            subject, lists = target.subject, target.lists
        elif isinstance(target, Greeting) and target.lists:
            subject, lists = target.helo, target.lists
        key = type(target), target.off, getattr(subject, "version", bool(lists))
        alike = found.get(key)
        if alike is None:
            alike = found[key] = _Alike(type(target), target.off, lists)
        alike.count += 1
        if lists:
            alike.subjects.add(subject)
    return found.values()


def _up(number: float, step: int = 1) -> str:
    """The next multiple of the step. What is there but for the error of a sum stays."""
    return f"{math.ceil(round(number / step, 6)) * step:,}"


def _rounded(need: float) -> str:
    """Rounded up to two digits, of which the second is 0 or 5: 667 as 700."""
    return _up(need, max(1, 10 ** (len(f"{need:.0f}") - 1) // 2))
