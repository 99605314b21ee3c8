"""What is exposed about targets, without the cost of a scrape."""

from __future__ import annotations

from exporter.views.metrics import Exposition


def lines_of(family: str, exposition: Exposition) -> list[str]:
    """The lines of one family, in the order of a scrape."""
    exposition._write_owed(len(exposition._owed))
    passages = [passage for name, passage in exposition._blocks.passages() if name == family]
    return b"".join(passage.plain() for passage in passages).decode().splitlines()
