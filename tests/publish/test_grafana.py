"""The dashboards: Grafana's own model knows every field, every link leads somewhere, and every query asks for what is.

There is no Grafana here: that it draws them as meant is not tested.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.engine import catalogue, families
from exporter.net.dns.resolver import ResolverStats
from exporter.publish.grafana import boards
from exporter.publish.grafana.board import Board, row
from exporter.publish.thresholds import Thresholds
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from tests.lab.exporter import ROOT
from tests.lab.process import Lab, free, until
from tests.lab.prometheus import Prometheus, prometheus
from tests.support.clock import FakeClock

CATALOGUE = catalogue.load()
BOARDS: dict[str, dict[str, Any]] = {board.name: board.json() for board in boards(CATALOGUE, Thresholds())}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
QUERIES = [
    (name, panel["title"], target["expr"], panel["type"])
    for name, panel in PANELS
    for target in panel.get("targets", ())
]

# Grafana's model of an annotation leaves these out: they belong to the data source, which reads them where they stand.
OF_THE_DATA_SOURCE = {"useValueForTime", "titleFormat", "textFormat", "tagKeys", "step"}

# What a query may name besides the exporter's own families: Prometheus makes these when it scrapes.
OF_THE_SCRAPE = {"up", "scrape_duration_seconds"}

SCRAPES = 1.0  # seconds between two
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
    "job": (".+",),
    "instance": (".+",),
}
CHANGES = "no record changes in the demonstration"
EMPTY_BY_DESIGN = {
    ("fleet", "Records changed last"): CHANGES,
    ("domain", "Records changed last"): CHANGES,
}

_FIELD = re.compile(r"\$\{__data\.fields\.(\w+)\}")
_METRIC = re.compile(r"\b([a-z][a-z0-9_]+)\{")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")


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
    names |= families.HELP.keys() | {measure.name for measure in CATALOGUE.metrics} | OF_THE_SCRAPE
    for board in BOARDS.values():
        asked = [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
        asked += [mark["expr"] for mark in board["annotations"]["list"] if "expr" in mark]
        asked += [expr for name, _, expr, _ in QUERIES if name == board["uid"].removeprefix("deliverability-")]
        assert {metric for expr in asked for metric in _METRIC.findall(expr)} - names == set()


def test_every_variable_that_is_used_is_there() -> None:
    for name, board in BOARDS.items():
        there = {variable["name"] for variable in board["templating"]["list"]}
        used = {found for other, _, expr, _ in QUERIES if other == name for found in _VARIABLE.findall(expr)}
        assert used - there <= {"__rate_interval"}


@pytest.fixture(scope="module")
def monitor(lab: Lab) -> Prometheus:
    """A real Prometheus that has scraped the demonstration, until it can tell rates of all that it does."""
    at = free()
    config = (
        f"global: {{scrape_interval: {SCRAPES:g}s}}\n"
        f"scrape_configs: [{{job_name: demo, honor_labels: true, static_configs: [{{targets: ['{at}']}}]}}]\n"
    )
    monitor = prometheus(lab, config)
    command = [sys.executable, "-m", "exporter", "demo", f"--web.listen-address={at}"]

    def ready() -> bool:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{at}/-/ready", timeout=1):
                return True
        except OSError:
            return False

    lab.start("demo", command, ready, within=30.0, env={"PYTHONPATH": str(ROOT)})
    told = 'count(deliverability_check_unknown) unless count(deliverability_check_unknown_reason{reason="pending"})'
    until(lambda: bool(monitor.query(told)), "every first run has ended", 60.0, every=0.2)
    rates = "rate(deliverability_exporter_runs_unknown_total[4s])"
    until(lambda: bool(monitor.query(rates)), "there are rates", 20.0, every=0.2)
    sure = 'deliverability_finding_since_timestamp_seconds{check="smtp_tls"}'
    until(lambda: bool(monitor.query(sure)), "a finding is confirmed", 60.0, every=0.2)
    return monitor


def filled(expr: str, **values: str) -> str:
    given = {name: them[0] for name, them in CHOSEN.items()} | {"__rate_interval": "4s"} | values
    return _VARIABLE.sub(lambda found: given[found[1]], expr)


def choices(expr: str) -> Iterator[str]:
    """The query with each value of the one variable that it has of its own."""
    own = [name for name in ("domain", "ip", "mail_host", "owner") if f"${name}" in expr] or ["job"]
    for value in CHOSEN[own[0]]:
        yield filled(expr, **{own[0]: value})


@pytest.mark.lab
def test_every_query_returns_data_or_is_empty_by_design(monitor: Prometheus) -> None:
    empty = {
        (name, title) for name, title, expr, _ in QUERIES if not any(monitor.query(asked) for asked in choices(expr))
    }
    assert empty <= EMPTY_BY_DESIGN.keys()


def as_if_changed(expr: str) -> str:
    return expr.replace(families.RECORD_CHANGED, families.UNKNOWN)


@pytest.mark.lab
def test_what_is_empty_by_design_would_have_data(monitor: Prometheus) -> None:
    """If records had changed: asked of a family with the same labels."""
    for name, title, expr, _ in QUERIES:
        if EMPTY_BY_DESIGN.get((name, title)) == CHANGES:
            assert any(monitor.query(as_if_changed(asked)) for asked in choices(expr)), (name, title)


@pytest.mark.lab
def test_the_marks_of_record_changes_have_a_time(monitor: Prometheus) -> None:
    marks = [mark["expr"] for board in BOARDS.values() for mark in board["annotations"]["list"] if "expr" in mark]
    assert marks
    for expr in marks:
        assert not any(monitor.query(asked) for asked in choices(expr)), "there has been no change"
        assert any(monitor.query(as_if_changed(asked)) for asked in choices(expr)), expr


@pytest.mark.lab
def test_nothing_known_is_never_shown_as_nothing_wrong(monitor: Prometheus) -> None:
    """Of an exporter that is not there no panel has a number, and so none has a good one."""
    for name, title, expr, _ in QUERIES:
        assert monitor.query(filled(expr, job="another")) == {}, (name, title)


@pytest.mark.lab
def test_a_cell_of_a_table_has_one_value(monitor: Prometheus) -> None:
    """Queries of a table are joined by their labels: those that share them must agree on what a row is."""
    for name, panel in PANELS:
        if panel["type"] != "table":
            continue
        columns = set(panel["transformations"][-1]["options"]["indexByName"])
        for target in panel["targets"]:
            for asked in choices(target["expr"]):
                for labels in monitor.query(asked):
                    assert {label for label, _ in labels} <= columns, (name, panel["title"])


@pytest.mark.lab
def test_variables_find_their_values(monitor: Prometheus) -> None:
    for name, board in BOARDS.items():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            query = variable["query"]["query"]
            if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
                values = {
                    v for labels in monitor.query(f"count by ({found[2]}) ({filled(found[1])})") for _, v in labels
                }
                assert set(CHOSEN[variable["name"]]) - {".+"} <= values, (name, query)
                assert values, (name, query)
            else:
                (metric,) = re.fullmatch(r"label_names\((.+)\)", query).groups()  # type: ignore[union-attr]  # or fail
                labels = {label for series in monitor.query(metric) for label, _ in series}
                wanted = re.compile(variable["regex"].strip("/"))
                assert {label for label in labels if wanted.match(label)} == {"check", "team", "env"}


@pytest.mark.lab
def test_numbers_are_what_the_exporter_says(monitor: Prometheus) -> None:
    def column(board: str, title: str, number: int = 0) -> dict[str, float]:
        """Value by the first of domain, mail host or blocklist."""
        expr = [expr for name, panel, expr, _ in QUERIES if (name, panel) == (board, title)][number]
        return {
            next(value for label, value in labels if label in {"mail_host", "domain", "blocklist", "reason"}): found
            for labels, found in monitor.query(filled(expr)).items()
        }

    (critical,) = monitor.query(
        filled(next(expr for n, t, expr, _ in QUERIES if (n, t) == ("fleet", "Critical")))
    ).values()
    assert critical == sum(monitor.query('deliverability_finding{severity="critical"}').values()) > 10
    for board, title, number in (("fleet", "Certificates that end next", 0), ("mail_host", "Mail hosts", 5)):
        days = column(board, title, number)
        assert days["certificate-expired.example.net"] < 0 < days["certificate-expiring.example.net"] < 14
    assert column("mail_host", "Mail hosts", 0)["refuses-connections.example.net"] == 3
    assert column("ip", "Blocklists", 0)["dead-list"] == 2
    assert column("ip", "Blocklists", 1)["spamhaus-zen"] == 1
