"""Text for people: makes remote text safe to show, and writes times and lists."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

EVIDENCE_LIMIT = 512  # characters of remote text kept and shown


def printable(value: object, limit: int = EVIDENCE_LIMIT) -> str:
    """Remote text, safe to show: control, surrogate and invisible characters are escaped, and its length is limited."""
    text = value if type(value) is str else str(value)  # an enum's own text is what it says of itself
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    cut = text[:limit]
    if not (cut.isascii() and cut.isprintable()):
        cut = "".join(c if _shows(c) else f"\\u{{{ord(c):x}}}" for c in cut)
    return cut if len(text) <= limit else f"{cut}…"


def _shows(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def commas(things: Iterable[object]) -> str:
    """`a, b, c`."""
    return ", ".join(map(str, things))


def listed(things: Iterable[object], most: int = 5) -> str:
    """`a, b and 38 more`: the first ones, and how many are left out."""
    shown = [str(thing) for thing in things]
    left = len(shown) - most
    return commas(shown) if left <= 0 else f"{commas(shown[:most])} and {left} more"


def counted(number: int, noun: str) -> str:
    """`1 domain`, `3,000 addresses`."""
    return f"{number:,} {noun}{('es' if noun.endswith('s') else 's') if number != 1 else ''}"


def day(seconds: float) -> str:
    """Unix seconds as `2027-01-31`, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def minute(seconds: float) -> str:
    """Unix seconds as `2027-01-31 12:00 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
