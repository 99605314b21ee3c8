"""The text of SPF: the parser says no in one way only and in linear time, and macros make safe names."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mail.dns import TXT, Question, Reply, Status
from exporter.mail.names import LONGEST_NAME
from exporter.mail.spf.macro import Macro, SpfSyntaxError, domain_spec, macro_string, query_name
from exporter.mail.spf.record import (
    LONGEST_RECORD,
    LONGEST_REMEMBERED,
    REMEMBERED,
    SpfResult,
    is_spf,
    parse,
    read_explanation,
)

# The record


@pytest.mark.parametrize(
    ("text", "spf"),
    [
        (b"v=spf1", True),
        (b"v=spf1 -all", True),
        (b"V=SpF1 -all", True),
        (b"v=spf10 -all", False),
        (b" v=spf1 -all", False),
        (b"v=spf1\t-all", False),
        (b"v=spf1-all", False),
        (b"v=spf1\n", False),
        (b"", False),
    ],
)
def test_a_record_is_spf_only_with_the_exact_version(text: bytes, spf: bool) -> None:
    assert is_spf(text) is spf


GOOD_TERMS = """
all +all -ALL ?all ~all a a/24 a//64 a/24//64 a:example.com a:example.com/24//64 mx mx:example.com//0 ptr
ptr:example.com include:_spf.example.com include:example.com. exists:%{i}._spf.%{d} exists:%{ir}.%{v}.%{d2}
exists:%{l1r-}.%{d} a:%{d} a:%{d}/24 a:x%% a:x.%_ ip4:192.0.2.1 ip4:192.0.2.0/24 ip4:0.0.0.0/0
ip6:2001:db8::/32 ip6:::1 ip6:::ffff:192.0.2.1/128 redirect=example.com exp=%{d} unknown= x-y_z.1=a:b/c=%{s}
a:foo:bar/baz.example.com a:x.xn--zckzah
"""


@pytest.mark.parametrize("term", GOOD_TERMS.split())
def test_good_terms_are_read(term: str) -> None:
    record = parse(f"v=spf1 {term}".encode())
    modifiers = [*record.unknown, *(m for m in (record.redirect, record.exp) if m)]
    assert [*(m.text for m in record.mechanisms), *(m.text for m in modifiers)] == [term]


BAD_TERMS = """
+ al all. all:x all/8 - --all =x 1up=x -redirect=example.com redirect:example.com a: a/ a// a/33 a//129 a/024
a/24/64 a/x a:museum a:museum. a:abc.123 a:example.-com a:192.0.2.1 a:192.0.2.1/24 a:%{x}.com a:%{d0}.com
a:%{d a:% a:%(d) a:%{c}.com a:%{r}.com a:%{t}.com include include: include:example.com/24 exists exists: ptr:
ptr/24 ip4 ip4: ip4:192.0.2 ip4:192.0.2.1/33 ip4:192.0.2.1/032 ip4:192.0.2.1//32 ip4:192.0.2.01
ip4:192.0.2.1:25 ip4:2001:db8::1 ip6 ip6:192.0.2.1 ip6:2001:db8::/129 ip6:fe80::1%1 ip6:::1//64 ipv4:192.0.2.1
redirect= redirect=-all exp= exp=x x=%a x=%{c}
"""


@pytest.mark.parametrize("term", [*BAD_TERMS.split(), "\tall", "all\t", "a:foo\x00.com"])
def test_one_bad_term_anywhere_spoils_the_record_and_is_named(term: str) -> None:
    for record in (f"v=spf1 {term}", f"v=spf1 ip4:192.0.2.1 -all {term}"):
        with pytest.raises(SpfSyntaxError, match=r"^part \d+ '"):
            parse(record.encode())


def test_the_message_says_which_term_and_what_is_wrong_with_it() -> None:
    with pytest.raises(
        SpfSyntaxError, match=r"part 2 'a:192\.0\.2\.1': is an address, not a name: write ip4:192\.0\.2\.1"
    ):
        parse(b"v=spf1 mx a:192.0.2.1 -all")
    with pytest.raises(SpfSyntaxError, match="byte 17 of the record is not ASCII"):
        parse("v=spf1 ip4:1.2.3–all".encode())
    with pytest.raises(SpfSyntaxError, match="appears twice"):
        parse(b"v=spf1 redirect=a.example Redirect=b.example")
    with pytest.raises(SpfSyntaxError, match="does not begin"):
        parse(b"spf1 -all")


def test_a_record_beyond_any_dns_answer_is_refused_unread() -> None:
    with pytest.raises(SpfSyntaxError, match="longer"):
        parse(b"v=spf1 " + b"a" * LONGEST_RECORD)


def test_only_the_terms_up_to_all_can_be_reached() -> None:
    record = parse(b"v=spf1 a ~all mx -all")
    assert [m.text for m in record.reachable] == ["a", "~all"]
    assert record.all is not None
    assert record.all.qualifier is SpfResult.SOFTFAIL


def test_a_provider_s_text_is_read_once_for_all_who_include_it() -> None:
    text = b"v=spf1 ip4:192.0.2.0/24 include:_spf.example.net -all"
    assert parse(text) is parse(bytes(bytearray(text)))
    long = text + b" " * (LONGEST_REMEMBERED - len(text) + 1)
    assert parse(long) is not parse(long)
    assert parse(long).mechanisms == parse(text).mechanisms


def test_hostile_texts_fill_no_memory() -> None:
    tracemalloc.start()
    try:
        for number in range(2 * REMEMBERED):
            terms = b"".join(b" x%x=%%{i}%%{i}" % (1000 * number + at) for at in range(100))
            parse((b"v=spf1" + terms)[:LONGEST_REMEMBERED].rpartition(b" ")[0])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 12 * 2**20


TERMS = [
    "a",
    "mx",
    "all",
    "-all",
    "ip4:192.0.2.1",
    "ip6:::1",
    "include:",
    "%{d}",
    "example.com",
    "%",
    "{",
    "}",
    "/",
    ":",
    "=",
]
NEARLY_SPF = st.lists(st.sampled_from([*TERMS, " ", ".", "-", "24", "redirect=", "exp="]) | st.text(max_size=3)).map(
    "".join
)


def error_of(text: bytes) -> str:
    """Empty for a good record; anything but SpfSyntaxError comes through and fails the test."""
    try:
        parsed = parse(text)
    except SpfSyntaxError as error:
        return str(error) or "says nothing"
    return "" if parsed.text.encode() == text else "lost something"


@pytest.mark.long
@settings(max_examples=1000)
@given(st.binary(max_size=80) | NEARLY_SPF.map(lambda text: text.encode("utf-8", "replace")))
def test_the_parser_raises_nothing_but_its_own_error(text: bytes) -> None:
    assert error_of(text) not in ("says nothing", "lost something")
    assert error_of(b"v=spf1 " + text) not in ("says nothing", "lost something")


@pytest.mark.parametrize(
    "piece", [b"/1", b"//1", b"%{d}", b"1.", b"a-", b"a ", b"%", b".", b"/", b"{", b"ip4:192.0.2.1 "]
)
def test_the_longest_record_is_read_in_linear_time_and_refused_in_few_words(piece: bytes) -> None:
    """A quadratic parser would take minutes here."""
    for prefix in (b"", b"a:", b"ip4:", b"ip6:", b"exists:x.", b"x="):
        body = prefix + piece * (LONGEST_RECORD // len(piece))
        assert len(error_of(b"v=spf1 " + body[: LONGEST_RECORD - 7])) < 1000


# Macros and names


MACROS = {
    "s": "strong-bad@email.example.com",
    "o": "email.example.com",
    "d": "email.example.com",
    "l": "strong-bad",
    "i": "192.0.2.3",
    "v": "in-addr",
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{S}", "strong-bad%40email.example.com"),
        ("%{d999999999999999999999}", "email.example.com"),
        ("%%%_%-", "% %20"),
    ],
)
def test_macros_expand_as_the_examples_of_section_7_4(text: str, expanded: str) -> None:
    assert macro_string(text).expand(MACROS) == expanded


def test_a_macro_with_thousands_of_digits_is_no_integer_too_long_for_python() -> None:
    (macro,) = macro_string("%{d" + "1" * 10_000 + "}").pieces
    assert isinstance(macro, Macro)
    assert macro.expand("a.b") == "a.b"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("a..b", None),
        (".a", None),
        ("a.b..", None),
        ("", None),
        (".", None),
        (f"{'a' * 63}.b", f"{'a' * 63}.b"),
        (f"{'a' * 64}.b", None),
        ("a b.c", r"a\032b.c"),
        ("a@b.c", r"a\@b.c"),
        ('a\\b"c.d', r"a\\b\"c.d"),
        ("é.c", r"\195\169.c"),
        ("a\x00b.c", r"a\000b.c"),
        ("100%.c", "100%.c"),
        ("\ud800.c", r"\\ud800.c"),
    ],
)
def test_a_target_becomes_a_name_in_presentation_format_or_none(text: str, name: str | None) -> None:
    assert query_name(text) == name


def target(text: str) -> str:
    return macro_string("%{d}").target({"d": text})


def test_a_target_that_is_too_long_loses_labels_at_the_left() -> None:
    label = "a" * 49
    assert target(".".join([label] * 6)) == ".".join([label] * 5)  # 5 * 50 - 1 = 249
    assert target(f"x.{'a' * 60}.{'.'.join(['b' * 63] * 3)}") == f"{'a' * 60}.{'.'.join(['b' * 63] * 3)}"  # 252 + 2
    exact = ".".join(["b" * 63] * 3) + "." + "c" * 61
    assert len(exact) == 253
    assert target(exact) == target("x." + exact) == query_name(exact) == exact
    assert target(exact + ".") == exact + ".", "the final dot is no part of it"
    assert target("x" + exact) == exact.partition(".")[2]
    assert target("é." + exact) == exact
    assert target("a" * 300) == ""


def test_a_name_that_is_too_long_is_none() -> None:
    assert query_name("x." + ".".join(["b" * 63] * 4)) is None


@given(st.text(max_size=300), st.text(max_size=20))
def test_every_target_fits(text: str, more: str) -> None:
    octets = target(f"{text}.{more * 20}").encode("utf-8", "backslashreplace")
    assert len(octets.removesuffix(b".")) <= LONGEST_NAME


@given(st.text(max_size=300))
def test_every_name_that_is_asked_is_a_legal_one(text: str) -> None:
    dns_name = pytest.importorskip("dns.name")
    name = query_name(text)
    if name is not None:
        parsed = dns_name.from_text(name)
        assert len(parsed.to_wire()) <= 255
        assert parsed.to_text(omit_final_dot=True).lower() == name


def test_a_domain_spec_must_end_in_a_macro_or_a_top_label() -> None:
    for good in ("example.com", "example.com.", "%{d}", "x.%{d}", "%{d}.com", ".com", "a.b-c"):
        assert domain_spec(good).text == good
    for bad in ("com", "%{d}com", "example.123", "example.c-", "example..", "%{d}."):
        with pytest.raises(SpfSyntaxError):
            domain_spec(bad)
    with pytest.raises(SpfSyntaxError, match="a space is not allowed"):
        domain_spec("a b.com")


# Explanations


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ((b"%{i} is not ours: see%_https://example.com/%{l}",), ""),
        ((b"",), ""),
        ((), "exp.example.com has 0 TXT records instead of one"),
        ((b"a", b"b"), "exp.example.com has 2 TXT records instead of one"),
        (
            (b"100%",),
            "the text of exp.example.com is not a valid explanation: '%' starts no macro at position 4 of '100%'",
        ),
        ((b"caf\xc3\xa9",), "the text of exp.example.com is not ASCII"),
    ],
)
def test_an_explanation_is_one_ascii_text_with_macros(texts: tuple[bytes, ...], error: str) -> None:
    reply = Reply(Question("exp.example.com", "TXT"), Status.ANSWER, tuple(TXT((text,)) for text in texts))
    found = read_explanation(reply)
    assert (found.error, found.text is None) == (error, bool(error))
