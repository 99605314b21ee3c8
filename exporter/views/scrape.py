"""Writes one scrape: in pieces, with breaths between them, so that the loop does other work too.

The problem: a breath is a turn of the loop. While a fleet is looked at for the first time each turn is long, and with
too many of them a scrape takes longer than Prometheus waits.

The rules:

- What is written is what the passages said when the scrape began.
- The loop joins and writes. A thread deflates and inflates octets that nobody changes.
- For gzip, a passage is deflated once, and kept so until its lines change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from exporter.views.blocks import Passage
from exporter.views.gzip_parts import START, Checksum, Deflated, deflated, inflated

T = TypeVar("T")
R = TypeVar("R")

PIECE = 64 * 1024  # octets written at once
BREATH = 8 * PIECE  # octets written between two breaths: less than a millisecond of work
AT_ONCE = 16 * PIECE  # octets that one visit to the thread is for; each scrape holds as many
SUMMED = 16 * PIECE  # octets that are deflated in one piece at most: their checksum takes time

Write: TypeAlias = Callable[[bytes | memoryview], Awaitable[None]]


class Scrape:
    """What one scrape gets, and its content type."""

    def __init__(self, passages: Sequence[Passage], content_type: str) -> None:
        self._passages = passages
        self.content_type = content_type

    def plain(self) -> Iterator[bytes]:
        """All of it, for whoever shares no loop."""
        return (it.plain() for it in self._passages)

    async def write(self, write: Write, *, gzip: bool) -> None:
        await (self._deflated(write) if gzip else self._plain(write))

    async def _plain(self, write: Write) -> None:
        for some in _batches(self._passages, AT_ONCE):
            held = [it.deflated or it.plain() for it in some]
            octets = await _on_thread(_inflate, held) if any(it.deflated for it in some) else _inflate(held)
            piece: list[bytes] = []
            size = 0
            for it in octets:
                piece.append(it)
                size += len(it)
                if size >= BREATH:
                    await _written(write, piece)
                    size = 0
            await _written(write, piece)

    async def _deflated(self, write: Write) -> None:
        for some in _batches([it for it in self._passages if it.deflated is None], AT_ONCE):
            plain = {it: octets for it in some if (octets := it.plain()) and it.deflated is None}
            made = await _on_thread(_deflate, list(plain.values())) if plain else []
            await asyncio.sleep(0)  # what has not changed after all needs no thread
            for passage, short in zip(plain, made, strict=True):
                passage.hold(short)
        piece, size, summed, checksum = [START], 0, 0, Checksum()
        for passage in self._passages:
            assert passage.deflated is not None  # noqa: S101  (a passage that is deflated once stays so)
            checksum.add(passage.deflated)
            piece.append(passage.deflated.octets)
            size += len(passage.deflated.octets)
            summed += passage.deflated.length
            if size >= BREATH or summed >= SUMMED:
                await _written(write, piece)
                size = summed = 0
        piece.append(checksum.end())
        await _written(write, piece)


def _batches(passages: Sequence[Passage], most: int) -> Iterator[list[Passage]]:
    """The passages, in lists of about so many octets."""
    some: list[Passage] = []
    size = 0
    for it in passages:
        some.append(it)
        size += it.size
        if size >= most:
            yield some
            some, size = [], 0
    if some:
        yield some


async def _written(write: Write, octets: list[bytes]) -> None:
    """Write the octets, empty the list, and let the loop do what else it has to do."""
    whole = memoryview(b"".join(octets))
    octets.clear()
    for start in range(0, len(whole), PIECE):
        await write(whole[start : start + PIECE])
    await asyncio.sleep(0)


async def _on_thread(work: Callable[[Sequence[T]], list[R]], on: Sequence[T]) -> list[R]:
    return await asyncio.get_running_loop().run_in_executor(None, work, on)


def _deflate(plain: Sequence[bytes]) -> list[Deflated]:
    return [deflated(it) for it in plain]


def _inflate(octets: Sequence[bytes | Deflated]) -> list[bytes]:
    return [inflated(it) if isinstance(it, Deflated) else it for it in octets]
