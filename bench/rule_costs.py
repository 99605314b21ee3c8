"""A Prometheus that scrapes a fleet and evaluates rules on one core, and what an evaluation costs it.

All rules are one group here, so that they run one after the other. CPU is that of the whole process while the group
runs, with its garbage collection. An evaluation beside which a scrape ran is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.steady_fleet import DAY, Shape, SteadyFleet
from exporter.engine.families import OWN_PREFIX, UNKNOWN

JOB = "deliverability-exporter"
SCRAPE = 15  # seconds, as in Prometheus' own example
EVALUATE = 25  # seconds: no multiple of the above, so that not each evaluation meets a scrape
WINDOW = 330  # seconds of scrapes that the short windows want
_TICKS = os.sysconf("SC_CLK_TCK")
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def serve(ready: Connection, shape: Shape) -> None:
    """Serve the fleet's series; tell the port."""
    fleet = SteadyFleet(shape)

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"".join(fleet.text())
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    ready.send(server.server_address[1])
    server.serve_forever()


@dataclass(frozen=True)
class Cost:
    """Of one evaluation. `rules` are seconds by the place of the rule."""

    cpu: float
    wall: float
    rules: tuple[float, ...]


@dataclass
class Prometheus:
    process: subprocess.Popen[bytes]
    url: str
    rules: Path
    began: float = field(default_factory=time.time)
    cpu: list[tuple[float, float]] = field(default_factory=list)  # unix seconds, CPU seconds until then
    scraped: dict[float, float] = field(default_factory=dict)  # when scrapes began, and how long they took

    def watch(self) -> None:
        """Note the CPU time of the process, for as long as it lives."""
        path = Path(f"/proc/{self.process.pid}/stat")
        while self.process.poll() is None:
            with contextlib.suppress(OSError, ProcessLookupError):
                numbers = path.read_text().rpartition(")")[2].split()
                self.cpu.append((time.time(), (int(numbers[11]) + int(numbers[12])) / _TICKS))
            time.sleep(0.02)

    def load(self, groups: list[dict[str, Any]]) -> None:
        """Evaluate these rules from now on, as one group."""
        rules = [rule for group in groups for rule in group["rules"]]
        self.rules.write_text(yaml.dump({"groups": [{"name": "all", "interval": f"{EVALUATE}s", "rules": rules}]}))
        self.process.send_signal(signal.SIGHUP)

    def query(self, expression: str) -> float:
        """The sum of an instant vector."""
        url = f"{self.url}/api/v1/query?query={urllib.request.quote(f'sum({expression})')}"
        (sample,) = json.loads(self._read(url))["data"]["result"] or [{"value": [0, "0"]}]
        return float(sample["value"][1])

    def costs(self, wanted: int) -> list[Cost]:
        """Of so many evaluations."""
        made: list[Cost] = []
        seen = self._last_evaluation()[0]
        for _ in range(wanted * 100):
            time.sleep(1)
            begin, wall = self._last_evaluation()
            self._note_scrape()
            if begin == seen:
                continue
            seen = begin
            if any(at < begin + wall and begin < at + took for at, took in self._scrapes()):
                continue
            (group,) = json.loads(self._read(f"{self.url}/api/v1/rules"))["data"]["groups"]
            rules = tuple(rule["evaluationTime"] for rule in group["rules"])
            if bad := [rule["lastError"] for rule in group["rules"] if rule["health"] == "err"]:
                raise RuntimeError(bad[0])
            made.append(Cost(self._used(begin + wall) - self._used(begin), wall, rules))
            if len(made) == wanted:
                break
        return made

    def _used(self, at: float) -> float:
        return next((used for when, used in self.cpu if when >= at), self.cpu[-1][1])

    def _last_evaluation(self) -> tuple[float, float]:
        """When it began, and how long it took."""
        text = self._read(f"{self.url}/metrics").decode()
        numbers = dict(re.findall(r"^prometheus_rule_group_last_(\w+)\{.*\} (\S+)$", text, re.MULTILINE))
        return float(numbers.get("evaluation_timestamp_seconds", 0)), float(numbers.get("duration_seconds", 0))

    def _note_scrape(self) -> None:
        (target,) = json.loads(self._read(f"{self.url}/api/v1/targets"))["data"]["activeTargets"]
        self.scraped[datetime.fromisoformat(target["lastScrape"]).timestamp()] = target["lastScrapeDuration"]

    def _scrapes(self) -> list[tuple[float, float]]:
        """Beginning and length of those that have ended, and of one that may go on."""
        next_one = max(self.scraped) + SCRAPE
        return [*self.scraped.items(), (next_one, time.time() - next_one)]

    def _read(self, url: str) -> bytes:
        with _http.open(url, timeout=60) as response:
            body: bytes = response.read()
            return body


@contextlib.contextmanager
def prometheus(folder: Path, exporter: int, port: int) -> Iterator[Prometheus]:
    """One with a day of history of what long windows read, that scrapes the exporter at that port."""
    rules, config, data = folder / "rules.yml", folder / "prometheus.yml", folder / "data"
    rules.write_text("groups: []")
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": f"{SCRAPE}s", "scrape_timeout": f"{SCRAPE}s"},
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {
                        "job_name": JOB,
                        "honor_labels": True,
                        "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}],
                    }
                ],
            }
        )
    )
    _history(folder / "history.txt", data, f"127.0.0.1:{exporter}")
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with subprocess.Popen(command, env={**os.environ, "GOMAXPROCS": "1"}) as process:
        try:
            made = Prometheus(process, f"http://127.0.0.1:{port}", rules)
            threading.Thread(target=made.watch, daemon=True).start()
            yield made
        finally:
            process.terminate()


def _history(text: Path, data: Path, instance: str) -> None:
    """The last day, minute by minute, of what is read over more than a few minutes."""
    now = int(time.time())
    who = f'job="{JOB}",instance="{instance}"'
    lists = [f'{who},check="blocklist_health",blocklist="list{number}"' for number in range(12)]
    steady = {
        "up": [who],
        "process_start_time_seconds": [who],
        OWN_PREFIX + "config_hash_info": [f'{who},hash="{"f" * 64}"'],
        UNKNOWN: [f'{who},check="resolver"', *lists],
        **{f"deliverability:{what}:{how}": [f'job="{JOB}"'] for what in ("exporters", "targets") for how in HOW},
    }
    with text.open("w") as file:
        for name, many in steady.items():
            file.write(f"# TYPE {name} gauge\n")
            for inside in many:
                value = 0 if name == UNKNOWN else 1
                file.writelines(f"{name}{{{inside}}} {value} {at}\n" for at in range(now - int(DAY), now - 60, 60))
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data), "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


HOW = ("count", "steady", "usual")


def middle(costs: list[Cost]) -> Cost:
    """The median of each number."""
    return Cost(
        median(it.cpu for it in costs),
        median(it.wall for it in costs),
        tuple(median(it.rules[place] for it in costs) for place in range(len(costs[0].rules))),
    )
