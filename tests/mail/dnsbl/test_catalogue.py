"""How the catalogue of lists, and a list of a user's own, are read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exporter.facts import Severity
from exporter.mail.dnsbl.blocklist import Code, ListError, ListFault, Lists
from exporter.mail.dnsbl.catalogue import Retired, blocklist, shipped

LIST: dict[str, Any] = {
    "name": "a-list",
    "zone": "BL.Example.",
    "lists": "domain",
    "codes": {
        "127.0.0.2": {"meaning": "spam"},
        "127.0.0.4-127.0.0.6": {"meaning": "worse", "severity": "critical", "remedy": "ask"},
    },
    "harmless": {"127.0.0.7": "good"},
    "errors": {"127.0.0.1": {"meaning": "refused"}, "127.0.0.8": {"meaning": "too often", "fault": "volume"}},
    "severity": "info",
    "ipv4": False,
    "ipv6": False,
    "whole_name": True,
    "test_listed": "dbltest.com",
    "test_unlisted": "example.com",
    "queries_per_day": 1,
    "queries_per_second": 2,
    "delist": "https://example.com/remove",
    "terms": "free",
    "default": True,
}
GONE = {"name": "gone", "zone": "gone.example", "since": "2020", "why": "it is dead"}


def test_every_key_of_a_list_is_read() -> None:
    made = blocklist(LIST)
    worse = Code("worse", Severity.CRITICAL, "ask")
    assert made.codes == {
        "127.0.0.2": Code("spam", Severity.WARNING, ""),
        "127.0.0.4": worse,
        "127.0.0.5": worse,
        "127.0.0.6": worse,
    }
    assert made.harmless == {"127.0.0.7": "good"}
    assert made.errors == {
        "127.0.0.1": ListError(ListFault.RESOLVER, "refused"),
        "127.0.0.8": ListError(ListFault.VOLUME, "too often"),
    }
    assert (made.name, made.zone, made.lists, made.bits) == ("a-list", "bl.example", Lists.DOMAINS, False)
    assert (made.severity, made.ipv4, made.ipv6, made.whole_name) == (Severity.INFO, False, False, True)
    assert made.test_points == ("dbltest.com.bl.example", "example.com.bl.example")
    assert (made.queries_per_day, made.queries_per_second) == (1, 2)
    assert made.delist == "https://example.com/remove"
    assert (made.terms, made.default) == ("free", True)


def test_bits_are_codes_of_a_list_of_bits() -> None:
    made = blocklist(
        {"name": "bits", "zone": "bl_x.example", "bits": True, "codes": {"1": {"meaning": "a"}, 128: {"meaning": "b"}}}
    )
    assert set(made.codes) == {"1", "128"}
    assert made.zone == "bl_x.example"


def test_the_catalogue_is_read_whole() -> None:
    known = shipped({"known": 20260501, "lists": [LIST, {"name": "other", "zone": "other.example"}], "retired": [GONE]})
    assert known.known == "20260501"
    assert list(known.lists) == ["a-list", "other"]
    assert known.lists["a-list"] == blocklist(LIST)
    assert known.retired == (Retired("gone", "gone.example", "2020", "it is dead"),)
    assert known.default == (known.lists["a-list"],)
    assert known.entries["a-list"] is LIST


def test_a_list_takes_from_the_catalogue_what_it_does_not_say() -> None:
    known = shipped({"known": "now", "lists": [LIST], "retired": [GONE]})
    own = known.entry({"name": "a-list", "zone": "key.bl.example", "queries_per_day": 9})
    assert (own.zone, own.queries_per_day, own.severity) == ("key.bl.example", 9, Severity.INFO)
    assert known.entry({"name": "mine", "zone": "mine.example"}) == blocklist({"name": "mine", "zone": "mine.example"})
    for given in ({"name": "gone"}, {"name": "x", "zone": " GONE.example. "}, {"name": "x", "zone": "a.gone.example"}):
        with pytest.raises(ValueError, match=r"^gone is retired since 2020 and must not be asked: it is dead$"):
            known.entry(given)
    with pytest.raises(ValueError, match=r"^name: wants lower-case letters, digits, dots and hyphens, 63 at most$"):
        known.entry({"zone": "mine.example"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": 7}, "name: wants lower-case letters, digits, dots and hyphens, 63 at most"),
        ({"name": "x" * 64}, "name: wants lower-case letters, digits, dots and hyphens, 63 at most"),
        ({"b": 1, "a": 2}, "mine: has no key a, b"),
        ({"zone": "-x-"}, "mine: zone is no domain name"),
        ({"zone": None}, "mine: zone is no domain name"),
        ({"zone": "z" * 63 + "." + "y" * 63 + "." + "x" * 63}, "mine: zone is too long to be asked"),
        ({"queries_per_day": 0}, "mine: queries_per_day: wants a whole number above 0"),
        ({"queries_per_day": True}, "mine: queries_per_day: wants a whole number above 0"),
        ({"queries_per_day": "9"}, "mine: queries_per_day: wants a whole number above 0"),
        ({"queries_per_second": 0}, "mine: queries_per_second: wants a whole number above 0"),
        ({"ipv6": "yes"}, "mine: ipv6: wants true or false"),
        ({"terms": 1}, "mine: terms: wants text"),
        ({"codes": {"127.0.0.2": {}}}, "mine: codes: wants a meaning"),
        ({"codes": {"127.0.0.2": {"b": 1, "a": 1}}}, "mine: codes: wants a meaning, and has no a, b"),
        ({"codes": {"10.0.0.2": {"meaning": "x"}}}, "mine: codes: 10.0.0.2 is no code"),
        ({"codes": {"127.0.0.9-127.0.0.2": {"meaning": "x"}}}, "mine: codes: 127.0.0.9-127.0.0.2 is no code"),
        ({"codes": {"127.0.0.0-127.0.1.0": {"meaning": "x"}}}, "mine: codes: 127.0.0.0-127.0.1.0 is no code"),
        (
            {"codes": {"127.0.0.2-127.0.0.3": {"meaning": "x"}, "127.0.0.3": {"meaning": "y"}}},
            "mine: codes: gives one code two meanings",
        ),
        ({"codes": {"2": {"meaning": "x"}}}, "mine: wants addresses as codes, not 2"),
        ({"bits": True, "codes": {"127.0.0.2": {"meaning": "x"}}}, "mine: wants bits as codes, not 127.0.0.2"),
        (
            {"codes": {"127.0.0.2": {"meaning": "x"}}, "harmless": {"127.0.0.2": "y"}},
            "mine: a code is in two of codes, harmless and errors",
        ),
        ({"test_listed": "example.com"}, "mine: a test point of a list of addresses is an address"),
        ({"test_listed": "127.0.0.1"}, "mine: the two test points must differ"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        blocklist({"name": "mine", "zone": "mine.example", **given})


def test_a_zone_may_be_as_long_as_a_question_allows() -> None:
    """An IPv6 address takes 64 octets of 253."""
    zone = f"{'z' * 63}.{'y' * 63}.{'x' * 61}"
    assert len(zone) == 253 - 64
    assert blocklist({"name": "mine", "zone": zone}).zone == zone
    with pytest.raises(ValueError, match="too long"):
        blocklist({"name": "mine", "zone": f"w{zone[1:]}w"})


def test_a_range_may_have_256_codes() -> None:
    codes = blocklist({"name": "mine", "zone": "x.example", "codes": {"127.0.1.0-127.0.1.255": {"meaning": "x"}}}).codes
    assert len(codes) == 256
