"""The tables of the README: what the exporter checks, and which finding shows the cause of each refusal."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from exporter import strict_yaml
from exporter.config.values import written
from exporter.engine.catalogue import Catalogue
from exporter.explain.notices import notice
from exporter.publish.markdown import code, plain, table
from tools.reference.checks import every

NAME = "README.md"
SHIPPED = Path(__file__).with_name("causes.yaml")

_CHECKS = ("Check", "Question", "Asked of", "Every")
_CAUSES = ("Cause, as told", "Receivers answer", "Findings to alert on", "Metric", "Fix")


@cache
def _shipped() -> tuple[dict[str, Any], ...]:
    root = strict_yaml.parse(SHIPPED.read_bytes()).root
    content: Any = root.plain() if root else {}
    return tuple(content["causes"])


def checks(known: Catalogue) -> str:
    """What is looked at: each check, its question and whom it is asked of, as Markdown."""
    return table(
        _CHECKS,
        (
            (
                f"[{code(check.id)}](docs/reference/checks.md#{check.id})",
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
    return table(_CAUSES, (_row(given, known) for given in _shipped()))


def _row(given: dict[str, Any], known: Catalogue) -> tuple[str, ...]:
    rules = [known.rules[finding] for finding in given.get("findings", ())]
    fixes = [*([notice(rules[0]).fix] if rules else []), *([given["instead"]] if "instead" in given else [])]
    return (
        f"**{given['cause']}**" if given.get("this") else given["cause"],
        given["answer"],
        ", ".join(f"`{rule.id}`" for rule in rules),
        ", ".join(f"`{metric}`" for metric in given.get("metrics", ())),
        " ".join(fixes),
    )


TABLES = {"checks": checks, "causes": causes}


def marks(name: str) -> tuple[str, str]:
    """The lines that a table stands between."""
    return f"<!-- {name}: made by `make docs` -->\n", f"<!-- end of {name} -->\n"


def renewed(text: str, known: Catalogue) -> str:
    """The text with the tables between their marks made anew. Raise ValueError where marks are missing."""
    for name, made in TABLES.items():
        begin, end = marks(name)
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found or not found_end:
            raise ValueError(f"wants the lines {begin}{end}")
        text = f"{before}{begin}\n{made(known)}\n{end}{after}"
    return text
