"""check_host and the worst case say and count what RFC 7208 does."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.facts import Reason
from exporter.mail.dns import MX, TXT, Rdata, Status
from exporter.mail.names import LONGEST_NAME
from exporter.mail.spf.check_host import MOST_STEPS, check_host
from exporter.mail.spf.limits import MOST_LOOKUPS, MOST_VOIDS
from exporter.mail.spf.record import SpfResult
from exporter.mail.spf.worst_case import TermTrouble
from tests.support.spf_zone import A, Zone, cost, evaluate, play, world

# check_host


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=64))
def test_any_local_part_can_be_put_into_a_macro(local: str) -> None:
    result = evaluate(
        {"example.com TXT": "v=spf1 exists:%{l}._u.%{d} exists:%{L}.%{lr+}.x.%{d} -all"}, sender=f"{local}@example.com"
    )
    assert result.word is SpfResult.FAIL


def test_an_ipv4_mapped_address_is_an_ipv4_address() -> None:
    zone = {"example.com TXT": "v=spf1 ip4:192.0.2.1 -all"}
    assert evaluate(zone, "::ffff:192.0.2.1").word is SpfResult.PASS
    assert evaluate({"example.com TXT": "v=spf1 ip6:::ffff:192.0.2.1 -all"}, "::ffff:192.0.2.1").word is SpfResult.FAIL


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "localhost",
        "[192.0.2.1]",
        "192.0.2.1",
        "a..example.com",
        "x" * 64 + ".example.com",
        "x." * 122 + "example.com",
    ],
)
def test_what_is_no_domain_name_has_no_policy_and_costs_no_question(domain: str) -> None:
    result, asked = play(check_host(ip_address("192.0.2.1"), domain, f"a@{domain}", "h"), world({}))
    assert (result.word, asked) == (SpfResult.NONE, [])


def test_a_dns_error_is_temperror_with_its_reason_and_ends_the_evaluation() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 a mx ip4:192.0.2.1 -all",
        "example.com A": A,
        "example.com MX": Status.REFUSED,
    }
    result = evaluate(zone)
    assert (result.word, result.reason, result.lookups) == (SpfResult.TEMPERROR, Reason.DNS_REFUSED, 2)
    assert "example.com MX" in result.why


def test_a_dns_error_that_ptr_passes_over_is_remembered_as_the_reason_for_doubt() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 ptr -all", "1.2.0.192.in-addr.arpa PTR": Status.TIMEOUT}
    result = evaluate(zone)
    assert (result.word, result.reason) == (SpfResult.FAIL, Reason.DNS_TIMEOUT)
    assert result.why == "-all of example.com matches; without an answer to 1.2.0.192.in-addr.arpa PTR: timeout"


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
    assert (result.word, result.lookups, result.voids) == (SpfResult.FAIL, 3, 0)
    assert result.lines == (
        "fail: -all of example.com matches (3 lookups, 0 void)",
        *map(str, result.trace),
    )


def test_the_trace_is_bounded() -> None:
    result = evaluate({"example.com TXT": "v=spf1 " + "ip4:198.51.100.1 " * 1000 + "-all"})
    assert result.word is SpfResult.FAIL
    assert len(result.trace) == MOST_STEPS


def test_an_explanation_never_changes_the_result() -> None:
    record = "v=spf1 -all exp=exp.%{d}"
    zone: Zone = {"example.com TXT": record, "exp.example.com TXT": "%{i} at %{t} by %{r}"}
    assert evaluate({"example.com TXT": "v=spf1 -all"}, explain=True).explanation == ""
    assert evaluate({"example.com TXT": record, "exp.example.com TXT": ""}, explain=True).explanation == ""
    assert evaluate({"example.com TXT": "v=spf1 -all exp=a..b.com"}, explain=True).explanation == ""
    assert evaluate(zone, explain=True).explanation == "192.0.2.1 at 0 by unknown"
    assert evaluate(zone).explanation == ""
    for text in ("%{x}", "é", Status.TIMEOUT, Status.NODATA, (TXT((b"one",)), TXT((b"two",)))):
        broken: Zone = {"example.com TXT": record, "exp.example.com TXT": text}
        result = evaluate(broken, explain=True)
        assert (result.word, result.explanation, result.voids, result.lookups) == (SpfResult.FAIL, "", 0, 0)


def test_macro_p_is_the_validated_name_and_prefers_the_domain_itself() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 exists:%{p}.ok.example.org -all",
        "1.2.0.192.in-addr.arpa PTR": ("a.example.org", "b.example.com", "example.com", "z.example.com"),
        "a.example.org A": (ip_address("192.0.2.1"),),
        "z.example.com A": (ip_address("192.0.2.1"),),
        "z.example.com.ok.example.org A": A,
    }
    assert evaluate(zone).word is SpfResult.PASS
    assert (
        evaluate({"example.com TXT": "v=spf1 exists:%{p}.ok.example.org -all", "unknown.ok.example.org A": A}).word
        is SpfResult.PASS
    )


def test_only_ten_ptr_names_are_looked_at_and_always_the_same_ten() -> None:
    names = tuple(f"h{i:02}.example.com" for i in range(20))
    zone: dict[str, tuple[Rdata, ...] | str | Status] = {"example.com TXT": "v=spf1 ptr -all"}
    zone |= {f"{name} A": A for name in names}
    for order in (names, names[::-1]):
        zone["1.2.0.192.in-addr.arpa PTR"] = order
        result, asked = play(check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h"), world(zone))
        assert result.word is SpfResult.FAIL
        assert [q.name for q in asked if q.rdtype == "A"] == list(names[:10])


def test_a_refused_mx_limit_is_a_permerror_even_if_an_early_host_would_match() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 mx -all",
        "example.com MX": tuple(MX(i, f"h{i}.example.com") for i in range(11)),
        "h0.example.com A": (ip_address("192.0.2.1"),),
    }
    assert evaluate(zone).word is SpfResult.PERMERROR


# Counting (section 4.6.4): the cases that other implementations got wrong


def test_a_term_is_void_once_so_two_empty_terms_are_two_voids() -> None:
    """Not three, because mx was counted twice."""
    result = evaluate({"example.com TXT": "v=spf1 a mx -all"})
    assert (result.word, result.lookups, result.voids) == (SpfResult.FAIL, 2, 2)
    assert len(cost({"example.com TXT": "v=spf1 a mx -all"}).voids) == 2


def test_the_third_void_term_is_a_permerror_and_so_is_the_eleventh_lookup() -> None:
    result = evaluate({"example.com TXT": "v=spf1 a mx exists:x.example.com -all"})
    assert (result.word, result.voids) == (SpfResult.PERMERROR, MOST_VOIDS + 1)
    zone: Zone = {"example.com TXT": "v=spf1 " + "a " * 11 + "-all", "example.com A": A}
    assert evaluate(zone).word is SpfResult.PERMERROR
    assert evaluate(zone).lookups == MOST_LOOKUPS + 1, "so that a graph tells it from a policy that just fits"
    zone = {"example.com TXT": "v=spf1 " + "a " * 10 + "-all", "example.com A": A}
    assert (evaluate(zone).word, evaluate(zone).lookups) == (SpfResult.FAIL, MOST_LOOKUPS)


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
    assert (result.word, result.voids) == (SpfResult.PASS, 1)
    assert cost(zone).voids == ()


def test_voids_in_an_include_or_redirect_are_voids_and_no_lookups() -> None:
    zone: Zone = {
        "example.com TXT": "v=spf1 include:i.example.com redirect=r.example.com",
        "i.example.com TXT": "v=spf1 a -all",
        "r.example.com TXT": "v=spf1 mx -all",
    }
    result = evaluate(zone)
    assert (result.word, result.lookups, result.voids) == (SpfResult.FAIL, 4, 2)
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
        "example.com A": A,
        "y.example MX": (MX(0, "."),),
    }
    found = cost(zone)
    assert found.lookups == 7
    assert found.costliest.startswith("include:y.example (5) > include:z.example (3) > ")
    assert dict(found.included) == {"x.example": 2, "y.example": 3, "z.example": 5}
    assert found.lines == (
        "7 lookups, 2 void",
        "a (1)",
        "include:x.example (1)",
        "include:y.example (5)",
        ". mx (1)",
        ". include:z.example (3)",
        ". . a (1)",
        ". . exists:x.example (1)",
        *(f"void: {question}" for question in found.voids),
    )


def test_a_loop_is_told_and_bounded() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 include:b.example -all", "b.example TXT": "v=spf1 redirect=Example.Com."}
    assert [fault.trouble for fault in cost(zone).faults] == [TermTrouble.LOOP]
    result = evaluate(zone)
    assert (result.word, result.lookups) == (SpfResult.PERMERROR, MOST_LOOKUPS + 1)


# Names that are too long (section 7.3)


LONG = "a-long-label." * 30


def test_the_domain_of_an_included_policy_is_the_name_that_was_asked_about() -> None:
    """%{d} there is the shortened name, as nothing else ever was a name."""
    kept = LONG[-13 * 18 :] + "example.com"
    assert LONGEST_NAME - len("a-long-label.") < len(kept) <= LONGEST_NAME
    zone: Zone = {
        "example.com TXT": f"v=spf1 include:first.{LONG}%{{d}} -all",
        f"{kept} TXT": "v=spf1 exists:%{d1r}.x.example -all",
        "a-long-label.x.example A": A,
    }
    assert evaluate(zone).word is SpfResult.PASS


# Mailboxes


@pytest.mark.parametrize("term", ["exists:%{l}.u.example", "include:%{S}.u.example", "redirect=%{l1r-}.u.example"])
def test_a_result_that_depends_on_the_mailbox_says_so(term: str) -> None:
    zone: Zone = {
        "example.com TXT": f"v=spf1 {term}",
        "user.u.example TXT": "v=spf1 -all",
        "user%40example.com.u.example TXT": "v=spf1 -all",
    }
    assert evaluate(zone).mailbox == f"{term} of example.com"
    assert evaluate({"example.com TXT": f"v=spf1 ip4:192.0.2.1 {term}"}).mailbox == "", "it was not reached"
    assert evaluate({"example.com TXT": "v=spf1 exists:%{i}.%{h}.%{o} -all"}).mailbox == ""


def test_terms_that_lead_to_no_domain_name_are_told_once_however_often_they_stand() -> None:
    found = cost({"example.com TXT": "v=spf1 include:%{d4}..com include:%{d4}..com redirect=%{o}..com"})
    assert [fault.trouble for fault in found.faults] == [TermTrouble.IMPOSSIBLE] * 2
    assert found.lookups == 3


# Doubt that cannot change the result, and receivers that do not count the hosts of mx


@pytest.mark.parametrize(
    ("record", "word", "doubtful"),
    [
        ("ptr ip4:192.0.2.1 -all", "pass", False),
        ("ptr -all", "fail", True),
        ("-ptr ip4:192.0.2.1 -all", "pass", True),
        ("-ptr -all", "fail", False),
        ("include:i.example.com ip4:192.0.2.1 -all", "pass", False),
        ("include:i.example.com -all", "fail", True),
        ("-ptr ptr:other.example -all", "fail", True),
        ("exists:%{p}.example.com ip4:192.0.2.1 -all", "pass", True),
    ],
)
def test_a_ptr_without_answer_is_no_doubt_where_a_match_would_say_the_same(
    record: str, word: str, doubtful: bool
) -> None:
    zone: Zone = {
        "example.com TXT": f"v=spf1 {record}",
        "i.example.com TXT": "v=spf1 ptr -all",
        "1.2.0.192.in-addr.arpa PTR": Status.TIMEOUT,
    }
    result = evaluate(zone)
    assert (result.word, result.reason is not None) == (word, doubtful)


@pytest.mark.parametrize(
    ("preferences", "first"),
    [
        (range(11), True),
        ([0, *([10] * 10)], True),
        ([10] * 11, False),  # in which order equals are tried is not said
        ([20, *range(10)], False),
    ],
)
def test_of_too_many_mx_hosts_the_first_ten_are_told(preferences: Sequence[int], first: bool) -> None:
    hosts = tuple(MX(preference, f"h{number}.example.com") for number, preference in enumerate(preferences))
    addresses = {f"h{number}.example.com A": (ip_address(f"192.0.2.{number + 1}"),) for number in range(11)}
    result = evaluate({"example.com TXT": "v=spf1 mx -all", "example.com MX": hosts, **addresses})
    assert (result.word, result.first_ten) == ("permerror", first)
