"""The part of GitHub Flavored Markdown that the pages need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NONE = "-"  # in a cell that has nothing to say

_SPECIAL = re.compile(r"[\\*<\[\]~]|&(?=[#\w]+;)|(?<!\w)_|_(?!\w)")


def plain(text: str) -> str:
    """Text that means itself, but for `code`."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without a partner
        return _SPECIAL.sub(r"\\\g<0>", text).replace("`", r"\`")
    return "".join(f"`{part}`" if odd % 2 else _SPECIAL.sub(r"\\\g<0>", part) for odd, part in enumerate(parts))


def code(text: str) -> str:
    """A code span, whatever is in it (CommonMark section 6.1)."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def fenced(text: str, language: str = "") -> str:
    """A block of code (CommonMark section 4.5)."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}{language}\n{text}\n{fence}"


def codes(texts: Iterable[str]) -> str:
    return ", ".join(map(code, texts)) or NONE


def sentence(text: str) -> str:
    """A clause as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?", "!")) else ".")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def joined(*blocks: str) -> str:
    """The page of these blocks, an empty line between two."""
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"
