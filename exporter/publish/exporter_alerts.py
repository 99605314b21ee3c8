"""Alerts about the exporter, its resolver and its blocklists, and about certificates and registrations that end."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from exporter.facts import Dead, Reason
from exporter.publish.alert import ANY_PAGE, ANYBODY, PREFIX, Alert, page
from exporter.publish.links import runbook
from exporter.publish.promql import checks, looking_at, none_of, pattern
from exporter.publish.thresholds import Thresholds, seconds, together
from exporter.targets import ListHealth, OwnResolver, Reputation


def alerts(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    yield from _expiries(known, given)
    yield from _eyes(known, given)
    yield from _exporter(known, given)


def _expiries(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    ends = [(rule.expiry, rule, entry.check) for entry in known.entries for rule in entry.rules if rule.expiry]
    for expiry, rule, check in sorted(ends, key=lambda it: it[0].noun):
        labels = check.over[0].LABELS
        who = ":".join(f"{{{{ $labels.{label} }}}}" for label in labels)
        yield Alert(
            f"{PREFIX}{expiry.noun.capitalize()}Expiring",
            expr=(
                f'max_over_time(deliverability_finding{{finding="{rule.id}"}}[{given.gap}])\n'
                f"  * on (job, instance, {', '.join(labels)}) group_left ()\n"
                f"((min_over_time({expiry.metric.name}[{given.gap}]) - time()) / 86400)\n"
                f"  < {given.days(expiry.noun)}"
            ),
            summary=f'The {expiry.noun} of {who} ends in {{{{ $value | printf "%.0f" }}}} days',
            description=(
                f"Once it has ended, mail suffers. What to do: renew it, and see that the new one is in use: "
                f"{given.exporter_url}/targets/{page(check)}"
            ),
            runbook=runbook(given, rule.id, given.exporter_url),
            scope="target",
            for_=given.confirm,
            keep_firing_for=given.keep_firing,
        )


def _eyes(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    """Alerts about what verdicts depend on: the resolver, the blocklists, and conclusive answers."""
    window, root = given.gap, f"{given.exporter_url}/"
    resolver, lists = looking_at(known, OwnResolver), looking_at(known, ListHealth)
    others = none_of("check", checks(known, OwnResolver, ListHealth))
    lies = pattern(rule for entry in known.over(OwnResolver) for rule in entry.rules if rule.doubts)
    resolver_page = f"{given.exporter_url}/targets/{OwnResolver().key}"
    # What was not known without the resolver is not known before its next run.
    alone = pattern(rule for entry in known.over(ListHealth) for rule in entry.rules if rule.own_alert)
    told_alone, others_too = (
        f'max_over_time(deliverability_finding{{{lists},finding{sign}"{alone}"}}[{window}]) == 1'
        for sign in ("=~", "!~")
    )
    blind = f"max_over_time(deliverability_check_unknown{{{resolver}}}[{given.settle}]) == 1"
    yield Alert(
        "DeliverabilityResolverUnhealthy",
        expr=(
            f"max_over_time(deliverability_check_unknown{{{resolver}}}[{window}]) == 1\n"
            "or ignoring (finding, severity)\n"
            f'max_over_time(deliverability_finding{{finding=~"{lies}"}}[{window}]) == 1'
        ),
        summary="The resolver of {{ $labels.instance }} does not answer, or not truly",
        description=(
            "Nothing new that is found about any target can be believed. What to do: look at the "
            f"resolver that is configured under resolver.nameservers: {resolver_page}"
        ),
        runbook=resolver_page,
        severity="warning",
        for_=given.confirm,
        keep_firing_for=given.keep_firing,
    )
    yield Alert(
        "DeliverabilityBlocklistUnhealthy",
        expr=(
            f"max_over_time(deliverability_check_unknown{{{lists}}}[{window}]) == 1\n"
            f"  unless on (job, instance) {blind}\n"
            "or\n"
            f"min_over_time(deliverability_check_ok{{{lists}}}[{window}]) == 0\n"
            "  unless on (job, instance, blocklist)\n"
            f"({told_alone}\n"
            "  unless on (job, instance, blocklist)\n"
            f"{others_too})"
        ),
        summary="The answers of the blocklist {{ $labels.blocklist }} cannot be believed",
        description=(
            "Its listings are kept as they were, and new ones are not counted. What to do: see what it answers, "
            "and use a resolver of your own or drop the list: "
            f"{given.exporter_url}/targets/blocklist={{{{ $labels.blocklist }}}}"
        ),
        runbook=f"{given.exporter_url}/targets/blocklist={{{{ $labels.blocklist }}}}",
        severity="warning",
        scope="blocklist",
        for_=given.blind_after,
        keep_firing_for=given.keep_firing,
    )
    reason, here = "deliverability_check_unknown_reason", "|".join(it for it in Reason if it.from_here)
    long_ago = (
        f"(time() - max_over_time(deliverability_check_last_conclusive_timestamp_seconds[{window}])"
        f" >= {seconds(given.unknown_after)})\n"
    )
    yield Alert(
        "DeliverabilityUnknownTooLong",
        expr=(
            f"{long_ago}"
            "  and\n"
            f"(min_over_time(deliverability_check_unknown{{{others}}}[{window}]) == 1)\n"
            f'  unless ignoring (reason) max_over_time({reason}{{reason=~"{here}"}}[{window}]) == 1\n'
            f"{_in_dead_zones(known, window)}"
            f"  unless on (job, instance) {blind}"
        ),
        summary="{{ $labels.check }} has had no conclusive result for a long time:" + ANYBODY,
        description=(
            "Every run ended in doubt, so a fault could go unseen. What to do: look at the reason on the page of the "
            f"target. If it cannot change, switch the check off there: {given.exporter_url}/targets/{ANY_PAGE}"
        ),
        runbook=f"{given.exporter_url}/targets/{ANY_PAGE}",
        severity="warning",
        scope="target",
        for_="30m",
        keep_firing_for=given.keep_firing,
    )
    yield Alert(
        "DeliverabilityUnknownFromHere",
        expr=(
            "count by (job, instance, check, reason) (\n"
            f'  min_over_time({reason}{{{others},reason=~"{here}"}}[{window}]) == 1\n'
            "    and ignoring (reason)\n"
            f"  {long_ago}"
            ")\n"
            f"  unless on (job, instance) {blind}"
        ),
        summary="{{ $labels.instance }} has had no result of {{ $labels.check }} for {{ $value }} targets: "
        "{{ $labels.reason }}",
        description=(
            "The cause is where the exporter runs, not at the targets. egress: a way out is closed, such as port 25 or "
            "HTTPS. blocklist_unhealthy: lists refuse the resolver. rate_limited: a limit of questions is used up. "
            "local_resources: the exporter has no file descriptor or memory left. What to do: open the way, use a "
            "resolver of your own, raise LimitNOFILE (ulimit -n) or MemoryMax, or switch the check off: "
            f"{root}"
        ),
        runbook=root,
        severity="warning",
        for_="30m",
        keep_firing_for=given.keep_firing,
    )
    yield Alert(
        "DeliverabilityEvaluationStale",
        expr=(f"max_over_time(deliverability_exporter_overdue_targets[{window}]) > 0"),
        summary="{{ $labels.check }} is late for {{ $value }} targets of {{ $labels.instance }}",
        description=(
            "They were not looked at for more than two intervals, and what is shown is old. What "
            "to do: see whether the exporter is short of CPU, its resolver slow or queries_per_second too low."
        ),
        runbook=f"{given.exporter_url}/",
        severity="warning",
        for_="15m",
        keep_firing_for=given.keep_firing,
    )


def _in_dead_zones(known: Catalogue, window: str) -> str:
    """Leaves out hosts and HELO names directly below a domain whose zone cannot be had: the finding says so once.

    Alertmanager cannot do this, because their series have no label with the domain. Deeper names are not recognised.
    """
    dead = pattern(rule for rule in known.rules.values() if rule.implies is Dead.ZONE)
    return "".join(
        f"  unless on (job, instance, {identity})\n"
        f'(label_replace({series} == 1, "domain", "$1", "{name}", "[^.]+[.](.+)")\n'
        "  and on (job, instance, domain)\n"
        f'max_over_time(deliverability_finding{{finding=~"{dead}",severity="critical"}}[{window}]) == 1)\n'
        for series, name, identity in (
            ('deliverability_check_unknown{mail_host!=""}', "mail_host", "mail_host, mail_port"),
            ("deliverability_sender_info", "helo", "sender, ip"),
        )
    )


def _exporter(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    paces = ", ".join(f"schedule.{check}" for check in checks(known, Reputation))
    own, window, root = "deliverability_exporter_", given.gap, f"{given.exporter_url}/"
    # What stood before stands again after its `for`; until then Alertmanager must not take it for ended.
    back = together(given.confirm, given.gap)

    def alert(tail: str, expr: str, summary: str, description: str, *, for_: str = given.confirm) -> Alert:
        return Alert(
            PREFIX + tail, expr, summary, description, root, "warning", for_=for_, keep_firing_for=given.keep_firing
        )

    yield Alert(
        "DeliverabilityExporterDown",
        expr=f'up{{job="{given.job}"}} == 0',
        summary="The exporter {{ $labels.instance }} cannot be scraped",
        description="No fault of any target is seen. What to do: see that it runs, and that Prometheus can reach it.",
        runbook=root,
        severity="critical",
        for_=given.down_after,
        keep_firing_for=back,
    )
    yield Alert(
        "DeliverabilityExporterAbsent",
        expr=f'absent(up{{job="{given.job}"}})',
        summary=f"Prometheus has no target of the job {given.job}",
        description=(
            "No fault of any target is seen. What to do: add the scrape configuration, or say in the thresholds file "
            "what the job is called."
        ),
        runbook="https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config",
        severity="critical",
        for_=given.confirm,
        keep_firing_for=back,
    )
    yield alert(
        "ConfigReloadFailed",
        f"max_over_time({own}config_last_reload_successful[{window}]) == 0",
        "The configuration of {{ $labels.instance }} was changed, but is wrong",
        "The old one is in force. What to do: run deliverability-exporter --config.check and reload once it is good.",
    )
    yield alert(
        "WebConfigReloadFailed",
        f"max_over_time({own}web_config_last_reload_successful[{window}]) == 0",
        "The web configuration of {{ $labels.instance }} was changed, but is wrong",
        "The old certificate, passwords and headers are in force, and a certificate ends some day. What to do: see the "
        "log or the overview for the fault in the file of --web.config.file or in one that it names.",
    )
    yield alert(
        "TargetsDropped",
        f"sum by (job, instance) (min_over_time(deliverability_targets[{window}])) * 100\n"
        f"  < {given.targets_percent} * max_over_time(sum by (job, instance) (deliverability_targets)[1d:{window}])",
        f"{{{{ $labels.instance }}}} has less than {given.targets_percent}% of the last day's targets",
        "A configuration that was meant otherwise watches nothing. What to do: see that every file that `include` "
        "names is there and whole. If it was meant, this ends by itself within a day.",
    )
    yield alert(
        "SeriesDropped",
        f"min_over_time({own}series_dropped[{window}]) > 0",
        "{{ $labels.instance }} leaves out {{ $value }} series",
        "Targets beyond the budget are not exported, and their faults raise no alert. What to do: raise limits.series, "
        "or divide the targets among several exporters.",
    )
    yield alert(
        "SeriesBudget",
        f"max_over_time({own}series[{window}]) * 100 > {given.series_percent} * {own}series_limit",
        "{{ $labels.instance }} has used " + f"{given.series_percent}% of its series",
        "Soon targets are left out. What to do: raise limits.series, or divide the targets among several exporters.",
    )
    yield alert(
        "StateNotWritable",
        f"max_over_time({own}state_writable[{window}]) == 0",
        "{{ $labels.instance }} cannot save its state",
        "A restart would lose since when findings stand. What to do: look at the disk, and at who may write "
        "--storage.path.",
    )
    yield alert(
        "ExporterBug",
        f'increase({own}runs_unknown_total{{reason="bug"}}[1h]) > 0\n'
        "or\n"
        f'({own}runs_unknown_total{{reason="bug"}} > 0 unless {own}runs_unknown_total{{reason="bug"}} offset 1h)',
        "{{ $labels.instance }} met a fault of its own in {{ $labels.check }}",
        "Those runs told nothing. What to do: report the trace in its log.",
        for_="0s",
    )
    yield alert(
        "LoopLag",
        f"min_over_time({own}loop_lag_seconds[{window}]) > 1",
        "{{ $labels.instance }} is {{ $value | humanizeDuration }} late with everything",
        "Measured times and deadlines are wrong. What to do: give it more CPU, or divide the targets among exporters.",
    )
    yield alert(
        "BlocklistBudget",
        f"max_over_time({own}blocklist_budget_remaining_ratio[{window}]) < 0.1",
        "{{ $labels.instance }} has used nine tenths of today's questions to {{ $labels.blocklist }}",
        "Once they are used up, its listings are unknown until tomorrow. What to do: look at addresses less often "
        f"({paces}), or agree on more with the list's operator.",
    )
    yield Alert(
        "DeliverabilityRecordChanged",
        expr=f"time() - max_over_time(deliverability_record_changed_timestamp_seconds[{window}]) < 3600",
        summary="A record that {{ $labels.check }} looks at has changed:" + ANYBODY,
        description=(
            "Somebody has changed what is published. What to do: see on its page what it was and what it is, and "
            f"whether that was meant: {given.exporter_url}/targets/{ANY_PAGE}"
        ),
        runbook=f"{given.exporter_url}/targets/{ANY_PAGE}",
        severity="info",
        scope="target",
    )
    yield Alert(
        "DeliverabilityWatchdog",
        expr="vector(1)",
        summary="Alerts find their way",
        description=(
            "This one always fires. What to do: nothing; let something outside notice when it stops arriving, since "
            "then no alert arrives."
        ),
        runbook="https://prometheus.io/docs/practices/alerting/#metamonitoring",
        severity="none",
    )
