"""A dashboard without its panels: the grid, the variables, links to other dashboards, and marks of record changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exporter.engine.catalogue import Catalogue
from exporter.publish.grafana.panels import DATASOURCE, Column, Json, Link
from exporter.publish.promql import checks
from exporter.publish.thresholds import Thresholds
from exporter.targets import Greeting, ListHealth, MailHost, OwnResolver, Selector

TAG = "deliverability"
WIDTH = 24  # columns of Grafana's grid
MARKS = 50  # at most
SCHEMA = 39  # of Grafana 11; later ones bring it up to theirs when they load it
HERE = 'job=~"$job",instance=~"$instance"'

# Whose a series is, as people read it: the address behind the mail host, since a finding can name one besides.
_TOLD = tuple(label for kind in (Selector, MailHost, Greeting, ListHealth) for label in kind.LABELS)
# The page on the exporter that shows most of a series: the first pattern that matches these labels, joined by ";".
# A finding can name an ip or a mail_host besides those of its target, and only a target's mail_host has a port.
_PAGED = ("check", "domain", "mail_port", "mail_host", "ip", "blocklist")
_PAGES = (
    ("domain=$1", "[^;]*;([^;]+);.*"),
    ("mail_host=$1", "[^;]*;;[^;]+;([^;]+);.*"),
    ("ip=$1", "[^;]*;;;[^;]*;([^;]+);.*"),
    ("blocklist=$1", ".*;([^;]+)"),
)
_KINDS = "domain|ip|mail_host"  # that have a dashboard of their own, called deliverability-KIND

_KEEP = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"


@dataclass(frozen=True)
class Board:
    """`name` is in the file's name and the uid; `panels` are rows of the grid: (height, [(width, panel), ...])."""

    name: str
    title: str
    says: str
    variables: Sequence[Json]
    panels: Sequence[tuple[int, Sequence[tuple[int, Json]]]]
    changes: str = ""  # matchers of the record changes that are marked
    since: str = "now-24h"

    def json(self) -> Json:
        return {
            "uid": f"deliverability-{self.name}",
            "title": self.title,
            "description": self.says,
            "tags": [TAG],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "1m",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "fiscalYearStartMonth": 0,
            "links": [_others()],
            "annotations": {"list": list(_annotations(self.changes))},
            "templating": {"list": [*_common(), *self.variables]},
            "panels": self._placed(),
        }

    def _placed(self) -> list[Json]:
        """Raise ValueError for a row that is not exactly as wide as the grid."""
        placed: list[Json] = []
        y = 0
        for height, row in self.panels:
            x = 0
            for width, panel in row:
                placed.append({"id": len(placed) + 1, "gridPos": {"x": x, "y": y, "w": width, "h": height}, **panel})
                x += width
            if x != WIDTH:
                raise ValueError(f"{self.name}: a row is {x} wide, not {WIDTH}")
            y += height
        return placed


def row(title: str) -> tuple[int, list[tuple[int, Json]]]:
    """A heading."""
    return 1, [(WIDTH, {"type": "row", "title": title, "collapsed": False, "panels": []})]


def of(metric: str, matchers: str = "") -> str:
    """The series of the chosen exporters."""
    return f"{metric}{{{HERE}{',' if matchers else ''}{matchers}}}"


def owned(expr: str) -> str:
    """The same with the label `owner`: the value of the label that the variable names."""
    named = f'label_replace({expr}, "owner", "$1", "$owner", "(.*)")'
    return f'label_replace({named}, "owner", "(none)", "owner", "")'


def _quoted(labels: Sequence[str]) -> str:
    return ", ".join(f'"{label}"' for label in labels)


TOLD = {
    "page": Column("page", hidden=True),
    "kind": Column("kind", hidden=True),
    "name": Column("name", hidden=True),
    "instance": Column("instance", hidden=True),
}


