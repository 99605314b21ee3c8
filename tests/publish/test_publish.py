"""What is made from the catalogue and kept in files is what the catalogue says now."""

from __future__ import annotations

from pathlib import Path

from exporter import publish
from exporter.engine import catalogue
from exporter.publish.thresholds import Thresholds

HOME = Path(__file__).parents[2]
PUBLISHED = dict(publish.files(catalogue.load(), Thresholds()))


def test_what_is_kept_in_the_project_is_what_this_version_publishes() -> None:
    """`make docs` makes it anew."""
    assert [name for name, text in PUBLISHED.items() if (HOME / name).read_text() != text] == []


def test_only_what_is_used_beside_the_exporter_is_published() -> None:
    assert {Path(name).parts[0] for name in PUBLISHED} == {"prometheus", "alertmanager", "grafana", "docs"}
