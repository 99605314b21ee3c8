"""The tables of documents: what the exporter checks, which finding shows the cause of a refusal, what work costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from exporter import strict_yaml
from exporter.config.values import written
from exporter.engine.catalogue import Catalogue
from exporter.publish.markdown import code, plain, table
from tools.reference.checks import every

MEASURED = Path(__file__).parents[1] / "bench" / "results.json"
SHIPPED = Path(__file__).with_name("causes.yaml")

_CHECKS = ("Check", "Question", "Asked of", "Every")
_COSTS = ("Work", "Cost", "Other programs in the same run", "How", "When")
_CAUSES = ("Possible cause", "Receivers answer", "Findings", "Fix")

Table: TypeAlias = Callable[[Catalogue], str]


@cache
def shipped_causes() -> tuple[dict[str, Any], ...]:
    root = strict_yaml.parse(SHIPPED.read_bytes()).root
    content: Any = root.plain() if root else {}
    return tuple(content["causes"])


def checks(known: Catalogue) -> str:
    """What is looked at: each check, its question and whom it is asked of, as Markdown."""
    return table(
        _CHECKS,
        (
            (
                f"[{code(check.id)}](reference/checks.md#{check.id})",
                plain(check.question),
                "; ".join(kind.NOUN for kind in check.over),
                written(every(check)),
            )
            for check in known.checks.values()
        ),
    )


def causes(known: Catalogue) -> str:
    """The table that leads from each cause to what shows it, as Markdown.

    Raise KeyError for a finding that there is not: the table goes with the catalogue.
    """
    return table(_CAUSES, (_row(given, known) for given in shipped_causes()))


def _row(given: dict[str, Any], known: Catalogue) -> tuple[str, ...]:
    rules = [known.rules[finding] for finding in given.get("findings", ())]
    return (
        f"**{given['cause']}**" if given.get("this") else given["cause"],
        given["answer"],
        ", ".join(f"[`{it.id}`](reference/findings/{it.id.partition('.')[0]}.md#{it.id})" for it in rules) or "none",
        given["fix"],
    )


def costs(_: Catalogue) -> str:
    """What `make bench` has measured last, as Markdown."""
    return table(
        _COSTS,
        (
            (
                work,
                f"{_digits(row['measured'])} {row['unit']}",
                ", ".join(f"{name}: {_digits(number)}" for name, number in row["beside"].items()) or "-",
                row["note"] or "-",
                f"{row['date']}, load {row['load']}",
            )
            for work, row in json.loads(MEASURED.read_text("utf-8")).items()
        ),
    )


def _digits(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


DOCUMENTS: Mapping[str, tuple[str, Table]] = {
    "docs/index.md": ("checks", checks),
    "docs/501-5.5.4.md": ("causes", causes),
    "docs/operations.md": ("costs", costs),
}


def marks(name: str) -> tuple[str, str]:
    """The lines that a table stands between."""
    return f"<!-- {name}: made by `make docs` -->\n", f"<!-- end of {name} -->\n"


def renewed(text: str, document: str, known: Catalogue) -> str:
    """The document with the table between its marks made again. Raise ValueError where marks are missing."""
    name, made = DOCUMENTS[document]
    begin, end = marks(name)
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{document} wants the lines {begin}{end}")
    return f"{before}{begin}\n{made(known)}\n{end}{after}"
