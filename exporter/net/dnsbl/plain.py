"""Asks many lists about one subject at once, and settles those answers that are a plain "no": a sweep.

The rules:

- Only a list that is healthy, answers, and knows no more of the subject than an earlier "no" is asked like this.
- known_no.py says what is a plain "no". It is kept as always: it changes nothing but the time of the latest "no".
- Whatever is not settled here is asked in full: client.py. It counts as asked since the sweep began.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from exporter.mail.dns import Question
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dns import wire
from exporter.net.dnsbl.known_no import KnownNo
from exporter.net.dnsbl.list_state import ListState
from exporter.net.dnsbl.questions import ListQuestions, Since
from exporter.net.interfaces import Asker
from exporter.text import commas, counted

Subject: TypeAlias = IPv4Address | IPv6Address | str

NAMES_A_LINE = 20

_LABELS = [bytes([len(str(octet))]) + str(octet).encode() for octet in range(256)]
_NIBBLES = [f"\1{octet & 15:x}\1{octet >> 4:x}".encode() for octet in range(256)]


async def ask(
    net: Asker, subject: Subject, key: str, lists: Sequence[Blocklist], questions: ListQuestions
) -> tuple[dict[int, ListState], dict[int, Since]]:
    """Ask those of the lists that are likely to say a plain "no".

    By their place in `lists`: the states of those that have said it, and since when others are asked.
    """
    if not net.sweeper:
        return {}, {}
    clock, begun = questions.clock, questions.clock.monotonic()
    before = _before(subject)
    asked: list[tuple[int, ListState, int, KnownNo]] = []
    queries: list[wire.Query] = []
    zones: list[str] = []
    for number, blocklist in enumerate(lists):
        kept = _expecting_no(subject, key, blocklist, questions.state(blocklist), begun)
        query = _query(blocklist, kept, subject, before) if kept else None
        if kept and kept.known_no and query and kept.budget.consume(begun, test=False):
            asked.append((number, kept, kept.epoch, kept.known_no))
            queries.append(query)
            zones.append(blocklist.zone)
    if not asked:
        return {}, {}
    settled: dict[int, ListState] = {}
    since = Since(next(questions.places), begun)

    def settles(place: int, message: bytes) -> bool:
        number, kept, epoch, known = asked[place]
        if not known.says_no(message, queries[place]) or kept.epoch != epoch or kept.knows_more(key):
            return False
        now = clock.monotonic()
        kept.clean[key] = now
        kept.conduct.answered(since.place, next(questions.places), now)
        questions.note_use(kept)
        settled[number] = kept
        return True

    left = await net.sweeper.sweep(queries, settles, zones)
    for place in left:
        asked[place][1].budget.refund()
    said = _said_no(tuple([lists[number].name for number in sorted(settled)]))
    who = f"{key} in {counted(len(asked), 'blocklist')}"
    net.transcript.note(who, said, "udp", clock.monotonic() - begun)
    return settled, {asked[place][0]: since for place in left}


def _expecting_no(subject: Subject, key: str, blocklist: Blocklist, base: ListState, now: float) -> ListState | None:
    """The state for this subject, if the list can be asked at once, and a "no" would change nothing."""
    kept = base.family(4 if isinstance(subject, str) else subject.version)
    if kept is not base and blocklist.ipv4 and base.due(now):
        return None
    return kept if kept.expects_no(key, now) else None


def _before(subject: Subject) -> bytes:
    """The labels of an address before a list's zone (RFC 5782 sections 2.1 and 2.4)."""
    if isinstance(subject, str):
        return b""
    table = _LABELS if subject.version == 4 else _NIBBLES
    return b"".join([table[octet] for octet in reversed(subject.packed)])


def _query(blocklist: Blocklist, kept: ListState, subject: Subject, before: bytes) -> wire.Query | None:
    try:
        if kept.known_no is None:
            kept.known_no = KnownNo(blocklist.zone)
        if isinstance(subject, str):
            return wire.query(Question(blocklist.question(subject), "A"))
    except ValueError:
        return None  # the present path says why
    return kept.known_no.query(before)


@lru_cache(256)
def _said_no(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same lists say "no" about nearly every subject: their names are kept once."""
    lines = [commas(names[at : at + NAMES_A_LINE]) for at in range(0, len(names), NAMES_A_LINE)]
    return (f"NXDOMAIN from {len(names)}: {lines[0]}", *lines[1:]) if names else ("NXDOMAIN from none",)
