"""What Prometheus scrapes. The lines of a target are made when its verdict changes; a scrape only joins them.

The families about targets are written here, line by line, because a fleet has a million of them and a
scrape must not stop the loop. The exporter's own health goes through prometheus_client. Both formats that
Prometheus asks for (text 0.0.4 and OpenMetrics 1.0) write gauges alike.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import prometheus_client
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from exporter import __version__
from exporter.catalogue import Catalogue
from exporter.model import Clock, Labels, Severity
from exporter.net.dns import Stats
from exporter.stats import Histogram
from exporter.store import Held, Key, Policy, Store

OK = "deliverability_check_ok"
UNKNOWN = "deliverability_check_unknown"
REASON = "deliverability_check_unknown_reason"
FINDING = "deliverability_finding"
SINCE = "deliverability_finding_since_timestamp_seconds"
ACCEPTED = "deliverability_finding_accepted"
LAST_RUN = "deliverability_check_last_run_timestamp_seconds"
LAST_CONCLUSIVE = "deliverability_check_last_conclusive_timestamp_seconds"
INTERVAL = "deliverability_check_interval_seconds"
DOMAIN_SENDER = "deliverability_domain_sender_info"
SENDER = "deliverability_sender_info"

HELP = {
    OK: "1 or 0: the last conclusive verdict, from a background evaluation; absent until the first one.",
    UNKNOWN: "1 while the latest run could not tell, or none has ended yet.",
    REASON: "1 while the latest run could not tell, by reason.",
    FINDING: "1 while the finding stands.",
    SINCE: "When the finding began to stand.",
    ACCEPTED: "1 while the operator accepts the standing finding, with the day it counts again.",
    LAST_RUN: "When the latest run ended; 0 is never.",
    LAST_CONCLUSIVE: "When the latest run without doubt ended; 0 is never.",
    INTERVAL: "Configured seconds between two runs of the check on one target.",
    DOMAIN_SENDER: "The domain's mail is sent by this sender.",
    SENDER: "The sender greets with this HELO name from this address.",
}
_OWN = "deliverability_exporter_"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_WORSE = [Severity.INFO, Severity.WARNING, Severity.CRITICAL]


def sample(name: str, labels: Labels, value: float) -> str:
    """One line, valid in both formats. A surrogate cannot be encoded and would cost the whole scrape: replaced."""
    inside = ",".join(f'{k}="{v.translate(_ESCAPES)}"' for k, v in labels)
    line = f"{name}{{{inside}}} {_number(value)}\n" if inside else f"{name} {_number(value)}\n"
    return line if line.isascii() else line.encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def lines(held: Held, policy: Policy, now: float) -> Iterator[tuple[str, str]]:
    """The (family, line) pairs of one check of one target."""
    own = held.target.labels
    who = (("check", held.check.id), *held.target.identity, *own)
    ok = held.ok(policy, now)
    if ok is not None:
        yield OK, sample(OK, who, ok)
    yield UNKNOWN, sample(UNKNOWN, who, held.doubt is not None)
    if held.doubt:
        yield REASON, sample(REASON, (*who, ("reason", held.doubt.reason)), 1)
    yield LAST_RUN, sample(LAST_RUN, who, held.last_run)
    yield LAST_CONCLUSIVE, sample(LAST_CONCLUSIVE, who, held.last_conclusive)
    yield from _findings(held, who, policy, now)
    for reading in held.readings:
        name = reading.measure.name
        yield name, sample(name, (*held.target.identity, *reading.labels, *own), reading.value)


def _findings(held: Held, who: Labels, policy: Policy, now: float) -> Iterator[tuple[str, str]]:
    worst: dict[tuple[str, Labels], tuple[Severity, float]] = {}
    for judged in held.judged(policy, now):
        finding = judged.finding
        if judged.accepted_until is not None:
            until = "" if judged.accepted_until == float("inf") else _day(judged.accepted_until)
            labels = (*who, ("finding", finding.id), *finding.subject, *((("until", until),) if until else ()))
            yield ACCEPTED, sample(ACCEPTED, labels, 1)
        elif judged.severity.fails:
            severity, since = worst.get(finding.key, (judged.severity, judged.standing.since))
            worst[finding.key] = (max(severity, judged.severity, key=_WORSE.index), min(since, judged.standing.since))
    for (rule, subject), (severity, since) in worst.items():
        labels = (*who, ("finding", rule), *subject)
        yield FINDING, sample(FINDING, (*labels, ("severity", severity)), 1)
        yield SINCE, sample(SINCE, labels, since)


def _day(until: float) -> str:
    return datetime.fromtimestamp(until - 1, UTC).date().isoformat()


@dataclass
class Own:
    """The exporter's own health, read at scrape time: plain numbers kept by whoever does the work."""

    config_hash: str = ""
    reload_ok: bool = True
    reload_time: float = 0.0  # unix seconds
    state_writable: bool = False
    loop_lag: float = 0.0  # seconds
    targets: Mapping[str, int] = field(default_factory=dict)  # by kind
    runs: Counter[str] = field(default_factory=Counter)  # by check
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)  # by check and reason
    skipped: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by check and cause
    durations: dict[str, Histogram] = field(default_factory=dict)  # by check, seconds
    budgets: Mapping[str, float] = field(default_factory=dict)  # by blocklist, 0 to 1
    dns: Stats | None = None


