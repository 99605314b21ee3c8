"""Makes the dashboards as grafana.com takes them. Run by hand before a release: python -m tools.grafana_com DIR

grafana.com wants the form of Grafana's own "Export for sharing externally": whoever imports a dashboard is asked for a
data source (`__inputs`), and it says which plugins it needs (`__requires`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from exporter.engine import catalogue
from exporter.publish.grafana import boards
from exporter.publish.thresholds import Thresholds

INPUT = "DS_PROMETHEUS"
OLDEST = "11.0.0"  # Grafana of the schema that the dashboards are written in
NAMES = {"stat": "Stat", "table": "Table", "timeseries": "Time series", "bargauge": "Bar gauge"}


def shared(board: dict[str, Any]) -> dict[str, Any]:
    """The dashboard with a data source that is asked for, where ours has a variable."""
    text = json.dumps(board).replace("${datasource:queryparam}&", "").replace("${datasource}", f"${{{INPUT}}}")
    made: dict[str, Any] = json.loads(text)
    made["templating"]["list"] = [it for it in made["templating"]["list"] if it["type"] != "datasource"]
    kinds = sorted({panel["type"] for panel in made["panels"]} - {"row"})
    return {
        "__inputs": [
            {
                "name": INPUT,
                "label": "Prometheus",
                "description": "That scrapes deliverability-exporter",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            }
        ],
        "__elements": {},
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": OLDEST},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *({"type": "panel", "id": kind, "name": NAMES[kind], "version": ""} for kind in kinds),
        ],
        "id": None,
        **made,
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for board in boards(catalogue.load(), Thresholds()):
        path = folder / f"{board.name.replace('_', '-')}.json"
        path.write_text(json.dumps(shared(board.json()), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
