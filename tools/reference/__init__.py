"""The reference, as Markdown: what there is to look at, to find, to metric, to configure and to ask.

One file below makes one page. Nothing is told here that the catalogue, the metrics or the configuration do not say
themselves; what stands in these files are the words that join it.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from tools.reference import blocklists, checks, config, findings, metrics


def references(known: Catalogue) -> Iterator[tuple[str, str]]:
    """Path and content of each page."""
    yield "docs/reference/checks.md", checks.page(known)
    yield "docs/reference/findings.md", findings.page(known)
    yield "docs/reference/metrics.md", metrics.page(known)
    yield "docs/reference/config.md", config.page()
    yield "docs/reference/blocklists.md", blocklists.page(known)
