"""The README's table that leads from each cause of a refusal to what shows it."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from exporter import strict_yaml
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue

SHIPPED = Path(__file__).parents[1] / "data" / "causes.yaml"
BEGIN, END = "<!-- causes: made by `make docs` -->", "<!-- end of causes -->"

_HEAD = ("Cause, as told", "Receivers answer", "Findings to alert on", "Metric", "Fix")


@cache
def _shipped() -> tuple[dict[str, Any], ...]:
    root = strict_yaml.parse(SHIPPED.read_bytes()).root
    content: Any = root.plain() if root else {}
    return tuple(content["causes"])


def causes(known: Catalogue) -> str:
    """The table that leads from each cause to what shows it, as Markdown.

    Raise KeyError for a finding that there is not: the table goes with the catalogue.
    """
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(given, known) for given in _shipped())]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def _row(given: dict[str, Any], known: Catalogue) -> tuple[str, ...]:
    rules = [known.rules[finding] for finding in given.get("findings", ())]
    fixes = [*([rules[0].fix] if rules else []), *([given["instead"]] if "instead" in given else [])]
    return (
        f"**{given['cause']}**" if given.get("this") else given["cause"],
        given["answer"],
        ", ".join(f"`{rule.id}`" for rule in rules),
        ", ".join(f"`{metric}`" for metric in given.get("metrics", ())),
        " ".join(fixes),
    )


def renewed(text: str, known: Catalogue) -> str:
    """The text with the table between its marks made anew. Raise ValueError where the marks are missing."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise ValueError(f"wants the lines {BEGIN} and {END}")
    return f"{before}{begin}\n{causes(known)}\n{end}{after}"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renewed(path.read_text(), catalogue.load()))
