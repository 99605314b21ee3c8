"""The logo of BIMI: an SVG file that can do nothing but be looked at (draft-svg-tiny-ps-abrotman).

SVG is XML that draws. In full it can also run scripts, move, link and load things from elsewhere, and every mail
program that shows it would do all that for whoever sends mail. BIMI takes a part of it only, "SVG Tiny Portable/Secure"
(section 2): SVG Tiny 1.2 of the W3C without scripts, interaction, links, sound, film, pictures in pixels and animation.
The file says so itself:

    <svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 96 96">
      <title>Example</title>                                   who that is, for those who cannot see it
      <rect width="96" height="96" fill="#205080"/> ...        shapes, gradients, text
    </svg>

There is no x= or y= at the root, and every reference stays within the file: href="#a", fill="url(#a)". Recommended,
rather than demanded, are a square, 32 kilobytes at most and, for Gmail, 96 pixels at least where pixels are given. The
file may be compressed with gzip (SVGZ: RFC 6170 section 5.2, BIMI section 4.3.2); its size is what comes out.

The reader here expands nothing and loads nothing: a document that declares entities or a grammar of its own is not
read on, since no reader in its senses would.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from xml.parsers import expat

LARGEST = 64 * 1024  # octets of a logo that we are willing to read: twice the recommendation
RECOMMENDED = 32 * 1024  # octets
LEAST_PIXELS = 96

SVG = "http://www.w3.org/2000/svg"
_GZIP = b"\x1f\x8b"
_DEEPEST = 100  # elements within elements
_MOST = 8  # of a kind that are told
_LONGEST = 200  # characters that are kept of a text

# What stands below the root in SVG Tiny 1.2, without what the profile takes away.
_SHAPES = {"circle", "defs", "ellipse", "g", "line", "path", "polygon", "polyline", "rect", "switch", "use"}
_PAINT = {"linearGradient", "radialGradient", "solidColor", "stop"}
_TEXT = {"desc", "metadata", "tbreak", "text", "textArea", "title", "tspan"}
_FONTS = {"font", "font-face", "font-face-src", "glyph", "hkern", "missing-glyph"}
_ELEMENTS = frozenset(_SHAPES | _PAINT | _TEXT | _FONTS)
# In whatever namespace: somebody may run them.
_ACTIVE = frozenset(("script", "foreignObject", "iframe", "object", "embed"))
_HANDLER = re.compile(r"on[a-z]+", re.ASCII)
_LINK = re.compile(r"url\([\s'\"]*([^'\")\s]{1,200})", re.ASCII | re.IGNORECASE)
_NUMBERS = re.compile(r"\s*,\s*|\s+", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.ASCII | re.IGNORECASE)
_PIXELS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:px)?", re.ASCII)


class LogoSyntaxError(ValueError):
    """These octets cannot be read as an SVG file; the message says why."""


@dataclass(frozen=True, slots=True)
class Logo:
    """What a reader of the profile looks at. Of strange things the first few are told, each once."""

    size: int  # octets, uncompressed
    version: str
    base_profile: str
    title: str
    view_box: str
    width: str
    height: str
    placed: tuple[str, ...]  # those of x and y that stand at the root
    doctype: bool
    strange: tuple[str, ...]  # elements and the like that the profile does not have
    elsewhere: tuple[str, ...]  # references that leave the file

    @property
    def sides(self) -> tuple[float, float] | None:
        """Width and height in units of its own; None: it does not say."""
        parts = _NUMBERS.split(self.view_box.strip()) if self.view_box else []
        if len(parts) == 4 and all(map(_NUMBER.fullmatch, parts)):
            return float(parts[2]), float(parts[3])
        return self.pixels

    @property
    def pixels(self) -> tuple[float, float] | None:
        """Of the width= and height= of the root, if they are given in pixels."""
        width, height = _PIXELS.fullmatch(self.width.strip()), _PIXELS.fullmatch(self.height.strip())
        return (float(width[1]), float(height[1])) if width and height else None


def uncompressed(octets: bytes) -> bytes:
    """The SVG of an SVGZ file, or what it is already. Raise LogoSyntaxError for what cannot be unpacked, or grows."""
    if not octets.startswith(_GZIP):
        return octets
    unpacking = zlib.decompressobj(wbits=31)  # gzip
    try:
        content = unpacking.decompress(octets, LARGEST + 1)
    except zlib.error as error:
        raise LogoSyntaxError(f"it cannot be unpacked: {error}") from None
    if len(content) <= LARGEST and not unpacking.eof:
        raise LogoSyntaxError("it cannot be unpacked: its end is missing")
    return content


def read(octets: bytes) -> Logo:
    """Raise LogoSyntaxError, and nothing else, for what is no SVG file or an unreasonable one."""
    content = uncompressed(octets)
    if len(content) > LARGEST:
        raise LogoSyntaxError(f"it has more than {LARGEST} bytes")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.ProcessingInstructionHandler = reader.instruction
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise LogoSyntaxError(f"it is not XML: {expat.ErrorString(error.code)} in line {error.lineno}") from None
    except LogoSyntaxError:
        raise
    except (LookupError, ValueError):  # of a codec: Python looks for encodings that the parser does not know itself
        raise LogoSyntaxError("its encoding is unknown") from None
    return reader.logo(len(content))


def examine(octets: bytes) -> Logo | LogoSyntaxError:
    """The same, with the error as a value."""
    try:
        return read(octets)
    except LogoSyntaxError as error:
        return error


class _Reader:
    """Hears what the parser meets."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._root: dict[str, str] = {}
        self._title = ""
        self._doctype = False
        self._strange: dict[str, None] = {}  # in order
        self._elsewhere: dict[str, None] = {}

    def logo(self, size: int) -> Logo:
        root = {name: value[:_LONGEST] for name, value in self._root.items()}
        return Logo(
            size,
            version=root.get("version", ""),
            base_profile=root.get("baseProfile", ""),
            title=self._title.strip(),
            view_box=root.get("viewBox", ""),
            width=root.get("width", ""),
            height=root.get("height", ""),
            placed=tuple(name for name in ("x", "y") if name in root),
            doctype=self._doctype,
            strange=tuple(self._strange),
            elsewhere=tuple(self._elsewhere),
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._open:
            if (namespace, local) != (SVG, "svg"):
                raise LogoSyntaxError(f"its root is <{local[:40]}> of the namespace {namespace[:100] or '(none)'}")
            self._root = attributes
        elif local in _ACTIVE or (namespace == SVG and local not in _ELEMENTS):
            self._note(self._strange, f"<{local[:40]}>")
        if len(self._open) == _DEEPEST:
            raise LogoSyntaxError(f"more than {_DEEPEST} elements are nested")
        self._open.append(local)
        for attribute, value in attributes.items():
            self._attribute(attribute.rpartition(" ")[2], value)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        if self._open == ["svg", "title"] and len(self._title) < _LONGEST:
            self._title = (self._title + text.lstrip())[:_LONGEST]

    def doctype(self, _: str, __: str | None, ___: str | None, internal: int) -> None:
        if internal:
            raise LogoSyntaxError("it declares a grammar or entities of its own (DOCTYPE with [...])")
        self._doctype = True

    def instruction(self, target: str, _: str) -> None:
        self._note(self._strange, f"<?{target[:40]}?>")

    def _attribute(self, name: str, value: str) -> None:
        if _HANDLER.fullmatch(name):
            self._note(self._strange, f"{name[:40]}=")
        for link in [value.strip()] if name == "href" else _LINK.findall(value):
            if link and not link.startswith(("#", "data:")):
                self._note(self._elsewhere, link[:_LONGEST])

    def _note(self, noted: dict[str, None], what: str) -> None:
        if len(noted) < _MOST:
            noted[what] = None
