"""A dashboard without its panels: the grid, the variables, links to other dashboards, and marks of record changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.engine.families import BUILD, RECORD_CHANGED
from exporter.publish.grafana.links import alerts
from exporter.publish.grafana.panels import DATASOURCE, Json
from exporter.publish.grafana.queries import clustered, of

TAG = "deliverability"
WIDTH = 24  # columns of Grafana's grid
MARKS = 50  # at most
SCHEMA = 39  # of Grafana 11; later ones bring it up to theirs when they load it
REFRESH = "5m"  # checks look every quarter of an hour, and again after one and three minutes where all is not well


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

    def json(self, cluster: str = "") -> Json:
        """`cluster`: the label of clusters, if there is one; then it is a variable."""
        made = {
            "uid": f"deliverability-{self.name}",
            "title": self.title,
            "description": self.says,
            "tags": [TAG],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": REFRESH,
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "fiscalYearStartMonth": 0,
            "links": [_others(), _alerts()],
            "annotations": {"list": list(_annotations(self.changes))},
            "templating": {"list": [*_common(cluster), *self.variables]},
            "panels": self._placed(),
        }
        for asks in _asking(made):
            asks["expr"] = clustered(asks["expr"], cluster)
        for variable in self.variables:
            if variable["type"] == "query":
                variable["query"]["query"] = clustered(variable["query"]["query"], cluster)
        return made

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


def _common(cluster: str) -> list[Json]:
    datasource: Json = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"}
    clusters, among = [], ""
    if cluster:
        clusters = [every("cluster", "Cluster", f"label_values({BUILD}, {cluster})", allValue=".*")]
        among = f'{{{cluster}=~"$cluster"}}'
    jobs = every("job", "Job", f"label_values({BUILD}{among}, job)")
    within = clustered('job=~"$job"', cluster)
    return [datasource, *clusters, jobs, every("instance", "Exporter", f"label_values({BUILD}{{{within}}}, instance)")]


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


def _alerts() -> Json:
    link = alerts()
    return {
        "type": "link",
        "title": link.title,
        "url": link.url,
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": False,
        "icon": "bolt",
        "tooltip": "Also those that Prometheus evaluates",
    }


def _asking(board: Json) -> Iterator[Json]:
    """Everything that has a query."""
    for panel in board["panels"]:
        yield from panel.get("targets", ())
    yield from (mark for mark in board["annotations"]["list"] if "expr" in mark)


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
    return {
        "name": "Record changes",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "purple",
        "expr": f"topk({MARKS}, {of(RECORD_CHANGED, matchers)} @ end()) * 1000",
        "useValueForTime": True,
        "titleFormat": "{{check}} record changed",
        "textFormat": "{{domain}} {{selector}} {{ip}} {{sender}}",
        "tagKeys": "check",
        "step": "10m",
    }
