"""What is made from the catalogue and kept in files: whoever uses them gets what this version says.

Each part is a function from the catalogue to its files. `publish DIR` writes them all, and the same files are kept in
the project, where a test holds them to the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exporter.engine.catalogue import Catalogue
from exporter.publish.grafana import dashboards
from exporter.publish.reference import references
from exporter.publish.rules import rules
from exporter.publish.thresholds import Thresholds

ALERTMANAGER = Path(__file__).parents[1] / "data" / "alertmanager.yml"


def files(known: Catalogue, given: Thresholds) -> Iterator[tuple[str, str]]:
    """Path below the directory, and content, of everything."""
    yield "prometheus/alerts.yml", rules(known, given)
    yield "prometheus/thresholds.yml", given.text()
    yield "alertmanager/alertmanager.yml", ALERTMANAGER.read_text("utf-8")
    yield from dashboards(given)
    yield from references(known)


def write(directory: Path, known: Catalogue, given: Thresholds) -> Iterator[Path]:
    """Write everything below the directory; yield what has been written. Raise OSError where that cannot be."""
    for name, text in files(known, given):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        yield path
