"""`python -m tools.docs` writes the reference, the tables of documents, docs/worlds.md and the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from exporter.config.schema import schema
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from tools import tables, worlds
from tools.reference import references

HOME = Path(__file__).parents[1]
SCHEMA = "exporter/data/config.schema.json"


def documents(known: Catalogue) -> Iterator[tuple[str, str]]:
    """Path in the project, and content, of each."""
    for name in tables.DOCUMENTS:
        yield name, tables.renewed((HOME / name).read_text("utf-8"), name, known)
    yield SCHEMA, json.dumps(schema(), indent=2) + "\n"
    yield worlds.NAME, worlds.page()
    yield from references(known)


if __name__ == "__main__":
    for name, text in documents(catalogue.load()):
        (HOME / name).write_text(text, "utf-8")
