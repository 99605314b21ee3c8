"""The families about the exporter itself: its configuration, runs, questions, HTTP server and series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from prometheus_client.utils import floatToGoString

from exporter import __version__
from exporter.clock import Clock
from exporter.engine.families import OWN_PREFIX
from exporter.engine.lateness import Lateness
from exporter.engine.loop_lag import BEAT
from exporter.engine.schedule import SKIPS
from exporter.facts import Labels, Reason
from exporter.model import Check, Outcome
from exporter.net.dns.resolver import ResolverStats
from exporter.stats import Histogram
from exporter.views.http_stats import HttpStats

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
DURATION_BOUNDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0)  # seconds


class SeriesCounts(Protocol):
    """How many series about targets there are, may be, and were left out, and how late their runs are."""

    @property
    def series(self) -> int: ...

    limit: int
    dropped: int
    denied: frozenset[str]
    lateness: Lateness


@dataclass
class OwnHealth:
    """The exporter's own health. The parts that do the work keep these numbers; a scrape reads them."""

    config_hash: str = ""
    reload_ok: bool = True
    reload_time: float = 0.0  # unix seconds
    state_configured: bool = False
    state_writable: bool = False
    loop_lag: float = 0.0  # seconds
    state_size: int | None = None  # bytes; None: there is no state file, or it cannot be read
    state_saved: float = 0.0  # unix seconds
    checks: frozenset[str] = frozenset()  # those that run: their counters are told from the first scrape on
    queued: Mapping[str, int] = field(default_factory=dict)  # runs that wait for their turn, by check
    runs: Counter[str] = field(default_factory=Counter)  # by check
    unchanged: Counter[str] = field(default_factory=Counter)  # runs that evaluated nothing, by check
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)  # by check and reason
    skipped: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by check and cause
    durations: dict[str, Histogram] = field(default_factory=dict)  # by check, seconds
    budgets: Mapping[str, float] = field(default_factory=dict)  # by blocklist, 0 to 1
    dns: ResolverStats | None = None
    http: HttpStats | None = None
    web_file_ok: bool | None = None  # None: there is no such file
    actions: Mapping[str, int] | None = None  # by action; None: nobody may act
    web_refused: Mapping[str, int] = field(default_factory=dict)  # requests, by cause
    password_checks: int = 0

    def count(self, outcome: Outcome) -> None:
        """Count a run that has ended, unless its check was switched off meanwhile."""
        check = outcome.check.id
        if check not in self.checks:
            return
        self.runs[check] += 1
        if outcome.doubt:
            self.unknown[check, outcome.doubt.reason] += 1
        self._durations_of(check).observe(outcome.duration)

    def count_unchanged(self, check: Check, seconds: float) -> None:
        """The same for a run that has evaluated nothing, since the result of the one before holds."""
        if check.id in self.checks:
            self.runs[check.id] += 1
            self.unchanged[check.id] += 1
            self._durations_of(check.id).observe(seconds)

    def begin(self, checks: frozenset[str]) -> None:
        """These checks run from now on. Their counters begin at 0, and keep what they have if they had begun."""
        self.checks = checks
        self.runs = Counter({check: count for check, count in self.runs.items() if check in checks})
        self.unchanged = Counter({check: count for check, count in self.unchanged.items() if check in checks})
        self.unknown = Counter({key: count for key, count in self.unknown.items() if key[0] in checks})
        self.durations = {check: seconds for check, seconds in self.durations.items() if check in checks}
        for check in sorted(checks):
            self.runs[check] += 0
            self.unchanged[check] += 0
            self._durations_of(check)
            for reason in Reason:
                if reason is not Reason.PENDING:
                    self.unknown[check, reason] += 0

    def _durations_of(self, check: str) -> Histogram:
        if check not in self.durations:
            self.durations[check] = Histogram(DURATION_BOUNDS)
        return self.durations[check]


class OwnFamily(NamedTuple):
    """A family about the exporter itself."""

    name: str  # in both formats of the exposition, but for that of a counter
    type: str
    help: str
    samples: Sequence[tuple[str, Labels, float]]  # what is added to the name, labels and value

    @property
    def shown_name(self) -> str:
        """Its name on the page: OpenMetrics names a counter without `_total` in its head."""
        return f"{self.name}_total" if self.type == "counter" else self.name


