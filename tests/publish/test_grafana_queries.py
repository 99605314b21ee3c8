"""The queries of the dashboards, asked of a real Prometheus that scrapes the demonstration."""

from __future__ import annotations

import json
import re
import sys
import urllib.request

import pytest

from exporter.engine import families
from exporter.publish.rules import dump, groups
from exporter.publish.slo import RATIO
from exporter.publish.thresholds import Thresholds
from tests.lab.exporter import ROOT
from tests.lab.process import Lab, free, until
from tests.lab.prometheus import Prometheus, prometheus
from tests.publish.dashboards import BOARDS, CATALOGUE, CHOSEN, PANELS, QUERIES, asked, choices, clustered, filled

SCRAPES = 1.0  # seconds between two
CHANGES = "no record changes in the demonstration"
EMPTY_BY_DESIGN = {
    ("fleet", "Records changed last"): CHANGES,
    ("domain", "Records changed last"): CHANGES,
}
ANY, ONE = 'instance=~".+"', 'instance=~"127.+"'


@pytest.fixture(scope="module")
def monitor(lab: Lab) -> Prometheus:
    """A real Prometheus that has scraped the demonstration, until it can tell rates of all that it does.

    It knows the one exporter by two addresses: that is a pair with one configuration.
    """
    at = free()
    ours = groups(CATALOGUE, Thresholds(job="demo"))
    file = lab.write("rules.yml", dump({"groups": ours}))
    config = (
        f"global: {{scrape_interval: {SCRAPES:g}s, evaluation_interval: {SCRAPES:g}s}}\n"
        f"rule_files: ['{file}']\n"
        "scrape_configs: [{job_name: demo, honor_labels: true, "
        f"static_configs: [{{targets: ['{at}', 'localhost:{at.port}']}}]}}]\n"
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
    until(lambda: bool(monitor.query(RATIO)), "the rules have run", 20.0, every=0.2)
    return monitor


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
            for expr in choices(target["expr"]):
                for labels in monitor.query(expr):
                    assert {label for label, _ in labels} <= columns, (name, panel["title"])


@pytest.mark.lab
def test_variables_find_their_values(monitor: Prometheus) -> None:
    for name, board in BOARDS.items():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            query = filled(variable["query"]["query"])
            if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
                values = {
                    v for labels in monitor.query(f"count by ({found[2]}) ({filled(found[1])})") for _, v in labels
                }
                assert set(CHOSEN[variable["name"]]) - {".+", ".*"} <= values, (name, query)
                assert values, (name, query)
            else:
                (metric,) = re.fullmatch(r"label_names\((.+)\)", query).groups()  # type: ignore[union-attr]  # or fail
                series = monitor.query(f'{{__name__=~".*{metric}.*"}}')  # as Grafana asks for them
                labels = {label for one in series for label, _ in one}
                wanted = re.compile(variable["regex"].strip("/"))
                assert {label for label in labels if wanted.match(label)} == {"check", "team", "env"}


@pytest.mark.lab
def test_a_pair_of_exporters_counts_once(monitor: Prometheus) -> None:
    """The exporter by its two addresses shows what it shows by one; only its own dashboard has a row for each."""
    for name, title, expr, _ in QUERIES:
        if name == "exporter" or title == "Exporters down":
            continue
        for two in choices(expr):
            shown = [without(labels) for labels in monitor.query(two)]
            assert len(shown) == len(set(shown)), (name, title)
            assert set(shown) == {without(labels) for labels in monitor.query(two.replace(ANY, ONE))}, (name, title)
    for name, title, expr, kind in QUERIES:
        if kind == "stat" and name in ("fleet", "domain") and title != "Exporters down":
            for two in choices(expr):
                assert monitor.query(two) == monitor.query(two.replace(ANY, ONE)), (name, title)


def without(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in labels if name != "instance")


@pytest.mark.lab
def test_what_is_wrong_is_told_in_words(monitor: Prometheus) -> None:
    """Once for each finding and severity, with the words of notices; what is not confirmed yet is shown as that."""
    rows = [dict(labels) for labels in monitor.query(filled(asked("fleet", "Wrong now", 1)))]
    assert len({(row["finding"], row["severity"]) for row in rows}) == len(rows) > 20
    assert all(row["title"] and row["impact"] and row["fix"] for row in rows)
    newest = filled(asked("fleet", "Newest"))
    assert max(monitor.query(newest).values()) > 0
    unconfirmed = newest.replace(families.SINCE, "none_has_been_confirmed")
    assert set(monitor.query(unconfirmed).values()) == {0}
    (panel,) = (panel for name, panel in PANELS if (name, panel["title"]) == ("fleet", "Newest"))
    assert "not confirmed yet" in json.dumps(panel["fieldConfig"])


@pytest.mark.lab
def test_queries_for_clusters_are_understood(monitor: Prometheus) -> None:
    for _, queries in clustered():
        for expr in queries:
            monitor.query(filled(expr))


@pytest.mark.lab
def test_numbers_are_what_the_exporter_says(monitor: Prometheus) -> None:
    def column(board: str, title: str, number: int = 0, **values: str) -> dict[str, float]:
        """Value by the first of domain, mail host, blocklist or check."""
        expr = asked(board, title, number)
        return {
            next(value for label, value in labels if label in {"mail_host", "domain", "blocklist", "check"}): found
            for labels, found in monitor.query(filled(expr, **values)).items()
        }

    (critical,) = monitor.query(filled(asked("fleet", "Critical"))).values()
    (problems,) = monitor.query(f'sum({families.PROBLEMS}{{instance=~"127.*",severity="critical"}})').values()
    assert critical == problems > 10
    lights = column("domain", "Checks", domain="spf-and-dkim-forgotten.example.net")
    assert {lights["dkim"], lights["spf_sender"]} == {4}
    assert {lights["mx"], lights["dmarc"], lights["ptr"], lights["smtp_tls"]} == {0}, "those of its machines too"
    assert column("domain", "Checks", domain="not-answered.example.net")["dkim"] == 2
    for board, title, number in (("fleet", "Certificates that end next", 0), ("mail_host", "Mail hosts", 5)):
        days = column(board, title, number)
        assert days["certificate-expired.example.net"] < 0 < days["certificate-expiring.example.net"] < 14
    assert column("mail_host", "Mail hosts", 0)["refuses-connections.example.net"] == 4
    assert column("ip", "Blocklists", 0)["dead-list"] == 3
    assert column("ip", "Blocklists", 1)["spamhaus-zen"] == 1
