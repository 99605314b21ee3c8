"""The families of refusals: what each means, who can act, what to do, and by which words it is known.

They are data (data/refusals/*.yaml), each with its sources. Two kinds of texts lead to a family: what a vendor is known
to answer, `Vendor: CODE X.Y.Z text` under `says`, and words that mean the same whoever writes them, under `words`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from exporter.explain.reply import Stage, words
from exporter.explain.vendors import HOME, content

# A text of the catalogue: `Vendor: CODE X.Y.Z text`. Three dots stand for what differs each time.
_KNOWN = re.compile(
    r"(?P<receiver>[A-Z][\w.-]*(?: [\w.]+)*): "
    r"(?P<code>[45][0-9]{2})(?: (?P<status>[45](?:\.[0-9]{1,3}){2}))? (?P<text>(?![45]\.[0-9])\S.*)",
    re.ASCII,
)
_KEYS = {
    "id", "kind", "who", "means", "fix", "says", "through", "words", "weak", "codes", "stages", "class", "findings",
    "related", "source", "weight", "yields", "pairs", "network", "unless", "own", "stated",
}  # fmt: skip
_STAGES = {
    "connect": Stage.GREETING,
    "ehlo": Stage.HELO,
    "starttls": Stage.STARTTLS,
    "auth": Stage.AUTH,
    "mail": Stage.MAIL_FROM,
    "rcpt": Stage.RCPT_TO,
    "data": Stage.DATA,
}


class RefusalSyntaxError(ValueError):
    """A text of the catalogue is not `Vendor: CODE X.Y.Z text`."""


class Who(StrEnum):
    """Who can act."""

    YOU = "you"
    RECIPIENT = "the recipient"
    RECEIVER = "the receiver"
    NETWORK = "the network"


@dataclass(frozen=True, slots=True)
class KnownText:
    """What a receiver is known to answer."""

    receiver: str
    code: int
    status: str | None  # RFC 3463; some software has none
    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The words between what differs, each part with single spaces, in lower case."""
        return tuple(part for piece in self.text.split("...") if (part := " ".join(words(piece))))


def known(text: str) -> KnownText:
    """A text of the catalogue. Raise RefusalSyntaxError if it has not the one form."""
    found = _KNOWN.fullmatch(text)
    if not found:
        raise RefusalSyntaxError(f"{text!r} is not 'Vendor: CODE X.Y.Z text'")
    status = found["status"]
    if status and status[0] != found["code"][0]:
        raise RefusalSyntaxError(f"{text!r}: the two codes are of different classes")
    return KnownText(found["receiver"], int(found["code"]), status, found["text"])


@dataclass(frozen=True, slots=True)
class Family:
    """One cause of refusals. `kind` is the general cause, out of few. `findings` may be the cause, the likeliest first.

    `related` findings are worth a look, though they do not cause such refusals by themselves.
    """

    id: str
    kind: str
    who: Who
    means: str
    fix: str
    source: str
    says: tuple[str, ...] = ()
    through: str | None = None
    words: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    stages: frozenset[Stage] = frozenset()  # in which it can be refused; empty: in any
    classes: frozenset[str] = frozenset("45")
    findings: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    weight: int = 0  # points before others
    pairs: tuple[tuple[str, str], ...] = ()  # words that mean it when they stand close to each other, in this order
    network: bool = False  # a server's reply means it only if its status says that it is about the network
    own: bool = False  # texts of a vendor mean it at that vendor only
    stated: bool = False  # only where the text names the stage
    unless: frozenset[str] = frozenset()  # words with which the weak texts do not count
    yields: tuple[str, ...] = ()  # kinds that are meant instead, if their words are there too

    def at(self, stage: Stage | None) -> bool:
        return (stage is None and not self.stated) or not self.stages or stage in self.stages


@cache
def shipped() -> tuple[Family, ...]:
    """All families that come with the product. Raise ValueError, saying what is wrong."""
    made: list[Family] = []
    for path in sorted(HOME.glob("*.yaml")):
        if path.stem != "vendors":
            made += _families(path)
    ids = [family.id for family in made]
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        raise ValueError(f"families are there twice: {', '.join(twice)}")
    return tuple(made)


def _families(path: Path) -> Iterator[Family]:
    given = content(path)
    sources = given["sources"]
    for entry in given["families"]:
        where = f"{path.name}: {entry.get('id')}"
        if not entry.keys() <= _KEYS or not {"id", "who", "means", "fix", "source"} <= entry.keys():
            raise ValueError(f"{where}: has or lacks {', '.join(sorted(entry.keys() ^ _KEYS))}")
        yield Family(
            id=entry["id"],
            kind=entry.get("kind", entry["id"]),
            who=Who[entry["who"].upper()],
            means=entry["means"],
            fix=entry["fix"],
            source=next(_source(where, sources, name) for name in _list(entry["source"])),
            says=tuple(entry.get("says", ())),
            through=entry.get("through"),
            words=tuple(map(str, entry.get("words", ()))),
            weak=tuple(map(str, entry.get("weak", ()))),
            codes=tuple(entry.get("codes", ())),
            stages=frozenset(_STAGES[name] for name in entry.get("stages", ())),
            classes=frozenset(map(str, _list(entry.get("class", [4, 5])))),
            findings=tuple(entry.get("findings", ())),
            related=tuple(entry.get("related", ())),
            weight=entry.get("weight", 0),
            pairs=tuple((a, b) for it in entry.get("pairs", ()) for a in it["first"] for b in it["then"]),
            network=entry.get("network", False),
            own=entry.get("own", False),
            stated=entry.get("stated", False),
            unless=frozenset(entry.get("unless", ())),
            yields=tuple(entry.get("yields", ())),
        )


def _list(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list) else [given]


def _source(where: str, sources: Any, name: str) -> str:
    if name not in sources:
        raise ValueError(f"{where}: {name} is none of the sources")
    given = sources[name]
    return f"{given['document']} ({given['date']}), {given['url']}"
