"""exporter/mail/bimi/logo.py against draft-svg-tiny-ps-abrotman section 2, and against who means it badly."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.mark import LOGO
from exporter.mail.bimi import logo as bimi_logo
from exporter.mail.bimi.logo import LARGEST, Logo, LogoSyntaxError


def logo(text: str = LOGO) -> Logo:
    return bimi_logo.read(text.encode())


def test_the_demonstrations_logo_is_of_the_profile() -> None:
    found = logo()
    assert (found.version, found.base_profile, found.title) == ("1.2", "tiny-ps", "Example")
    assert (found.placed, found.strange, found.elsewhere, found.doctype) == ((), (), (), False)
    assert (found.sides, found.pixels, found.size) == ((96, 96), None, len(LOGO))


def test_a_compressed_logo_is_the_same() -> None:
    assert bimi_logo.read(gzip.compress(LOGO.encode())) == logo()


@pytest.mark.parametrize(
    "element",
    [
        "script",
        "animate",
        "set",
        "animateMotion",
        "image",
        "foreignObject",
        "video",
        "audio",
        "a",
        "style",
        "filter",
        "mask",
        "clipPath",
        "pattern",
        "svg",
    ],
)
def test_an_element_that_the_profile_does_not_have_is_told(element: str) -> None:
    assert logo(LOGO.replace("</svg>", f"<{element}/></svg>")).strange == (f"<{element}>",)


def test_a_script_of_another_namespace_is_one_too_and_a_drawing_programs_notes_are_none() -> None:
    notes = '<n:namedview xmlns:n="http://notes.example"/><metadata><n:a xmlns:n="http://n.example"/></metadata>'
    assert logo(LOGO.replace("</svg>", f"{notes}</svg>")).strange == ()
    script = '<h:script xmlns:h="http://www.w3.org/1999/xhtml"/>'
    assert logo(LOGO.replace("</svg>", f"{script}</svg>")).strange == ("<script>",)


def test_handlers_and_instructions_are_told() -> None:
    found = logo('<?xml-stylesheet href="a.css"?>' + LOGO.replace("<rect", '<rect onclick="x" on="" once="1"'))
    assert found.strange == ("<?xml-stylesheet?>", "onclick=", "once=")


@pytest.mark.parametrize(
    ("attribute", "elsewhere"),
    [
        ('fill="url(#a)"', ()),
        ("fill=\"url( '#a' )\"", ()),
        ('fill="url(https://b.example/c)"', ("https://b.example/c",)),
        ("fill=\"url( '//b.example/c#d' )\"", ("//b.example/c#d",)),
        ('style="fill:url(#a);stroke:url(c.svg#d)"', ("c.svg#d",)),
        ('href="#a"', ()),
        ('xlink:href="c.svg#a" xmlns:xlink="http://www.w3.org/1999/xlink"', ("c.svg#a",)),
        ('href="data:,a"', ()),
        ('xmlns:n="http://n.example"', ()),
    ],
)
def test_references_stay_in_the_file(attribute: str, elsewhere: tuple[str, ...]) -> None:
    assert logo(LOGO.replace("</svg>", f"<use {attribute}/></svg>")).elsewhere == elsewhere


def test_only_the_first_few_strange_things_are_told() -> None:
    many = "".join(f"<e{n}/>" for n in range(100))
    assert len(logo(LOGO.replace("</svg>", f"{many}</svg>")).strange) == 8


@pytest.mark.parametrize(
    ("change", "sides"),
    [
        ('viewBox="0 0 10 20"', (10, 20)),
        ('viewBox=" -5,-5 , 1e1 .5 "', (10, 0.5)),
        ('viewBox="0 0 10" width="9" height="8px"', (9, 8)),
        ('width="100%" height="100%"', None),
        ("", None),
    ],
)
def test_its_shape_is_that_of_its_view_box_or_of_its_pixels(change: str, sides: tuple[float, float] | None) -> None:
    assert logo(LOGO.replace('viewBox="0 0 96 96"', change)).sides == sides


def test_a_title_elsewhere_is_none() -> None:
    assert logo(LOGO.replace("<title>Example</title>", "<g><title>x</title></g>")).title == ""
    assert logo(LOGO.replace("Example", " \n ")).title == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "no element found"),
        (b"GIF89a", "syntax error"),
        (b"<html/>", "its root is <html> of the namespace \\(none\\)"),
        (b"<svg/>", "its root is <svg> of the namespace \\(none\\)"),
        (LOGO.encode() + b"<a/>", "junk after document element"),
        (LOGO.encode()[:-2], "unclosed token"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]>' + LOGO.encode(), "entities of its own"),
        (b'<!DOCTYPE svg [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>' + LOGO.encode(), "entities of its own"),
        (LOGO.replace("Example", "&lol;").encode(), "undefined entity"),
        (b'<?xml version="1.0" encoding="x-none"?>' + LOGO.encode(), "its encoding is unknown"),
        (b'<?xml version="1.0" encoding="rot13"?>' + LOGO.encode(), "its encoding is unknown"),
        (LOGO.replace("</svg>", "<g>" * 100 + "</g>" * 100 + "</svg>").encode(), "more than 100 elements"),
        (b"x" * (LARGEST + 1), "more than 65536 bytes"),
        (gzip.compress(b" " * 10_000_000), "more than 65536 bytes"),
        (gzip.compress(LOGO.encode())[:-1], "its end is missing"),
        (b"\x1f\x8bnothing", "it cannot be unpacked"),
    ],
)
def test_what_is_no_logo_is_not_read(text: bytes, why: str) -> None:
    with pytest.raises(LogoSyntaxError, match=why):
        bimi_logo.read(text)
    assert isinstance(bimi_logo.examine(text), LogoSyntaxError)


def test_a_doctype_that_declares_nothing_is_only_told_and_nothing_is_fetched_for_it() -> None:
    found = logo('<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "file:///etc/passwd">' + LOGO)
    assert found.doctype
    assert found.title == "Example"


OCTETS = LOGO.encode()


@given(st.lists(st.tuples(st.integers(0, len(OCTETS) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_logo_raises_nothing_else(changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(OCTETS)
    for place, octet in changes:
        mutated[place] = octet
    assert isinstance(bimi_logo.examine(bytes(mutated)), Logo | LogoSyntaxError)
