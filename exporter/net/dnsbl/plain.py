"""Asks many lists about one subject at once, and settles those answers that are a plain "no": a sweep.

The rules:

- Only a list that is healthy, answers, and knows no more of the subject than an earlier "no" is asked like this.
- known_no.py says what is a plain "no". It is kept as always: it changes nothing but the time of the latest "no".
- Whatever is not settled here is asked in full: client.py. It counts as asked since the sweep began.
"""

from __future__ import annotations

from functools import lru_cache

from exporter.mail.dns import Question
from exporter.net.dns import wire
from exporter.net.dnsbl.questions import ListQuestions, Panel, Since, Subject
from exporter.net.interfaces import Asker
from exporter.text import commas, counted

NAMES_A_LINE = 20

_NOBODYS = Question("", "A")  # in the place of the question as text, which nobody reads
_MODEL = wire.query(Question("a", "A"))
_BEFORE, _AFTER = _MODEL.tail[:10], _MODEL.tail[10 + len(_MODEL.asked) :]
_make = wire.Query._make
_LABELS = [bytes([len(str(octet))]) + str(octet).encode() for octet in range(256)]
_NIBBLES = [f"\1{octet & 15:x}\1{octet >> 4:x}".encode() for octet in range(256)]


async def ask(
    net: Asker, subject: Subject, key: str, panel: Panel, questions: ListQuestions
) -> tuple[list[int], dict[int, Since]]:
    """Ask those of the lists that are likely to say a plain "no".

    By their place in the panel: those that have said it, and since when others are asked.
    """
    if not net.sweeper:
        return [], {}
    clock, begun, states, known = questions.clock, questions.clock.monotonic(), panel.states, panel.known
    queries: list[wire.Query] = []
    asked: list[int] = []
    for place, query in enumerate(_queries(subject, panel)):
        if query and _expects_no(panel, place, key, begun) and states[place].budget.consume(begun, test=False):
            queries.append(query)
            asked.append(place)
    if not asked:
        return [], {}
    epochs = [states[place].epoch for place in asked]
    settled: list[int] = []
    since = Since(next(questions.places), begun)

    def settles(number: int, message: bytes) -> bool:
        place = asked[number]
        kept, octets = states[place], known[place]
        if not octets or not octets.says_no(message, queries[number]):
            return False
        if kept.epoch != epochs[number] or key in kept.named or key in kept.looks or key in kept.more:
            return False
        now = clock.monotonic()
        kept.clean[key] = now
        kept.conduct.answered(since.place, next(questions.places), now)
        questions.note_use(kept)
        settled.append(place)
        return True

    whole = len(asked) == len(panel.lists)
    zones = panel.zones if whole else [panel.zones[place] for place in asked]
    left = await net.sweeper.sweep(queries, settles, zones)
    ended = clock.monotonic()
    for place in settled:
        if key in states[place].clean:  # one number for all: a fleet has very many
            states[place].clean[key] = ended
    for number in left:
        states[asked[number]].budget.refund()
    names = panel.names if whole and not left else tuple([panel.names[place] for place in sorted(settled)])
    who = f"{key} in {counted(len(asked), 'blocklist')}"
    net.transcript.note(who, _said_no(names), "udp", ended - begun)
    return settled, {asked[number]: since for number in left}


def _expects_no(panel: Panel, place: int, key: str, now: float) -> bool:
    """Can the list be asked at once, and would a "no" change nothing?"""
    kept, base = panel.states[place], panel.bases[place]
    if kept is not base and panel.lists[place].ipv4 and base.due(now):
        return False
    return kept.expects_no(key, now)


def _queries(subject: Subject, panel: Panel) -> list[wire.Query | None]:
    """The question for each list; None if it cannot be asked like this."""
    if isinstance(subject, str):
        return [_query(blocklist.question(subject)) for blocklist in panel.lists]
    table = _LABELS if subject.version == 4 else _NIBBLES
    before = b"".join([table[octet] for octet in reversed(subject.packed)])  # RFC 5782 sections 2.1 and 2.4
    made: list[wire.Query | None] = []
    for octets in panel.known:
        asked = before + octets.suffix if octets and octets.holds(before) else b""
        made.append(_make((_NOBODYS, _MODEL.rdtype, asked, _BEFORE + asked + _AFTER, False)) if asked else None)
    return made


def _query(name: str) -> wire.Query | None:
    try:
        return wire.query(Question(name, "A"))
    except ValueError:  # the present path says why
        return None


@lru_cache(256)
def _said_no(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same lists say "no" about nearly every subject: their names are kept once."""
    lines = [commas(names[at : at + NAMES_A_LINE]) for at in range(0, len(names), NAMES_A_LINE)]
    return (f"NXDOMAIN from {len(names)}: {lines[0]}", *lines[1:]) if names else ("NXDOMAIN from none",)
