"""Which receivers the mail of a domain goes to."""

from __future__ import annotations

import pytest

from exporter.targets import Delivery
from tests.support.configuration import Read, only, refused

DOMAINS = "domains: [{name: a.example}, {name: b.example%s}]\n"


def chosen(read: Read, general: str, own: str = "") -> dict[str, tuple[str, ...]]:
    return {t.domain: t.receivers for t in only(read(f"{PROBE}{general}\n{DOMAINS % own}"), Delivery)}


PROBE = "smtp: {helo_name: probe.example.net}\n"


def test_three_receivers_are_asked_for_unless_somebody_says_otherwise(read: Read) -> None:
    assert chosen(read, "") == dict.fromkeys(("a.example", "b.example"), ("microsoft", "gmail", "yahoo"))
    assert chosen(read, "receivers: [yahoo]") == dict.fromkeys(("a.example", "b.example"), ("yahoo",))
    assert chosen(read, "", ", receivers: [gmail]")["b.example"] == ("gmail",)
    assert chosen(read, "", ", receivers: [gmail]")["a.example"] == ("microsoft", "gmail", "yahoo")


def test_a_bulk_profile_brings_the_plain_one_with_it(read: Read) -> None:
    assert chosen(read, "receivers: [yahoo, gmail_bulk]")["a.example"] == ("yahoo", "gmail", "gmail_bulk")


def test_further_receivers_are_asked_for_only_by_who_names_them(read: Read) -> None:
    assert chosen(read, "", ", receivers: [apple, gmx, ionos, orange]") == {
        "a.example": ("microsoft", "gmail", "yahoo"),
        "b.example": ("apple", "gmx", "ionos", "orange"),
    }


def test_an_empty_list_is_none(read: Read) -> None:
    assert chosen(read, "receivers: []") == {}
    assert chosen(read, "receivers: []", ", receivers: [gmail]") == {"b.example": ("gmail",)}


def test_a_domain_that_sends_nothing_is_taken_by_nobody(read: Read) -> None:
    assert chosen(read, "", ", sends_mail: false").keys() == {"a.example"}


def test_the_finding_can_be_accepted_on_the_domain_and_the_check_switched_off_there(read: Read) -> None:
    accept = ", accept: [{finding: receiver.gmail-ptr, reason: known}], checks: {receiver: {enabled: false}}"
    target = only(read(PROBE + DOMAINS % accept), Delivery)[1]
    assert [a.finding for a in target.accept] == ["receiver.gmail-ptr"]
    assert "receiver" in target.off


@pytest.mark.parametrize(
    ("general", "own", "told"),
    [
        ("receivers: [gmial]", "", "'gmial' is not a receiver with known requirements; did you mean gmail"),
        ("receivers: gmail", "", "expected a list of names of receivers"),
        ("receivers: [gmail, gmail]", "", "the receiver gmail is configured twice: here and at"),
        ("", ", receivers: [yahoo, yahoo]", "domains[1].receivers[1]: the receiver yahoo is configured twice"),
        ("", ", receivers: ", "domains[1].receivers: expected a list of names of receivers, got nothing"),
    ],
)
def test_what_is_no_list_of_known_receivers_is_refused(read: Read, general: str, own: str, told: str) -> None:
    assert told in refused(read, f"{PROBE}{general}\n{DOMAINS % own}").replace("`", "'")
