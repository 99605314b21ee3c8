"""Addresses out of a provider's policy are few, spread, and the same ones every time."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from exporter.mail.dns import MX, Question, Reply, Status, once
from exporter.mail.spf.check_host import check_host
from exporter.mail.spf.provider import MOST_TRIED, made_for, sample, unforeseeable
from exporter.mail.spf.worst_case import Allowed, worst_case
from tests.support.spf_zone import Zone, cost, play, world


def allowed(*networks: str) -> list[Allowed]:
    made = map(ip_network, networks)
    return [Allowed(network.network_address, network.prefixlen, "a.example") for network in made]


def test_of_a_network_an_address_is_taken_that_may_be_a_host() -> None:
    tried = sample(allowed("192.0.2.0/24", "198.51.100.8/31", "203.0.113.9/32", "2001:db8::/32", "2001:db8:1::7/128"))
    assert list(map(str, tried)) == ["192.0.2.1", "198.51.100.8", "203.0.113.9", "2001:db8::1", "2001:db8:1::7"]


def test_the_length_counts_from_an_address_that_is_not_the_first_of_its_network() -> None:
    assert sample([Allowed(ip_address("192.0.2.77"), 24, "a.example")]) == (ip_address("192.0.2.1"),)


def test_of_many_networks_a_few_are_tried_from_the_first_to_the_last_and_of_both_versions() -> None:
    many = allowed(*(f"10.{number}.0.0/16" for number in range(200)), *(f"2001:db8:{n:x}::/48" for n in range(200)))
    tried = sample(many)
    assert len(tried) == sum(MOST_TRIED.values())
    assert {"10.0.0.1", "10.199.0.1", "2001:db8::1", "2001:db8:c7::1"} <= set(map(str, tried))
    assert sample(many) == tried


def test_what_is_allowed_is_taken_from_every_term_that_lets_pass_and_from_no_other() -> None:
    found = cost(
        {
            "example.com TXT": "v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 a:h.example.com/24 mx -mx:x.example.com "
            "?include:n.example.com include:i.example.com redirect=r.example.com",
            "h.example.com A": (ip_address("198.51.100.1"),),
            "example.com MX": (MX(10, "m.example.com"),),
            "m.example.com A": (ip_address("198.51.100.77"),),
            "x.example.com MX": (MX(10, "h.example.com"),),
            "n.example.com TXT": "v=spf1 ip4:203.0.113.1 -all",
            "i.example.com TXT": "v=spf1 ip6:2001:db8::1 ~all",
            "r.example.com TXT": "v=spf1 ip4:203.0.113.2 -all",
        }
    )
    assert [(str(it.address), it.bits, it.domain) for it in found.allowed] == [
        ("192.0.2.0", 24, "example.com"),
        ("198.51.100.1", 24, "example.com"),
        ("198.51.100.77", 32, "example.com"),
        ("2001:db8::1", 128, "i.example.com"),
        ("203.0.113.2", 32, "r.example.com"),
    ]


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        ("include:_spf.salesforce.com", True),  # asks for the address alone, for all customers alike
        ("exists:%{i}._spf.example.net", False),  # made for this domain
        ("include:_u.example.com._spf.smart.ondmarc.com", False),
        ("include:%{h}.example.net", False),
        ("include:helo.example.net", False),
        ("-exists:%{i}.list.example.net", True),  # lets nobody pass
        ("exists:%{d}.example.net", True),
    ],
)
def test_which_macros_only_a_message_shows(record: str, seen: bool) -> None:
    found = cost(
        {
            "example.com TXT": f"v=spf1 {record} -all",
            "_spf.salesforce.com TXT": "v=spf1 exists:%{i}._spf.mta.salesforce.com -all",
            "_u.example.com._spf.smart.ondmarc.com TXT": "v=spf1 exists:%{i}._i.%{d} -all",
            "helo.example.net TXT": "v=spf1 exists:%{h}.example.net -all",
        }
    )
    assert (unforeseeable(found) == ()) is seen


def test_whose_a_record_is() -> None:
    assert made_for("_spf.Example.com", "mail.example.com")
    assert made_for("mail.example.com.hosted.example.net", "mail.example.com")
    assert not made_for("notexample.com", "example.com")


def test_what_was_answered_is_not_asked_again() -> None:
    zone: Zone = {"example.com TXT": "v=spf1 a:h.example.com -all", "h.example.com A": (ip_address("192.0.2.1"),)}
    replies: dict[Question, Reply] = {}
    _, asked = play(once(worst_case("example.com"), replies), world(zone))
    assert list(map(str, asked)) == ["example.com TXT", "h.example.com A"]
    evaluation = check_host(ip_address("192.0.2.1"), "example.com", "a@example.com", "h")
    result, asked = play(once(evaluation, replies), world({"example.com TXT": Status.TIMEOUT}))
    assert (result.word, asked) == ("pass", [])
