"""Makes what Prometheus scrapes.

The problem: a large fleet has a million series. If a scrape had to make them all, the event loop would stand still.

The idea: the lines of a target are made when its verdict changes, and kept in blocks (blocks.py). A scrape takes what
is there, and writes it in pieces (scrape.py).

The rules:

- The lines about targets are written here. own_metrics.py writes those about the exporter, and prometheus_client those
  about the process.
- Gauges look alike in both formats that Prometheus asks for (text 0.0.4 and OpenMetrics 1.0), so one line serves both.
- If a verdict would exceed the limit of series, all its lines are left out and counted in `dropped`.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter

import prometheus_client
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.clock import Clock
from exporter.config import Settings
from exporter.engine.catalogue import Catalogue
from exporter.engine.earliest import Earliest
from exporter.engine.families import (
    ACCEPTED_UNTIL,
    DOMAIN_SENDER,
    FINDING,
    FLAPPING,
    HELP,
    INFO,
    INTERVAL,
    LAST_CONCLUSIVE,
    OK,
    REASON,
    RECORD_CHANGED,
    SENDER,
    SINCE,
    UNKNOWN,
)
from exporter.engine.lateness import Lateness, patience
from exporter.explain.notices import notices
from exporter.facts import Labels, Severity
from exporter.model import Target
from exporter.views.blocks import Blocks, Passage
from exporter.views.own_metrics import OwnHealth, health, own_lines
from exporter.views.scrape import Scrape
from exporter.views.totals import Totals

CHANGES_SHOWN = 30 * 86400.0  # seconds for which the change of a record is exposed
SLICE = 500  # pairs whose lines are written before the loop may do other work: some 13 ms
EXPIRIES = 500  # pairs whose series change because time has passed, in one scrape
_SPECIAL = re.compile(r'["\\\n]').search  # few have any of them, and to translate takes eight times as long
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_WORSE = [Severity.INFO, Severity.WARNING, Severity.CRITICAL]


def sample(name: str, labels: Labels, value: float) -> bytes:
    """One line, valid in both formats."""
    return _line(name, _inside(labels), value)


def _inside(labels: Labels) -> str:
    return ",".join([f'{name}="{value.translate(_ESCAPES) if _SPECIAL(value) else value}"' for name, value in labels])


def _line(name: str, inside: str, value: float) -> bytes:
    """Surrogates are replaced, because they cannot be encoded and would break the whole scrape."""
    if abs(value) < 1e15:
        number = str(int(value)) if value == int(value) else repr(value)
    else:
        number = "+Inf" if value == float("inf") else repr(value)
    return (f"{name}{{{inside}}} {number}\n" if inside else f"{name} {number}\n").encode("utf-8", "replace")


def lines(state: CheckState, policy: FindingPolicy, now: float) -> Iterator[tuple[str, bytes]]:
    """The (family, line) pairs of one check of one target."""
    identity, own = _inside(state.target.identity), _inside(state.target.labels)
    who = ",".join(filter(None, (_inside((("check", state.check.id),)), identity, own)))
    ok = state.ok(policy, now)
    if ok is not None:
        yield OK, _line(OK, who, ok)
    yield UNKNOWN, _line(UNKNOWN, who, state.doubt is not None)
    if state.doubt:
        yield REASON, _line(REASON, f'{who},reason="{state.doubt.reason}"', 1)
        yield LAST_CONCLUSIVE, _line(LAST_CONCLUSIVE, who, state.last_conclusive)
    if state.findings:
        yield from _findings(state, who, policy, now)
    if now < state.changed + CHANGES_SHOWN:
        yield RECORD_CHANGED, _line(RECORD_CHANGED, who, state.changed)
    for it in state.samples:
        name = it.metric.name
        yield name, _line(name, ",".join(filter(None, (identity, _inside(it.labels), own))), it.value)


def _findings(state: CheckState, who: str, policy: FindingPolicy, now: float) -> Iterator[tuple[str, bytes]]:
    worst: dict[tuple[str, Labels], tuple[Severity, float, bool, bool]] = {}
    accepted: dict[tuple[str, Labels], float] = {}
    for effective in state.effective(policy, now):
        finding, active = effective.finding, effective.active
        if effective.accepted_until is not None:
            accepted[finding.key] = effective.accepted_until
        elif effective.severity.fails:
            flaps = active.flapping(now, state.looks)
            told = worst.get(finding.key, (effective.severity, active.since, active.confirmed, flaps))
            worst[finding.key] = (
                max(told[0], effective.severity, key=_WORSE.index),
                min(told[1], active.since),
                told[2] or active.confirmed,
                told[3] or flaps,
            )
    for (rule, subject), until in accepted.items():
        yield ACCEPTED_UNTIL, _line(ACCEPTED_UNTIL, f"{who},{_inside((('finding', rule), *subject))}", until)
    for (rule, subject), (severity, since, confirmed, flapping) in worst.items():
        inside = f"{who},{_inside((('finding', rule), *subject))}"
        yield FINDING, _line(FINDING, f'{inside},severity="{severity}"', 1)
        if confirmed:
            yield SINCE, _line(SINCE, inside, min(since, now))  # a clock that is behind now may have been right before
        if flapping:
            yield FLAPPING, _line(FLAPPING, inside, 1)


def _ends(state: CheckState, now: float) -> Iterator[float]:
    """When lines of the state change because time has passed."""
    yield from (it.until for it in state.target.accept if it.until is not None and it.until > now)
    if now < (end := state.changed + CHANGES_SHOWN):
        yield end
    for active in state.findings:
        if active.since > now:
            yield active.since
        if active.flapping(now, state.looks):
            yield math.nextafter(active.flaps_until(state.looks), math.inf)  # until then inclusive


class Exposition:
    """The lines of all targets, by family."""

    def __init__(self, catalogue: Catalogue, clock: Clock, limit: int, own: Callable[[], OwnHealth]) -> None:
        self._clock = clock
        self._own = own
        self.limit = limit
        self.dropped = 0
        self.policy = FindingPolicy()
        self.denied: frozenset[str] = frozenset()
        self.totals = Totals()
        self._counted: Sequence[tuple[str, Labels, int]] = ()  # the totals that `_totals` shows
        self._totals: dict[str, Passage] = {}  # by family
        self.lateness = Lateness(clock)
        helps = HELP | {m.name: m.help for m in catalogue.metrics}
        self._heads = {
            name: Passage(f"# HELP {name} {told}\n# TYPE {name} gauge\n".encode()) for name, told in helps.items()
        }
        self._blocks = Blocks()
        self._texts = _texts(catalogue)
        self._dropped: dict[Key, int] = {}  # series that were left out
        self._owed: dict[Key, CheckState] = {}  # whose lines are still to be written
        self._expiries = Earliest()  # when lines of a state change because time has passed
        self._expiring: dict[Key, CheckState] = {}
        self._registry = CollectorRegistry()
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        for collector in (
            prometheus_client.ProcessCollector,
            prometheus_client.PlatformCollector,
            prometheus_client.GCCollector,
        ):
            collector(registry=self._registry)

    @property
    def series(self) -> int:
        """Series that are exposed, without those about the exporter itself."""
        return self._blocks.count + len(self.totals)

    def configure(self, settings: Settings) -> bool:
        """Take over what a configuration says. True if the lines of all states have to be written anew.

        Totals stay as they are until `totals.release`, which follows when all targets are in place.
        """
        self.totals.hold()
        before = self.policy, self.denied, self.totals.by
        self.policy, self.denied = FindingPolicy(settings.severities), settings.denied_families
        self.totals.by, self.limit = settings.totals_by, settings.series_limit
        seconds = {check: every.total_seconds() for check, every in sorted(settings.intervals.items())}
        self.lateness.patience = {
            check: patience(every, settings.checks[check].timeout.total_seconds()) for check, every in seconds.items()
        }
        rows = [(INTERVAL, sample(INTERVAL, (("check", check),), every)) for check, every in seconds.items()]
        self._write((INTERVAL, ""), rows)
        return before != (self.policy, self.denied, self.totals.by)

    def put(self, state: CheckState) -> None:
        """Replace the lines of this state. They keep their place, so scrapes keep their order."""
        now, key = self._clock.wall(), state.key
        self._owed.pop(key, None)
        self.totals.put(state, self.policy, now)
        self.lateness.put(state)
        self._write(key, lines(state, self.policy, now))
        if (end := min(_ends(state, now), default=None)) is not None:
            self._expiries.put(key, end)
            self._expiring[key] = state
        else:
            self._keeps(key)

    def ran(self, state: CheckState) -> None:
        """Take in that it ran once more, if nothing but the times of its runs has changed: its lines stay as they are.

        While it is in doubt, the time of its last conclusive run stays. So no line has a time that each run moves.
        """
        self.lateness.put(state)
        for held in (self._expiring, self._owed):
            if state.key in held:
                held[state.key] = state

    def owe(self, state: CheckState) -> None:
        """Replace the lines of this state as soon as `catch_up` gets to it."""
        self._owed[state.key] = state

    async def catch_up(self) -> None:
        """Write the lines that are owed now, and let the loop do other work between them.

        What a reload owes meanwhile is for the next one: a scrape does not wait for the end of a reload.
        """
        for _ in range(0, len(self._owed), SLICE):
            self._write_owed(SLICE)
            await asyncio.sleep(0)

    def _write_owed(self, most: int) -> None:
        for state in list(islice(self._owed.values(), most)):
            self.put(state)

    def _keeps(self, key: Key) -> None:
        self._expiries.remove(key)
        self._expiring.pop(key, None)

    def relate(self, family: str, target: Target, *more: tuple[str, str]) -> None:
        """Add an info series that comes from the configuration alone, with the target's labels and more."""
        inside = (*target.identity, *more, *target.labels)
        self._write((family, target.key), [(family, sample(family, inside, 1))])

    def remove(self, key: Key) -> None:
        """Remove the lines of a state (its key), or of an info series (its family and target key)."""
        self._owed.pop(key, None)
        self._write(key, ())
        self._keeps(key)
        self.totals.remove(key)
        self.lateness.remove(key)

    def relations(self) -> set[Key]:
        """The keys of the info series."""
        dropped = {key for key in self._dropped if key[0] in (SENDER, DOMAIN_SENDER)}
        return dropped.union(*map(self._blocks.keys, (SENDER, DOMAIN_SENDER)))

    def _write(self, key: Key, written: Iterable[tuple[str, bytes]]) -> None:
        new = [(family, line) for family, line in written if family not in self.denied]
        self.dropped -= self._dropped.pop(key, 0)
        if new and self.series - self._blocks.counted(key) + len(new) > self.limit:
            self._dropped[key] = len(new)
            self.dropped += len(new)
            new.clear()
        self._blocks.put(key, new)

    def scrape(self, accept: str = "", names: frozenset[str] = frozenset()) -> Scrape:
        """What a scrape gets that begins now; `names` restricts it to these families (`name[]`).

        The content is fixed when this returns, even if it is read slowly. Lines that are owed are as they were.
        """
        due = self._expiries.take_before(math.nextafter(self._clock.wall(), math.inf))
        for key, _ in list(islice(due, EXPIRIES)):  # the others with the next scrape: the loop has other work
            self.put(self._expiring[key])
        try:
            encoder, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it fails at versions such as "1e999"
            encoder, content_type = choose_encoder("")
        registry = self._registry.restricted_registry(sorted(names)) if names else self._registry
        of_process: bytes = encoder(registry)
        end = b"# EOF\n" if of_process.endswith(b"# EOF\n") else b""
        shown = (it for it in health(self._own(), self, self._clock) if it.shown_name not in self.denied)
        passages = [Passage(of_process.removesuffix(end) + own_lines(shown, names, open_metrics=bool(end)))]
        for family, told in self._by_family().items():
            if told and (not names or family in names):
                passages += self._heads[family], *told
        passages.append(Passage(end))
        return Scrape([it for it in passages if it.size], content_type)

    def _by_family(self) -> dict[str, list[Passage]]:
        told: dict[str, list[Passage]] = {family: [] for family in self._heads}
        if INFO not in self.denied:
            told[INFO].append(self._texts)
        for family, passage in self._blocks.passages():
            told[family].append(passage)
        rows = self.totals.rows()
        if rows is not self._counted:
            self._counted = rows
            self._totals = {
                family: Passage(b"".join(sample(*row) for row in same))
                for family, same in groupby(rows, key=itemgetter(0))
            }
        for family, passage in self._totals.items():
            if family not in self.denied:
                told[family].append(passage)
        return told

    def render(self, accept: str = "", names: frozenset[str] = frozenset()) -> tuple[Iterator[bytes], str]:
        """The same in plain pieces, with all that is owed, for whoever shares no loop; and its content type."""
        self._write_owed(len(self._owed))
        scrape = self.scrape(accept, names)
        return scrape.plain(), scrape.content_type


def _texts(catalogue: Catalogue) -> Passage:
    rows = [(("finding", rule), *zip(text._fields, text, strict=True)) for rule, text in notices(catalogue)]
    return Passage(b"".join(sample(INFO, row, 1) for row in sorted(rows)))
