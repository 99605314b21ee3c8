"""Finds the causes of a refusal: by texts that findings quote, and by a list of refusals that no finding explains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from exporter import strict_yaml
from exporter.engine.catalogue import Catalogue
from exporter.explain.smtp_status import KnownText, Refusal, known, read, words
from exporter.facts import Rule, Severity

SHIPPED = Path(__file__).parents[1] / "data" / "refusals.yaml"
SEARCH = 12  # words of a search at most; more is a text that was pasted
DISTINCT = 3  # words that say enough by themselves, whatever the codes beside them
ALIKE = 0.6  # share of a known text's words
VAGUE = {f"{kind}.{rest}" for kind in "45" for rest in ("0.0", "5.0", "5.1", "5.2", "7.0", "7.1")}  # the words decide
_KEYS = {"says", "through", "means", "fix", "source", "related"}
_GRAVITY = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Quote:
    """The text that a receiver answers. `through`: the last status code, if it stands for a range of codes."""

    text: str
    known: KnownText
    through: str | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """A refusal that none of our findings explains, and what to do. Look at the `related` findings too."""

    quotes: tuple[Quote, ...]
    means: str
    fix: str
    source: str
    related: tuple[str, ...]


class Grade(IntEnum):
    """How well a text fits, best first."""

    SAID = 0  # these very words
    SEARCHED = 1  # all words that were asked for
    CODE = 2  # the same enhanced status code, in other words
    ALIKE = 3  # most of the words, and no other code


@dataclass(frozen=True, slots=True)
class Match:
    """A possible cause of a refusal, and the quoted text that matched."""

    cause: Rule | Foreign
    quote: Quote
    grade: Grade

    @property
    def rule(self) -> Rule | None:
        """Of the finding that is the cause; None where no finding of ours explains the refusal."""
        return self.cause if isinstance(self.cause, Rule) else None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The refusal in a text, and its possible causes: the best first, each once."""

    refusal: Refusal
    matches: tuple[Match, ...]

    @property
    def best(self) -> tuple[Match, ...]:
        """Those that fit as well as the first."""
        return tuple(match for match in self.matches if match.grade == self.matches[0].grade)

    @property
    def findings(self) -> tuple[str, ...]:
        """The ids worth looking at: the causes among the best, and what they say is related."""
        return tuple(
            dict.fromkeys(
                finding
                for match in self.best
                for finding in ((match.cause.id,) if isinstance(match.cause, Rule) else match.cause.related)
            )
        )


class Refusals:
    """Everything that receivers are known to say."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Raise RefusalSyntaxError for a text that is not in the one form: a programming error."""
        self._entries: list[tuple[Rule | Foreign, Quote]] = [
            (rule, Quote(text, known(text))) for rule in catalogue.rules.values() for text in rule.refusals
        ]
        self._entries += [(foreign, quote) for foreign in shipped() for quote in foreign.quotes]

    def find(self, text: str) -> Diagnosis:
        """What may be behind a text: a reply, a log line, a bounce, or words and codes to search for."""
        refusal = read(text)
        said = set(refusal.said.split())
        found: dict[int, tuple[tuple[float, ...], Match]] = {}
        for order, (cause, quote) in enumerate(self._entries):
            grade = _grade(cause, quote, refusal, said)
            if grade is None:
                continue
            elsewhere = refusal.receiver not in (None, quote.known.receiver)
            other_code = not (_fit(quote, refusal) and _exactly(quote, refusal))
            rank = (grade, elsewhere, other_code, -_closeness(grade, quote, said), *_weight(cause), order)
            if id(cause) not in found or rank < found[id(cause)][0]:
                found[id(cause)] = rank, Match(cause, quote, grade)
        ranked = sorted(found.values(), key=lambda pair: pair[0])
        if any(rank[:2] == (Grade.CODE, False) for rank, _ in ranked):
            # What others mean by a code says little where the receiver has a meaning of its own for it.
            ranked = [(rank, match) for rank, match in ranked if rank[:2] < (Grade.CODE, True)]
        return Diagnosis(refusal, tuple(match for _, match in ranked))


def _weight(cause: Rule | Foreign) -> tuple[int, int]:
    """The graver first, then what causes fewer refusals and so explains each of them better."""
    if isinstance(cause, Rule):
        return _GRAVITY[cause.severity], len(cause.refusals)
    return 0, len(cause.quotes)


def _closeness(grade: Grade, quote: Quote, said: set[str]) -> float:
    """Of texts that were said the longest; of others the one that shares most."""
    return len(words(quote.known.text)) if grade is Grade.SAID else _overlap(quote, said)


def _fit(quote: Quote, refusal: Refusal) -> bool | None:
    """Do the codes agree? None where there is nothing to compare."""
    if not quote.known.status or not refusal.statuses:
        return None
    return any(_covers(quote, quote.known.status, status) for status in refusal.statuses)


def _exactly(quote: Quote, refusal: Refusal) -> bool:
    """Is the class the same, too?"""
    return any(status[0] == (quote.known.status or "")[:1] for status in refusal.statuses)


def _covers(quote: Quote, first: str, status: str) -> bool:
    """Of a single code the class may differ: receivers refuse for good what they put off at first."""
    if quote.through is None:
        return _numbers(first)[1:] == _numbers(status)[1:]
    return _numbers(first) <= _numbers(status) <= _numbers(quote.through)


def _numbers(status: str) -> tuple[int, ...]:
    return tuple(map(int, status.split(".")))


def _grade(cause: Rule | Foreign, quote: Quote, refusal: Refusal, said: set[str]) -> Grade | None:
    fits = _fit(quote, refusal)
    parts = quote.known.parts
    distinct = sum(len(part.split()) for part in parts) >= DISTINCT
    if _in_order(parts, refusal.said) and (fits is not False or distinct):
        return Grade.SAID
    if fits is False:
        return None
    if said and len(said) <= SEARCH:
        name = cause.id if isinstance(cause, Rule) else ""
        if said <= {*words(quote.text), *words(name)}:
            return Grade.SEARCHED
    if fits and not (said and set(refusal.statuses) <= VAGUE):
        return Grade.CODE
    if _overlap(quote, said) >= ALIKE and len(said & set(words(quote.known.text))) >= DISTINCT:
        return Grade.ALIKE
    return None


def _in_order(parts: Iterable[str], said: str) -> bool:
    said = f" {said} "
    place = 0
    for part in parts:
        found = said.find(f" {part} ", place)
        if found < 0:
            return False
        place = found + len(part) + 1
    return True


def _overlap(quote: Quote, said: set[str]) -> float:
    of = set(words(quote.known.text))
    return len(of & said) / len(of)


@cache
def shipped() -> tuple[Foreign, ...]:
    """The refusals that come with the product and belong to no finding."""
    root = strict_yaml.parse(SHIPPED.read_bytes()).root
    content: Any = root.plain() if root else {}
    return tuple(_foreign(content))


def _foreign(content: Any) -> Iterator[Foreign]:
    """Raise ValueError, saying what is wrong."""
    for entry in content["refusals"]:
        if not entry.keys() <= _KEYS:
            raise ValueError(f"{entry['says'][0]}: has no key {', '.join(sorted(entry.keys() - _KEYS))}")
        quotes = tuple(Quote(text, known(text), entry.get("through")) for text in entry["says"])
        yield Foreign(quotes, entry["means"], entry["fix"], entry["source"], tuple(entry.get("related", ())))
