"""exporter/mail/helo.py against RFC 5321, and against a grammar written from the RFC once more."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.mail.helo import LONGEST_INPUT, MOST_CODES, HeloFaultKind, parse

GOOD = [
    "mail.example.com",
    "MAIL.EXAMPLE.COM",
    "a.b",
    "0.example.com",
    "3com.com",
    "a--b.example.com",
    "xn--mil-qla.example.com",
    f"{'a' * 63}.example.com",
    ".".join(["a" * 49] * 5) + ".abc",
    "mail-1-2-3-4.example.com",
]

BAD = [
    # What Office 365 answered with 501 5.5.4 Invalid domain name, argument by argument.
    ("MacBook..", [HeloFaultKind.TRAILING_DOT, HeloFaultKind.EMPTY_LABEL]),
    ("mylaptopname.", [HeloFaultKind.TRAILING_DOT, HeloFaultKind.SINGLE_LABEL]),
    ("mail.example.com ", [HeloFaultKind.WHITE_SPACE]),
    ("say hello", [HeloFaultKind.WHITE_SPACE, HeloFaultKind.SINGLE_LABEL]),
    # What other receivers answered with the same code: Gmail twice, IIS.
    ("PhpStorm 9.0.3", [HeloFaultKind.WHITE_SPACE, HeloFaultKind.NUMERIC_TLD]),
    ("mantis.*", [HeloFaultKind.BAD_CHARACTER]),
    ("[IPv6:::ffff:10.0.4.47]", [HeloFaultKind.MAPPED_LITERAL]),
    ("", [HeloFaultKind.EMPTY]),
    (" \t", [HeloFaultKind.EMPTY]),
    (" mail.example.com", [HeloFaultKind.WHITE_SPACE]),
    ("mail.example.com\r\n", [HeloFaultKind.WHITE_SPACE]),
    ("mail.example.com\u00a0", [HeloFaultKind.WHITE_SPACE]),
    ("mail.example.com.", [HeloFaultKind.TRAILING_DOT]),
    (".", [HeloFaultKind.TRAILING_DOT, HeloFaultKind.EMPTY_LABEL]),
    (".mail.example.com", [HeloFaultKind.EMPTY_LABEL]),
    ("mail..example.com", [HeloFaultKind.EMPTY_LABEL]),
    (f"{'a' * 64}.example.com", [HeloFaultKind.TOO_LONG]),
    (".".join(["a" * 49] * 5) + ".abcd", [HeloFaultKind.TOO_LONG]),
    ("mail_out.example.com", [HeloFaultKind.UNDERSCORE]),
    ("_", [HeloFaultKind.UNDERSCORE, HeloFaultKind.SINGLE_LABEL]),
    ("user@example.com", [HeloFaultKind.BAD_CHARACTER]),
    ("mail.example.com\x00", [HeloFaultKind.BAD_CHARACTER]),
    ("mail.example.com:25", [HeloFaultKind.BAD_CHARACTER]),
    ("mäil.example.com", [HeloFaultKind.NON_ASCII]),
    ("mail\u200b.example.com", [HeloFaultKind.NON_ASCII]),
    ("\u212aelvin.example.com", [HeloFaultKind.NON_ASCII]),
    ("mail\u3002example.com", [HeloFaultKind.NON_ASCII]),
    ("-mail.example.com", [HeloFaultKind.EDGE_HYPHEN]),
    ("mail-.example.com", [HeloFaultKind.EDGE_HYPHEN]),
    ("mail.example.com-", [HeloFaultKind.EDGE_HYPHEN]),
    ("192.0.2.1", [HeloFaultKind.BARE_ADDRESS]),
    ("192-0-2-1", [HeloFaultKind.BARE_ADDRESS]),
    ("192.0.2.1.", [HeloFaultKind.TRAILING_DOT, HeloFaultKind.BARE_ADDRESS]),
    ("2001:db8::1", [HeloFaultKind.BAD_CHARACTER, HeloFaultKind.BARE_ADDRESS]),
    ("smtp", [HeloFaultKind.SINGLE_LABEL]),
    ("999-0-2-1", [HeloFaultKind.SINGLE_LABEL]),
    ("1.2.3", [HeloFaultKind.NUMERIC_TLD]),
    ("192.0.2.256", [HeloFaultKind.NUMERIC_TLD]),
    ("localhost", [HeloFaultKind.LOCAL_NAME]),
    ("LOCALHOST.LocalDomain", [HeloFaultKind.LOCAL_NAME]),
    ("mail.corp.internal", [HeloFaultKind.LOCAL_NAME]),
    ("router.home.arpa", [HeloFaultKind.LOCAL_NAME]),
]

LITERALS = [
    ("[192.0.2.1]", "192.0.2.1"),
    ("[0.0.0.0]", "0.0.0.0"),
    ("[IPv6:2001:db8::1]", "2001:db8::1"),
    ("[ipv6:2001:DB8::1]", "2001:db8::1"),
    ("[IPv6:::]", "::"),
    ("[IPv6:1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8"),
    ("[IPv6:1:2:3:4:5:6::]", "1:2:3:4:5:6::"),
    ("[IPv6:1:2:3:4:5:6:192.0.2.1]", "1:2:3:4:5:6:c000:201"),
    ("[IPv6:1:2:3:4::192.0.2.1]", "1:2:3:4::c000:201"),
]

BAD_LITERALS = [
    ("[", "bracket"),
    ("[]", "not an IPv4"),
    ("[192.0.2.1", "closing bracket"),
    ("[192.0.2.1] x", "closing bracket"),
    ("[[192.0.2.1]]", "extra bracket"),
    ("[192.0.2]", "not an IPv4"),
    ("[192.0.2.256]", "not an IPv4"),
    ("[192.0.2.01]", "not an IPv4"),
    ("[192.0.2.1.]", "not an IPv4"),
    ("[ 192.0.2.1]", "not an IPv4"),
    ("[\u0661.0.2.1]", "not an IPv4"),
    ("[mail.example.com]", "not an IPv4"),
    ("[2001:db8::1]", 'tag "IPv6:" is missing'),
    ("[::1]", 'tag "IPv6:" is missing'),
    ("[IPv6:]", "not an IPv6"),
    ("[IPv6:192.0.2.1]", "not an IPv6"),
    ("[IPv6:2001:db8::1%eth0]", "not an IPv6"),
    ("[IPv6: 2001:db8::1]", "not an IPv6"),
    ("[IPv6:12345::1]", "not an IPv6"),
    ("[IPv6:1::2::3]", "not an IPv6"),
    ("[IPv6:1:2:3:4:5:6:7::]", "not an IPv6"),
    ("[IPv6:1:2:3:4:5::192.0.2.1]", "not an IPv6"),
    ("[X25:00123]", "not registered"),
    ("[-:00123]", "malformed"),
    ("[:00123]", "malformed"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_full_host_name_has_no_fault(text: str) -> None:
    said = parse(text)
    assert said.faults == ()
    assert said.name == text.lower()
    assert said.address is None


@pytest.mark.parametrize(("text", "kinds"), BAD)
def test_each_fault_is_named_and_no_other(text: str, kinds: list[HeloFaultKind]) -> None:
    assert sorted(fault.kind for fault in parse(text).faults) == sorted(kinds)


@pytest.mark.parametrize(("text", "address"), LITERALS)
def test_a_good_literal_gives_its_address(text: str, address: str) -> None:
    assert parse(text).faults == ()
    assert parse(text).address == ip_address(address)


@pytest.mark.parametrize(("text", "detail"), BAD_LITERALS)
def test_a_bad_literal_says_what_is_wrong(text: str, detail: str) -> None:
    (fault,) = [fault for fault in parse(text).faults if fault.kind is not HeloFaultKind.WHITE_SPACE]
    assert fault.kind is HeloFaultKind.BAD_LITERAL
    assert detail in fault.detail
    assert parse(text).address is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[192.0.2.1", "character 10"),
        ("[192.0.2.1] x", "character 12 (U+0020)"),
        ("[192.0.2.1]:25", "character 12 (U+003A)"),
        ("[[192.0.2.1]]", "character 2 (U+005B)"),
        ("[192.0.2,1]", "character 9 (U+002C)"),
        ("[192.0.2.\u0661]", "character 10 (U+0661)"),
        ("[mail.example.com]", "character 2 (U+006D)"),
        ("[192.0.2.256]", "character 1"),
        ("[2001:db8::1]", "character 2"),
        ("  [2001:db8::1]", "character 4"),
        ("[IPv6:2001:db8::1%eth0]", "character 18 (U+0025)"),
        ("[IPv6:2001:db8::g]", "character 17 (U+0067)"),
        ("[IPv6:1::2::3]", "character 1"),
        ("[X25:00123]", "character 2"),
    ],
)
def test_a_bad_literal_tells_the_first_place_that_shows_it(text: str, where: str) -> None:
    (fault,) = [fault for fault in parse(text).faults if fault.kind is HeloFaultKind.BAD_LITERAL]
    assert fault.where == where


def test_a_literal_in_white_space_is_none_that_counts() -> None:
    said = parse("[192.0.2.1] ")
    assert [fault.kind for fault in said.faults] == [HeloFaultKind.WHITE_SPACE]
    assert said.address is None


@pytest.mark.parametrize(
    ("text", "position", "label", "codes"),
    [
        ("mail.example.com ", 17, "com ", ("U+0020",)),
        ("mylaptopname.", 13, "", ("U+002E",)),
        ("MacBook..", 9, "", ("U+002E",)),
        ("mail..example.com", 6, "", ("U+002E",)),
        (".mail.example.com", 1, "", ("U+002E",)),
        ("  mail.example.com.", 1, "  mail", ("U+0020",)),
        ("a.b_c_d.example.com", 4, "b_c_d", ("U+005F",)),
        ("a.$(b).example.com", 3, "$(b)", ("U+0024", "U+0028", "U+0029")),
        ("a.mäil.example.com", 4, "mäil", ("U+00E4",)),
        ("a.-b.example.com", 3, "-b", ("U+002D",)),
        ("a.b-.example.com", 4, "b-", ("U+002D",)),
        ("\U0001f4e7.example.com", 1, "\U0001f4e7", ("U+1F4E7",)),
    ],
)
def test_a_fault_tells_place_label_and_code_points(
    text: str, position: int, label: str, codes: tuple[str, ...]
) -> None:
    fault = parse(text).faults[0]
    assert (fault.position, fault.label, fault.codes) == (position, label, codes)
    assert f"character {position} ({', '.join(codes)})" in fault.where


def test_a_flood_of_bad_characters_is_one_fault_with_a_few_codes() -> None:
    (fault,) = [f for f in parse("".join(map(chr, range(0x100, 0x400))) + ".example.com").faults if f.codes]
    assert fault.kind is HeloFaultKind.NON_ASCII
    assert len(fault.codes) == MOST_CODES


def test_what_lies_beyond_the_cap_is_not_looked_at() -> None:
    assert len(parse("_." * LONGEST_INPUT).text) == LONGEST_INPUT


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("mail.example.com ", "mail.example.com"),
        ("mail.example.com.", "mail.example.com"),
        ("mail..example.com", "mail.example.com"),
        ("Mäil.example.com", "xn--mil-qla.example.com"),
        ("mail\u200b.example.com", "mail.example.com"),
        ("MacBook..", None),
        ("say hello.example.com", None),
        ("mail_out.example.com", None),
        ("localhost.", None),
        ("[192.0.2.1]", None),
        ("192.0.2.1.", None),
        ("", None),
        (".", None),
        ("ä" * 70000, None),
    ],
)
def test_only_a_name_that_is_good_is_proposed_as_repair(text: str, repaired: str | None) -> None:
    assert parse(text).repaired == repaired


# RFC 5321 section 4.1.2 and 4.1.3 as regular expressions, written without a look at the parser.
SUB_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){SUB_DOMAIN}(?:\.{SUB_DOMAIN})*", re.ASCII)
SNUM = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"  # leading zeros refused: nobody agrees on their base
V4 = rf"{SNUM}(?:\.{SNUM}){{3}}"
HEX = r"[0-9A-Fa-f]{1,4}"
V6 = "|".join(
    [
        rf"{HEX}(?::{HEX}){{7}}",
        *(rf"(?:{HEX}(?::{HEX}){{{left - 1}}})?::(?:{HEX}(?::{HEX}){{0,{5 - left}}})?" for left in range(1, 6)),
        rf"{HEX}(?::{HEX}){{5}}::",
        rf"::{HEX}(?::{HEX}){{5}}",
        rf"{HEX}(?::{HEX}){{5}}:{V4}",
        *(rf"(?:{HEX}(?::{HEX}){{{left - 1}}})?::(?:{HEX}(?::{HEX}){{0,{3 - left}}}:)?{V4}" for left in range(1, 4)),
        rf"{HEX}(?::{HEX}){{3}}::{V4}",
        rf"::{HEX}(?::{HEX}){{3}}:{V4}",
    ]
)
LITERAL = re.compile(rf"\[(?:{V4}|[Ii][Pp][Vv]6:(?:{V6}))\]", re.ASCII)

NEAR = st.text(alphabet="aB0-._ []:\u00e4\u00a0IPv6fF19\t$", max_size=24)
HOST_LIKE = st.lists(st.text(alphabet="abZ09-", max_size=66), max_size=8).map(".".join)
OCTET = st.integers(0, 300).map(str)
GROUP = st.one_of(st.text(alphabet="0123456789abcdefABCDEF", max_size=5), st.just(""), st.just("192.0.2.1"))
LITERAL_LIKE = st.one_of(
    st.lists(OCTET, min_size=3, max_size=5).map(lambda octets: f"[{'.'.join(octets)}]"),
    st.lists(GROUP, max_size=10).map(lambda groups: f"[IPv6:{':'.join(groups)}]"),
    st.ip_addresses(v=6).map(lambda ip: f"[IPv6:{ip}]"),
    st.ip_addresses(v=4).map(lambda ip: f"[{ip}]"),
)


@given(st.text(st.sampled_from("aB0-._: x"), max_size=12) | st.from_regex(r"[a-z]{1,9}\.(outlook|google)\.com"))
def test_a_name_without_faults_needs_no_repair(text: str) -> None:
    """It is what the long way makes of it: that takes the name out of a text with a space."""
    name = parse(text)
    if name.host:
        assert name.repaired == parse(f" {text}").repaired


@given(st.one_of(st.text(), NEAR, HOST_LIKE, LITERAL_LIKE))
@example("mail.example.com\n")
@example("[IPv6:::ffff:1.2.3.4]")
@example("[IPv6:0:0:0:0:0:ffff:102:304]")
@example("a" * 300)
def test_the_parser_and_the_grammar_of_the_rfc_agree(text: str) -> None:
    said = parse(text)
    assert said.well_formed == bool(DOMAIN.fullmatch(text) or LITERAL.fullmatch(text))
    assert isinstance(said.repaired, str | None)
    for fault in said.faults:
        assert 1 <= fault.position <= max(1, len(text))
        assert fault.where
    if said.well_formed and text.startswith("[") and not said.faults:
        assert isinstance(said.address, IPv4Address | IPv6Address)


@given(LITERAL_LIKE)
def test_a_mapped_address_is_never_taken_for_an_ipv6_sender(text: str) -> None:
    said = parse(text)
    assert not (isinstance(said.address, IPv6Address) and said.address.ipv4_mapped)
