"""What people read of an SPF record that is wrong, word by word."""

from __future__ import annotations

import re

import pytest

from exporter.mail.dns import TXT, Question, Reply, Status
from exporter.mail.spf.limits import MOST_VOIDS, Budget, Stop
from exporter.mail.spf.macro import SpfSyntaxError, domain_spec, macro_string
from exporter.mail.spf.provider import is_alias
from exporter.mail.spf.record import SpfResult, parse, read
from exporter.mail.spf.worst_case import worst_case
from tests.support.spf_zone import cost, evaluate, play, world


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("v=spf1 all:x", "all must not have an argument"),
        ("v=spf1 ip4:x -all", "'x' is not an IPv4 address"),
        ("v=spf1 ip6:x -all", "'x' is not an IPv6 address"),
        ("v=spf1 include: -all", "the domain name is missing"),
    ],
)
def test_the_fault_of_a_record_is_told(record: str, said: str) -> None:
    with pytest.raises(SpfSyntaxError, match=rf": {re.escape(said)}$"):
        parse(record.encode())


@pytest.mark.parametrize("length", [80, 81])
def test_a_part_of_more_than_80_characters_is_cut(length: int) -> None:
    word = "all:" + "x" * (length - 4)
    quoted = word if length == 80 else f"{word[:80]}…"
    with pytest.raises(SpfSyntaxError, match=rf"^part 1 '{quoted}': "):
        parse(f"v=spf1 {word}".encode())


def test_a_policy_of_several_records_shows_them() -> None:
    texts = ("v=spf1 -all", "v=spf1 ~all")
    reply = Reply(Question("example.com", "TXT"), Status.ANSWER, tuple(TXT((text.encode(),)) for text in texts))
    policy = read(reply)
    assert policy.error == "example.com has 2 SPF records"
    assert policy.texts == tuple(text.encode() for text in texts)


def test_what_ends_an_evaluation_says_why() -> None:
    budget = Budget()
    budget.voids, budget._may_be_void = MOST_VOIDS, True
    with pytest.raises(Stop) as stop:
        budget.void(Question("example.com", "A"))
    assert stop.value.why == str(stop.value) == f"more than {MOST_VOIDS} void lookups, the last for example.com A"


def test_after_the_end_nothing_is_void() -> None:
    budget = Budget()
    budget._may_be_void = True
    budget.end()
    budget.void(Question("example.com", "A"))
    assert budget.voids == 0


def test_a_name_that_ends_in_text_behind_a_macro_needs_a_top_level_domain() -> None:
    assert domain_spec("%{d}").text == "%{d}"
    assert domain_spec("%{i}.example.com").text == "%{i}.example.com"
    with pytest.raises(SpfSyntaxError, match="not a domain name with a top-level domain"):
        domain_spec("%{d}example")


def test_an_alias_to_the_provider_has_the_policy_of_the_provider() -> None:
    plain = cost({"example.com TXT": "v=spf1 -all"})
    assert not is_alias(plain, "spf.provider.example")
    question = Question("example.com", "TXT")
    for target, theirs in (("c1.spf.provider.example", True), ("provider.example.net", False)):
        reply = Reply(question, Status.ANSWER, (TXT((b"v=spf1 -all",)),), chain=("spf.example.com", target))
        found, _ = play(worst_case("example.com"), {question: reply}.__getitem__)
        assert is_alias(found, "spf.provider.example") is theirs


def test_too_many_questions_are_a_permerror_of_the_policy() -> None:
    budget = Budget(questions=1)
    _, asked = play(budget.ask("example.com", "A"), world({}))
    assert len(asked) == 1
    with pytest.raises(Stop) as stop:
        play(budget.ask("example.com", "AAAA"), world({}))
    assert (stop.value.word, stop.value.why) == (SpfResult.PERMERROR, "the policy needs more than 1 DNS queries")


def test_the_trace_names_each_domain_that_a_policy_leads_to() -> None:
    zone = {"example.com TXT": "v=spf1 redirect=r.example.com", "r.example.com TXT": "v=spf1 -all"}
    assert [(it.domain, it.term, it.outcome) for it in evaluate(zone).trace] == [
        ("example.com", "redirect=r.example.com", "follow"),
        ("r.example.com", "-all", "fail"),
    ]


def test_a_macro_string_is_shown_as_it_was_written() -> None:
    assert macro_string("%{i} is not one of %{d}", explanation=True).text == "%{i} is not one of %{d}"


def test_the_first_byte_that_is_not_ascii_is_named() -> None:
    with pytest.raises(SpfSyntaxError, match=r"^byte 11 of the record is not ASCII"):
        parse(b"v=spf1 a\x7f \xff")
