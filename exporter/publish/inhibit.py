"""Makes the alert that inhibits others in Alertmanager (data/alertmanager.yml). It is sent to nobody.

The problem: if a domain disappears, all that is looked at of it is broken. People need one alert for the cause.

It is separate from the alert for people, because it needs other times:

- It has no `for` and does not wait for confirmation. A consequence may be seen up to one interval before its cause.
- It lasts until each check has had time to look again.

Doubt about a resolver or a blocklist needs no such alert: the exporter confirms nothing while it is in doubt.
"""

from __future__ import annotations

from exporter.engine.catalogue import Catalogue
from exporter.engine.families import FINDING
from exporter.facts import Dead
from exporter.publish.alert import PREFIX, Alert, anywhere
from exporter.publish.promql import pattern
from exporter.publish.records import AGE
from exporter.publish.thresholds import Thresholds


def alert(known: Catalogue, given: Thresholds) -> Alert:
    dead = pattern(rule for rule in known.rules.values() if rule.implies is Dead.DOMAIN)
    return Alert(
        f"{PREFIX}DomainDead",
        expr=(
            f"max by ({given.by_job}, domain) (\n"
            f'  max_over_time({FINDING}{{finding=~"{dead}",severity="critical"}}[{given.gap}])\n'
            "  or\n"
            f'  {AGE}{{finding=~"{dead}",severity="critical"}}\n'
            "  or\n"
            # The parts are looked at again up to an interval later, and until then look broken still.
            f'  max_over_time(ALERTS{{alertstate="firing",finding=~"{dead}",severity="critical"}}[{given.settle}])\n'
            ")"
        ),
        summary="{{ $labels.domain }} does not exist",
        description="What else is wrong with it follows from that. What to do: nothing. It holds back other alerts.",
        runbook=f"{anywhere(given)}/",
        severity="none",
        scope="mute",
    )
