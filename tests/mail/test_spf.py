"""SPF: the parser says no in one way only, macros make safe names, and every evaluation ends within its budget."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.mail.dns import MX, TXT, Evaluation, Question, Record, Reply, Status
from exporter.mail.spf import MOST_LOOKUPS, MOST_QUESTIONS, MOST_STEPS, MOST_VOIDS, Result, check_host
from exporter.mail.spf_cost import MOST_COUNTED, Cost, Trouble, worst_case
from exporter.mail.spf_macro import Macro, SpfSyntaxError, domain_spec, macro_string, query_name
from exporter.mail.spf_record import LONGEST_RECORD, Word, is_spf, parse
from exporter.model import Reason

T = TypeVar("T")
Zone = Mapping[str, "tuple[Record, ...] | str | Status"]


def play(evaluation: Evaluation[T], answer: Callable[[Question], Reply]) -> tuple[T, list[Question]]:
    asked: list[Question] = []
    try:
        question = next(evaluation)
        while True:
            asked.append(question)
            question = evaluation.send(answer(question))
    except StopIteration as end:
        return end.value, asked


def world(zone: Zone) -> Callable[[Question], Reply]:
    """`{"example.com TXT": "v=spf1 -all", "example.com A": (ip,), "example.com MX": Status.TIMEOUT}`; else NXDOMAIN."""

    def answer(question: Question) -> Reply:
        found = zone.get(str(question), Status.NXDOMAIN)
        if isinstance(found, Status):
            return Reply(question, found)
        records = (TXT((found.encode(),)),) if isinstance(found, str) else found
        return Reply(question, Status.ANSWER, records)

    return answer


def evaluate(zone: Zone, ip: str = "192.0.2.1", sender: str = "user@example.com", *, explain: bool = False) -> Result:
    domain = sender.rpartition("@")[2]
    return play(check_host(ip_address(ip), domain, sender, "mail.example.org", explain=explain), world(zone))[0]


def cost(zone: Zone) -> Cost:
    return play(worst_case("example.com"), world(zone))[0]


A = (ip_address("203.0.113.1"),)


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
        with pytest.raises(SpfSyntaxError, match=r"^term \d+ '"):
            parse(record.encode())


def test_the_message_says_which_term_and_what_is_wrong_with_it() -> None:
    with pytest.raises(
        SpfSyntaxError, match=r"term 2 'a:192\.0\.2\.1': is an address, not a name: write ip4:192\.0\.2\.1"
    ):
        parse(b"v=spf1 mx a:192.0.2.1 -all")
    with pytest.raises(SpfSyntaxError, match="octet 17 of the record is not ASCII"):
        parse("v=spf1 ip4:1.2.3–all".encode())
    with pytest.raises(SpfSyntaxError, match="stands twice"):
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
    assert record.all.qualifier is Word.SOFTFAIL


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


def test_a_name_that_is_too_long_loses_labels_at_the_left() -> None:
    label = "a" * 49
    assert query_name(".".join([label] * 6)) == ".".join([label] * 5)  # 5 * 50 - 1 = 249
    assert query_name(f"x.{'a' * 60}.{'.'.join(['b' * 63] * 3)}") == f"{'a' * 60}.{'.'.join(['b' * 63] * 3)}"  # 252 + 2
    exact = ".".join(["b" * 63] * 3) + "." + "c" * 61
    assert len(exact) == 253
    assert query_name(exact) == exact
    assert query_name("x" + exact) == exact.partition(".")[2]
    assert query_name("x." + exact) == exact


@given(st.text(max_size=300))
def test_every_name_that_is_asked_is_a_legal_one(text: str) -> None:
    dns_name = pytest.importorskip("dns.name")
    name = query_name(text)
    if name is not None:
        parsed = dns_name.from_text(name)
        assert len(parsed.to_wire()) <= 255
        assert parsed.to_text(omit_final_dot=True).lower() == name


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=64))
def test_any_local_part_can_be_put_into_a_macro(local: str) -> None:
    result = evaluate(
        {"example.com TXT": "v=spf1 exists:%{l}._u.%{d} exists:%{L}.%{lr+}.x.%{d} -all"}, sender=f"{local}@example.com"
    )
    assert result.word is Word.FAIL


def test_a_domain_spec_must_end_in_a_macro_or_a_top_label() -> None:
    for good in ("example.com", "example.com.", "%{d}", "x.%{d}", "%{d}.com", ".com", "a.b-c"):
        assert domain_spec(good).text == good
    for bad in ("com", "%{d}com", "example.123", "example.c-", "example..", "%{d}."):
        with pytest.raises(SpfSyntaxError):
            domain_spec(bad)


# check_host


def test_an_ipv4_mapped_address_is_an_ipv4_address() -> None:
    zone = {"example.com TXT": "v=spf1 ip4:192.0.2.1 -all"}
    assert evaluate(zone, "::ffff:192.0.2.1").word is Word.PASS
    assert evaluate({"example.com TXT": "v=spf1 ip6:::ffff:192.0.2.1 -all"}, "::ffff:192.0.2.1").word is Word.FAIL


@pytest.mark.parametrize(
    "domain", ["", "localhost", "[192.0.2.1]", "192.0.2.1", "a..example.com", "x" * 64 + ".example.com"]
)
def test_what_is_no_domain_name_has_no_policy_and_costs_no_question(domain: str) -> None:
    result, asked = play(check_host(ip_address("192.0.2.1"), domain, f"a@{domain}", "h"), world({}))
    assert (result.word, asked) == (Word.NONE, [])


def test_a_dns_error_is_temperror_with_its_reason_and_ends_the_evaluation() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 a mx ip4:192.0.2.1 -all",
        "example.com A": A,
        "example.com MX": Status.REFUSED,
    }
    result = evaluate(zone)
    assert (result.word, result.reason, result.lookups) == (Word.TEMPERROR, Reason.DNS_REFUSED, 2)
    assert "example.com MX" in result.why


def test_a_dns_error_that_ptr_passes_over_is_remembered_as_the_reason_for_doubt() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa PTR": Status.TIMEOUT}
    result = evaluate(zone)
    assert (result.word, result.reason) == (Word.FAIL, Reason.DNS_TIMEOUT)


def test_the_trace_tells_each_term_with_the_count_of_lookups_so_far() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 ip4:198.51.100.1 include:_spf.example.net a -all",
        "_spf.example.net TXT": "v=spf1 mx -all",
        "_spf.example.net MX": (MX(10, "mx.example.net"),),
        "mx.example.net A": A,
        "example.com A": A,
    }
    result = evaluate(zone)
    assert [str(step) for step in result.trace] == [
        "example.com: ip4:198.51.100.1: no match (0 lookups)",
        "_spf.example.net: mx: no match (2 lookups)",
        "_spf.example.net: -all: fail (2 lookups)",
        "example.com: include:_spf.example.net: no match (2 lookups)",
        "example.com: a: no match (3 lookups)",
        "example.com: -all: fail (3 lookups)",
    ]
    assert result.why == "-all of example.com matches"
    assert (result.word, result.lookups, result.voids) == (Word.FAIL, 3, 0)


def test_the_trace_is_bounded() -> None:
    result = evaluate({"example.com TXT": "v=spf1 " + "ip4:198.51.100.1 " * 1000 + "-all"})
    assert result.word is Word.FAIL
    assert len(result.trace) == MOST_STEPS


def test_an_explanation_never_changes_the_result() -> None:
    record = "v=spf1 -all exp=exp.%{d}"
    zone: Zone = {"example.com TXT": record, "exp.example.com TXT": "%{i} at %{t} by %{r}"}
    assert evaluate(zone, explain=True).explanation == "192.0.2.1 at 0 by unknown"
    assert evaluate(zone).explanation == ""
    for text in ("%{x}", "é", Status.TIMEOUT, Status.NODATA, (TXT((b"one",)), TXT((b"two",)))):
        broken: Zone = {"example.com TXT": record, "exp.example.com TXT": text}
        result = evaluate(broken, explain=True)
        assert (result.word, result.explanation, result.voids, result.lookups) == (Word.FAIL, "", 0, 0)


def test_macro_p_is_the_validated_name_and_prefers_the_domain_itself() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 exists:%{p}.ok.example.org -all",
        "1.2.0.192.in-addr.arpa PTR": ("a.example.org", "b.example.com", "example.com", "z.example.com"),
        "a.example.org A": (ip_address("192.0.2.1"),),
        "z.example.com A": (ip_address("192.0.2.1"),),
        "z.example.com.ok.example.org A": A,
    }
    assert evaluate(zone).word is Word.PASS
    assert (
        evaluate({"example.com TXT": "v=spf1 exists:%{p}.ok.example.org -all", "unknown.ok.example.org A": A}).word
        is Word.PASS
    )


def test_only_ten_ptr_names_are_looked_at_and_always_the_same_ten() -> None:
    names = tuple(f"h{i:02}.example.com" for i in range(20))
    zone: dict[str, tuple[Record, ...] | str | Status] = {"example.com TXT": "v=spf1 ptr -all"}
    zone |= {f"{name} A": A for name in names}
    for order in (names, names[::-1]):
        zone["1.2.0.192.in-addr.arpa PTR"] = order
        result, asked = play(check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h"), world(zone))
        assert result.word is Word.FAIL
        assert [q.name for q in asked if q.rdtype == "A"] == list(names[:10])


def test_a_refused_mx_limit_is_a_permerror_even_if_an_early_host_would_match() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 mx -all",
        "example.com MX": tuple(MX(i, f"h{i}.example.com") for i in range(11)),
        "h0.example.com A": (ip_address("192.0.2.1"),),
    }
    assert evaluate(zone).word is Word.PERMERROR


# Counting (section 4.6.4): the cases that other implementations got wrong


def test_a_term_is_void_once_so_two_empty_terms_are_two_voids() -> None:
    """Not three, because mx was counted twice."""
    result = evaluate({"example.com TXT": "v=spf1 a mx -all"})
    assert (result.word, result.lookups, result.voids) == (Word.FAIL, 2, 2)
    assert len(cost({"example.com TXT": "v=spf1 a mx -all"}).voids) == 2


def test_the_third_void_term_is_a_permerror_and_so_is_the_eleventh_lookup() -> None:
    result = evaluate({"example.com TXT": "v=spf1 a mx exists:x.example.com -all"})
    assert (result.word, result.voids) == (Word.PERMERROR, MOST_VOIDS + 1)
    zone: Zone = {"example.com TXT": "v=spf1 " + "a " * 11 + "-all", "example.com A": A}
    assert evaluate(zone).word is Word.PERMERROR
    zone = {"example.com TXT": "v=spf1 " + "a " * 10 + "-all", "example.com A": A}
    assert (evaluate(zone).word, evaluate(zone).lookups) == (Word.FAIL, MOST_LOOKUPS)


def test_mx_is_one_lookup_however_many_hosts_it_names() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 mx -all",
        "example.com MX": tuple(MX(i, f"h{i}.example.com") for i in range(3)),
        **{f"h{i}.example.com A": A for i in range(3)},
    }
    assert (evaluate(zone).lookups, cost(zone).lookups) == (1, 1)


def test_mx_hosts_without_ipv6_are_one_void_term_for_an_ipv6_client_not_three() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 mx ip6:2001:db8::1 -all",
        "example.com MX": tuple(MX(i, f"h{i}.example.com") for i in range(4)),
        **{f"h{i}.example.com A": A for i in range(4)},
        **{f"h{i}.example.com AAAA": Status.NODATA for i in range(4)},
    }
    result = evaluate(zone, "2001:db8::1")
    assert (result.word, result.voids) == (Word.PASS, 1)
    assert cost(zone).voids == ()


def test_voids_in_an_include_or_redirect_are_voids_and_no_lookups() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 include:i.example.com redirect=r.example.com",
        "i.example.com TXT": "v=spf1 a -all",
        "r.example.com TXT": "v=spf1 mx -all",
    }
    result = evaluate(zone)
    assert (result.word, result.lookups, result.voids) == (Word.FAIL, 4, 2)
    assert (cost(zone).lookups, len(cost(zone).voids)) == (4, 2)


def test_every_kind_of_term_counts_once_with_or_without_a_name_or_prefix() -> None:
    """`a:host` and `+mx` count like `a` and `mx`; `all`, `ip4`, `ip6`, `exp` and unknown modifiers do not."""
    zone: Zone = {
        "example.com TXT": "v=spf1 +a a:h.example.com ?a/24 ~mx mx:h.example.com ptr include:i.example.com "
        "ip4:198.51.100.1 ip6:::1 exp=h.example.com x=y exists:gone.example.com -all",
        "i.example.com TXT": "v=spf1 -all",
        "example.com A": A,
        "h.example.com A": A,
        "example.com MX": (MX(1, "h.example.com"),),
        "h.example.com MX": (MX(1, "h.example.com"),),
        "1.2.0.192.in-addr.arpa PTR": ("h.example.org",),
    }
    assert (evaluate(zone).lookups, cost(zone).lookups) == (8, 8)


def test_a_match_costs_only_the_terms_before_it_but_the_worst_case_counts_all() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 ip4:192.0.2.1 a mx -all", "example.com A": A}
    assert (evaluate(zone).lookups, cost(zone).lookups) == (0, 2)


def test_the_costliest_path_is_named() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 a include:x.example include:y.example -all",
        "x.example TXT": "v=spf1 -all",
        "y.example TXT": "v=spf1 mx include:z.example -all",
        "z.example TXT": "v=spf1 a exists:x.example -all",
    }
    found = cost(zone)
    assert found.lookups == 7
    assert found.costliest.startswith("include:y.example (5) > include:z.example (3) > ")
    assert dict(found.included) == {"x.example": 2, "y.example": 3, "z.example": 5}


def test_a_loop_is_told_and_bounded() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 include:b.example -all", "b.example TXT": "v=spf1 redirect=Example.Com."}
    assert [fault.trouble for fault in cost(zone).faults] == [Trouble.LOOP]
    result = evaluate(zone)
    assert (result.word, result.lookups) == (Word.PERMERROR, MOST_LOOKUPS)


# Bounds


NAMES = [f"n{i}.example.com" for i in range(6)]
BOMB_TERMS = st.sampled_from(
    [
        *(f"{mechanism}:{name}" for mechanism in ("include", "a", "mx") for name in NAMES),
        *(f"redirect={name}" for name in NAMES[:2]),
        *("a", "mx", "ptr", "?all", "x=%{s}", "exp=%{p}.%{d}", "ip4:192.0.2.0/24", "-ip6:::/0"),
        *("?include:n1.example.com", "include:%{d1r}.%{o}", "exists:%{i}.%{d}", "exists:%{p}.%{l}.%{d}"),
        *("exists:%{d}.%{d}.%{d}.%{d}", "a:%{l}..%{d}"),
        "exists:" + "%{s}" * 50 + ".%{d}",
    ]
)
POLICIES = st.lists(BOMB_TERMS, max_size=14).map(lambda terms: "v=spf1 " + " ".join(terms))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["example.com", *NAMES]), POLICIES, min_size=3), st.integers(0, 99), st.booleans()
)
def test_every_evaluation_ends_within_the_question_limit_and_the_same_way(
    policies: dict[str, str], seed: int, six: bool
) -> None:
    def answer(question: Question) -> Reply:
        luck = zlib.crc32(f"{seed} {question}".encode()) % 20
        if luck == 0:
            return Reply(question, Status.TIMEOUT)
        if luck < 3 and question.rdtype != "TXT":
            return Reply(question, Status.NODATA)
        match question.rdtype:
            case "TXT":
                text = policies.get(question.name, "v=spf1 mx a:n1.example.com ?all")
                return Reply(question, Status.ANSWER, (TXT((text.encode(),)),))
            case "MX":
                return Reply(question, Status.ANSWER, tuple(MX(i, f"h{i}.{question.name}") for i in range(10)))
            case "PTR":
                return Reply(question, Status.ANSWER, tuple(f"p{i}.example.com" for i in range(12)))
            case _:
                return Reply(question, Status.ANSWER, A)

    client = ip_address("2001:db8::1" if six else "192.0.2.77")
    (result, asked), again = (
        play(check_host(client, "example.com", "me+you@example.com", "h.example.org", explain=True), answer)
        for _ in range(2)
    )
    assert (result, asked) == again
    assert len(asked) <= MOST_QUESTIONS
    assert result.lookups <= MOST_LOOKUPS
    assert result.voids <= MOST_VOIDS + 1
    assert result.reason is not None or result.word is not Word.TEMPERROR
    worst, asked = play(worst_case("example.com"), answer)
    assert len(asked) <= MOST_QUESTIONS
    assert worst.lookups <= MOST_COUNTED


def test_an_include_bomb_ends_in_permerror() -> None:
    includes = " ".join(f"include:n{i}.example.com" for i in range(10))

    def answer(question: Question) -> Reply:
        return Reply(question, Status.ANSWER, (TXT((f"v=spf1 {includes} -all".encode(),)),))

    result, asked = play(check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h"), answer)
    assert result.word is Word.PERMERROR
    assert len(asked) <= MOST_LOOKUPS + 1
    found, asked = play(worst_case("example.com"), answer)
    assert found.lookups == MOST_COUNTED
    assert not found.complete
    assert len(asked) <= MOST_QUESTIONS


def test_a_hundred_questions_are_enough_for_anybody() -> None:
    """Ten mx terms with ten hosts each would be 111."""

    def answer(question: Question) -> Reply:
        if question.rdtype == "TXT":
            text = " ".join(f"mx:n{i}.example.com" for i in range(10))
            return Reply(question, Status.ANSWER, (TXT((f"v=spf1 {text} -all".encode(),)),))
        if question.rdtype == "MX":
            return Reply(question, Status.ANSWER, tuple(MX(i, f"h{i}.{question.name}") for i in range(10)))
        return Reply(question, Status.ANSWER, A)

    result, asked = play(check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h"), answer)
    assert (result.word, len(asked)) == (Word.PERMERROR, MOST_QUESTIONS)
    assert f"more than {MOST_QUESTIONS} questions" in result.why
