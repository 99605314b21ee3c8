"""The rules file that Prometheus loads, as readable YAML, and the same for the Prometheus operator and for Mimir."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import yaml

from exporter.engine.catalogue import Catalogue
from exporter.publish import alert_page, exporter_alerts, eyes, findings, inhibit, slo
from exporter.publish.alert import Alert
from exporter.publish.records import records
from exporter.publish.thresholds import Thresholds

HEAD = """\
# Made by `deliverability-exporter publish`; the next run overwrites changes.
# Thresholds: `deliverability-exporter publish --thresholds FILE DIR`; prometheus/thresholds.yml shows all keys.
# Severities, accept and labels in the exporter's configuration change alerts, too.
"""
GROUP = 20  # rules, at most: what Mimir takes of one group
OBJECT = 200_000  # octets, at most: an object of Kubernetes may have a megabyte, and is kept twice
_NAME = "deliverability"


class Style(StrEnum):
    """`generic`: a few alerts, told apart by labels. `each`: one alert for each finding."""

    GENERIC = "generic"
    EACH = "each"


class Format(StrEnum):
    """For whom the rules are: a file of Prometheus, an object of its operator, a namespace of mimirtool."""

    PROMETHEUS = "prometheus"
    PROMETHEUSRULE = "prometheusrule"
    MIMIR = "mimir"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def groups(known: Catalogue, given: Thresholds, style: Style = Style.GENERIC) -> list[dict[str, Any]]:
    """The groups of a rules file. Rules come after those that they use, because a group is evaluated in order."""
    of_findings = findings.each(known, given) if style is Style.EACH else findings.generic(known, given)
    inhibiting = inhibit.alert(known, given)  # Alertmanager must get it first
    return [
        *_groups("records", list(records(given))),
        *_groups("findings", _plain([inhibiting, *of_findings, findings.flapping(given)])),
        *_groups("eyes", _plain(eyes.alerts(known, given))),
        *_groups("exporter", _plain(alert_page.hosted(exporter_alerts.alerts(known, given), given))),
        *_groups("slo", list(slo.records(known, given))),
    ]


def _plain(alerts: Iterator[Alert] | list[Alert]) -> list[dict[str, Any]]:
    return [alert.plain() for alert in alerts]


def _groups(name: str, rules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, start in enumerate(range(0, len(rules), GROUP), 1):
        yield {"name": f"{_NAME}-{name}" + (f"-{number}" if number > 1 else ""), "rules": rules[start : start + GROUP]}


def files(known: Catalogue, given: Thresholds, style: Style, format_: Format) -> Iterator[tuple[str, str]]:
    """Name and content of the files with rules: one for Prometheus, else as many as have room."""
    made = groups(known, given, style)
    parts = [made] if format_ is Format.PROMETHEUS else list(_parted(made))
    for number, part in enumerate(parts, 1):
        more = f"-{number}" if number > 1 else ""
        yield f"alerts{more}.yml", HEAD + dump(_object(part, f"{_NAME}{more}", format_))


def _object(part: list[dict[str, Any]], name: str, format_: Format) -> dict[str, Any]:
    if format_ is Format.PROMETHEUSRULE:
        return {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "deliverability-exporter"}},
            "spec": {"groups": part},
        }
    return {"namespace": name, "groups": part} if format_ is Format.MIMIR else {"groups": part}


def _parted(made: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    room, size = OBJECT * 3 // 4, 0  # what is indented more deeply takes more
    for group in made:
        length = len(json.dumps(group, ensure_ascii=False).encode())
        if part and size + length > room:
            yield part
            part = []
        size = length if not part else size + length
        part.append(group)
    yield part


def dump(content: Any) -> str:
    """YAML in the order given, texts of several lines as they are."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
