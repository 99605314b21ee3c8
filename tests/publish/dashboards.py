"""The dashboards as tests ask them: their panels, their queries, and values for their variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from exporter.engine import catalogue
from exporter.publish.grafana import boards
from exporter.publish.rules import groups
from exporter.publish.thresholds import Thresholds

CATALOGUE = catalogue.load()
BOARDS: dict[str, dict[str, Any]] = {board.name: board.json() for board in boards(CATALOGUE, Thresholds())}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
QUERIES: list[tuple[str, str, str, str]] = [
    (name, panel["title"], target["expr"], panel["type"])
    for name, panel in PANELS
    for target in panel.get("targets", ())
]
# What a query may name besides the exporter's own families: Prometheus makes these.
OF_THE_SCRAPE = {"up", "scrape_duration_seconds"}
OF_THE_RULES = {"ALERTS"} | {
    rule["record"] for group in groups(CATALOGUE, Thresholds()) for rule in group["rules"] if "record" in rule
}
CLUSTER = "region"  # the label of clusters, where there is one
CHOSEN = {  # values of variables: data for one of them is enough
    "domain": (
        "example.com",
        "spf-and-dkim-forgotten.example.net",
        "dmarc-missing.example",
        "not-answered.example.net",
    ),
    "ip": ("198.51.100.31", "192.0.2.10", "198.51.100.23"),
    "mail_host": (".+",),
    "owner": ("team",),
    "only": (".*",),
    "cluster": (".*",),
    "job": (".+",),
    "instance": (".+",),
}
VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")


def filled(expr: str, **values: str) -> str:
    given = {name: them[0] for name, them in CHOSEN.items()} | {"__rate_interval": "4s"} | values
    return VARIABLE.sub(lambda found: given.get(found[1], found[0]), expr)


def choices(expr: str) -> Iterator[str]:
    """The query with each value of the one variable that it has of its own."""
    own = [name for name in ("domain", "ip", "mail_host", "owner") if f"${name}" in expr] or ["job"]
    for value in CHOSEN[own[0]]:
        yield filled(expr, **{own[0]: value})


def asked(board: str, title: str, number: int = 0) -> str:
    """The query of a panel."""
    return [expr for name, panel, expr, _ in QUERIES if (name, panel) == (board, title)][number]


def clustered() -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The dashboards for several clusters, with their queries."""
    for board in boards(CATALOGUE, Thresholds(cluster_label=CLUSTER)):
        made = board.json(CLUSTER)
        yield made, [target["expr"] for panel in made["panels"] for target in panel.get("targets", ())]
