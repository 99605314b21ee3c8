"""The part of GitHub Flavored Markdown that our documents are tested for: links, their targets, tables and code."""

from __future__ import annotations

import re
from typing import NamedTuple

FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Fenced code. `info` is what stands behind the fence: the language, and more."""

    info: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(found["info"].strip(), found["text"]) for found in FENCE.finditer(page)]


def prose(page: str) -> str:
    """Without fenced code."""
    return FENCE.sub("", page)


def links(page: str) -> list[str]:
    """Where links and pictures lead; what is code leads nowhere."""
    return re.findall(r"\]\(<?([^)\s>]+)>?\)", re.sub(r"(?<!\[)(`+)(?!`).*?(?<!`)\1(?!`)", "", prose(page)))


def anchors(page: str) -> set[str]:
    """Places on a page that a link can lead to: headings, as code hosts name them, and explicit ones."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    named = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return named | set(re.findall(r'<a id="([^"]+)">', page))


def cells(page: str) -> list[list[tuple[str, ...]]]:
    """Each table as its rows, the head first and without the line below it; cells are as they are written."""
    tables: list[list[tuple[str, ...]]] = []
    inside = False
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        row = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        if not inside:
            tables.append([row])
        elif set("".join(row)) != {"-"}:
            tables[-1].append(row)
        inside = True
    return tables
