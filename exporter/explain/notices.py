"""What a notice says of a finding: a title, what it does to mail, and the fix, in a few words.

The problem: an alert knows a finding by its id and labels. The evidence is text of others, and no label may hold it.

The idea: short texts without evidence, by hand (data/notices.txt). They are the labels of one series for each finding.
A finding without such a text, because only an operator's `severities` make it count, is told with what its rule has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from exporter.engine.catalogue import Catalogue
from exporter.facts import Rule

TITLE, IMPACT, FIX = 50, 60, 85  # characters, at most
_TEXTS = Path(__file__).parents[1] / "data" / "notices.txt"
_SECTION = re.compile(r"\[(?P<check>[a-z_]+)\] (?P<impact>.+)")
_LINE = re.compile(r"(?P<name>[a-z0-9-]+): (?P<title>[^|]+) \| (?P<fix>[^|]+?)(?: \| (?P<impact>[^|]+))?")
_ELSEWHERE = "The page of the target says what to do."


class NoticeText(NamedTuple):
    title: str
    impact: str
    fix: str


def notice(rule: Rule) -> NoticeText:
    return written().get(rule.id) or NoticeText(
        _shortened(rule.id.replace(".", ": ", 1).replace("-", " "), TITLE), _shortened(rule.why, IMPACT), _ELSEWHERE
    )


def notices(known: Catalogue) -> Iterator[tuple[str, NoticeText]]:
    """Of every finding that can alert."""
    for entry in known.entries:
        if not entry.check.concludes:
            yield from ((rule.id, notice(rule)) for rule in entry.rules)


@cache
def written() -> Mapping[str, NoticeText]:
    """The texts by hand, by finding. Raise ValueError for a line that is none, which is a bug."""
    made: dict[str, NoticeText] = {}
    check = impact = ""
    for line in _TEXTS.read_text("utf-8").splitlines():
        if begun := _SECTION.fullmatch(line):
            check, impact = begun["check"], begun["impact"]
        elif said := _LINE.fullmatch(line):
            made[f"{check}.{said['name']}"] = NoticeText(said["title"], said["impact"] or impact, said["fix"])
        elif line and not line.startswith("#"):
            raise ValueError(f"{_TEXTS.name}: {line}")
    return made


def _shortened(text: str, most: int) -> str:
    """Whole words of it, and dots if there were more."""
    if len(text) <= most:
        return text
    return text[: most - 2].rpartition(" ")[0].rstrip(",;:.") + " ..."
