"""What the queries of the dashboards cost a Prometheus. Run by hand: python -m bench.dashboards [DOMAINS] [--runs=3]

A real Prometheus scrapes a fleet that has no network (steady_fleet.py), and gets a history of everything that graphs
read: a day minute by minute, and 30 days of the share of domains without a critical finding. Then each query of each
dashboard is asked as Grafana asks it, with the steps of a wide screen, while Prometheus has nothing else to do. Told is
the median of the runs, by panel, and the sum for each dashboard, also in CPU time: what one viewer costs with each
refresh. Compare CPU time where other programs run beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.steady_fleet import CATALOGUE, Shape, SteadyFleet, served
from exporter.engine.families import CONFIG
from exporter.publish.grafana import boards
from exporter.publish.rules import dump, groups
from exporter.publish.slo import RATIO
from exporter.publish.thresholds import Thresholds

JOB = "deliverability-exporter"
SCRAPE = 30  # seconds
SETTLED = 150  # seconds until scrapes, and the rules that build on each other, have something to tell
RESTING = 10  # seconds until Prometheus has nothing to do
POINTS = 700  # of a graph
_TICKS = os.sysconf("SC_CLK_TCK")
CHOSEN = {
    "job": ".+",
    "instance": ".+",
    "owner": "check",
    "only": ".*",
    "domain": "d7.example",
    "ip": "11.0.0.7",
    "mail_host": ".+",
    "__rate_interval": f"{4 * SCRAPE}s",
}
_UNITS = {"m": 60, "h": 3600, "d": 86400}
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_METRIC = re.compile(r"\b([a-z][a-z0-9_]+)\{")
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Query:
    board: str
    panel: str
    expr: str
    lasts: int  # seconds of the graph; 0 for a query of this moment


def queries() -> Iterator[Query]:
    """All of them, with values for the variables."""
    for board in boards(CATALOGUE, Thresholds()):
        made = board.json()
        whole = _seconds(made["time"]["from"].removeprefix("now-"))
        for panel in made["panels"]:
            lasts = _seconds(panel["timeFrom"]) if "timeFrom" in panel else whole
            for target in panel.get("targets", ()):
                yield Query(board.name, panel["title"], _filled(target["expr"]), 0 if target["instant"] else lasts)
        for mark in made["annotations"]["list"]:
            if "expr" in mark:
                yield Query(board.name, f"marks: {mark['name']}", _filled(mark["expr"]), whole)


def _filled(expr: str) -> str:
    return _VARIABLE.sub(lambda found: CHOSEN.get(found[1], found[0]), expr)


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def history(text: bytes, asked: Iterable[Query], instance: str, now: int) -> Iterator[str]:
    """OpenMetrics: a day of what graphs read, as it is now."""
    read = {CONFIG} | {name for it in asked if it.lasts for name in _METRIC.findall(it.expr)}
    own = f'job="{JOB}",instance="{instance}"'
    by_family: dict[str, list[tuple[str, str]]] = {}
    for line in text.decode().splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] in read and _drawn(found[1], found[2] or ""):
            by_family.setdefault(found[1], []).append((",".join(filter(None, (own, found[2]))), found[3]))
    for name, series in by_family.items():
        yield f"# TYPE {name} gauge\n"
        for labels, value in series:
            yield from (f"{name}{{{labels}}} {value} {at}\n" for at in range(now - 86400, now - 300, 60))
    yield "# EOF\n"


def shares(now: int) -> Iterator[str]:
    """30 days of the share of good domains, which goes down a little."""
    yield f"# TYPE {RATIO} gauge\n"
    yield from (
        f'{RATIO}{{job="{JOB}"}} {0.97 - (now - at) / 1e8:.6f} {at}\n' for at in range(now - 30 * 86400, now - 300, 60)
    )
    yield "# EOF\n"


def _drawn(name: str, labels: str) -> bool:
    """Of what has a series for each target, a graph reads that of one domain or address; mail hosts are few."""
    named = re.search(r'\b(domain|ip)="([^"]*)"', labels)
    return name == CONFIG or not named or named[2] in (CHOSEN["domain"], CHOSEN["ip"])


class Prometheus:
    def __init__(self, folder: Path, exporter: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.now = 0
        self.config = folder / "prometheus.yml"
        rules = folder / "rules.yml"
        rules.write_text(dump({"groups": groups(CATALOGUE, Thresholds())}))
        scraped = [{"job_name": JOB, "honor_labels": True, "static_configs": [{"targets": [exporter]}]}]
        intervals = {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": f"{SCRAPE}s"}
        self.config.write_text(json.dumps({"global": intervals, "rule_files": [str(rules)], "scrape_configs": scraped}))
        self.command = [
            "prometheus",
            f"--config.file={self.config}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=40d",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]

    def rest(self, process: subprocess.Popen[bytes]) -> None:
        """Scrape and evaluate nothing any more; questions are about the moment before that."""
        self.now = int(time.time())
        self.config.write_text("{}")
        process.send_signal(signal.SIGHUP)
        time.sleep(RESTING)

    def ask(self, query: Query) -> tuple[float, int]:
        """Seconds, and series of the answer."""
        now = self.now
        if query.lasts:
            step = max(SCRAPE, query.lasts // POINTS)
            more = {"start": now - query.lasts, "end": now, "step": step}
            path = "query_range"
        else:
            path, more = "query", {"time": now}
        body = urllib.parse.urlencode({"query": query.expr, **more}).encode()
        begin = time.perf_counter()
        with _http.open(f"{self.url}/api/v1/{path}", body, timeout=120) as response:
            answer: dict[str, Any] = json.load(response)
        return time.perf_counter() - begin, len(answer["data"]["result"])

    def rule(self, name: str) -> float:
        """Seconds of the last evaluation of this rule."""
        with _http.open(f"{self.url}/api/v1/rules") as response:
            told = json.load(response)["data"]["groups"]
        return next(float(rule["evaluationTime"]) for group in told for rule in group["rules"] if rule["name"] == name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", nargs="?", type=int, default=10_000)
    parser.add_argument("--findings", type=int, default=3_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--port", type=int, default=29_590)
    given = parser.parse_args()
    fleet = SteadyFleet(Shape(domains=given.domains, findings=given.findings, confirmed=given.findings * 2 // 3))

    server = served(fleet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    instance, asked = f"127.0.0.1:{server.server_address[1]}", list(queries())
    text = b"".join(fleet.text())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        now = int(time.time())
        for lines in (history(text, asked, instance, now), shares(now)):  # promtool reads a file once for each 2 hours
            past = folder / "history.txt"
            with past.open("w") as file:
                file.writelines(lines)
            backfill = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(past), str(folder / "data"), "-q"]
            subprocess.run(backfill, check=True, stdout=subprocess.DEVNULL)
        monitor = Prometheus(folder, instance, given.port)
        with subprocess.Popen(monitor.command) as process:
            try:
                time.sleep(SETTLED)
                rule = monitor.rule(RATIO)
                monitor.rest(process)
                report(monitor, asked, given.runs, text, process.pid)
                print(f"rule {RATIO}: {1000 * rule:.0f}")
            finally:
                process.terminate()


def cpu(pid: int) -> float:
    """Seconds that the process has used."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / _TICKS


