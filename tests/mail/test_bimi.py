"""BIMI by its drafts: records, logos of the profile SVG Tiny PS, mark certificates, and the DMARC policy below all."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo import mark
from exporter.demo.mark import LOGO
from exporter.mail import bimi, bimi_certificate, bimi_logo
from exporter.mail.bimi import BimiSyntaxError, Found, Record, is_record, meant, parse, weaknesses
from exporter.mail.bimi_certificate import Mark, NoCertificateError
from exporter.mail.bimi_logo import LARGEST, Logo, LogoSyntaxError
from exporter.mail.certificate import CertificateSyntaxError
from exporter.mail.dmarc_walk import Discovery, climb
from exporter.mail.dns import TXT, Evaluation, Question, Reply, Status, T
from exporter.mail.tags import LONGEST

NOW = 1_780_000_000.0
DAY = 86400.0


def play(evaluation: Evaluation[T], texts: Mapping[str, str], failing: str = "") -> tuple[T, list[str]]:
    """To its end, with what was asked."""
    asked = []
    try:
        question = next(evaluation)
        while True:
            asked.append(question.name)
            question = evaluation.send(answer(question, texts, failing))
    except StopIteration as end:
        return end.value, asked


def answer(question: Question, texts: Mapping[str, str], failing: str) -> Reply:
    if question.name == failing:
        return Reply(question, Status.SERVFAIL)
    if question.name not in texts:
        return Reply(question, Status.NXDOMAIN)
    return Reply(question, Status.ANSWER, tuple(TXT((text.encode(),)) for text in texts[question.name].split("|")))


# ---- Records ----


@pytest.mark.parametrize("text", [b"v=BIMI1", b"v=BIMI1;", b"v = BIMI1\t; l=", b"v=BIMI1;l=https://a.example/b\xff"])
def test_what_begins_with_the_version_is_a_record(text: bytes) -> None:
    assert is_record(text)
    assert meant(text)


@pytest.mark.parametrize(
    "text", [b"v=bimi1; l=", b"V=BIMI1; l=", b" v=BIMI1; l=", b"v=BIMI10; l=", b"v=BIMI1 l=", b'"v=BIMI1; l="']
)
def test_nothing_is_repaired_but_what_was_meant_is_seen(text: bytes) -> None:
    assert not is_record(text)
    assert meant(text)
    with pytest.raises(BimiSyntaxError, match="at character 1 is not v=BIMI1"):
        parse(text)


@pytest.mark.parametrize("text", [b"", b"v=spf1 -all", b"v=DMARC1; p=none", b"l=https://a.example/b.svg; v=BIMI1"])
def test_other_texts_are_neither(text: bytes) -> None:
    assert not is_record(text)
    assert not meant(text)


def test_a_record_longer_than_any_txt_record_is_not_read() -> None:
    text = b"v=BIMI1;" + b"x" * LONGEST
    assert not is_record(text)
    assert not meant(text)
    with pytest.raises(BimiSyntaxError, match="65544 octets are more"):
        parse(text)


def test_every_tag_is_read() -> None:
    text = b"v=BIMI1; a=https://b.example/m.pem; l = https://b.example/l.svg ;avp=personal; lps=true; x=y;"
    assert parse(text) == Record("https://b.example/l.svg", "https://b.example/m.pem", (), (), ())


def test_what_a_careful_reader_would_complain_about_is_kept() -> None:
    record = parse(b"v=BIMI1; l=one; l=two; words; avp=Brand; lps=1; x=1; x=2")
    assert record == Record("one", "", (("avp", "Brand"), ("lps", "1")), ("words",), ("l",))


@pytest.mark.parametrize(
    ("text", "location", "declined"),
    [
        (b"v=BIMI1; l=; a=", "", True),
        (b"v=BIMI1; l=", "", True),
        (b"v=BIMI1; l=; a=https://b.example/m.pem", "", False),
        (b"v=BIMI1", None, False),
        (b"v=BIMI1; L=https://b.example/l.svg", None, False),
    ],
)
def test_only_an_empty_location_without_evidence_is_a_refusal(
    text: bytes, location: str | None, declined: bool
) -> None:
    assert (parse(text).location, parse(text).declined) == (location, declined)


@pytest.mark.parametrize(
    "url",
    [
        "https://b.example",
        "HTTPS://B.example/l.svg",
        "https://b.example:8443/l.svg?x=1#y",
        "https://xn--bcher-kva.example/",
    ],
)
def test_an_https_url_of_a_full_host_name_can_be_fetched(url: str) -> None:
    assert bimi.url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://b.example/l.svg", "it is no https URL"),
        ("b.example/l.svg", "it is no https URL"),
        ("https://user@b.example/l.svg", "it is no https URL"),
        ("https://b.example/l one.svg", "it is no https URL"),
        ("https://b.example/lögo.svg", "it is no https URL"),
        ("https://b/l.svg", "b is no fully"),
        ("https://192.0.2.1/l.svg", "192.0.2.1 is no fully"),
        ("https://b_b.example/l.svg", "b_b.example is no fully"),
        ("https://b.example/l,1.svg", "a comma"),
    ],
)
def test_what_nobody_can_fetch_is_told(url: str, fault: str) -> None:
    assert bimi.url_fault(url).startswith(fault)


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("https://b.example/l.PNG?size=1", ".png"),
        ("https://b.example/l.jpg#x", ".jpg"),
        ("https://b.example/l.svg", ""),
        ("https://b.example/l.svgz", ""),
        ("https://b.example/png", ""),
        ("https://b.example/l?file=l.png", ""),
    ],
)
def test_a_suffix_may_promise_a_picture_in_pixels(url: str, suffix: str) -> None:
    assert bimi.picture_suffix(url) == suffix


# ---- Discovery (section 7.2) ----

OWN, ABOVE = "default._bimi.shop.example.com", "default._bimi.example.com"


def find(texts: Mapping[str, str], failing: str = "", domain: str = "shop.example.com") -> tuple[Found, list[str]]:
    return play(bimi.find(domain), texts, failing)


def test_the_own_record_is_enough() -> None:
    found, asked = find({OWN: "v=BIMI1; l=", ABOVE: "v=BIMI1; l=https://b.example/l.svg"})
    assert asked == [OWN]
    assert found.own.records[0].declined
    assert found.above is None


def test_without_a_record_of_its_own_that_of_the_organisational_domain_counts() -> None:
    found, asked = find({OWN: "v=spf1 -all", ABOVE: "v=BIMI1; l=https://b.example/l.svg"}, domain="shop.example.com")
    assert asked == [OWN, ABOVE]
    assert found.own.records == ()
    assert found.above
    assert found.above.records[0].location == "https://b.example/l.svg"


def test_nobody_is_asked_twice_or_asked_on_in_doubt() -> None:
    assert find({}, domain="example.com")[1] == [ABOVE]
    assert find({}, failing=OWN)[1] == [OWN]


# ---- DMARC (section 7.1) ----


def told(texts: Mapping[str, str], failing: str = "", domain: str = "shop.example.com") -> list[tuple[str, str]]:
    found: Discovery = play(climb(domain), texts, failing)[0]
    return [(it.name, it.what) for it in weaknesses(found)]


ENFORCED = "v=DMARC1; p=reject"


@pytest.mark.parametrize(
    "policy",
    [
        "p=reject",
        "p=quarantine",
        "p=quarantine; pct=100",
        "p=reject; pct=1",
        "p=reject; sp=quarantine",
        "p=reject; t=y",
    ],
)
def test_an_enforced_policy_carries_a_logo(policy: str) -> None:
    assert told({"_dmarc.example.com": f"v=DMARC1; {policy}"}, domain="example.com") == []


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        ("p=none", "p=none"),
        ("p=reject; sp=none", "sp=none"),
        ("p=quarantine; pct=99", "quarantine with pct=99"),
        ("p=quarantine; t=y", "quarantine with t=y"),
        ("p=never", "its policy cannot be read"),
        ("rua=mailto:a@example.com", "its policy cannot be read"),
    ],
)
def test_a_weaker_policy_does_not(policy: str, what: str) -> None:
    assert told({"_dmarc.example.com": f"v=DMARC1; {policy}"}, domain="example.com") == [("_dmarc.example.com", what)]


def test_the_policy_of_the_organisational_domain_has_to_be_good_as_well() -> None:
    texts = {"_dmarc.shop.example.com": ENFORCED, "_dmarc.example.com": "v=DMARC1; p=none"}
    assert told(texts) == [("_dmarc.example.com", "p=none")]


def test_a_sample_counts_where_its_policy_does() -> None:
    """pct= belongs to the quarantine that the subdomain inherits; the domain above rejects all."""
    text = {"_dmarc.example.com": "v=DMARC1; p=reject; sp=quarantine; pct=50"}
    assert told(text, domain="example.com") == []
    assert told(text) == [("_dmarc.example.com", "quarantine with pct=50")]


def test_no_policy_at_all_is_too_weak_when_that_is_certain() -> None:
    assert told({}) == [("_dmarc.shop.example.com", "there is no DMARC record")]
    assert told({}, failing="_dmarc.example.com") == []


def test_the_own_policy_is_proven_whatever_is_not_answered_above() -> None:
    assert told({"_dmarc.shop.example.com": "v=DMARC1; p=none"}, failing="_dmarc.com") == [
        ("_dmarc.shop.example.com", "p=none")
    ]


# ---- Logos ----


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
        (b"x" * (LARGEST + 1), "more than 65536 octets"),
        (gzip.compress(b" " * 10_000_000), "more than 65536 octets"),
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


# ---- Mark certificates ----


def pem(name: str = "example.com", **kind: bool | float | str) -> bytes:
    return mark.page(mark.Mark("https://example.com/m.pem", name, **kind), NOW).body.encode()  # type: ignore[arg-type]  # fields of several types


def read(name: str = "example.com", **kind: bool | float | str) -> Mark:
    return bimi_certificate.parse(pem(name, **kind))


def test_the_facts_of_a_mark_certificate_are_read() -> None:
    found = read(begins=-1, expires=2)
    assert (found.leaf.not_before, found.leaf.not_after) == (NOW - DAY, NOW + 2 * DAY)
    assert found.leaf.issuer == "CN=demo mark authority"
    assert (found.for_marks, found.has_logo, found.first, found.issuer_sent) == (True, True, True, True)
    assert found.logo == LOGO.encode()


def test_what_is_amiss_is_told_one_by_one() -> None:
    assert not read(for_marks=False).for_marks
    assert not read(logotype=False).has_logo
    assert not read(chain=False).issuer_sent
    assert not read(last=True).first
    assert read(last=True).for_marks


@pytest.mark.parametrize(
    ("name", "domain", "covered"),
    [
        ("example.com", "example.com", True),
        ("example.com", "shop.example.com", True),
        ("shop.example.com", "shop.example.com", True),
        ("shop.example.com", "example.com", False),
        ("default._bimi.example.com", "example.com", True),
        ("default._bimi.example.com", "shop.example.com", True),
        ("sale._bimi.example.com", "example.com", False),
        ("com", "example.com", False),
        ("notexample.com", "example.com", False),
    ],
)
def test_it_is_for_the_domain_or_its_organisational_domain(name: str, domain: str, covered: bool) -> None:
    assert read(name).covers(domain) == covered


def test_the_logo_inside_is_compared_but_for_its_line_ends() -> None:
    text = LOGO.replace("><", ">\n<")
    certified = read(logo=text)
    assert certified.shows(text.encode()) is True
    assert certified.shows(text.replace("\n", "\r\n").encode() + b"\r\n") is True
    assert certified.shows(gzip.compress(text.encode())) is True
    assert certified.shows(text.replace("Example", "Other").encode()) is False


def test_what_cannot_be_compared_is_not_called_different() -> None:
    assert read().shows(b"<html/>") is None
    assert read(logotype=False).shows(LOGO.encode()) is None


def logotype(value: bytes) -> bytes:
    """A certificate whose extension has this value."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    at = x509.load_pem_x509_certificate(pem()).not_valid_before_utc
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, at, at)
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.12"), value)
    return builder.add_extension(extension, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x16\x84\xff\xff\xff\xff",
        b"\x16\x20data:image/svg+xml;base64,AAAAAA",
        b"\x16\x1fdata:image/svg+xml;base64,H4sIAA==",
        b"\x16\x19data:image/svg+xml;base64",
        b"\x16\x18data:image/svg+xml,<svg/>",
        b"\x16\x1bhttps://b.example/logo.svg.gz",
    ],
)
def test_a_strange_logotype_is_there_all_the_same(value: bytes) -> None:
    found = bimi_certificate.parse(logotype(value))
    assert found.has_logo
    assert found.logo is None or LOGO.encode() != found.logo


@pytest.mark.parametrize("text", [b"", b"<!doctype html>", b"\x30\x82\x01\x00"])
def test_a_file_without_a_certificate_is_certainly_none(text: bytes) -> None:
    assert isinstance(bimi_certificate.examine(text), NoCertificateError)


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        pem(chain=False)[:-40],
        pem() + b"x" * LARGEST,
    ],
)
def test_one_that_cannot_be_read_here_is_another_matter(text: bytes) -> None:
    found = bimi_certificate.examine(text)
    assert isinstance(found, CertificateSyntaxError)
    assert not isinstance(found, NoCertificateError)