class Exposition:
    """The lines of all targets, by family, and the way to bytes."""

    def __init__(self, catalogue: Catalogue, clock: Clock, limit: int, own: Callable[[], Own]) -> None:
        self._clock = clock
        self.limit = limit
        self.dropped = 0
        self.policy = Policy()
        self._help = HELP | {m.name: m.help for m in catalogue.measures}
        self._lines: dict[str, dict[Key, str]] = {name: {} for name in self._help}
        self._counts: dict[Key, int] = {}
        self._dropped: dict[Key, int] = {}
        self._expiries: dict[Key, tuple[float, Held]] = {}
        self.series = 0
        self._registry = CollectorRegistry()
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        for collector in (
            prometheus_client.ProcessCollector,
            prometheus_client.PlatformCollector,
            prometheus_client.GCCollector,
        ):
            collector(registry=self._registry)
        self._registry.register(_Health(own, self))

    def put(self, held: Held) -> None:
        """Write the lines of this verdict where the former ones stood, so that scrapes keep their order."""
        now = self._clock.wall()
        new: dict[str, str] = {}
        count = 0
        for family, line in lines(held, self.policy, now):
            new[family] = new.get(family, "") + line
            count += 1
        if self.series - self._counts.get(held.key, 0) + count > self.limit:
            self.remove(held.key)
            self._dropped[held.key] = count
            self.dropped += count
            return
        self._expiries.pop(held.key, None)
        self.dropped -= self._dropped.pop(held.key, 0)
        self.series += count - self._counts.get(held.key, 0)
        self._counts[held.key] = count
        for family, by_key in self._lines.items():
            if family in new:
                by_key[held.key] = new[family]
            else:
                by_key.pop(held.key, None)
        ends = [a.until for a in held.target.accept if a.until is not None and a.until > now]
        if ends:
            self._expiries[held.key] = (min(ends), held)

    def remove(self, key: Key) -> None:
        self._expiries.pop(key, None)
        self.dropped -= self._dropped.pop(key, 0)
        if key in self._counts:
            self.series -= self._counts.pop(key)
            for family in self._lines.values():
                family.pop(key, None)

    def static(self, family: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Replace a family that comes from the configuration alone."""
        self.remove(("", family))
        text = [sample(family, labels, value) for labels, value in samples]
        self._lines[family][("", family)] = "".join(text)
        self._counts[("", family)] = len(text)
        self.series += len(text)

    def refresh(self, store: Store) -> None:
        """After a reload: policies, labels and targets may all have changed."""
        for key in [key for key in self._counts.keys() | self._dropped.keys() if key[0]]:
            self.remove(key)
        for held in store:
            self.put(held)

    def render(self, accept: str = "", names: frozenset[str] = frozenset()) -> tuple[bytes, str]:
        """The whole exposition and its content type; `names` restricts it to these families (`name[]`)."""
        for until, held in list(self._expiries.values()):
            if until <= self._clock.wall():
                self.put(held)
        encoder, content_type = choose_encoder(accept)
        # any name restricts; an empty restriction would be none at all
        registry = self._registry.restricted_registry(sorted(names)) if names else self._registry
        own: bytes = encoder(registry)
        parts: list[str] = []
        for family, by_key in self._lines.items():
            if by_key and (not names or family in names):
                parts.append(f"# HELP {family} {self._help[family]}\n# TYPE {family} gauge\n")
                parts.extend(by_key.values())
        body = "".join(parts).encode()
        end = b"# EOF\n"
        if own.endswith(end):
            return own.removesuffix(end) + body + end, content_type
        return own + body, content_type


def compress(body: bytes) -> bytes:
    """For a scrape that takes gzip; run it off the loop."""
    return gzip.compress(body, compresslevel=1, mtime=0)


class _Health(Collector):
    def __init__(self, own: Callable[[], Own], exposition: Exposition) -> None:
        self._own = own
        self._exposition = exposition

    def collect(self) -> Iterable[Metric]:
        return health(self._own(), self._exposition)

    def describe(self) -> Iterable[Metric]:
        """The families' names, so that `name[]` finds them."""
        return health(Own(dns=Stats()), self._exposition)


def health(own: Own, exposition: Exposition) -> Iterator[Metric]:
    """The families about the exporter itself."""
    one: Labels = ()
    yield _gauge("build_info", "Version of the exporter.", [((("version", __version__),), 1)])
    yield _gauge("config_hash_info", "SHA-256 of the configuration in force.", [((("hash", own.config_hash),), 1)])
    yield _gauge("config_last_reload_successful", "1 if the latest reload succeeded.", [(one, own.reload_ok)])
    yield _gauge(
        "config_last_reload_success_timestamp_seconds", "When a reload last succeeded.", [(one, own.reload_time)]
    )
    yield _gauge("targets", "Targets by kind.", [((("kind", k),), n) for k, n in sorted(own.targets.items())])
    yield _gauge("series", "Series about targets that are exposed.", [(one, exposition.series)])
    yield _gauge("series_limit", "Most series about targets.", [(one, exposition.limit)])
    yield _gauge("series_dropped", "Series left out because of the limit.", [(one, exposition.dropped)])
    yield _gauge("state_writable", "1 if verdicts are being saved to disk.", [(one, own.state_writable)])
    yield _gauge("loop_lag_seconds", "How late the event loop woke up at its latest tick.", [(one, own.loop_lag)])
    yield _gauge(
        "blocklist_budget_remaining_ratio",
        "Part of the day's questions to the blocklist that is left.",
        [((("blocklist", name),), left) for name, left in sorted(own.budgets.items())],
    )
    yield _counter("runs", "Ended runs.", [((("check", c),), n) for c, n in sorted(own.runs.items())])
    yield _counter(
        "runs_unknown",
        "Ended runs that could not tell.",
        [((("check", c), ("reason", r)), n) for (c, r), n in sorted(own.unknown.items())],
    )
    yield _counter(
        "runs_skipped",
        "Runs that did not start when they were due.",
        [((("check", c), ("cause", r)), n) for (c, r), n in sorted(own.skipped.items())],
    )
    yield _histogram(
        "check_duration_seconds", "Duration of one run.", [((("check", c),), h) for c, h in own.durations.items()]
    )
    if own.dns:
        yield from _dns(own.dns)


def _dns(stats: Stats) -> Iterator[Metric]:
    servers = [((("nameserver", name),), traffic) for name, traffic in stats.nameservers.items()]
    yield _counter("dns_queries", "Questions sent.", [(who, t.queries) for who, t in servers])
    yield _counter(
        "dns_responses",
        "Questions ended, by outcome.",
        [((*who, ("outcome", s)), n) for who, t in servers for s, n in sorted(t.responses.items())],
    )
    yield _counter(
        "dns_ignored", "Datagrams that answered nothing that was asked.", [(who, t.ignored) for who, t in servers]
    )
    yield _histogram("dns_query_duration_seconds", "Time to an answer.", [(who, t.seconds) for who, t in servers])
    yield _counter("dns_cache_hits", "Questions answered from memory.", [((), stats.cache_hits)])


def _gauge(name: str, help_: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    return _family(GaugeMetricFamily, name, help_, samples)


def _counter(name: str, help_: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    return _family(CounterMetricFamily, name, help_, samples)


def _family(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str,
    help_: str,
    samples: Iterable[tuple[Labels, float]],
) -> Metric:
    rows = list(samples)
    family = kind(_OWN + name, help_, labels=[k for k, _ in rows[0][0]] if rows else [])
    for labels, value in rows:
        family.add_metric([v for _, v in labels], value)
    return family


def _histogram(name: str, help_: str, samples: Iterable[tuple[Labels, Histogram]]) -> Metric:
    rows = list(samples)
    family = HistogramMetricFamily(_OWN + name, help_, labels=[k for k, _ in rows[0][0]] if rows else [])
    for labels, value in rows:
        bounds = [*map(str, value.bounds), "+Inf"]
        buckets = list(zip(bounds, value.cumulative, strict=True))
        family.add_metric([v for _, v in labels], buckets, sum_value=value.sum)
    return family
