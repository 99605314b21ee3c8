"""The families about the exporter itself: its configuration, runs, questions, HTTP server and series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.facts import Labels
from exporter.net.dns.resolver import ResolverStats
from exporter.stats import Histogram
from exporter.views.http_stats import HttpStats

_OWN = "deliverability_exporter_"


class SeriesCounts(Protocol):
    """How many series about targets there are, may be, and were left out."""

    series: int
    limit: int
    dropped: int


@dataclass
class OwnHealth:
    """The exporter's own health. The parts that do the work keep these numbers; a scrape reads them."""

    config_hash: str = ""
    reload_ok: bool = True
    reload_time: float = 0.0  # unix seconds
    state_configured: bool = False
    state_writable: bool = False
    loop_lag: float = 0.0  # seconds
    targets: Mapping[str, int] = field(default_factory=dict)  # by kind
    runs: Counter[str] = field(default_factory=Counter)  # by check
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)  # by check and reason
    skipped: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by check and cause
    durations: dict[str, Histogram] = field(default_factory=dict)  # by check, seconds
    budgets: Mapping[str, float] = field(default_factory=dict)  # by blocklist, 0 to 1
    dns: ResolverStats | None = None
    http: HttpStats | None = None
    web_file_ok: bool | None = None  # None: there is no such file
    web_refused: Mapping[str, int] = field(default_factory=dict)  # requests, by cause
    password_checks: int = 0


class HealthCollector(Collector):
    def __init__(self, own: Callable[[], OwnHealth], exposition: SeriesCounts) -> None:
        self._own = own
        self._exposition = exposition

    def collect(self) -> Iterable[Metric]:
        return health(self._own(), self._exposition)

    def describe(self) -> Iterable[Metric]:
        """The families' names, so that `name[]` finds them."""
        own = OwnHealth(dns=ResolverStats(), http=HttpStats(), web_file_ok=True)
        return health(own, self._exposition)


def health(own: OwnHealth, exposition: SeriesCounts) -> Iterator[Metric]:
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
    yield _gauge("state_configured", "1 if there is a state file (--storage.path).", [(one, own.state_configured)])
    yield _gauge("state_writable", "1 if verdicts are being saved to disk.", [(one, own.state_writable)])
    yield _gauge(
        "loop_lag_seconds", "How late the event loop woke up at worst since the last scrape.", [(one, own.loop_lag)]
    )
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
    if own.http:
        yield from _http(own.http)
    if own.web_file_ok is not None:
        yield from _web(own)


def _http(stats: HttpStats) -> Iterator[Metric]:
    yield _gauge("http_connections", "Open connections to the HTTP server.", [((), stats.connections)])
    yield _gauge("http_connections_limit", "Most connections to the HTTP server.", [((), stats.most_connections)])
    yield _counter(
        "http_connections_rejected",
        "Connections that were ended or not taken, by reason.",
        [((("reason", r),), n) for r, n in sorted(stats.rejected.items())],
    )
    yield _counter(
        "http_requests",
        "Answered requests, by status code. 503 to a scrape: too many at once.",
        [((("code", str(c)),), n) for c, n in sorted(stats.requests.items())],
    )


def _web(own: OwnHealth) -> Iterator[Metric]:
    yield _gauge(
        "web_config_last_reload_successful",
        "1 if the file of --web.config.file is in force as it is now.",
        [((), bool(own.web_file_ok))],
    )
    yield _counter(
        "web_requests_refused",
        "Requests that were refused, by cause: certificate, password, busy (too many logins wait), rate.",
        [((("cause", cause),), n) for cause, n in sorted(own.web_refused.items())],
    )
    yield _counter("web_password_checks", "Runs of bcrypt for logins.", [((), own.password_checks)])


def _dns(stats: ResolverStats) -> Iterator[Metric]:
    servers = [((("nameserver", name),), stats) for name, stats in stats.nameservers.items()]
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