class Links:
    """Links from the cells of a table. The row must have the labels of `labelled`, or the one that is named."""

    def __init__(self, known: Catalogue, given: Thresholds) -> None:
        own = "|".join(checks(known, OwnResolver))
        self._pages = ((OwnResolver().key, f"({own});.*"), *_PAGES)
        self._exporter = given.exporter_url or "http://${__data.fields.instance}"

    def labelled(self, expr: str) -> str:
        """With labels for people: `target`, its `page` on the exporter, and `kind` and `name` of its dashboard."""
        labelled = f'label_join({expr}, "target", " ", {_quoted(_TOLD)})'
        labelled = f'label_join({labelled}, "page", ";", {_quoted(_PAGED)})'
        for page, pattern in self._pages:
            labelled = f'label_replace({labelled}, "page", "{page}", "page", "{pattern}")'
        labelled = f'label_replace({labelled}, "kind", "fleet", "check", ".*")'
        labelled = f'label_replace({labelled}, "kind", "$1", "page", "({_KINDS})=.+")'
        return f'label_replace({labelled}, "name", "$2", "page", "({_KINDS})=(.+)")'

    def target(self) -> tuple[Link, ...]:
        """The dashboard of the row's target, and its page with the evidence."""
        url = "/d/deliverability-${__data.fields.kind}?var-${__data.fields.kind}=${__data.fields.name}&" + _KEEP
        return Link("Dashboard", url), self.page("${__data.fields.page}")

    def page(self, key: str) -> Link:
        return Link("Evidence and fix, on the exporter", f"{self._exporter}/targets/{key}", new_tab=True)

    def runbook(self) -> Link:
        url = f"{self._exporter}/findings/${{__data.fields.finding}}"
        return Link("What it means, and the fix", url, new_tab=True)

    def receiver(self) -> Link:
        url = f"{self._exporter}/receivers/${{__data.fields.receiver}}/${{__data.fields.domain}}"
        return Link("Demand by demand, on the exporter", url, new_tab=True)

    def exporter(self) -> Link:
        return Link("The exporter's pages", self._exporter, new_tab=True)

    @staticmethod
    def board(kind: str) -> Link:
        """The dashboard of the domain, ip or mail_host in the row."""
        return Link("Dashboard", f"/d/deliverability-{kind}?var-{kind}=${{__data.fields.{kind}}}&{_KEEP}")


def choice(name: str, label: str, query: str, **more: Any) -> Json:
    """A variable whose values come from Prometheus: label_values(...) or label_names(...)."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,
        "sort": 1,
        **more,
    }


def every(name: str, label: str, query: str, **more: Any) -> Json:
    """A variable that begins with "all", and of which several values can be chosen."""
    current = {"text": ["All"], "value": ["$__all"]}
    return choice(name, label, query, multi=True, includeAll=True, current=current, **more)


def _common() -> list[Json]:
    return [
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
        every("job", "Job", "label_values(deliverability_exporter_build_info, job)"),
        every("instance", "Exporter", 'label_values(deliverability_exporter_build_info{job=~"$job"}, instance)'),
    ]


def _others() -> Json:
    return {
        "type": "dashboards",
        "title": "Deliverability",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _annotations(changes: str) -> list[Json]:
    marks: list[Json] = [
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        }
    ]
    if changes:
        marks.append(_record_changes(changes))
    return marks


def _record_changes(matchers: str) -> Json:
    """The value is the time of the change, so the mark is where the record changed, not where it was seen.

    `@ end()`: looked up once, not at each step. For 10,000 domains and a day that is 0.5 s instead of 14 s.
    """
    changed = of("deliverability_record_changed_timestamp_seconds", matchers)
    return {
        "name": "Record changes",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "purple",
        "expr": f"topk({MARKS}, {changed} @ end()) * 1000",
        "useValueForTime": True,
        "titleFormat": "{{check}} record changed",
        "textFormat": "{{domain}} {{selector}} {{ip}} {{sender}}",
        "tagKeys": "check",
        "step": "10m",
    }
