"""docs/worlds.md: the set-ups of tests/worlds, where each is documented, and what is found in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from exporter.publish.markdown import joined, plain, table
from tools.reference.made import MADE

NAME = "docs/worlds.md"
WORLDS = Path(__file__).parents[1] / "tests" / "worlds"

_HEADINGS = ("Set-up", "Documented in", "Critical", "Warnings")
_SOURCE = re.compile(r"^; source: (?P<title>.+?) \((?P<url>https?://\S+)\)(?:, (?P<date>.+))?$", re.MULTILINE)
_WARNING = re.compile(r"^; warning: (\S+)", re.MULTILINE)
_MEANT = """\
Each set-up below is built as the named documents say: the provider's own, or those of others that describe it. The
date says when a document was read. A document without a date could not be read for this; the set-up follows what is
generally known of it.

The tests play each set-up with real servers on loopback, through the configuration loader and the whole engine. They
fail if a critical finding or a warning is found that this table does not show.
"""
_MIRROR = """\
`tests/worlds/sick` is the mirror: one fault at a time is planted in a healthy set-up. Each must be found, and nothing
else may change.
"""


def page() -> str:
    """Raise ValueError for a set-up that does not say where it is documented."""
    rows = [_row(path.stem, path.read_text("utf-8")) for path in sorted(WORLDS.glob("*.zone"))]
    return joined("# Set-ups that are healthy", MADE, _MEANT, table(_HEADINGS, rows), _MIRROR)


def _row(name: str, text: str) -> tuple[str, ...]:
    sources = list(_SOURCE.finditer(text))
    if not sources:
        raise ValueError(f"{name}: nothing says where it is documented")
    opening = " ".join(takewhile(_is_prose, (line.removeprefix("; ") for line in text.splitlines())))
    return f"**{name}**<br>{plain(opening)}", "<br>".join(map(_link, sources)), "0", "<br>".join(_warnings(text)) or "0"


def _is_prose(line: str) -> bool:
    return not line.startswith("source: ")


def _link(source: re.Match[str]) -> str:
    dated = f", {source['date']}" if source["date"] else ""
    return f"[{plain(source['title'])}]({source['url']}){dated}"


def _warnings(text: str) -> Iterator[str]:
    for rule, times in sorted(Counter(_WARNING.findall(text)).items()):
        yield f"{times} [`{rule}`](reference/findings/{rule.partition('.')[0]}.md#{rule})"
