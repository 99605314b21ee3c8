"""Whatever strangers write, each parser ends soon, and with a value or its own error."""

from __future__ import annotations

import gc
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.parsers import HEADS, LONGEST, PARSERS, WORDS

EXAMPLES = 5000  # for each of the parsers: 100,000 in all
MOST = 0.2  # seconds; bench/parsers.py shows that 0.02 suffice where nothing else runs

# Few draws make many pieces: what takes time here is drawing.
pieces = st.binary(max_size=40)


def joined(numbers: bytes) -> bytes:
    return b"".join(WORDS[n] if n < len(WORDS) else bytes((n,)) for n in numbers)


def try_(name: str, octets: bytes) -> None:
    parser = PARSERS[name]
    try:
        parser.read(octets)
    except ValueError as error:
        if parser.error is None or not isinstance(error, parser.error):
            raise


def test_the_words_leave_room_for_octets_of_any_kind() -> None:
    assert len(set(WORDS)) == len(WORDS) < 200


@pytest.mark.long
@given(pieces, st.integers(0, 3))
@settings(deadline=None, max_examples=EXAMPLES)
def test_no_parser_raises_anything_but_its_own_error(numbers: bytes, head: int) -> None:
    octets = joined(numbers)
    for name in PARSERS:
        heads = HEADS.get(name, (b"",))
        try_(name, heads[head % len(heads)] + octets)


@pytest.mark.parametrize("name", PARSERS)
@given(st.binary(min_size=1, max_size=6), st.integers(0, 3))
@settings(deadline=None, max_examples=8)
def test_every_parser_is_linear_in_what_it_gets(name: str, numbers: bytes, head: int) -> None:
    unit = joined(numbers)
    heads = HEADS.get(name, (b"",))
    first = heads[head % len(heads)]
    octets = first + unit * ((LONGEST - len(first)) // len(unit))
    gc.disable()  # a collection of all that the suite holds is no work of the parser's
    try:
        began = time.process_time()
        try_(name, octets)
        took = time.process_time() - began
    finally:
        gc.enable()
    assert took < MOST
