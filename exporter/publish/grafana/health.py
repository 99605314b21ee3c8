"""The dashboard of the exporter itself: is it up, on time and within its limits, and does its resolver answer?"""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import CHECKS, OVERDUE, TARGETS
from exporter.engine.families import OWN_PREFIX as OWN
from exporter.publish.grafana.board import Board, row
from exporter.publish.grafana.links import Links
from exporter.publish.grafana.panels import (
    ANY_IS_BAD,
    BAD,
    DOUBT,
    GOOD,
    NOTICE,
    WARN,
    WHEN,
    Column,
    Json,
    bars,
    series,
    stat,
    table,
)
from exporter.publish.grafana.queries import of
from exporter.publish.thresholds import Thresholds

DONE = {"1": ("ok", GOOD), "0": ("FAILED", BAD)}
SAVED = {"1": ("yes", GOOD), "0": ("memory only", NOTICE)}


def health(known: Catalogue, given: Thresholds) -> Board:
    return Board(
        "exporter",
        "Deliverability / Exporter",
        "Whether what the other dashboards show is up to date and complete.",
        variables=[],
        panels=[
            (4, _numbers(given)),
            (5, [(24, _exporters(Links(known, given)))]),
            row("Runs"),
            (9, [(12, _runs()), (12, _durations())]),
            (9, [(8, _unknown()), (8, _skipped()), (8, _late())]),
            row("DNS"),
            (9, [(8, _outcomes()), (8, _latency()), (8, _cache())]),
            row("Process"),
            (11, [(6, _memory()), (6, _cpu()), (6, _scrape()), (6, _targets())]),
        ],
    )


def per_second(metric: str, by: str, window: str = "$__rate_interval") -> str:
    return f"sum by ({by}) (rate({of(metric)}[{window}]))"


def _quantile(part: float, buckets: str) -> str:
    """Without NaN, which is what there is while nothing was counted: it would empty the whole graph."""
    return f"histogram_quantile({part:g}, {buckets}) >= 0"


def _numbers(given: Thresholds) -> list[tuple[int, Json]]:
    full = given.series_percent / 100
    numbers = [
        stat("Up", "Exporters that Prometheus can scrape.", f"sum({of('up')})", steps=((None, BAD), (1, GOOD))),
        stat("Down", "Exporters that it cannot.", f"count({of('up')} == 0) or 0 * count({of('up')})", steps=ANY_IS_BAD),
        stat(
            "Configuration",
            "Whether the latest reload was taken over; if not, the one before is in force.",
            f"min({of(OWN + 'config_last_reload_successful')})",
            texts=DONE,
        ),
        stat(
            "State saved",
            "Whether results survive a restart. Memory only: no --storage.path, or it is not writable.",
            f"min({of(OWN + 'state_writable')} or {of(OWN + 'state_configured')})",
            texts=SAVED,
        ),
        stat(
            "Series used",
            "limits.series. What does not fit is left out, and said so.",
            f"max({of(OWN + 'series')} / {of(OWN + 'series_limit')})",
            unit="percentunit",
            decimals=1,
            steps=((None, "text"), (full, WARN), (1, BAD)),
        ),
        stat("Series left out", "Because of the limit.", f"sum({of(OWN + 'series_dropped')})", steps=ANY_IS_BAD),
        stat(
            "Late",
            "Targets without a run of the check for two intervals.",
            f"sum({of(OVERDUE)})",
            steps=((None, "text"), (1, DOUBT)),
        ),
        stat(
            "Loop late by",
            "How late the event loop woke up at worst in the last minute.",
            f"max({of(OWN + 'loop_lag_seconds')})",
            unit="s",
            steps=((None, GOOD), (0.5, NOTICE), (5, BAD)),
        ),
    ]
    return [(3, number) for number in numbers]


