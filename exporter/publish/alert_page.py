"""One page about the alerts that watch the exporter, beside those of the findings.

These alerts fire when the exporter may be down. So a link to its own pages may lead nowhere, and `--runbook-url` counts
for them, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from exporter.engine.catalogue import Catalogue
from exporter.publish import exporter_alerts, links
from exporter.publish.alert import Alert
from exporter.publish.finding_pages import FOLDER, INDEX, MADE
from exporter.publish.markdown import joined, plain
from exporter.publish.thresholds import Thresholds

NAME = "exporter"
_VALUE = re.compile(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}")
_HEAD = f"""\
These alerts say that the exporter does not run, does not see its targets, does not keep its state, or has no room. What
it knows of mail may then be old. Capitals stand for what the alert fills in. Findings about mail: [index]({INDEX})."""


def pages(known: Catalogue, given: Thresholds) -> Iterator[tuple[str, str]]:
    """Path below the directory, and content."""
    told = {alert.name: alert for alert in exporter_alerts.alerts(known, given)}
    yield f"{FOLDER}/{NAME}.md", joined("# Alerts about the exporter", MADE, _HEAD, *map(_alert, told.values()))


def hosted(alerts: Iterable[Alert], given: Thresholds) -> Iterator[Alert]:
    """The alerts with links to that page, if it is hosted somewhere."""
    for alert in alerts:
        yield replace(alert, runbook=links.about(given, NAME, alert.name, alert.name.lower()) or alert.runbook)


def _alert(alert: Alert) -> str:
    meaning, _, to_do = alert.description.partition(" What to do: ")
    lines = [meaning, f"- To do: {to_do[:1].upper()}{to_do[1:]}"]
    return joined(
        f'<a id="{alert.name}"></a>', f"## {alert.name}", *(_words(it) for it in (f"{alert.summary}.", *lines))
    )


def _words(text: str) -> str:
    return plain(_VALUE.sub(lambda found: found[1].upper(), text))
