r"""Macros of SPF: names that are only known once somebody sends (RFC 7208 section 7).

A policy may say `exists:%{ir}.%{v}._spf.example.com` and so ask DNS a question about this very message: when
192.0.2.3 sends, about `3.2.0.192.in-addr._spf.example.com`. `%{` starts a macro, and in it stand, in this order:

 - a letter (7.2): `s` the sender, `l` its local part, `o` its domain, `d` the domain whose policy this is, `i` the
   address (an IPv6 one as 32 nibbles), `p` its validated name, `v` `in-addr` or `ip6`, `h` the HELO name; `c`, `r` and
   `t` in explanations only. An upper-case letter asks for URL escapes (7.3);
 - how many parts to keep, counted from the right, and `r` to reverse them first: `%{d2}` of mail.example.com is
   example.com (7.3);
 - the characters to split at, if not dots: `%{l-}` of me-you is me.you (7.3).

`%%`, `%_` and `%-` stand for `%`, a space and `%20` (7.1).

What comes out may hold any octet, so it is turned into a DNS name with care: at most 253 octets, cut at the left by
whole labels (7.3), each label of 1 to 63 octets (RFC 1035 section 2.3.4), escaped. A term without a name means the
domain itself (4.8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from exporter.mail.names import LONGEST_NAME

_PIECE = re.compile(  # groups: the four parts of a macro, an escape, a literal
    r"%\{([slodiphcrtv])([0-9]*)(r?)([.\-+,/_=]*)\}|%([%_\-])|([ -$&-~]+)",
    re.ASCII | re.IGNORECASE,
)
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_ONLY_IN_EXPLANATIONS = frozenset("crt")
_TOP_LABEL = r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN_END = re.compile(rf"\.{_TOP_LABEL}\.?")
_TOP = re.compile(_TOP_LABEL)
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_LITERAL = re.compile(r"[!-$&-~]*")
_QUOTED = frozenset(b'"().;\\@$')
_LONGEST_LABEL = 63


class SpfSyntaxError(ValueError):
    """A text that RFC 7208 does not allow; the message says what and where."""


class Macro(NamedTuple):
    letter: str  # lower case
    url: bool  # written in upper case: URL-escape the value
    parts: int  # right-hand parts to keep; 0 = all
    reverse: bool
    delimiters: str

    def expand(self, value: str) -> str:
        if self.parts or self.reverse or self.delimiters != ".":
            parts = re.split(f"[{re.escape(self.delimiters)}]", value)
            if self.reverse:
                parts.reverse()
            value = ".".join(parts[-self.parts :])
        return quote(value, safe="") if self.url else value


Piece: TypeAlias = str | Macro


class MacroString(NamedTuple):
    """A text with macros in it, such as the domain-spec of a term."""

    text: str
    pieces: tuple[Piece, ...]

    @property
    def letters(self) -> frozenset[str]:
        return frozenset(piece.letter for piece in self.pieces if isinstance(piece, Macro))

    def expand(self, values: Mapping[str, str]) -> str:
        """`values` has one for each of the letters."""
        if self.pieces == (self.text,):
            return self.text
        return "".join(p if isinstance(p, str) else p.expand(values[p.letter]) for p in self.pieces)

    def target(self, values: Mapping[str, str]) -> str:
        """The name that a domain-spec stands for (section 4.8): expanded, and cut to what fits (7.3)."""
        text = self.expand(values)
        if len(text) <= LONGEST_NAME and text.isascii():
            return text
        octets = text.encode("utf-8", "backslashreplace").removesuffix(b".")
        if len(octets) <= LONGEST_NAME:
            return text
        kept = octets[-LONGEST_NAME:]
        whole = octets[-LONGEST_NAME - 1] == ord(".")
        return (kept if whole else kept.partition(b".")[2]).decode("utf-8", "backslashreplace")


def macro_string(text: str, *, explanation: bool = False) -> MacroString:
    """Raise SpfSyntaxError unless it is a macro-string of section 7.1, or the text of an explanation (6.2)."""
    return MacroString(text, _pieces(text, explanation=explanation)[0])


def domain_spec(text: str) -> MacroString:
    """Raise SpfSyntaxError unless it is a domain-spec of section 7.1: it ends in a macro or in a top label."""
    if not text:
        raise SpfSyntaxError("the domain name is missing")
    pieces, ends_in_macro = _pieces(text, explanation=False)
    if not ends_in_macro:
        last = pieces[-1]
        dot = last.rfind(".", 0, -1) if isinstance(last, str) else -1
        if dot < 0 or not isinstance(last, str) or not _DOMAIN_END.fullmatch(last, dot):
            raise SpfSyntaxError(f"{_cut(text)} is not a domain name with a top-level domain")
    return MacroString(text, pieces)


def _pieces(text: str, *, explanation: bool) -> tuple[tuple[Piece, ...], bool]:
    if _LITERAL.fullmatch(text):  # most are, and a record may hold thousands
        return (text,) if text else (), False
    pieces: list[Piece] = []
    at, ends_in_macro = 0, False
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            problem = "'%' starts no macro" if text[at] == "%" else f"character {text[at]!r} is not allowed"
            raise SpfSyntaxError(f"{problem} at position {at + 1} of {_cut(text)}")
        at = found.end()
        letter, digits, reverse, delimiters, escape, literal = found.groups()
        ends_in_macro = literal is None
        if literal is not None:
            if not explanation and " " in literal:
                raise SpfSyntaxError(f"a space is not allowed in {_cut(text)}")
            pieces.append(literal)
        elif escape is not None:
            pieces.append(_ESCAPES[escape])
        else:
            lower = letter.lower()
            if lower in _ONLY_IN_EXPLANATIONS and not explanation:
                raise SpfSyntaxError(f"macro {_cut(found[0])} is for explanations only (section 7.2)")
            parts = _parts(digits, found[0]) if digits else 0
            pieces.append(Macro(lower, letter != lower, parts, bool(reverse), delimiters or "."))
    return tuple(pieces), ends_in_macro


def _parts(digits: str, macro: str) -> int:
    significant = digits.lstrip("0")
    if not significant:
        raise SpfSyntaxError(f"macro {_cut(macro)} keeps zero parts (section 7.3)")
    return int(significant[:6])  # no name has a million parts: more digits change nothing


def _cut(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def query_name(text: str) -> str | None:
    """The name in presentation format (mail/dns.py), or None if DNS can hold no such name (section 4.3)."""
    if len(text) <= LONGEST_NAME and _PLAIN.fullmatch(text):  # as nearly always
        return text.removesuffix(".").lower()
    octets = text.encode("utf-8", "backslashreplace").removesuffix(b".")
    labels = octets.split(b".")
    if len(octets) > LONGEST_NAME or not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        return None
    return ".".join("".join(map(_shown, label.lower())) for label in labels)


def _shown(octet: int) -> str:
    if octet in _QUOTED:
        return f"\\{octet:c}"
    return f"{octet:c}" if 0x21 <= octet <= 0x7E else f"\\{octet:03d}"


def can_have_policy(name: str) -> bool:
    """Is it a multi-label domain name, not an address in disguise (section 4.3)?"""
    host, _, top = name.rpartition(".")
    return bool(host) and _TOP.fullmatch(top) is not None
