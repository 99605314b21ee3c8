"""What people read of an SPF record that is wrong, word by word."""

from __future__ import annotations

import re

import pytest

from exporter.mail.dns import TXT, Question, Reply, Status
from exporter.mail.spf.limits import MOST_VOIDS, Budget, Stop
from exporter.mail.spf.macro import SpfSyntaxError, domain_spec
from exporter.mail.spf.provider import is_alias
from exporter.mail.spf.record import parse, read
from exporter.mail.spf.worst_case import worst_case
from tests.support.spf_zone import cost, play


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
    with pytest.raises(SpfSyntaxError, match=re.escape(said)):
        parse(record.encode())


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
