"""Tag lists, `tag=value; tag=value`: the syntax of DKIM keys (RFC 6376 section 3.2), borrowed by DMARC (RFC 9989).

    v=DKIM1; k=rsa; p=MIIBIjANBgkqh...

White space around a tag, its "=" and its value means nothing, line ends included (section 2.8, FWS). A tag's name
begins with a letter, goes on in letters, digits and "_", and is case-sensitive. A value may be empty, and may hold "="
signs and everything else but ";". One ";" may close the list. The order means nothing unless a record says so, as of
v=. A tag may stand there once: with the same one twice the whole list is invalid. A tag that a reader does not know is
to be ignored, which is how lists grow. What a broken term does to the whole list is for each record to say, so a term
carries its fault instead of raising it. Nothing at all between two semicolons is passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from typing import NamedTuple

LONGEST = 64 * 1024  # octets of a record that we are willing to read: more than a TXT record can hold

SPACE = " \t\r\n"  # what a list may be folded with (RFC 6376 section 2.8)
_TERM = re.compile(rf"([A-Za-z][A-Za-z0-9_]*)[{SPACE}]*=[{SPACE}]*(.*)", re.ASCII | re.DOTALL)


class Tag(NamedTuple):
    name: str  # as written; empty for a term that is no `tag=value`
    value: str  # without the white space around it; octets above 127 are read as Latin-1, so none is lost
    position: int  # of the term's first character in the text, counted from 1


def read(text: bytes) -> list[Tag]:
    """Every term in order, broken ones with an empty name and their whole text as value. Never raises."""
    tags = []
    position = 1
    for term in text.decode("latin-1").split(";"):
        stripped = term.strip(SPACE)
        if stripped:
            found = _TERM.fullmatch(stripped) if "=" in stripped else None
            name, value = found.groups() if found else ("", stripped)
            before = term.index(stripped) if len(stripped) < len(term) else 0
            tags.append(Tag(name, value, position + before))
        position += len(term) + 1
    return tags


def has_empty(text: bytes) -> bool:
    """Does it have a semicolon too many? The grammar has none for an empty tag; one may close the list."""
    *terms, last = (term.strip(SPACE.encode()) for term in text.split(b";"))
    return not all(terms) or (not terms and not last)


class KnownTags(NamedTuple):
    """A list as those read it who ignore what they do not know: of several tags of one name the first counts."""

    found: dict[str, str]
    repeated: tuple[str, ...]
    bad_terms: tuple[str, ...]


def known(text: bytes, names: Container[str], *, any_case: bool = False) -> KnownTags:
    """The tags of these names, in lower case where they match in any case. Never raises."""
    terms = read(text)
    tags = [(term.name.lower() if any_case else term.name, term.value) for term in terms]
    named = [(name, value) for name, value in tags if name in names]
    return KnownTags(
        found=dict(reversed(named)),
        repeated=repeated(name for name, _ in named),
        bad_terms=tuple(term.value for term in terms if not term.name),
    )


def repeated(names: Iterable[str]) -> tuple[str, ...]:
    """The names that occur more than once, which makes a list invalid (RFC 6376 section 3.2)."""
    return tuple(name for name, count in Counter(names).items() if count > 1)
