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
from collections.abc import Container, Sequence
from typing import NamedTuple

LONGEST = 64 * 1024  # octets of a record that we are willing to read: more than a TXT record can hold

SPACE = " \t\r\n"  # what a list may be folded with (RFC 6376 section 2.8)
_SPACE = SPACE.encode()
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
        if stripped := term.strip(SPACE):
            found = _TERM.fullmatch(stripped) if "=" in stripped else None
            name, value = found.groups() if found else ("", stripped)
            before = term.index(stripped) if len(stripped) < len(term) else 0
            tags.append(Tag(name, value, position + before))
        position += len(term) + 1
    return tags


def has_empty(text: bytes) -> bool:
    """Does it have a semicolon too many? The grammar has none for an empty tag; one may close the list."""
    *terms, last = text.split(b";")
    return not all(term.strip(_SPACE) for term in terms) or (not terms and not last.strip(_SPACE))


class KnownTags(NamedTuple):
    """A list as those read it who ignore what they do not know: of several tags of one name the first counts."""

    found: dict[str, str]
    repeated: tuple[str, ...]
    bad_terms: tuple[str, ...]


def known(terms: Sequence[Tag], names: Container[str], *, any_case: bool = False) -> KnownTags:
    """The tags of these names, in lower case where they match in any case. Never raises."""
    tags = [(term.name.lower() if any_case else term.name, term.value) for term in terms]
    named = [(name, value) for name, value in tags if name in names]
    found = dict(reversed(named))
    return KnownTags(
        found=found,
        repeated=() if len(found) == len(named) else repeated([name for name, _ in named]),
        bad_terms=tuple([term.value for term in terms if not term.name]),
    )


def repeated(names: Sequence[str]) -> tuple[str, ...]:
    """The names that occur more than once, which makes a list invalid (RFC 6376 section 3.2)."""
    if len(set(names)) == len(names):
        return ()
    return tuple(name for name, count in Counter(names).items() if count > 1)
