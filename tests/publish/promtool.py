"""Unit tests of alert rules by promtool: a story is series over time, and who fires when.

Times are minutes. A series is written as its values from minute 0 on, one a minute: `_` is no sample, `stale` the end
of a series, which a scrape that failed is, too.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.process import need

IDENTITY = {"job": "deliverability-exporter", "instance": "exporter:10554"}


def series(name: str, **labels: str) -> str:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in {**IDENTITY, **labels}.items() if value)
    return f"{name}{{{inside}}}"


def during(value: float, begin: int, end: int, *, scraped: str = "") -> list[str]:
    """The value from minute `begin` to `end`. The pattern `scraped` is repeated, and each `_` in it a failed scrape."""
    values = []
    for minute in range(begin, end):
        failed = bool(scraped) and scraped[minute % len(scraped)] == "_"
        values.append("stale" if failed else f"{value:g}")
    return ["_"] * begin + values + ["stale"]


@dataclass
class Story:
    """What Prometheus scrapes, and at each minute the alerts that fire: name -> how many."""

    name: str
    scraped: dict[str, list[str]] = field(default_factory=dict)
    fires: dict[int, Mapping[str, int]] = field(default_factory=dict)
    of_all: bool = False  # findings, or of one for each check, which is quicker

    def plain(self) -> dict[str, object]:
        return {
            "name": self.name,
            "interval": "1m",
            "input_series": [{"series": name, "values": " ".join(values)} for name, values in self.scraped.items()],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing", severity!="none"})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{alert}"}}', "value": count} for alert, count in fires.items()
                    ],
                }
                for minute, fires in self.fires.items()
            ],
        }


def told(rules: Path, folder: Path, tests: Iterable[dict[str, object]]) -> str:
    """What promtool says of the stories; nothing if all of them came out. JSON is YAML."""
    need("promtool")
    file = folder / "stories.yml"
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": list(tests)}))
    ran = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr
