"""exporter/mail/tag_list.py: terms are found wherever they stand, and nothing is lost or raised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.mail.tag_list import Tag, has_empty, read, repeated

LISTS = [
    (b"", []),
    (b";;\t;\r\n ", []),
    (b"v=DKIM1", [Tag("v", "DKIM1", 1)]),
    (b" v\t= DKIM1 ; k = rsa;", [Tag("v", "DKIM1", 2), Tag("k", "rsa", 14)]),
    (b"p=", [Tag("p", "", 1)]),
    (b"n=a=b==; x_1=2", [Tag("n", "a=b==", 1), Tag("x_1", "2", 10)]),
    (b"a=1;junk;b=2", [Tag("a", "1", 1), Tag("", "junk", 5), Tag("b", "2", 10)]),
    (b"1a=2;=3;a b=4", [Tag("", "1a=2", 1), Tag("", "=3", 6), Tag("", "a b=4", 9)]),
    (b"n=\xc3\xa9", [Tag("n", "\u00c3\u00a9", 1)]),
]


@pytest.mark.parametrize(("text", "tags"), LISTS)
def test_a_list_is_read_as_its_terms(text: bytes, tags: list[Tag]) -> None:
    assert read(text) == tags


@given(st.binary(max_size=300))
def test_every_term_stands_where_it_says(text: bytes) -> None:
    whole = text.decode("latin-1")
    for tag in read(text):
        assert whole[tag.position - 1 :].startswith(tag.name or tag.value)


def test_names_that_repeat_are_told_once() -> None:
    assert repeated(["p", "v", "p", "p", "k", "v"]) == ("p", "v")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"v=1; p=2", False),
        (b"v=1; p=2;", False),
        (b"v=1; p=2; \r\n", False),
        (b"v=1; p=", False),
        (b"v=1;; p=2", True),
        (b"v=1; \t; p=2", True),
        (b"v=1; p=2;;", True),
        (b"; v=1", True),
        (b";", True),
        (b"", True),
    ],
)
def test_one_semicolon_may_close_a_list_and_no_other_stand_alone(text: bytes, expected: bool) -> None:
    assert has_empty(text) is expected
