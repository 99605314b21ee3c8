"""Alerts about what verdicts depend on: the resolver, the blocklists, and answers at all."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import FINDING, LAST_CONCLUSIVE, OWN_PREFIX, REASON, RECORD_CHANGED, SENDER, UNKNOWN
from exporter.facts import Dead, Reason
from exporter.publish.alert import ANY_PAGE, PREFIX, SCRAPED, WHO, Alert, anywhere, here
from exporter.publish.promql import checks, looking_at, none_of, pattern
from exporter.publish.records import AGE, TIME
from exporter.publish.thresholds import Thresholds, seconds
from exporter.targets import ListHealth, OwnResolver

NOTHING_YET = ("pending", "no_traffic")  # reasons that are no fault
RESOLVER_UNHEALTHY = f"{PREFIX}ResolverUnhealthy"


def alerts(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    yield from _resolver(known, given)
    yield _blocklists(known, given)
    yield from _unknowns(known, given)
    yield Alert(
        f"{PREFIX}EvaluationStale",
        expr=(
            f"max by ({given.by_exporter}, check) (\n  min_over_time({OWN_PREFIX}overdue_targets[{given.gap}])\n) > 0"
        ),
        summary="{{ $labels.check }} is late for {{ $value }} targets of {{ $labels.instance }}",
        description=(
            "What is shown of them is old. What to do: see whether the exporter is short of CPU, its resolver slow or "
            "queries_per_second too low."
        ),
        runbook=f"{here(given)}/",
        severity="warning",
        for_="15m",
        keep_firing_for=given.keep_firing,
    )
    yield Alert(
        f"{PREFIX}RecordChanged",
        expr=(
            f"max without ({SCRAPED}) (\n"
            f"  max by ({given.by_exporter}) (last_over_time({TIME}[{given.gap}]))\n"
            f"  - on ({given.by_exporter}) group_right ()\n"
            f"  (max_over_time({RECORD_CHANGED}[{given.gap}]) > 0)\n"
            ") < 3600"
        ),
        summary=f"A record that {{{{ $labels.check }}}} looks at has changed: {WHO}",
        description=(
            "The page of the target shows what it was, and what it is now. What to do: see that the change was meant: "
            f"{anywhere(given)}{ANY_PAGE}"
        ),
        runbook=f"{anywhere(given)}{ANY_PAGE}",
        severity="info",
        scope="target",
    )


def _resolver(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    resolver, page = looking_at(known, OwnResolver), f"{here(given)}/targets/{OwnResolver().key}"
    lies = pattern(rule for entry in known.over(OwnResolver) for rule in entry.rules if rule.doubts)
    yield Alert(
        RESOLVER_UNHEALTHY,
        expr=(
            f"max by ({given.by_exporter}) (max_over_time({UNKNOWN}{{{resolver}}}[{given.gap}]) == 1)\n"
            "or\n"
            f"max by ({given.by_exporter}) "
            f'(max_over_time({FINDING}{{finding=~"{lies}"}}[{given.gap}]) == 1)'
        ),
        summary="The resolver of {{ $labels.instance }} does not answer, or not truly",
        description=(
            "Nothing new is confirmed about any target meanwhile. What to do: look at the resolver that is configured "
            f"under resolver.nameservers: {page}"
        ),
        runbook=page,
        severity="warning",
        for_=given.confirm,
        keep_firing_for=given.keep_firing,
    )
    yield Alert(
        f"{PREFIX}ResolverUnfit",
        expr=(
            f"max by ({given.by_exporter}, finding, check) "
            f'({AGE}{{{resolver},finding!~"{lies}"}}) >= {seconds(given.warning_after)}'
        ),
        summary="The resolver of {{ $labels.instance }} is not fit for this: {{ $labels.finding }}",
        description=f"Some answers are lost or refused. What to do: use a resolver of your own: {page}",
        runbook=page,
        severity="warning",
        keep_firing_for=given.keep_firing,
    )


def _blind(known: Catalogue, given: Thresholds) -> str:
    """What was not known without the resolver is not known before its next run. A moment of doubt is no trouble."""
    return (
        f"(max_over_time({UNKNOWN}{{{looking_at(known, OwnResolver)}}}[{given.gap}]) == 1\n"
        f'  or max_over_time(ALERTS{{alertname="{RESOLVER_UNHEALTHY}",alertstate="firing"}}[{given.settle}]))'
    )


def _blocklists(known: Catalogue, given: Thresholds) -> Alert:
    lists = f"{UNKNOWN}{{{looking_at(known, ListHealth)}}}"
    doubted = f"max_over_time({UNKNOWN}{{{looking_at(known, OwnResolver)}}}[{given.settle}]) == 1"
    lasts = f"last_over_time({lists}[{given.gap}] offset {given.settle}) == 1"
    return Alert(
        f"{PREFIX}BlocklistUnhealthy",
        expr=(
            f"max by ({given.by_exporter}, blocklist) (\n"
            f"  (max_over_time({lists}[{given.gap}]) == 1\n"
            # A run in a moment of doubt leaves the list unknown until its next run. What lasts longer is its own fault.
            f"    unless on ({given.by_exporter}) {doubted}\n"
            f"  or min_over_time({lists}[{given.settle}]) == 1 and {lasts})\n"
            f"    unless on ({given.by_exporter}) {_blind(known, given)}\n"
            ")"
        ),
        summary="The blocklist {{ $labels.blocklist }} gives no answer to {{ $labels.instance }}",
        description=(
            "Its listings are kept as they were, and new ones are not seen. What to do: use a resolver of your own, "
            f"or drop the list: {here(given)}/targets/blocklist={{{{ $labels.blocklist }}}}"
        ),
        runbook=f"{here(given)}/targets/blocklist={{{{ $labels.blocklist }}}}",
        severity="warning",
        for_=given.confirm,
        keep_firing_for=given.keep_firing,
    )


def _unknowns(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    window, root = given.gap, f"{here(given)}/"
    others = none_of("check", checks(known, OwnResolver, ListHealth))
    blind = _blind(known, given)
    from_here = "|".join(it for it in Reason if it.from_here)
    long_ago = (
        f"(max by ({given.by_exporter}) (last_over_time({TIME}[{window}]))\n"
        f"  - on ({given.by_exporter}) group_right ()\n"
        f"max_over_time({LAST_CONCLUSIVE}[{window}])) >= {seconds(given.unknown_after)}"
    )
    nothing_yet = "|".join(NOTHING_YET)
    yield Alert(
        f"{PREFIX}UnknownTooLong",
        expr=(
            f"max without ({SCRAPED}) (\n"
            f"({long_ago})\n"
            f'  and ignoring (reason) {REASON}{{{others},reason!~"{from_here}|{nothing_yet}"}}\n'
            f'  unless ignoring (reason) max_over_time({REASON}{{reason=~"{from_here}"}}[{window}])\n'
            f"{_in_dead_zones(known, given)}"
            f"  unless on ({given.by_exporter}) {blind}\n"
            ")"
        ),
        summary=f"{{{{ $labels.check }}}} has had no conclusive result for a long time: {WHO}",
        description=(
            "Every run was inconclusive, so a fault could go unnoticed. What to do: read the reason on the page of the "
            f"target. If it cannot change, switch the check off there: {anywhere(given)}{ANY_PAGE}"
        ),
        runbook=f"{anywhere(given)}{ANY_PAGE}",
        severity="warning",
        scope="target",
        for_="30m",
        keep_firing_for=given.keep_firing,
    )
    yield Alert(
        f"{PREFIX}UnknownFromHere",
        expr=(
            f"count by ({given.by_exporter}, check, reason) (\n"
            f'  min_over_time({REASON}{{{others},reason=~"{from_here}"}}[{window}]) == 1\n'
            f"    and ignoring (reason) ({long_ago})\n"
            ")\n"
            f"  unless on ({given.by_exporter}) {blind}"
        ),
        summary="{{ $labels.instance }} has had no result of {{ $labels.check }} for {{ $value }} targets: "
        "{{ $labels.reason }}",
        description=(
            "The cause is where the exporter runs. Reason egress: port 25 or HTTPS is blocked. "
            "Reason blocklist_unhealthy: lists reject the resolver. Reason rate_limited: a limit is used up. "
            "Reason local_resources: raise LimitNOFILE or MemoryMax. "
            "What to do: fix it, or switch the check off."
        ),
        runbook=root,
        severity="warning",
        for_="30m",
        keep_firing_for=given.keep_firing,
    )


def _in_dead_zones(known: Catalogue, given: Thresholds) -> str:
    """Leaves out hosts and HELO names directly below a domain whose zone cannot be had: the finding says so once.

    Alertmanager cannot do this, because their series have no label with the domain. Deeper names are not recognised.
    """
    dead = pattern(rule for rule in known.rules.values() if rule.implies is Dead.ZONE)
    return "".join(
        f"  unless on ({given.by_exporter}, {identity})\n"
        f'(label_replace({series} == 1, "domain", "$1", "{name}", "[^.]+[.](.+)")\n'
        f"  and on ({given.by_exporter}, domain)\n"
        f'max_over_time({FINDING}{{finding=~"{dead}",severity="critical"}}[{given.gap}]) == 1)\n'
        for series, name, identity in (
            (f'{REASON}{{mail_host!=""}}', "mail_host", "mail_host, mail_port"),
            (SENDER, "helo", "sender, ip"),
        )
    )
