"""Makes the alerts that inhibit others in Alertmanager (data/alertmanager.yml). They are sent to nobody.

The problem: if a resolver breaks or a domain disappears, hundreds of findings follow from that one cause. People need
one alert for the cause.

They are separate from the alerts for people, because they need other times:

- They have no `for`. A consequence may be seen up to one interval before its cause, and must not be sent first.
- They must not hide a fault for ever. Doubt about a resolver or a blocklist inhibits for at most `mute_for`.
- A dead domain inhibits for as long as it is dead. Its own finding is proven and critical, and people get that alert.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from exporter.facts import Dead, Rule
from exporter.model import Target
from exporter.publish.alert import PREFIX, Alert
from exporter.publish.promql import looking_at, none_of, pattern
from exporter.publish.thresholds import Thresholds, seconds
from exporter.targets import ListHealth, OwnResolver

UNKNOWN = "deliverability_check_unknown"
CONCLUSIVE = "deliverability_check_last_conclusive_timestamp_seconds"
SINCE = "deliverability_finding_since_timestamp_seconds"
FINDING = "deliverability_finding"


def alerts(known: Catalogue, given: Thresholds) -> Iterator[Alert]:
    yield _inhibiting(
        given,
        "ResolverInDoubt",
        "",
        _doubted(known, given, OwnResolver, f'finding=~"{pattern(_rules(known, OwnResolver, doubts=True))}"'),
        "The resolver of {{ $labels.instance }} is in doubt",
        "What was found just before or meanwhile may be its fault.",
    )
    harmless = none_of("finding", [rule.id for rule in _rules(known, ListHealth, doubts=False)])
    yield _inhibiting(
        given,
        "BlocklistInDoubt",
        ", blocklist",
        _doubted(known, given, ListHealth, f"{looking_at(known, ListHealth)},{harmless}"),
        "The blocklist {{ $labels.blocklist }} is in doubt",
        "What it listed just before may be its fault.",
    )
    dead = pattern(rule for rule in known.rules.values() if rule.implies is Dead.DOMAIN)
    yield _inhibiting(
        given,
        "DomainDead",
        ", domain",
        f'  max_over_time({FINDING}{{finding=~"{dead}",severity="critical"}}[{given.gap}])\n'
        "  or\n"
        # The parts are looked at again up to an interval later, and until then look broken still.
        f'  max_over_time(ALERTS{{alertstate="firing",finding=~"{dead}",severity="critical"}}[{given.settle}])',
        "{{ $labels.domain }} does not exist",
        "What else is wrong with it follows from that.",
    )


def _inhibiting(given: Thresholds, name: str, equal: str, expr: str, summary: str, description: str) -> Alert:
    return Alert(
        f"{PREFIX}{name}",
        expr=f"max by (job, instance{equal}) (\n{expr}\n)",
        summary=summary,
        description=f"{description} What to do: nothing. It holds back alerts that follow from it.",
        runbook=f"{given.exporter_url}/",
        severity="none",
        scope="mute",
        keep_firing_for=given.gap,  # until ExporterDown takes over
    )


def _doubted(known: Catalogue, given: Thresholds, kind: type[Target], finding: str) -> str:
    """Only for a short time: a check that has long been in doubt has no new consequences to inhibit."""
    check = looking_at(known, kind)
    return (
        f"  max_over_time({UNKNOWN}{{{check}}}[{given.gap}]) == 1\n"
        f"    and time() - max_over_time({CONCLUSIVE}{{{check}}}[{given.gap}]) < {seconds(given.mute_for)}\n"
        "  or\n"
        f"  time() - min_over_time({SINCE}{{{finding}}}[{given.gap}]) < {seconds(given.mute_for)}"
    )


def _rules(known: Catalogue, kind: type[Target], *, doubts: bool) -> Iterator[Rule]:
    return (rule for entry in known.over(kind) for rule in entry.rules if rule.doubts is doubts)