def own_lines(families: Iterable[OwnFamily], names: frozenset[str], *, open_metrics: bool) -> bytes:
    """What prometheus_client would write of these families, but faster; `names` restricts it (`name[]`)."""
    told: list[str] = []
    for family in families:
        samples = [it for it in family.samples if family.name + it[0] in names] if names else family.samples
        if samples or not names:
            name = family.name if open_metrics else family.shown_name
            told.append(f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n")
        told += [f"{family.name}{more}{_inside(labels)} {_number(value)}\n" for more, labels, value in samples]
    return "".join(told).encode("utf-8", "replace")


@lru_cache(maxsize=4096)  # at each scrape they are the same
def _inside(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(labels)) + "}"


def _number(value: float) -> str:
    if 0 <= value < 1e6:  # Go writes it as Python does
        return repr(float(value))
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # it has no annotations


def health(own: OwnHealth, exposition: SeriesCounts, clock: Clock) -> Iterator[OwnFamily]:
    """The families about the exporter itself."""
    one: Labels = ()
    yield _gauge("build_info", "Version of the exporter.", [((("version", __version__),), 1)])
    yield _gauge("config_hash_info", "SHA-256 of the configuration in force.", [((("hash", own.config_hash),), 1)])
    yield _gauge("config_last_reload_successful", "1 if the latest reload succeeded.", [(one, own.reload_ok)])
    yield _gauge(
        "config_last_reload_success_timestamp_seconds", "When a reload last succeeded.", [(one, own.reload_time)]
    )
    yield _gauge("time_seconds", "The clock of the exporter. Ages are right against it.", [(one, clock.wall())])
    yield _gauge(
        "overdue_targets",
        "Targets without a run of the check for a little more than two intervals.",
        _by_check(exposition.lateness.overdue()),
    )
    yield _gauge(
        "oldest_run_timestamp_seconds",
        "When the run ended that is longest ago, of the targets that have had one.",
        _by_check(exposition.lateness.oldest()),
    )
    yield _gauge(
        "queue_length",
        "Runs that are due and wait for their turn.",
        _by_check({check: own.queued.get(check, 0) for check in own.checks}),
    )
    yield _gauge("series", "Series about targets that are exposed.", [(one, exposition.series)])
    yield _gauge("series_limit", "Most series about targets.", [(one, exposition.limit)])
    yield _gauge("series_dropped", "Series left out because of the limit.", [(one, exposition.dropped)])
    yield _gauge("state_configured", "1 if there is a state file (--storage.path).", [(one, own.state_configured)])
    if own.state_configured:
        yield from _state(own)
    yield _gauge(
        "loop_lag_seconds",
        f"How late the event loop was at worst since the last scrape. With uvloop it may have been {BEAT} s more.",
        [(one, own.loop_lag)],
    )
    yield _gauge(
        "blocklist_budget_remaining_ratio",
        "Part of the day's questions to the blocklist that is left.",
        [((("blocklist", name),), left) for name, left in sorted(own.budgets.items())],
    )
    yield _counter("runs", "Ended runs.", _by_check(own.runs))
    yield _counter(
        "runs_unchanged",
        "Ended runs in which DNS gave the same answers as before, so the result before was kept.",
        _by_check(own.unchanged),
    )
    yield _counter(
        "runs_unknown",
        "Ended runs with the result unknown.",
        [((("check", c), ("reason", r)), n) for (c, r), n in sorted(own.unknown.items())],
    )
    yield _counter(
        "runs_skipped",
        "Runs that did not start when they were due.",
        [
            ((("check", check), ("cause", cause)), own.skipped.get((check, cause), 0))
            for check in sorted(own.checks)
            for cause in SKIPS
        ],
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
    if own.actions is not None:
        yield _counter(
            "actions",
            "Actions of people: acknowledge a finding, withdraw that, check again now.",
            [((("action", action),), count) for action, count in sorted(own.actions.items())],
        )


def _by_check(numbers: Mapping[str, float]) -> list[tuple[Labels, float]]:
    return [((("check", check),), number) for check, number in sorted(numbers.items())]


def _state(own: OwnHealth) -> Iterator[OwnFamily]:
    yield _gauge("state_writable", "1 if results are saved to disk.", [((), own.state_writable)])
    if own.state_size is not None:
        yield _gauge("state_size_bytes", "Size of the state file on disk.", [((), own.state_size)])
    if own.state_saved:
        yield _gauge("state_saved_timestamp_seconds", "When the state file was last written.", [((), own.state_saved)])


def _http(stats: HttpStats) -> Iterator[OwnFamily]:
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


def _web(own: OwnHealth) -> Iterator[OwnFamily]:
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


def _dns(stats: ResolverStats) -> Iterator[OwnFamily]:
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


def _gauge(name: str, help_: str, samples: Iterable[tuple[Labels, float]]) -> OwnFamily:
    return OwnFamily(OWN_PREFIX + name, "gauge", help_, [("", *it) for it in samples])


def _counter(name: str, help_: str, samples: Iterable[tuple[Labels, float]]) -> OwnFamily:
    return OwnFamily(OWN_PREFIX + name, "counter", help_, [("_total", *it) for it in samples])


def _histogram(name: str, help_: str, samples: Iterable[tuple[Labels, Histogram]]) -> OwnFamily:
    rows: list[tuple[str, Labels, float]] = []
    for labels, value in samples:
        bounds = (*map(str, value.bounds), "+Inf")
        rows += [
            ("_bucket", (*labels, ("le", bound)), count) for bound, count in zip(bounds, value.cumulative, strict=True)
        ]
        rows += ("_count", labels, value.count), ("_sum", labels, value.sum)
    return OwnFamily(OWN_PREFIX + name, "histogram", help_, rows)
