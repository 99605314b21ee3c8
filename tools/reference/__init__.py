"""The reference, as Markdown: checks, metrics, configuration keys and blocklists. `publish` makes that of findings.

Each file below makes one page. The content comes from the catalogue, the metrics and the configuration; these files
only add the words between.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from tools.reference import blocklists, checks, config, metrics


def references(known: Catalogue) -> Iterator[tuple[str, str]]:
    """Path and content of each page."""
    yield "docs/reference/checks.md", checks.page(known)
    yield "docs/reference/metrics.md", metrics.page(known)
    yield "docs/reference/config.md", config.page()
    yield "docs/reference/blocklists.md", blocklists.page(known)
