"""Reads a CPU profile of a Go program: how many seconds it spent below a function.

The format is a gzipped message of protocol buffers (profile.proto of pprof). Only the fields that are needed are read.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

_SAMPLE, _LOCATION, _FUNCTION, _TEXT = 2, 4, 5, 6  # fields of a profile


@dataclass(frozen=True)
class GoProfile:
    """Stacks, the innermost function first, with their seconds."""

    stacks: tuple[tuple[tuple[str, ...], float], ...]

    def below(self, function: str) -> float:
        return sum(seconds for stack, seconds in self.stacks if function in stack)

    @property
    def total(self) -> float:
        return sum(seconds for _, seconds in self.stacks)


def parse(packed: bytes) -> GoProfile:
    texts: list[str] = []
    functions: dict[int, int] = {}  # the number of its name
    locations: dict[int, list[int]] = {}  # their functions
    samples: list[tuple[list[int], list[int]]] = []
    for field, value in _fields(gzip.decompress(packed)):
        if field == _TEXT:
            texts.append(_octets(value).decode())
        elif field == _FUNCTION:
            told = dict(_fields(_octets(value)))
            functions[_number(told[1])] = _number(told[2])
        elif field == _LOCATION:
            parts = list(_fields(_octets(value)))
            ids = [_number(it) for part, it in parts if part == 1]
            lines = [dict(_fields(_octets(it))) for part, it in parts if part == 4]
            locations[ids[0]] = [_number(line[1]) for line in lines]
        elif field == _SAMPLE:
            parts = list(_fields(_octets(value)))
            stack, values = ([n for part, it in parts if part == which for n in _numbers(it)] for which in (1, 2))
            samples.append((stack, values))
    named = {place: [texts[functions[it]] for it in inside] for place, inside in locations.items()}
    return GoProfile(
        tuple((tuple(name for it in stack for name in named[it]), values[1] / 1e9) for stack, values in samples)
    )


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
        else:  # no other kind is in a profile
            size, at = _varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]
        value |= (octet & 127) << shift
        at, shift = at + 1, shift + 7
        if octet < 128:
            return value, at


def _numbers(value: int | bytes) -> Iterator[int]:
    """One, or several that are packed."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield number


def _number(value: int | bytes) -> int:
    return next(_numbers(value))


def _octets(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""
