"""What the IPv6 test points of a list prove (RFC 5782 section 5), and when two lists count as independent."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exporter.facts import Doubt, Reason, Severity
from exporter.mail.dnsbl.blocklist import Blocklist, Code, Listed, ListError, ListFault
from tests.mail.dnsbl.test_blocklist import OWN, lost, reply


class TestIPv6TestPoints:
    """What the three replies prove together with the IPv4 pair."""

    def test_a_fault_of_any_of_them_is_told_as_one_of_ipv6(self) -> None:
        wrong = ListError(
            ListFault.RESOLVER, "IPv6: 127.255.255.254: asked through a public or unattributable resolver"
        )
        refused, good, none = reply("127.255.255.254"), reply("127.0.0.2"), reply()
        assert OWN.judge_ipv6(refused, none, none, None) == wrong
        assert OWN.judge_ipv6(good, refused, none, None) == wrong
        assert OWN.judge_ipv6(good, none, refused, None) == wrong

    def test_whatever_must_not_be_listed_shows_the_world(self) -> None:
        world = ListError(ListFault.WORLD, "IPv6: it lists what it must not list: 127.0.0.2")
        good, none = reply("127.0.0.2"), reply()
        assert OWN.judge_ipv6(good, good, none, None) == world
        assert OWN.judge_ipv6(lost(), none, good, None) == world

    @pytest.mark.parametrize("place", range(3))
    def test_an_unanswered_one_proves_nothing(self, place: int) -> None:
        replies = [reply("127.0.0.2"), reply(), reply()]
        replies[place] = lost()
        doubt = OWN.judge_ipv6(replies[0], replies[1], replies[2], None)
        assert doubt == Doubt(Reason.DNS_SERVFAIL, "self-test of our-list: servfail")

    def test_a_list_without_the_pair_is_as_good_as_its_ipv4_pair(self) -> None:
        dead = ListError(ListFault.DEAD, "dead")
        assert OWN.judge_ipv6(reply(), reply(), reply(), dead) == dead
        assert OWN.judge_ipv6(reply(), reply(), reply(), None) is None
        assert OWN.judge_ipv6(reply("127.0.0.2"), reply(), reply(), dead) is None


@pytest.mark.parametrize(
    ("one", "other", "independent"),
    [
        (("a.example.com", ""), ("b.example.net", ""), True),
        (("a.example.com", ""), ("b.example.com", ""), False),
        (("a.example.com", "https://x.example/1"), ("b.example.net", "https://x.example/2"), False),
        (("a.example.com", "https://x.example/1"), ("b.example.net", "https://y.example/1"), True),
        (("a.example.com", "https://x.example/1"), ("b.example.net", ""), True),
    ],
)
def test_two_lists_are_independent_unless_zone_or_operator_is_one(
    one: tuple[str, str], other: tuple[str, str], independent: bool
) -> None:
    lists = [Blocklist(zone, zone, delist=delist) for zone, delist in (one, other)]
    assert lists[0].independent(lists[1]) is independent
    assert lists[1].independent(lists[0]) is independent


def test_a_list_may_hold_addresses_of_one_kind_alone() -> None:
    for version, address in ((4, "192.0.2.1"), (6, "2001:db8::1")):
        own = Blocklist("own", "own.example", ipv4=version == 4, ipv6=version == 6)
        assert own.holds(ip_address(address))
        assert not own.holds(ip_address("2001:db8::1" if version == 4 else "192.0.2.1"))


def test_of_several_codes_the_worst_severity_counts_and_all_meanings_are_told() -> None:
    codes = {"127.0.0.2": Code("policy", Severity.INFO), "127.0.0.3": Code("spam", Severity.WARNING)}
    said = Blocklist("own", "own.example", codes=codes).read(reply("127.0.0.2", "127.0.0.3"))
    assert isinstance(said, Listed)
    assert (said.severity, said.meaning) == (Severity.WARNING, "policy; spam")


def test_a_list_without_codes_says_nothing_of_the_kind() -> None:
    said = Blocklist("own", "own.example").read(reply("127.0.0.2"))
    assert isinstance(said, Listed)
    assert said.meaning == "reason not given"
