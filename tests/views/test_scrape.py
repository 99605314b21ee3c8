"""What is exposed is what was put last, in both encodings, and the loop does other work between its pieces."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.check_state import CheckState, Key
from exporter.views.blocks import WAITING, Blocks, Passage
from exporter.views.gzip_parts import START, Checksum, deflated, inflated
from exporter.views.metrics import SLICE, Exposition
from exporter.views.own_metrics import OwnHealth
from exporter.views.scrape import AT_ONCE, BREATH, PIECE, Scrape
from tests.support.checks import EXAMPLE, SAMPLE, SIZE, outcome
from tests.support.clock import FakeClock
from tests.support.watch import LOOPS, run_on
from tests.views.test_metrics import CATALOGUE

PLACES = 10  # keys of a block
FAMILIES = ("ok", "unknown", "size")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "look", "deflate"]),
        st.sampled_from(["mx", "spf"]),
        st.integers(0, 2 * PLACES + 1),
        st.lists(st.tuples(st.sampled_from(FAMILIES), st.integers(0, 10**6)), max_size=4),
    ),
    max_size=60,
)


def octets(passages: list[tuple[str, Passage]]) -> dict[str, bytes]:
    told: dict[str, bytes] = defaultdict(bytes)
    for family, passage in passages:
        told[family] += passage.plain()
        assert passage.size == len(passage.plain()) > 0
    return dict(told)


def expected(known: dict[Key, list[tuple[str, bytes]]], group: str) -> dict[str, list[bytes]]:
    told: dict[str, list[bytes]] = defaultdict(list)
    for key, lines in known.items():
        for family, line in lines if key[0] == group else ():
            told[family].append(line)
    return {family: sorted(lines) for family, lines in told.items()}


@given(STEPS)
def test_what_is_told_is_what_was_put_last_and_an_earlier_look_keeps_what_it_saw(
    steps: list[tuple[str, str, int, list[tuple[str, int]]]],
) -> None:
    blocks, known = Blocks(PLACES), dict[Key, list[tuple[str, bytes]]]()
    looks: list[tuple[list[tuple[str, Passage]], dict[str, bytes]]] = []
    for what, group, number, values in steps:
        key = group, f"domain={number}.example"
        lines = [(family, f"{family}{{{group},{number}}} {value}\n".encode()) for family, value in values]
        if what == "put":
            blocks.put(key, lines)
            known[key] = lines
        elif what == "look":
            seen = list(blocks.passages())
            looks.append((seen, octets(seen)))
        else:
            for _, passage in blocks.passages():
                if (plain := passage.plain()) and passage.deflated is None:
                    passage.hold(deflated(plain))
        assert blocks.counted(key) == len(known.get(key, ()))
    assert blocks.count == sum(map(len, known.values()))
    for group in ("mx", "spf"):
        assert blocks.keys(group) == {key for key, lines in known.items() if lines and key[0] == group}
        told = {family: text.splitlines(keepends=True) for family, text in octets(list(blocks.passages())).items()}
        mine = {
            family: sorted(line for line in lines if f"{{{group},".encode() in line) for family, lines in told.items()
        }
        assert {family: lines for family, lines in mine.items() if lines} == expected(known, group)
    for seen, told_then in looks:
        assert octets(seen) == told_then


def blocks_of(names: range) -> Blocks:
    made = Blocks(PLACES)
    for number in names:
        made.put(("mx", str(number)), line(number))
    return made


def line(number: int, more: int = 0) -> list[tuple[str, bytes]]:
    return [("ok", b"ok %d\n" % number), ("size", b"size %d %d\n" % (number, more))]


def test_a_key_keeps_its_place_and_a_new_one_takes_the_one_that_is_free() -> None:
    blocks = blocks_of(range(25))
    blocks.put(("mx", "3"), [])
    blocks.put(("mx", "7"), line(7, more=5))
    blocks.put(("mx", "new"), line(99))
    ok = octets(list(blocks.passages()))["ok"].split(b"\n")
    assert ok[3] == b"ok 99"
    assert ok[7] == b"ok 7"


def test_what_is_put_again_as_it_was_leaves_all_octets_as_they_are() -> None:
    blocks = blocks_of(range(25))
    before = [passage for _, passage in blocks.passages()]
    for number in range(25):
        blocks.put(("mx", str(number)), line(number))
    assert [passage for _, passage in blocks.passages()] == before


def test_a_change_in_one_family_lets_the_others_stay_deflated() -> None:
    blocks = blocks_of(range(25))
    for _, passage in blocks.passages():
        passage.hold(deflated(passage.plain()))
    blocks.put(("mx", "12"), line(12, more=1))
    again = [(family, passage) for family, passage in blocks.passages() if passage.plain() and not passage.deflated]
    assert [family for family, _ in again] == ["size"]
    assert b"size 12 1\n" in again[0][1].plain()


def test_without_any_scrape_few_changes_wait() -> None:
    blocks = blocks_of(range(PLACES))
    for more in range(1, 50):
        for number in range(PLACES):
            blocks.put(("mx", str(number)), line(number, more))
    (block,) = blocks._groups["mx"].blocks
    assert max(map(len, block.waiting.values()), default=0) < PLACES / WAITING
    assert all(passage._base is None for passage in block.passages.values()), "each is put together"


@given(st.lists(st.binary(max_size=300) | st.sampled_from([b"x" * 32 * 1024, b"y" * 100_000]), max_size=12))
def test_parts_that_were_deflated_apart_are_one_gzip_member(plain: list[bytes]) -> None:
    checksum, stream = Checksum(), START
    for it in plain:
        part = deflated(it)
        assert inflated(part) == it
        checksum.add(part)
        stream += part.octets
    stream += checksum.end()
    assert gzip.decompress(stream) == b"".join(plain)
    one = zlib.decompressobj(31)
    assert one.decompress(stream) == b"".join(plain)
    assert (one.eof, one.unused_data) == (True, b"")


MANY = 2000
FAST, SLOW = 0, 3  # turns of the loop that a client takes to read a piece


def state(number: int, size: int = 1) -> CheckState:
    target = replace(EXAMPLE, name=f"d{number}.example", labels=(("team", "t" * 250),))
    return CheckState(SAMPLE, target).after(outcome(SIZE(size), at=1000, target=target))


def exposition() -> Exposition:
    made = Exposition(CATALOGUE, FakeClock(), 10**6, OwnHealth)
    for number in range(MANY):
        made.put(state(number))
    return made


async def read(shown: Exposition, *, compressed: bool, turns: int = FAST) -> list[bytes]:
    """The pieces of a scrape."""
    pieces: list[bytes] = []

    async def write(piece: bytes | memoryview) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        pieces.append(bytes(piece))

    await shown.scrape().write(write, gzip=compressed)
    return pieces


def targets(octets: bytes) -> bytes:
    """What it says of targets: the rest is about the process."""
    return octets[octets.index(b"# HELP deliverability_check_ok") :]


def unpacked(pieces: list[bytes], *, compressed: bool) -> bytes:
    return gzip.decompress(b"".join(pieces)) if compressed else b"".join(pieces)


@pytest.mark.parametrize("loop", LOOPS)
def test_plain_and_deflated_scrapes_say_the_same_while_all_changes_and_others_read(loop: str) -> None:
    async def story() -> None:
        shown = exposition()
        for size in (2, 3):
            plain = targets(b"".join(shown.render()[0]))
            turns = {(compressed, turns) for compressed in (True, False) for turns in (FAST, SLOW)}
            reading = [asyncio.create_task(read(shown, compressed=it[0], turns=it[1])) for it in turns]
            await asyncio.sleep(0)  # each has begun
            for number in range(0, MANY, size):
                shown.put(state(number, size))
            shown.remove(state(size).key)
            for (compressed, _), pieces in zip(turns, await asyncio.gather(*reading), strict=True):
                assert targets(unpacked(pieces, compressed=compressed)) == plain
            now = targets(b"".join(shown.render()[0]))
            assert now != plain
            assert targets(unpacked(await read(shown, compressed=True), compressed=True)) == now
            shown.put(state(size))

    run_on(loop, story)


@pytest.mark.parametrize("compressed", [False, True])
async def test_other_work_is_done_between_few_pieces(*, compressed: bool) -> None:
    shown, beats, when = exposition(), 0, list[int]()

    async def work() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def write(piece: bytes | memoryview) -> None:
        assert len(piece) <= PIECE
        when.append(beats)

    working = asyncio.create_task(work())
    for _ in range(2):  # a second one of what is deflated already
        when.clear()
        await shown.scrape().write(write, gzip=compressed)
        assert len(when) >= (2 if compressed else sum(map(len, shown.render()[0])) / PIECE)
        assert max(Counter(when).values()) <= BREATH // PIECE + 1
    working.cancel()


async def test_other_work_is_done_while_it_is_found_that_lines_are_as_before() -> None:
    """A change of a key in one family has the lines of its block in all others looked at."""
    passages, count = list[Passage](), 20
    for number in range(count):
        text = str(number).encode() * (AT_ONCE // 2)
        held = Passage(text)
        held.hold(deflated(text))
        passages.append(held.changed({0: text}, len(text)))
    beats = 0

    async def work() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def write(_piece: bytes | memoryview) -> None:
        when.append(beats)

    when: list[int] = []
    working = asyncio.create_task(work())
    await Scrape(passages, "").write(write, gzip=True)
    working.cancel()
    assert when[0] >= count / 2
    assert all(it.deflated for it in passages)


async def test_a_passage_is_deflated_once_and_then_held_so_until_its_lines_change() -> None:
    shown = exposition()
    await read(shown, compressed=False)
    assert not any(passage.deflated for _, passage in shown._blocks.passages()), "nobody wants it so"
    first = b"".join(await read(shown, compressed=True))
    held = {passage: passage.deflated for _, passage in shown._blocks.passages()}
    assert all(held.values())
    assert all(passage._plain is None for passage in held), "the plain octets are gone"
    shown.put(state(7, size=2))
    again = b"".join(await read(shown, compressed=True))
    changed = [family for family, passage in shown._blocks.passages() if passage.deflated is not held.get(passage)]
    now = {passage.deflated for _, passage in shown._blocks.passages()}
    assert len(now - set(held.values())) == 1, changed
    assert gzip.decompress(first) != gzip.decompress(again)


async def test_who_hangs_up_ends_the_scrape() -> None:
    shown = exposition()

    async def write(_piece: bytes | memoryview) -> None:
        raise ConnectionResetError("gone")

    for compressed in (False, True):
        with pytest.raises(ConnectionResetError):
            await shown.scrape().write(write, gzip=compressed)
    assert targets(unpacked(await read(shown, compressed=True), compressed=True))


async def test_lines_that_are_owed_are_there_at_the_next_scrape_and_in_slices() -> None:
    shown, beats = Exposition(CATALOGUE, FakeClock(), 10**6, OwnHealth), 0
    for number in range(200):
        shown.owe(state(number))
    shown.put(state(1, size=2))  # a run has ended meanwhile
    shown.owe(replace(state(2), last_run=5.0))
    shown.ran(replace(state(2), last_run=6.0))  # and one that says the same
    shown.remove(state(3).key)
    assert shown.series < 20

    async def work() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    await asyncio.gather(shown.catch_up(), shown.catch_up())
    working.cancel()
    assert beats >= 200 / SLICE / 2
    put = Exposition(CATALOGUE, FakeClock(), 10**6, OwnHealth)
    for number in range(200):
        put.put(state(number, size=2 if number == 1 else 1))
    put.put(replace(state(2), last_run=6.0))
    put.remove(state(3).key)
    told, wanted = (targets(b"".join(it.render()[0])).splitlines() for it in (shown, put))
    assert sorted(told) == sorted(wanted)
    assert shown.lateness.oldest() == put.lateness.oldest()
    catching_up = asyncio.create_task(shown.catch_up())
    for size in range(100):  # a reload owes more and more
        shown.owe(state(size, size))
        await asyncio.sleep(0)
    assert catching_up.done(), "a scrape does not wait for its end"
    nine = b'domain="d9.example",team="' + b"t" * 250 + b'"} 9\n'
    assert nine not in b"".join(shown.scrape().plain())
    assert nine in b"".join(shown.render()[0])
