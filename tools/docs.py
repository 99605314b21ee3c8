"""`python -m tools.docs` writes the reference, the README's tables, docs/worlds.md and the schema for editors again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from exporter.config.schema import schema
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from tools import readme, worlds
from tools.reference import references

HOME = Path(__file__).parents[1]
SCHEMA = "exporter/data/config.schema.json"


def documents(known: Catalogue) -> Iterator[tuple[str, str]]:
    """Path in the project, and content, of each."""
    yield readme.NAME, readme.renewed((HOME / readme.NAME).read_text("utf-8"), known)
    yield SCHEMA, json.dumps(schema(), indent=2) + "\n"
    yield worlds.NAME, worlds.page()
    yield from references(known)


if __name__ == "__main__":
    for name, text in documents(catalogue.load()):
        (HOME / name).write_text(text, "utf-8")
