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

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import prometheus_client
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from exporter.check_state import CheckState, FindingPolicy, Key
from exporter.clock import Clock
from exporter.engine.catalogue import Catalogue
from exporter.facts import Labels, Severity
from exporter.model import Target
from exporter.text import day
from exporter.views.own_metrics import HealthCollector, OwnHealth

OK = "deliverability_check_ok"
UNKNOWN = "deliverability_check_unknown"
REASON = "deliverability_check_unknown_reason"
FINDING = "deliverability_finding"
SINCE = "deliverability_finding_since_timestamp_seconds"
FLAPPING = "deliverability_finding_flapping"
ACCEPTED = "deliverability_finding_accepted"
LAST_RUN = "deliverability_check_last_run_timestamp_seconds"
LAST_CONCLUSIVE = "deliverability_check_last_conclusive_timestamp_seconds"
RECORD_CHANGED = "deliverability_record_changed_timestamp_seconds"
INTERVAL = "deliverability_check_interval_seconds"
DOMAIN_SENDER = "deliverability_domain_sender_info"
SENDER = "deliverability_sender_info"

HELP = {
    OK: "1 or 0: the last conclusive verdict, from a background evaluation; absent until the first one.",
    UNKNOWN: "1 while the latest run could not tell, or none has ended yet.",
    REASON: "1 while the latest run could not tell, by reason.",
    FINDING: "1 while the finding stands.",
    SINCE: "When the finding was first seen, once further looks have confirmed it.",
    FLAPPING: "1 while the finding comes and goes.",
    ACCEPTED: "1 while the operator accepts the standing finding, with the day it counts again.",
    LAST_RUN: "When the latest run ended; 0 is never.",
    LAST_CONCLUSIVE: "When the latest run without doubt ended; 0 is never.",
    RECORD_CHANGED: "When a record that the check looks at last changed; 0 is not since it was first seen.",
    INTERVAL: "Configured seconds between two runs of the check on one target.",
    DOMAIN_SENDER: "The domain's mail is sent by this sender.",
    SENDER: "The sender greets with this HELO name from this address.",
}
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
    number = str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
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
    yield LAST_RUN, _line(LAST_RUN, who, state.last_run)
    yield LAST_CONCLUSIVE, _line(LAST_CONCLUSIVE, who, state.last_conclusive)
    if state.findings:
        yield from _findings(state, who, policy, now)
    if state.records:
        yield RECORD_CHANGED, _line(RECORD_CHANGED, who, state.changed)
    for it in state.samples:
        name = it.metric.name
        yield name, _line(name, ",".join(filter(None, (identity, _inside(it.labels), own))), it.value)


def _findings(state: CheckState, who: str, policy: FindingPolicy, now: float) -> Iterator[tuple[str, bytes]]:
    worst: dict[tuple[str, Labels], tuple[Severity, float, bool, bool]] = {}
    for effective in state.effective(policy, now):
        finding, active = effective.finding, effective.active
        if effective.accepted_until is not None:
            until = "" if effective.accepted_until == float("inf") else _day(effective.accepted_until)
            labels = (("finding", finding.id), *finding.subject, *((("until", until),) if until else ()))
            yield ACCEPTED, _line(ACCEPTED, f"{who},{_inside(labels)}", 1)
        elif effective.severity.fails:
            flaps = active.flapping(now, state.looks)
            told = worst.get(finding.key, (effective.severity, active.since, active.confirmed, flaps))
            worst[finding.key] = (
                max(told[0], effective.severity, key=_WORSE.index),
                min(told[1], active.since),
                told[2] or active.confirmed,
                told[3] or flaps,
            )
    for (rule, subject), (severity, since, confirmed, flapping) in worst.items():
        inside = f"{who},{_inside((('finding', rule), *subject))}"
        yield FINDING, _line(FINDING, f'{inside},severity="{severity}"', 1)
        if confirmed:
            yield SINCE, _line(SINCE, inside, min(since, now))  # a clock that is behind now may have been right before
        if flapping:
            yield FLAPPING, _line(FLAPPING, inside, 1)


def _day(until: float) -> str:
    return day(until - 1)


class Exposition:
    """The lines of all targets, by family."""

    def __init__(self, catalogue: Catalogue, clock: Clock, limit: int, own: Callable[[], OwnHealth]) -> None:
        self._clock = clock
        self.limit = limit
        self.series = 0
        self.dropped = 0
        self.policy = FindingPolicy()
        self._help = HELP | {m.name: m.help for m in catalogue.metrics}
        self._lines: dict[str, dict[Key, bytes]] = {name: {} for name in self._help}
        self._written: dict[Key, tuple[int, tuple[str, ...]]] = {}  # how many lines, in which families
        self._dropped: dict[Key, int] = {}
        self._expiries: dict[Key, tuple[float, CheckState]] = {}
        self._registry = CollectorRegistry()
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        for collector in (
            prometheus_client.ProcessCollector,
            prometheus_client.PlatformCollector,
            prometheus_client.GCCollector,
        ):
            collector(registry=self._registry)
        self._registry.register(HealthCollector(own, self))

    def put(self, state: CheckState) -> None:
        """Replace the lines of this state. They keep their place, so scrapes keep their order."""
        now = self._clock.wall()
        self._write(state.key, lines(state, self.policy, now))
        self._expiries.pop(state.key, None)
        if state.target.accept:
            ends = [a.until for a in state.target.accept if a.until is not None and a.until > now]
            if ends:
                self._expiries[state.key] = (min(ends), state)

    def relate(self, family: str, target: Target, *more: tuple[str, str]) -> None:
        """Add an info series that comes from the configuration alone, with the target's labels and more."""
        inside = (*target.identity, *more, *target.labels)
        self._write((family, target.key), [(family, sample(family, inside, 1))])

    def intervals(self, seconds: Mapping[str, float]) -> None:
        rows = [(INTERVAL, sample(INTERVAL, (("check", check),), value)) for check, value in sorted(seconds.items())]
        self._write((INTERVAL, ""), rows)

    def remove(self, key: Key) -> None:
        """Remove the lines of a state (its key), or of an info series (its family and target key)."""
        self._write(key, ())
        self._expiries.pop(key, None)

    def relations(self) -> set[Key]:
        return {key for family in (SENDER, DOMAIN_SENDER) for key in self._lines[family]}

    def _write(self, key: Key, written: Iterable[tuple[str, bytes]]) -> None:
        new: dict[str, bytes] = {}
        count = 0
        for family, line in written:
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
        self.series += count - before
        if new:
            self._written[key] = count, tuple(new)
        else:
            self._written.pop(key, None)

    def render(self, accept: str = "", names: frozenset[str] = frozenset()) -> tuple[Iterator[bytes], str]:
        """The exposition in pieces, and its content type; `names` restricts it to these families (`name[]`).

        The content is fixed when this returns, even if the pieces are read slowly.
        """
        for until, state in list(self._expiries.values()):
            if until <= self._clock.wall():
                self.put(state)
        try:
            encoder, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it fails at versions such as "1e999"
            encoder, content_type = choose_encoder("")
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
