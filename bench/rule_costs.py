"""A Prometheus that scrapes a fleet and evaluates rules on one core, and what an evaluation costs it.

All rules are one group here, so that they run one after the other. The CPU time is from the profile that Prometheus
makes of itself, so scrapes beside it do not count. Garbage is collected for all: rules get their part of that.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.go_profile import parse
from bench.steady_fleet import DAY, Shape, SteadyFleet, served
from exporter.engine.families import OWN_PREFIX, UNKNOWN

JOB = "deliverability-exporter"
SCRAPE = 30  # seconds
EVALUATE = 20  # seconds
WINDOW = 330  # seconds of scrapes that the short windows want
HOW = ("count", "steady", "usual")  # recorded of exporters and of targets
_EVALUATION = "github.com/prometheus/prometheus/rules.(*Group).Eval"
_COLLECTOR = "runtime.gcBgMarkWorker"
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[int]:
    """Its port."""
    near, far = multiprocessing.Pipe()
    running = multiprocessing.Process(target=target, args=(far, *arguments), daemon=True)
    running.start()
    try:
        yield near.recv()
    finally:
        running.kill()


def serve(ready: Connection, shape: Shape) -> None:
    """Serve the fleet's series; tell the port."""
    fleet = SteadyFleet(shape)

    server = served(fleet)
    ready.send(server.server_address[1])
    server.serve_forever()


@dataclass(frozen=True)
class Cost:
    """Of one evaluation, on average. `rules` are the seconds that each usually takes by the clock, in their order."""

    cpu: float
    rules: tuple[float, ...]


@dataclass
class Prometheus:
    process: subprocess.Popen[bytes]
    url: str
    rules: Path

    def wait(self) -> None:
        """Until it is ready: a SIGHUP before that would end it."""
        while self.process.poll() is None:
            with contextlib.suppress(OSError):
                self._read(f"{self.url}/-/ready")
                return
            time.sleep(0.2)
        raise RuntimeError("Prometheus has ended")

    def load(self, groups: list[dict[str, Any]]) -> None:
        """Evaluate these rules from now on, as one group."""
        rules = [rule for group in groups for rule in group["rules"]]
        self.rules.write_text(yaml.dump({"groups": [{"name": "all", "interval": f"{EVALUATE}s", "rules": rules}]}))
        self.process.send_signal(signal.SIGHUP)

    def query(self, expression: str) -> float:
        """The sum of an instant vector."""
        url = f"{self.url}/api/v1/query?query={urllib.parse.quote(f'sum({expression})')}"
        (sample,) = json.loads(self._read(url))["data"]["result"] or [{"value": [0, "0"]}]
        return float(sample["value"][1])

    def cost(self, seconds: int) -> Cost:
        """Of the evaluations in so many seconds."""
        before = self._missed()
        with ThreadPoolExecutor(1) as pool:
            profiling = pool.submit(self._read, f"{self.url}/debug/pprof/profile?seconds={seconds}")
            looks = []
            while not profiling.done():
                time.sleep(EVALUATE / 2)
                looks.append(self._times())
        profile = parse(profiling.result())
        if (missed := self._missed() - before) > 0:
            raise RuntimeError(f"{missed} evaluations were left out: the processor is too busy")
        evaluations = seconds / EVALUATE  # one may be in parts at the ends
        collecting = profile.below(_COLLECTOR)
        spent = profile.below(_EVALUATION) * profile.total / (profile.total - collecting)
        return Cost(spent / evaluations, tuple(map(median, zip(*looks, strict=True))))

    def _times(self) -> list[float]:
        """Of each rule, in the latest evaluation."""
        (group,) = json.loads(self._read(f"{self.url}/api/v1/rules"))["data"]["groups"]
        if wrong := [rule["lastError"] for rule in group["rules"] if rule["health"] == "err"]:
            raise RuntimeError(wrong[0])
        return [rule["evaluationTime"] for rule in group["rules"]]

    def _missed(self) -> int:
        text = self._read(f"{self.url}/metrics").decode()
        (number,) = re.findall(r"^prometheus_rule_group_iterations_missed_total\{.*\} (\d+)$", text, re.MULTILINE)
        return int(number)

    def _read(self, url: str) -> bytes:
        with _http.open(url, timeout=600) as response:
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
            made.wait()
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
