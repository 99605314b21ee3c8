"""Alerts for Alertmanager alone: while one fires, others are muted (data/alertmanager.yml). Nobody gets them.

They are apart from the alerts that people get, because the two want different times. A mute has no `for`: a part may
be seen to be broken up to an interval before its cause is, and must not page first. And no mute may hide a fault for
good, whatever stays broken: doubt about a resolver or a blocklist ends its mute after `mute_for`, and only what is
proven and critical itself, and so pages, makes a domain dead for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.publish.alert import PREFIX, Alert
from exporter.publish.findings import DEAD
from exporter.publish.thresholds import Thresholds, seconds

UNKNOWN = "deliverability_check_unknown"
CONCLUSIVE = "deliverability_check_last_conclusive_timestamp_seconds"
SINCE = "deliverability_finding_since_timestamp_seconds"
FINDING = "deliverability_finding"


def alerts(given: Thresholds) -> Iterator[Alert]:
    window = given.gap

    def mute(name: str, equal: str, expr: str, summary: str, description: str) -> Alert:
        return Alert(
            f"{PREFIX}{name}",
            expr=f"max by (job, instance{equal}) (\n{expr}\n)",
            summary=summary,
            description=f"{description} What to do: nothing, this one mutes others.",
            runbook=f"{given.exporter_url}/",
            severity="none",
            scope="mute",
            keep=given.gap,  # until ExporterDown takes over
        )

    def doubted(check: str, finding: str) -> str:
        """Since a short while only: what has never been known, or not for long, has nothing new to be muted."""
        return (
            f'  max_over_time({UNKNOWN}{{check="{check}"}}[{window}]) == 1\n'
            f'    and time() - max_over_time({CONCLUSIVE}{{check="{check}"}}[{window}]) < {seconds(given.mute_for)}\n'
            "  or\n"
            f"  time() - min_over_time({SINCE}{{{finding}}}[{window}]) < {seconds(given.mute_for)}"
        )

    yield mute(
        "ResolverInDoubt",
        "",
        doubted("resolver", 'finding=~"resolver[.](rewrites|denies)"'),
        "The resolver of {{ $labels.instance }} is in doubt",
        "What was found just before or meanwhile may be its fault.",
    )
    yield mute(
        "BlocklistInDoubt",
        ", blocklist",
        # One that is merely slow says the truth when it answers.
        doubted("blocklist_health", 'check="blocklist_health",finding!="blocklist_health.unreliable"'),
        "The blocklist {{ $labels.blocklist }} is in doubt",
        "What it listed just before may be its fault.",
    )
    dead = "|".join(DEAD["domain"]).replace(".", "[.]")
    yield mute(
        "DomainDead",
        ", domain",
        f'  max_over_time({FINDING}{{finding=~"{dead}",severity="critical"}}[{window}])\n'
        "  or\n"
        # The parts are looked at again up to an interval later, and until then look broken still.
        f'  max_over_time(ALERTS{{alertstate="firing",finding=~"{dead}",severity="critical"}}[{given.settle}])',
        "{{ $labels.domain }} does not exist",
        "What else is wrong with it follows from that.",
    )
