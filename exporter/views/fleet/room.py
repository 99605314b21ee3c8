"""Keeps a page small, whatever was found: texts take room, and what finds none is counted instead of shown.

Remote text can be long, and a target can have thousands of findings. People are led to the page of the single check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.check_state import RecordHistory
from exporter.facts import Known
from exporter.model import Exchange
from exporter.past_run import RunEvidence
from exporter.views.cards import Card, ShownFinding, joined

AROUND = 120  # characters of markup around one text
FINDINGS = 20  # of one card
SAMPLES = 60


class Room:
    """So many characters of text are left."""

    def __init__(self, left: int) -> None:
        self.left = left

    def takes(self, *texts: str) -> bool:
        """Is there room for them? Then it is theirs."""
        size = AROUND + sum(map(escaped, texts))
        if size > self.left:
            return False
        self.left -= size
        return True


@dataclass(frozen=True, slots=True)
class CutCard:
    """A card, and how many of its texts found no room."""

    card: Card
    left_out: int

    @property
    def anchor(self) -> str:
        """Its id in the page."""
        return f"{self.card.check.id}-{self.card.target.key}".replace(" ", "-")


def escaped(text: str) -> int:
    """How many octets the text is in HTML, at most."""
    more = 4 * (text.count("&") + text.count("<") + text.count(">") + text.count("'") + text.count('"'))
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) + more


def brief(text: str, most: int) -> str:
    """The text, or its beginning if it takes more than so many octets in HTML."""
    if escaped(text) <= most:
        return text
    room, length = most - 3, 0
    for char in text:
        room -= escaped(char)
        if room < 0:
            break
        length += 1
    return f"{text[:length]}…"


def cut(card: Card, room: Room, known: Known) -> CutCard:
    """The card without what finds no room."""
    card = replace(card, findings=joined(card.findings, known))
    findings = tuple(it for it in card.findings[:FINDINGS] if room.takes(*_of_finding(it)))
    samples = card.samples[:SAMPLES]
    samples = tuple(it for it in samples if room.takes(*(value for _, value in it.labels)))
    records = tuple(it for it in card.records if room.takes(*_of_record(it)))
    shown = [_evidence(it, room) for it in (card.evidence, card.earlier_trouble)]
    made = replace(
        card,
        findings=findings,
        samples=samples,
        records=records,
        evidence=shown[0],
        earlier_trouble=shown[1],
    )
    return CutCard(made, _count(card) - _count(made))


def _count(card: Card) -> int:
    runs = (it for it in (card.evidence, card.earlier_trouble) if it)
    return len(card.findings) + len(card.samples) + len(card.records) + sum(len(it.exchanges) for it in runs)


def _evidence(run: RunEvidence | None, room: Room) -> RunEvidence | None:
    """Its first exchanges."""
    return run and replace(run, exchanges=tuple(_while(run.exchanges, room)))


def _while(exchanges: Sequence[Exchange], room: Room) -> Iterator[Exchange]:
    for it in exchanges:
        if not room.takes(it.asked, it.via, *it.got):
            return
        yield it


def _of_finding(it: ShownFinding) -> Iterable[str]:
    return it.text, it.fix, it.rule.why, it.rule.ref, it.rule.id, it.certainty


def _of_record(it: RecordHistory) -> Iterator[str]:
    yield from (it.record.name, *it.record.texts)
    for change in it.changes:
        yield from (*change.before, *change.after)
