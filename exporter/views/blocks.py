"""Keeps the lines of many keys, by family, in blocks: a scrape of a million series then handles thousands of objects.

The problem: a bytes object and two places in dicts for each line take three times the memory of the line, and a scrape
that copies a million references holds up the loop.

The idea: the lines that SIZE keys have in one family are one object, a Passage. A change makes another Passage, and
only that one is deflated again.

The rules:

- Keys that are shown alike share blocks: those of one check, or of one relation. A key keeps its place in them, so
  scrapes keep their order. A place that is free again is for the next key.
- A Passage never changes what it says. So whoever holds Passages, such as a scrape, has the lines of one moment.
- Changes wait in the block. They become a Passage when `passages` is asked, or when they are many (WAITING). Its
  octets are put together when somebody needs them.
- A Passage that has been deflated lets its plain octets go: most scrapes want gzip, and it is a twelfth of the memory.
- What is put again as it was changes nothing. A digest of 16 octets tells.
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from exporter.check_state import Key
from exporter.views.gzip_parts import Deflated, inflated

SIZE = 200  # keys of one block: larger ones deflate better, smaller ones are changed with less work
WAITING = 5  # a change of one in so many of them does not wait: each that waits is an object of its own
_DIGEST = 16  # octets
_NOTHING = bytes(_DIGEST)


class Passage:
    """The lines of one block in one family; or any other octets of a scrape. `size` is how many octets they are."""

    __slots__ = ("_base", "_changes", "_lengths", "_plain", "deflated", "size")

    def __init__(self, plain: bytes = b"", places: int = 1) -> None:
        self._plain: bytes | None = plain
        self._lengths: array[int] | None = array("I", [len(plain)] * places)  # octets, by place
        self._base: Passage | None = None  # with the changes it gives the octets, if nobody has put them together yet
        self._changes: Mapping[int, bytes] = {}
        self.deflated: Deflated | None = None
        self.size = len(plain)

    @property
    def lengths(self) -> array[int]:
        """How many octets the lines of each key are, by place."""
        if self._lengths is None:
            assert self._base is not None  # noqa: S101  (without lengths, it is a base with changes)
            lengths = self._lengths = self._base.lengths[:]
            for place, text in self._changes.items():
                lengths[place] = len(text)
        return self._lengths

    def changed(self, changes: Mapping[int, bytes], size: int) -> Passage:
        """Other lines at these places. This takes no time, as it only notes it; `size` is what then comes out."""
        if self._base is not None and len(self._changes) * WAITING >= len(self.lengths):
            self.plain()
        made = Passage()
        made._plain, made._lengths, made.size = None, None, size
        if self._base is None:
            made._base, made._changes = self, changes
        else:
            made._base, made._changes = self._base, {**self._changes, **changes}
        return made

    def plain(self) -> bytes:
        """The octets. They are inflated each time if they are held deflated."""
        if self._plain is not None:
            return self._plain
        if self.deflated is not None:
            return inflated(self.deflated)
        assert self._base is not None  # noqa: S101  (plain octets, deflated ones, or a base: one of them is there)
        before, ends, _ = self._base.plain(), [0, *accumulate(self._base.lengths)], self.lengths
        spliced: list[bytes] = []
        done = 0
        for place in sorted(self._changes):
            spliced += before[done : ends[place]], self._changes[place]
            done = ends[place + 1]
        plain = b"".join((*spliced, before[done:]))
        if plain == before and self._base.deflated is not None:  # the keys have changed in other families
            self.deflated = self._base.deflated
        else:
            self._plain = plain
        self._base, self._changes = None, {}
        return plain

    def hold(self, deflated: Deflated) -> None:
        """Keep the octets deflated from now on. They must be those of `plain`, which has put them together."""
        self.deflated, self._plain = deflated, None


class _Block:
    """Places for keys of one group."""

    __slots__ = ("counts", "digests", "passages", "size", "sizes", "waiting")

    def __init__(self, size: int) -> None:
        self.size = size
        self.counts = array("I", [0]) * size  # lines, by place
        self.digests = bytearray(_DIGEST * size)
        self.passages: dict[str, Passage] = {}  # by family
        self.sizes: dict[str, int] = {}  # octets by family, with those that wait
        self.waiting: dict[str, dict[int, bytes]] = {}  # by family: what else is to stand at these places

    def write(self, place: int, texts: Mapping[str, bytes], count: int, digest: bytes) -> None:
        for family in self.sizes.keys() - texts.keys():
            if self._length(family, place):
                self._change(family, place, b"")
        for family, text in texts.items():
            self._change(family, place, text)
        self.counts[place] = count
        self.digests[_DIGEST * place : _DIGEST * (place + 1)] = digest

    def says(self, place: int, digest: bytes) -> bool:
        return self.digests[_DIGEST * place : _DIGEST * (place + 1)] == digest

    def _length(self, family: str, place: int) -> int:
        waiting = self.waiting.get(family)
        if waiting is not None and place in waiting:
            return len(waiting[place])
        return self.passages[family].lengths[place] if family in self.passages else 0

    def _change(self, family: str, place: int, text: bytes) -> None:
        self.sizes[family] = self.sizes.get(family, 0) + len(text) - self._length(family, place)
        waiting = self.waiting.setdefault(family, {})
        waiting[place] = text
        if len(waiting) * WAITING >= self.size:
            self.take_in(family)
            if family in self.passages:
                self.passages[family].plain()

    def take_in(self, family: str) -> None:
        """What waits becomes lines."""
        waiting, size = self.waiting.pop(family), self.sizes[family]
        if size:
            self.passages[family] = (self.passages.get(family) or Passage(places=self.size)).changed(waiting, size)
        else:
            self.passages.pop(family, None)
            del self.sizes[family]


class _Group:
    """Keys that are shown alike."""

    __slots__ = ("blocks", "free", "places")

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self.places: dict[str, int] = {}
        self.free: list[int] = []  # a heap

    def place(self, name: str) -> int:
        """The place of the key; a new one if it has none."""
        place = self.places.get(name)
        if place is None:
            place = self.places[name] = heapq.heappop(self.free) if self.free else len(self.places)
        return place

    def leave(self, name: str) -> None:
        heapq.heappush(self.free, self.places.pop(name))


class Blocks:
    """The lines of all keys. `count` is how many lines there are."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._groups: dict[str, _Group] = {}
        self._waiting: dict[_Block, None] = {}
        self.count = 0

    def counted(self, key: Key) -> int:
        """How many lines the key has."""
        group = self._groups.get(key[0])
        place = group.places.get(key[1]) if group else None
        if group is None or place is None:
            return 0
        number, place = divmod(place, self._size)
        return group.blocks[number].counts[place]

    def put(self, key: Key, lines: Iterable[tuple[str, bytes]]) -> None:
        """The lines of the key are these (family, line) pairs from now on. Without any, its place is free."""
        texts: dict[str, bytes] = {}
        count = 0
        for family, line in lines:
            texts[family] = texts[family] + line if family in texts else line
            count += 1
        group = self._groups.get(key[0])
        if group is None:
            if not texts:
                return
            group = self._groups[key[0]] = _Group()
        elif not texts and key[1] not in group.places:
            return
        digest = hashlib.blake2b(b"".join(texts.values()), digest_size=_DIGEST).digest() if texts else _NOTHING
        number, place = divmod(group.place(key[1]), self._size)
        if number == len(group.blocks):
            group.blocks.append(_Block(self._size))
        block = group.blocks[number]
        if not block.says(place, digest):
            self.count += count - block.counts[place]
            block.write(place, texts, count, digest)
            self._waiting[block] = None
        if not texts:
            group.leave(key[1])

    def keys(self, group: str) -> set[Key]:
        """The keys of the group that have lines."""
        return {(group, name) for name in self._groups[group].places} if group in self._groups else set()

    def passages(self) -> Iterator[tuple[str, Passage]]:
        """All lines by family. What they say stays, whatever is put later."""
        for block in self._waiting:
            for family in list(block.waiting):
                block.take_in(family)
        self._waiting.clear()
        for group in self._groups.values():
            for block in group.blocks:
                yield from block.passages.items()
