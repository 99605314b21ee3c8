"""Makes what Prometheus scrapes.

The problem: a large fleet has a million series. If a scrape had to make them all, the event loop would stand still.

The idea: the lines of a target are made when its verdict changes. A scrape only joins them.

The rules:

- The lines about targets are written here. The lines about the exporter itself are made by prometheus_client.
- The result is given out in pieces of PIECE lines, so that the loop can do other work between them.
- Gauges look alike in both formats that Prometheus asks for (text 0.0.4 and OpenMetrics 1.0), so one line serves both.
- If a verdict would exceed the limit of series, all its lines are left out and counted in `dropped`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

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
    CHECKS,
    DOMAIN_SENDER,
    FINDING,
    FLAPPING,
    HELP,
    INFO,
    INTERVAL,
    LAST_CONCLUSIVE,
    OK,
    PROBLEMS,
    REASON,
    RECORD_CHANGED,
    SENDER,
    SINCE,
    TARGETS,
    UNKNOWN,
)
from exporter.engine.lateness import Lateness, patience
from exporter.explain.notices import notices
from exporter.facts import Labels, Severity
from exporter.model import Target
from exporter.views.own_metrics import HealthCollector, OwnHealth
from exporter.views.totals import Totals

CHANGES_SHOWN = 30 * 86400.0  # seconds for which the change of a record is exposed
EXPIRIES = 500  # pairs whose series change because time has passed, in one scrape
PIECE = 500  # lines joined at once: 60 KiB, and half a megabyte with the longest labels; each scrape holds two of them
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_WORSE = [Severity.INFO, Severity.WARNING, Severity.CRITICAL]


def sample(name: str, labels: Labels, value: float) -> bytes:
    """One line, valid in both formats."""
    return _line(name, _inside(labels), value)


def _inside(labels: Labels) -> str:
    return ",".join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels])


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


class Exposition:
    """The lines of all targets, by family."""

    def __init__(self, catalogue: Catalogue, clock: Clock, limit: int, own: Callable[[], OwnHealth]) -> None:
        self._clock = clock
        self.limit = limit
        self.dropped = 0
        self.policy = FindingPolicy()
        self.denied: frozenset[str] = frozenset()
        self.totals = Totals()
        self.lateness = Lateness(clock)
        self._about_targets = 0  # series
        self._help = HELP | {m.name: m.help for m in catalogue.metrics}
        self._lines: dict[str, dict[Key, bytes]] = {name: {} for name in self._help}
        self._written: dict[Key, tuple[int, tuple[str, ...]]] = {}  # how many lines, in which families
        self._dropped: dict[Key, int] = {}
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
        self._registry.register(HealthCollector(own, self, clock))
        self._texts(catalogue)

    @property
    def series(self) -> int:
        """Series that are exposed, without those about the exporter itself."""
        return self._about_targets + len(self.totals)

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
        self.totals.put(state, self.policy, now)
        self.lateness.put(state)
        self._write(key, lines(state, self.policy, now))
        ends = [a.until for a in state.target.accept if a.until is not None and a.until > now]
        if now < (end := state.changed + CHANGES_SHOWN):
            ends.append(end)
        if ends:
            self._expiries.put(key, min(ends))
            self._expiring[key] = state
        else:
            self._keeps(key)

    def ran(self, state: CheckState) -> None:
        """Take in that it ran once more, if nothing but the times of its runs has changed: its lines stay as they are.

        While it is in doubt, the time of its last conclusive run stays. So no line has a time that each run moves.
        """
        self.lateness.put(state)
        if state.key in self._expiring:
            self._expiring[state.key] = state

    def _keeps(self, key: Key) -> None:
        self._expiries.remove(key)
        self._expiring.pop(key, None)

    def relate(self, family: str, target: Target, *more: tuple[str, str]) -> None:
        """Add an info series that comes from the configuration alone, with the target's labels and more."""
        inside = (*target.identity, *more, *target.labels)
        self._write((family, target.key), [(family, sample(family, inside, 1))])

    def _texts(self, catalogue: Catalogue) -> None:
        rows = [(("finding", rule), *zip(text._fields, text, strict=True)) for rule, text in notices(catalogue)]
        self._lines[INFO][INFO, ""] = b"".join(sample(INFO, row, 1) for row in sorted(rows))

    def remove(self, key: Key) -> None:
        """Remove the lines of a state (its key), or of an info series (its family and target key)."""
        self._write(key, ())
        self._keeps(key)
        self.totals.remove(key)
        self.lateness.remove(key)

    def relations(self) -> set[Key]:
        return {key for family in (SENDER, DOMAIN_SENDER) for key in self._lines[family]}

    def _write_totals(self) -> None:
        made: dict[str, dict[Key, bytes]] = {TARGETS: {}, PROBLEMS: {}, CHECKS: {}}
        for family, labels, count in self.totals.rows():
            if family not in self.denied:
                made[family][family, str(labels)] = sample(family, labels, count)
        self._lines.update(made)

    def _write(self, key: Key, written: Iterable[tuple[str, bytes]]) -> None:
        new: dict[str, bytes] = {}
        count = 0
        for family, line in written:
            if family in self.denied:
                continue
            new[family] = new[family] + line if family in new else line
            count += 1
        before, families = self._written.get(key, (0, ()))
        self.dropped -= self._dropped.pop(key, 0)
        if count and self.series - before + count > self.limit:
            self._dropped[key] = count
            self.dropped += count
            new, count = {}, 0
        for family in families:
            if family not in new:
                del self._lines[family][key]
        for family, text in new.items():
            self._lines[family][key] = text
        self._about_targets += count - before
        if new:
            self._written[key] = count, tuple(new)
        else:
            self._written.pop(key, None)

    def render(self, accept: str = "", names: frozenset[str] = frozenset()) -> tuple[Iterator[bytes], str]:
        """The exposition in pieces, and its content type; `names` restricts it to these families (`name[]`).

        The content is fixed when this returns, even if the pieces are read slowly.
        """
        due = self._expiries.take_before(math.nextafter(self._clock.wall(), math.inf))
        for key, _ in list(islice(due, EXPIRIES)):  # the others with the next scrape: the loop has other work
            self.put(self._expiring[key])
        try:
            encoder, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it fails at versions such as "1e999"
            encoder, content_type = choose_encoder("")
        self._write_totals()
        registry = self._registry.restricted_registry(sorted(names)) if names else self._registry
        own: bytes = encoder(registry)
        families = [
            (f"# HELP {family} {self._help[family]}\n# TYPE {family} gauge\n".encode(), list(by_key.values()))
            for family, by_key in self._lines.items()
            if by_key and (not names or family in names)
        ]
        end = b"# EOF\n" if own.endswith(b"# EOF\n") else b""
        return _pieces(own.removesuffix(end), families, end), content_type


def _pieces(own: bytes, families: list[tuple[bytes, list[bytes]]], end: bytes) -> Iterator[bytes]:
    yield own
    for head, texts in families:
        yield head
        for start in range(0, len(texts), PIECE):
            yield b"".join(texts[start : start + PIECE])
    yield end


def compressor() -> Callable[[bytes], bytes]:
    """A function that takes the pieces one by one, and an empty one at the end, and returns gzip octets."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)

    def take(piece: bytes) -> bytes:
        return deflate.compress(piece) if piece else deflate.flush()

    return take