def report(monitor: Prometheus, asked: list[Query], runs: int, text: bytes, pid: int) -> None:
    lines = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    found = text.count(b"\ndeliverability_finding{")
    print(f"{lines:,} series, {found:,} findings; {runs} runs, the median of each; milliseconds")
    took: dict[Query, list[float]] = {it: [] for it in asked}
    used: dict[str, list[float]] = {it.board: [] for it in asked}
    answers: dict[Query, int] = {}
    for _ in range(runs):
        for board, spent in used.items():
            before = cpu(pid)
            for it in (it for it in asked if it.board == board):
                seconds, answers[it] = monitor.ask(it)
                took[it].append(seconds)
            spent.append(cpu(pid) - before)
    for it in asked:
        print(f"{it.board:10} {1000 * median(took[it]):7.0f} {answers[it]:6} series  {it.panel}")
    print()
    for board, spent in used.items():
        mine = [it for it in asked if it.board == board]
        sums = [sum(took[it][run] for it in mine) for run in range(runs)]
        runs_of_it = "  ".join(f"{1000 * wall:6.0f}/{1000 * busy:.0f}" for wall, busy in zip(sums, spent, strict=True))
        print(f"{board:10} {len(mine):3} queries, each run as time/CPU time {runs_of_it}")


if __name__ == "__main__":
    main()
