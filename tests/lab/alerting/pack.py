"""The alert rules as `publish` makes them with other thresholds, and a Prometheus that runs them in a hurry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.lab.exporter import ROOT
from tests.lab.process import Endpoint, Lab

JOB = "deliverability-exporter"
RULES = "prometheus/alerts.yml"  # below the lab's folder
_MINUTES = {"m": 1, "h": 60, "d": 1440}
# What the thresholds leave as it is: windows and waits of minutes, hours and days. Texts have none in these places.
_FIXED = re.compile(
    r"(?P<place>\[|offset |^    for: |^    keep_firing_for: )(?P<number>\d+)(?P<unit>[mhd])", re.MULTILINE
)


def publish(lab: Lab, thresholds: Mapping[str, str], minute: float | None = None) -> Path:
    """The published rules. With `minute`, each minute that is no threshold lasts for so many seconds."""
    given = lab.write("thresholds.yml", "".join(f"{name}: {value}\n" for name, value in thresholds.items()))
    command = [sys.executable, "-m", "exporter", "publish", f"--thresholds={given}", str(lab.home)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    path = lab.home / RULES
    if minute:
        path.write_text(_FIXED.sub(lambda found: _scaled(found, minute), path.read_text()))
    return path


def _scaled(found: re.Match[str], minute: float) -> str:
    milliseconds = int(found["number"]) * _MINUTES[found["unit"]] * minute * 1000
    return f"{found['place']}{milliseconds:.0f}ms"


def scraping(told: Endpoint, targets: str, every: str = "250ms", rules: str = RULES) -> str:
    """A configuration of Prometheus: `targets` is its discovery of exporters, as YAML on a line."""
    return f"""
global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: 250ms}}
rule_files: [{rules}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{told}']}}]}}]}}
scrape_configs:
  - {{job_name: {JOB}, honor_labels: true, {targets}}}
"""
