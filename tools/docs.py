"""`python -m tools.docs`: the reference and the tables of the README, made anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from tools import readme
from tools.reference import references

HOME = Path(__file__).parents[1]


def documents(known: Catalogue) -> Iterator[tuple[str, str]]:
    """Path in the project, and content, of each."""
    yield readme.NAME, readme.renewed((HOME / readme.NAME).read_text("utf-8"), known)
    yield from references(known)


if __name__ == "__main__":
    for name, text in documents(catalogue.load()):
        (HOME / name).write_text(text, "utf-8")
