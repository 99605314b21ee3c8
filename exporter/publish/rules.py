"""The rules file that Prometheus loads, as readable YAML."""

from __future__ import annotations

from typing import Any

import yaml

from exporter.engine.catalogue import Catalogue
from exporter.publish import exporter_alerts, findings, inhibit
from exporter.publish.thresholds import Thresholds

HEAD = """\
# Made by `deliverability-exporter publish` from the catalogue of findings; changes are lost with the next one.
# Thresholds: `deliverability-exporter publish --thresholds FILE DIR`; prometheus/thresholds.yml shows what there is.
# What an alert says of a target depends on the exporter's configuration, too: severities, accept, labels.
"""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def groups(known: Catalogue, given: Thresholds) -> list[dict[str, Any]]:
    """The groups of a rules file. Alerts come after the rules that they use, because a group is evaluated in order."""
    alerts = [alert.plain() for entry in known.entries for alert in findings.alerts(entry, given)]
    inhibiting = [alert.plain() for alert in inhibit.alerts(known, given)]  # Alertmanager must get them first
    watching = [alert.plain() for alert in exporter_alerts.alerts(known, given)]
    return [
        {"name": "deliverability-findings", "rules": [findings.age(given), *inhibiting, *alerts]},
        {"name": "deliverability-watch", "rules": watching},
    ]


def rules(known: Catalogue, given: Thresholds) -> str:
    """Alerting and recording rules."""
    return HEAD + dump({"groups": groups(known, given)})


def dump(content: Any) -> str:
    """YAML in the order given, texts of several lines as they are."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
