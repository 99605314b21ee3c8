"""The dashboards: Grafana's own model knows every field, every link leads somewhere, and every query asks for what is.

There is no Grafana here: that it draws them as meant is not tested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.engine import families
from exporter.net.dns.resolver import ResolverStats
from exporter.publish.grafana import boards
from exporter.publish.grafana.board import Board, row
from exporter.publish.thresholds import Thresholds
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from tests.publish.dashboards import (
    BOARDS,
    CATALOGUE,
    CLUSTER,
    OF_THE_RULES,
    OF_THE_SCRAPE,
    PANELS,
    QUERIES,
    VARIABLE,
    asked,
    clustered,
)
from tests.support.clock import FakeClock
from tools.grafana_com import shared

# Grafana's model of an annotation leaves these out: they belong to the data source, which reads them where they stand.
OF_THE_DATA_SOURCE = {"useValueForTime", "titleFormat", "textFormat", "tagKeys", "step"}

# What the fleet may ask for: totals, what exists only while something is wrong, and what is there once.
CHEAP = {
    "up",
    *OF_THE_RULES,
    families.CONFIG,
    families.OWN_PREFIX + "config_last_reload_success_timestamp_seconds",
    *(families.OVERDUE, families.PROBLEMS, families.CHECKS, families.INFO),
    *(families.FINDING, families.SINCE, families.REASON, families.LAST_CONCLUSIVE),
    *(families.ACCEPTED_UNTIL, families.RECORD_CHANGED),
}
# One series for each mail host or domain, of which the few that end first are asked for.
OF_EACH = {"Certificates that end next", "Registrations that end next"}

_FIELD = re.compile(r"\$\{__data\.fields\.(\w+)\}")
_METRIC = re.compile(r"\b([A-Za-z_:][A-Za-z0-9_:]*)\{")
_SELECTOR = re.compile(r"\b([A-Za-z_:][A-Za-z0-9_:]*)\{([^}]*)\}")


def test_grafanas_own_model_knows_every_field() -> None:
    """What goes in comes out again: the model drops what it does not know, so a misspelt option is missed."""
    register_default_plugins()
    for name, board in BOARDS.items():
        back = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
        assert [path for path in lost(board, back) if path.rpartition(".")[2] not in OF_THE_DATA_SOURCE] == [], name


def lost(before: Any, after: Any, path: str = "$") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{path}.{key}")
            elif value not in (None, [], {}, "", False):
                yield f"{path}.{key}"
    elif isinstance(before, list) and isinstance(after, list):
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{path}[{n}]")
    elif before != after:
        yield path


def test_a_misspelt_option_would_be_seen() -> None:
    register_default_plugins()
    board = json.loads(json.dumps(BOARDS["fleet"]))
    board["panels"][0]["options"]["colourMode"] = "value"
    back = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert "$.panels[0].options.colourMode" in set(lost(board, back))


def test_nothing_is_there_twice() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len({board["title"] for board in BOARDS.values()}) == 6
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


def test_no_panel_covers_another() -> None:
    for name, board in BOARDS.items():
        for one, other in combinations(board["panels"], 2):
            a, b = one["gridPos"], other["gridPos"]
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"]
            assert apart or b["y"] + b["h"] <= a["y"], (name, one["title"], other["title"])


def test_a_row_that_does_not_fill_the_grid_is_refused() -> None:
    board = Board("x", "X", "", variables=[], panels=[row("A heading"), (3, [(23, {"type": "stat"})])])
    with pytest.raises(ValueError, match="a row is 23 wide, not 24"):
        board.json()


def test_every_panel_says_what_it_shows() -> None:
    for name, panel in PANELS:
        if panel["type"] != "row":
            assert panel["description"].endswith("."), (name, panel["title"])


def test_only_panels_that_can_be_drawn_here() -> None:
    assert {panel["type"] for _, panel in PANELS} == {"row", "stat", "table", "timeseries", "bargauge"}


def test_every_link_leads_somewhere() -> None:
    """To a dashboard that there is, and with fields that the row has."""
    uids = {board["uid"] for board in BOARDS.values()}
    assert {f"deliverability-{kind}" for kind in ("fleet", "domain", "ip", "mail_host")} <= uids
    for name, panel in PANELS:
        columns = {
            column
            for change in panel.get("transformations", ())
            for column in change["options"].get("renameByName", ())
        }
        for link in links(panel):
            assert set(_FIELD.findall(link["url"])) <= columns, (name, panel["title"], link)
            if link["url"].startswith("/alerting/list?search="):
                continue
            board = re.match(r"/d/([\w-]+)\?", link["url"].replace("${__data.fields.kind}", "domain"))
            assert link["url"].startswith("http://${__data.fields.instance}") or (board and board[1] in uids), link


def links(panel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for override in panel.get("fieldConfig", {}).get("overrides", ()):
        for given in override["properties"]:
            if given["id"] == "links":
                yield from given["value"]
    yield from panel.get("fieldConfig", {}).get("defaults", {}).get("links", ())


def test_links_follow_the_address_that_is_given() -> None:
    for board in boards(CATALOGUE, Thresholds(exporter_url="https://mail.example.com/exporter")):
        told = json.dumps(board.json())
        assert "${__data.fields.instance}/" not in told
        assert board.name == "fleet" or "https://mail.example.com/exporter" in told


def test_every_metric_exists() -> None:
    exposition = Exposition(CATALOGUE, FakeClock(), 10, lambda: OwnHealth(dns=ResolverStats(), state_configured=True))
    pieces, _ = exposition.render()
    own = dict(re.findall(r"# TYPE (\w+) (\w+)", b"".join(pieces).decode()))
    names = {f"{name}_bucket" if kind == "histogram" else name for name, kind in own.items()}
    names |= families.HELP.keys() | {measure.name for measure in CATALOGUE.metrics} | OF_THE_SCRAPE | OF_THE_RULES
    for board in BOARDS.values():
        asked = [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
        asked += [mark["expr"] for mark in board["annotations"]["list"] if "expr" in mark]
        asked += [expr for name, _, expr, _ in QUERIES if name == board["uid"].removeprefix("deliverability-")]
        assert {metric for expr in asked for metric in _METRIC.findall(expr)} - names == set()


def test_every_variable_that_is_used_is_there() -> None:
    for name, board in BOARDS.items():
        there = {variable["name"] for variable in board["templating"]["list"]}
        used = {found for other, _, expr, _ in QUERIES if other == name for found in VARIABLE.findall(expr)}
        assert used - there <= {"__rate_interval"}


def test_every_selector_says_whose_exporters() -> None:
    for name, title, expr, _ in QUERIES:
        found = _SELECTOR.findall(expr)
        for metric, matchers in found:
            wanted = 'job=~"$job"' if metric in OF_THE_RULES else 'job=~"$job",instance=~"$instance"'
            assert matchers.startswith(wanted), (name, title, metric)
        named = set(re.findall(r"\bdeliverability[\w:]*", expr)) - {"deliverability_scope"}  # a label of alerts
        assert named <= {metric for metric, _ in found}, (name, title)


def test_clusters_are_a_variable_only_if_there_is_a_label_for_them() -> None:
    assert "cluster" not in json.dumps(BOARDS)
    for made, queries in clustered():
        assert "cluster" in {variable["name"] for variable in made["templating"]["list"]}
        for expr in queries:
            for metric, matchers in _SELECTOR.findall(expr):
                assert f'{CLUSTER}=~"$cluster"' in matchers, metric
            for clause in re.findall(r"(?:by|on) \(([^)]*)\)", expr):
                labels = clause.split(", ")
                assert ("job" in labels) == (CLUSTER in labels), clause
        for variable in made["templating"]["list"]:
            if variable["type"] == "query" and "{" in variable["query"]["query"]:
                assert f'{CLUSTER}=~"$cluster"' in variable["query"]["query"]
        assert "${cluster:queryparam}" in json.dumps(made) or made["uid"] == "deliverability-exporter"


def test_the_fleet_reads_no_series_of_what_is_well() -> None:
    """With 10,000 domains there are 360,000 of them; bench/dashboards.py measures what the queries cost."""
    for name, title, expr, _ in QUERIES:
        if name == "fleet" and title not in OF_EACH:
            assert set(_METRIC.findall(expr)) <= CHEAP, title
    assert {board["refresh"] for board in BOARDS.values()} == {"5m"}


def test_late_is_not_unknown() -> None:
    """Each has a number of its own, made from a total of its own."""
    assert families.OVERDUE in asked("fleet", "Late")
    assert "status" not in asked("fleet", "Late")
    for status in ("unknown", "pending"):
        expr = asked("fleet", status.capitalize())
        assert f'status="{status}"' in expr
        assert families.OVERDUE not in expr


def test_there_is_a_way_to_the_alerts_from_everywhere() -> None:
    for board in BOARDS.values():
        assert "/alerting/list?search=state:firing%20rule:Deliverability" in {link["url"] for link in board["links"]}


def test_what_goes_to_grafana_com_asks_for_its_data_source() -> None:
    register_default_plugins()
    for name, board in BOARDS.items():
        made = shared(board)
        text = json.dumps(made)
        assert "${datasource" not in text, name
        assert [it["name"] for it in made["__inputs"]] == ["DS_PROMETHEUS"]
        assert {panel["type"] for panel in made["panels"]} - {"row"} <= {it["id"] for it in made["__requires"]}
        assert made["id"] is None
        used = {target["datasource"]["uid"] for panel in made["panels"] for target in panel.get("targets", ())}
        assert used == {"${DS_PROMETHEUS}"}
        Dashboard.from_json(made)