def _exporters(links: Links) -> Json:
    def one(metric: str) -> str:
        return f"max by (instance) ({of(metric)})"

    return table(
        "Exporters",
        "One row each.",
        {"instance": Column("Exporter", links=(links.exporter(),)), "version": Column("Version", width=110)},
        {
            "up": (one("up"), Column("Up", width=90, texts={"1": ("up", GOOD), "0": ("DOWN", BAD)})),
            "version": (
                f"max by (instance, version) ({of(OWN + 'build_info')})",
                Column("build", hidden=True),
            ),
            "started": (f"{one('process_start_time_seconds')} * 1000", Column("Started", width=160, unit=WHEN)),
            "reloaded": (
                f"{one(OWN + 'config_last_reload_success_timestamp_seconds')} * 1000",
                Column("Configuration of", width=160, unit=WHEN),
            ),
            "checks": (f"sum by (instance) ({of(CHECKS)})", Column("Checks", width=100, unit="short")),
            "series": (one(OWN + "series"), Column("Series", width=100, unit="short")),
            "memory": (one("process_resident_memory_bytes"), Column("Memory", width=110, unit="bytes")),
            "files": (
                f"max by (instance) ({of('process_open_fds')} / {of('process_max_fds')})",
                Column("Open files, of the limit", width=180, unit="percentunit", decimals=1),
            ),
        },
        sort=[("Exporter", False)],
    )


def _runs() -> Json:
    return series(
        "Runs a minute",
        "Ended, by check.",
        (f"60 * {per_second(OWN + 'runs_total', 'check')}", "{{check}}"),
        unit="none",
        stacked=True,
    )


def _unknown() -> Json:
    return series(
        "Unknown runs a minute",
        "That got no usable answer, by reason. All reasons at once: look at the resolver and the network first.",
        (f"60 * {per_second(OWN + 'runs_unknown_total', 'reason')}", "{{reason}}"),
        unit="none",
        stacked=True,
        shades=DOUBT,
    )


def _durations() -> Json:
    buckets = per_second(OWN + "check_duration_seconds_bucket", "check, le", "15m")  # most checks have one run in it
    return series(
        "Duration of a run",
        "95 of 100 end within this, by check. Of the 15 minutes before.",
        (_quantile(0.95, buckets), "{{check}}"),
        unit="s",
    )


def _late() -> Json:
    return bars(
        "Late, by check",
        "Targets without a run for two intervals.",
        f"sort_desc(topk(10, sum by (check) ({of(OVERDUE)})))",
        "{{check}}",
        steps=((None, DOUBT),),
    )


def _skipped() -> Json:
    return series(
        "Runs a minute that did not start",
        "They were due, by check and cause.",
        (f"60 * {per_second(OWN + 'runs_skipped_total', 'check, cause')}", "{{check}}: {{cause}}"),
        unit="none",
        stacked=True,
    )


def _targets() -> Json:
    return bars(
        "Targets, by kind",
        "A sudden loss is a list of targets that was lost.",
        f"sort_desc(sum by (kind) ({of(TARGETS)}))",
        "{{kind}}",
        steps=((None, "blue"),),
    )


def _outcomes() -> Json:
    return series(
        "DNS questions, by outcome",
        "answer, nodata and nxdomain are answers; the others leave something unknown.",
        (per_second(OWN + "dns_responses_total", "outcome"), "{{outcome}}"),
        unit="reqps",
        stacked=True,
    )


def _latency() -> Json:
    buckets = per_second(OWN + "dns_query_duration_seconds_bucket", "nameserver, le")
    return series(
        "Time to an answer",
        "By nameserver: half of the answers are there within p50, 99 of 100 within p99.",
        (_quantile(0.5, buckets), "{{nameserver}} p50"),
        (_quantile(0.99, buckets), "{{nameserver}} p99"),
        unit="s",
    )


def _cache() -> Json:
    hits = f"sum(rate({of(OWN + 'dns_cache_hits_total')}[$__rate_interval]))"
    asked = f"sum(rate({of(OWN + 'dns_queries_total')}[$__rate_interval]))"
    return series(
        "Questions asked, and answered from memory",
        "Each question is asked once for all checks that need it.",
        (asked, "asked"),
        (hits, "from memory"),
        unit="reqps",
        stacked=True,
    )


def _memory() -> Json:
    return series(
        "Memory",
        "Resident.",
        (f"max by (instance) ({of('process_resident_memory_bytes')})", "{{instance}}"),
        unit="bytes",
    )


def _cpu() -> Json:
    return series(
        "CPU",
        "Cores in use. There is one loop: it cannot use much more than one.",
        (per_second("process_cpu_seconds_total", "instance"), "{{instance}}"),
        unit="none",
    )


def _scrape() -> Json:
    return series(
        "Scrape, and lateness of the loop",
        "The scrape as Prometheus sees it; how late the event loop woke up at worst in a minute.",
        (f"max by (instance) ({of('scrape_duration_seconds')})", "{{instance}} scrape"),
        (f"max by (instance) ({of(OWN + 'loop_lag_seconds')})", "{{instance}} late"),
        unit="s",
    )
