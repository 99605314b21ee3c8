"""Alerts about the exporter itself: that it runs, sees all its targets, keeps its state and has room."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import OWN_PREFIX as OWN
from exporter.publish.alert import PREFIX, Alert, here
from exporter.publish.promql import checks
from exporter.publish.records import EXPORTERS, TARGETS, TIME, usual
from exporter.publish.thresholds import Thresholds, seconds
from exporter.targets import Reputation

_SCRAPE_CONFIG = "https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config"


def alerts(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    yield from _running(given)
    yield from _targets(given)
    yield from _state_and_configuration(given)
    yield from _room(known, given)


def _alert(
    given: Thresholds, tail: str, expr: str, summary: str, description: str, for_: str, severity: str = "warning"
) -> Alert:
    return Alert(
        PREFIX + tail,
        expr,
        summary,
        description,
        f"{here(given)}/" if given.exporter_url or "$labels.instance" in summary else _SCRAPE_CONFIG,
        severity,
        for_=for_,
        keep_firing_for=given.keep_firing,
    )


def _running(given: Thresholds) -> Iterator[Alert]:
    by_exporter, matcher = given.by_exporter, f'{{job=~"{given.job}"}}'
    for severity, wait in (("warning", given.down_after), ("critical", given.page_down_after)):
        yield _alert(
            given,
            "ExporterDown",
            f"max by ({by_exporter}) (up{matcher}) == 0",
            "The exporter {{ $labels.instance }} cannot be scraped",
            "Its last results are treated as current; new faults go unnoticed. What to do: make sure that it runs "
            "and that Prometheus can reach it.",
            wait,
            severity,
        )
    restarts = f"max by ({by_exporter}) (changes(process_start_time_seconds{matcher}[30m]))"
    yield _alert(
        given,
        "ExporterCrashLoop",
        f"{restarts} >= 4\n"
        "or\n"
        f"({restarts} >= 2 and on ({by_exporter}) max by ({by_exporter}) (avg_over_time(up{matcher}[30m])) < 0.95)",
        "The exporter {{ $labels.instance }} starts again and again",
        "It stops before it can confirm findings; earlier findings are treated as active. What to do: read the "
        "end of its log, and check whether its memory limit is too low.",
        "",
        "critical",
    )
    yield _alert(
        given,
        "ExporterGone",
        f"0 < {EXPORTERS} < {usual(EXPORTERS)}",
        "Of the exporters of {{ $labels.job }}, {{ $value }} are left",
        "One has left service discovery; its targets may not be checked any more. What to do: make sure that it runs "
        "and is scraped. If you removed it, this ends automatically within a day.",
        given.confirm,
    )
    yield _alert(
        given,
        "ExporterAbsent",
        f"{EXPORTERS} == 0\nor\n(absent(up{matcher}) unless on () {EXPORTERS} == 0)",
        f"Prometheus has no target of the job {given.job}",
        "Faults of all targets go unnoticed. What to do: add the scrape configuration, or set the name of the job in "
        "the thresholds file.",
        given.confirm,
        "critical",
    )
    yield _alert(
        given,
        "ClockSkew",
        f"max by ({by_exporter}) (abs(timestamp({TIME}) - {TIME})) > {seconds(given.clock_skew)}",
        "The clock of {{ $labels.instance }} is {{ $value | humanizeDuration }} wrong",
        "It checks certificates, signatures and dates with this clock. What to do: set both clocks by NTP.",
        given.down_after,
    )


def _targets(given: Thresholds) -> Iterator[Alert]:
    before, now = usual(TARGETS), f"max_over_time({TARGETS}[{given.gap}])"
    down = f'count by ({given.by_job}) (avg_over_time(up{{job=~"{given.job}"}}[{given.confirm}]) <= 0.5)'
    for severity, percent in (("warning", given.dropped_percent), ("critical", given.page_dropped_percent)):
        yield _alert(
            given,
            "TargetsDropped",
            f"100 * {now} < {100 - percent} * {before}\n"
            f"  and {before} - {now} >= {given.dropped_least}\n"
            f"  unless on ({given.by_job}) {down}",
            f"The exporters of {{{{ $labels.job }}}} have lost more than {percent}% of the last day's targets",
            "The removed targets are not checked any more. What to do: make sure that every file in `include` exists "
            "and is complete. If you removed them, this ends automatically within a day.",
            given.confirm,
            severity,
        )
    by_exporter, window = given.by_exporter, given.gap
    yield _alert(
        given,
        "SeriesDropped",
        f"max by ({by_exporter}) (min_over_time({OWN}series_dropped[{window}])) > 0",
        "{{ $labels.instance }} leaves out {{ $value }} series",
        "Targets beyond the budget are not exported, and their faults raise no alert. What to do: raise limits.series, "
        "or divide the targets among several exporters.",
        given.confirm,
    )
    yield _alert(
        given,
        "SeriesBudget",
        f"max by ({by_exporter}) (max_over_time({OWN}series[{window}]) * 100 > "
        f"{given.series_percent} * {OWN}series_limit)",
        f"{{{{ $labels.instance }}}} has used {given.series_percent}% of its series",
        "Soon targets are left out. What to do: raise limits.series, or divide the targets among several exporters.",
        given.confirm,
    )


def _state_and_configuration(given: Thresholds) -> Iterator[Alert]:
    by_exporter, window = given.by_exporter, given.gap
    yield _alert(
        given,
        "ConfigReloadFailed",
        f"max by ({by_exporter}) (max_over_time({OWN}config_last_reload_successful[{window}])) == 0",
        "The configuration of {{ $labels.instance }} was changed, but is wrong",
        "The old one is in force. What to do: run deliverability-exporter --config.check and reload once it is good.",
        given.confirm,
    )
    yield _alert(
        given,
        "WebConfigReloadFailed",
        f"max by ({by_exporter}) (max_over_time({OWN}web_config_last_reload_successful[{window}])) == 0",
        "The web configuration of {{ $labels.instance }} was changed, but is wrong",
        "The old certificate, passwords and headers are in force, and a certificate ends some day. What to do: see the "
        "log or the overview for the fault in the file of --web.config.file or in one that it names.",
        given.confirm,
    )
    yield _alert(
        given,
        "StateNotWritable",
        f"max by ({by_exporter}) (max_over_time({OWN}state_writable[{window}]) == 0\n"
        f"  unless {OWN}state_configured == 0)",
        "{{ $labels.instance }} cannot save its state",
        "A restart would lose the history of findings. What to do: check the disk, and who may write --storage.path.",
        given.confirm,
    )
    yield _alert(
        given,
        "StateInMemory",
        f"max by ({by_exporter}) (max_over_time({OWN}state_configured[{window}])) == 0",
        "{{ $labels.instance }} keeps its state in memory",
        "A restart loses the history of findings, and results that need days. What to do: start it with "
        "--storage.path.",
        "30m",
    )


def _room(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    paces = ", ".join(f"schedule.{check}" for check in checks(known, Reputation))
    by_exporter, window = given.by_exporter, given.gap
    bugs = f'{OWN}runs_unknown_total{{reason="bug"}}'
    first = f"{bugs} > 0 unless last_over_time({bugs}[1h] offset 1h)"
    yield _alert(
        given,
        "ExporterBug",
        f"max by ({by_exporter}, check) (\n  increase({bugs}[1h]) > 0\n  or\n  ({first})\n)",
        "{{ $labels.instance }} has a bug in {{ $labels.check }}",
        "Those runs had no result. What to do: report the trace in its log.",
        "",
    )
    yield _alert(
        given,
        "LoopLag",
        f"max by ({by_exporter}) (min_over_time({OWN}loop_lag_seconds[{window}])) > 1",
        "{{ $labels.instance }} is {{ $value | humanizeDuration }} late with everything",
        "Measured times and deadlines are wrong. What to do: give it more CPU, or divide the targets among exporters.",
        given.confirm,
    )
    yield _alert(
        given,
        "BlocklistBudget",
        f"max by ({by_exporter}, blocklist) (max_over_time({OWN}blocklist_budget_remaining_ratio[{window}])) < 0.1",
        "{{ $labels.instance }} has used 90% of today's queries to {{ $labels.blocklist }}",
        "Without queries, its listings are unknown until tomorrow. What to do: check addresses less often "
        f"({paces}), or agree on more with the list's operator.",
        given.confirm,
    )
    yield Alert(
        f"{PREFIX}Watchdog",
        expr="vector(1)",
        summary="Alerts arrive",
        description="This one always fires. What to do: monitor from outside that it does not stop.",
        runbook=_SCRAPE_CONFIG,
        severity="none",
    )
