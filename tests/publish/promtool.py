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
_FIRING = 'ALERTS{alertstate="firing",severity!="none"'
# Of whatever style: findings by their labels, everything else by its name.
_FINDINGS = (
    f'count by (finding, severity) ({_FIRING},finding!="",deliverability_scope="target",'
    'alertname!="DeliverabilityFindingFlapping"})'
)
_OTHERS = (
    f'count by (alertname, severity) ({_FIRING},finding=""}} or {_FIRING},deliverability_scope!="target"}} '
    f'or {_FIRING},alertname="DeliverabilityFindingFlapping"}})'
)


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
    """What Prometheus scrapes, and at each minute all that fires: `spf.missing critical` or `ExporterDown warning`."""

    name: str
    scraped: Mapping[str, list[str]]
    fires: dict[int, Mapping[str, int]] = field(default_factory=dict)

    @property
    def findings(self) -> set[str]:
        return {told.split()[0] for fires in self.fires.values() for told in fires if "." in told}

    @property
    def others(self) -> set[str]:
        return {told for fires in self.fires.values() for told in fires if "." not in told}

    def plain(self) -> dict[str, object]:
        looks = []
        for minute, fires in self.fires.items():
            findings: list[dict[str, object]] = []
            others: list[dict[str, object]] = []
            for told, count in fires.items():
                name, severity = told.split()
                label = f'finding="{name}"' if "." in name else f'alertname="Deliverability{name}"'
                sample = {"labels": f'{{{label},severity="{severity}"}}', "value": count}
                (findings if "." in name else others).append(sample)
            looks += [
                {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}
                for expr, samples in ((_FINDINGS, findings), (_OTHERS, others))
            ]
        return {
            "name": self.name,
            "interval": "1m",
            "input_series": [{"series": name, "values": " ".join(values)} for name, values in self.scraped.items()],
            "promql_expr_test": looks,
        }


def told(rules: Path, folder: Path, tests: Iterable[dict[str, object]]) -> str:
    """What promtool says of the stories; nothing if all of them came out. JSON is YAML."""
    need("promtool")
    file = folder / "stories.yml"
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": list(tests)}))
    ran = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr
