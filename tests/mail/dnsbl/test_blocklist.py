"""What a blocklist's answer means (RFC 5782), and the catalogue of lists."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import shipped_blocklists
from exporter.facts import Doubt, Reason, Severity
from exporter.mail.dns import TXT, Question, Reply, Status
from exporter.mail.dnsbl.blocklist import (
    DEFAULT_REMEDY,
    NOT_LISTED,
    Blocklist,
    Code,
    Listed,
    ListError,
    ListFault,
    Lists,
)
from exporter.mail.dnsbl.catalogue import blocklist

SHIPPED = shipped_blocklists()
ZEN, DBL, SURBL, URIBL, MAILSPIKE = (
    SHIPPED.lists[name] for name in ("spamhaus-zen", "spamhaus-dbl", "surbl", "uribl", "mailspike")
)
OWN = Blocklist("our-list", "bl.example")
KEY = "abcdefghijklmnopqrstuvwxyz"
KEYED = SHIPPED.entry({"name": "spamhaus-zen", "zone": f"{KEY}.zen.dq.spamhaus.net"})


def reply(*addresses: str, status: Status = Status.ANSWER) -> Reply:
    records = tuple(ip_address(address) for address in addresses)
    return Reply(Question("x", "A"), status if records else Status.NXDOMAIN, records)


def lost(status: Status = Status.SERVFAIL) -> Reply:
    return Reply(Question("x", "A"), status)


class TestQuestions:
    def test_an_ipv4_address_is_asked_with_its_octets_reversed(self) -> None:
        assert ZEN.question(ip_address("192.0.2.10")) == "10.2.0.192.zen.spamhaus.org"

    def test_an_ipv6_address_is_asked_nibble_by_nibble(self) -> None:
        """The example of RFC 5782 section 2.4."""
        asked = Blocklist("v6", "ugly.example.com").question(ip_address("2001:db8:1:2:3:4:567:89ab"))
        assert asked == "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com"

    def test_a_domain_is_asked_as_each_list_wants_it(self) -> None:
        assert DBL.question("a.mail.example.co.uk") == "a.mail.example.co.uk.dbl.spamhaus.org"
        assert URIBL.question("a.mail.example.co.uk") == "example.co.uk.multi.uribl.com"

    def test_a_host_name_that_is_too_long_is_asked_by_its_right_end(self) -> None:
        name = ".".join(["a" * 60] * 4)
        asked = DBL.question(name)
        assert len(asked) <= 253
        assert asked == ".".join(["a" * 60] * 3) + ".dbl.spamhaus.org"

    def test_lists_of_addresses_are_asked_addresses_and_lists_of_domains_domains(self) -> None:
        assert ZEN.holds(ip_address("192.0.2.1"))
        assert ZEN.holds(ip_address("2001:db8::1"))
        assert not ZEN.holds("example.com")
        assert DBL.holds("example.com")
        assert not DBL.holds(ip_address("192.0.2.1"))

    def test_a_list_without_ipv6_is_not_asked_for_it(self) -> None:
        assert not SHIPPED.lists["spamcop"].holds(ip_address("2001:db8::1"))

    def test_the_test_points_are_those_of_rfc_5782_section_5(self) -> None:
        assert OWN.test_points == ("2.0.0.127.bl.example", "1.0.0.127.bl.example")
        assert Blocklist("d", "d.example", Lists.DOMAINS).test_points == ("test.d.example", "invalid.d.example")

    def test_a_list_may_have_test_points_of_its_own(self) -> None:
        assert DBL.test_points[0] == "dbltest.com.dbl.spamhaus.org"
        six = Blocklist("six", "six.example", ipv4=False, test_listed="::ffff:7f00:2", test_unlisted="::ffff:7f00:1")
        assert six.test_points[0].startswith("2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.")


class TestReading:
    @pytest.mark.parametrize("status", [Status.NXDOMAIN, Status.NODATA])
    def test_no_such_name_and_no_data_mean_not_listed(self, status: Status) -> None:
        assert ZEN.read(Reply(Question("x", "A"), status)) is NOT_LISTED

    @pytest.mark.parametrize(
        ("codes", "meaning", "severity"),
        [
            (["127.0.0.2"], "SBL: a source of spam or a service to spammers", "critical"),
            (["127.0.0.7"], "XBL: a compromised or infected machine behind the address", "critical"),
            (["127.0.0.11"], "PBL: an address that is not supposed to send mail directly", "critical"),
            (["127.0.0.77"], "a code of unknown meaning", "warning"),
            (["127.9.8.7"], "a code of unknown meaning", "warning"),
        ],
    )
    def test_each_code_has_its_meaning_and_severity(self, codes: list[str], meaning: str, severity: str) -> None:
        said = ZEN.read(reply(*codes))
        assert isinstance(said, Listed)
        assert (said.codes, said.meaning, said.severity) == (tuple(codes), meaning, severity)

    @pytest.mark.parametrize("first_is_benign", [True, False])
    def test_of_several_addresses_all_are_read_and_the_worst_decides(self, first_is_benign: bool) -> None:
        two = Blocklist(
            "two",
            "two.example",
            codes={"127.0.0.2": Code("mild", Severity.INFO), "127.0.0.3": Code("bad", Severity.CRITICAL)},
        )
        codes = ["127.0.0.2", "127.0.0.3"]
        said = two.read(reply(*(codes if first_is_benign else reversed(codes))))
        assert isinstance(said, Listed)
        assert said.severity is Severity.CRITICAL
        assert {*said.meaning.split("; ")} == {"mild", "bad"}

    def test_reputation_codes_are_no_listing_but_do_not_hide_one(self) -> None:
        assert MAILSPIKE.read(reply("127.0.0.20")) is NOT_LISTED
        said = MAILSPIKE.read(reply("127.0.0.20", "127.0.0.10"))
        assert isinstance(said, Listed)
        assert said.codes == ("127.0.0.10",)

    def test_bits_are_read_each_for_itself(self) -> None:
        said = SURBL.read(reply("127.0.0.80"))
        assert isinstance(said, Listed)
        assert said.meaning == "MW: malware; ABUSE: in spam or other abuse"
        unknown = SURBL.read(reply("127.0.0.34"))
        assert isinstance(unknown, Listed)
        assert unknown.meaning == "a code of unknown meaning"

    @pytest.mark.parametrize(
        ("of", "address", "fault"),
        [
            (OWN, "127.255.255.252", ListFault.ZONE),
            (OWN, "127.255.255.254", ListFault.RESOLVER),
            (OWN, "127.255.255.255", ListFault.VOLUME),
            (OWN, "127.255.255.0", ListFault.RESOLVER),
            (ZEN, "127.255.255.254", ListFault.RESOLVER),
            (OWN, "203.0.113.1", ListFault.WRONG),
            (OWN, "0.0.0.0", ListFault.WRONG),
            (OWN, "128.0.0.2", ListFault.WRONG),
            (OWN, "126.255.255.255", ListFault.WRONG),
            (OWN, "127.0.0.1", ListFault.WRONG),
            (OWN, "127.0.0.0", ListFault.WRONG),
            (OWN, "::1", ListFault.WRONG),
            (OWN, "::ffff:127.0.0.2", ListFault.WRONG),
            (DBL, "127.0.1.255", ListFault.WRONG),
            (URIBL, "127.0.0.1", ListFault.RESOLVER),
            (URIBL, "127.0.0.3", ListFault.RESOLVER),
            (URIBL, "127.0.0.255", ListFault.RESOLVER),
            (SURBL, "127.0.0.1", ListFault.RESOLVER),
            (SURBL, "127.0.0.0", ListFault.WRONG),
        ],
    )
    def test_what_a_list_says_of_itself_is_never_a_listing(self, of: Blocklist, address: str, fault: ListFault) -> None:
        for said in (
            of.read(reply(address)),
            of.read(reply("127.0.0.2", address)),
            of.read(reply(address, "127.0.0.2")),
        ):
            assert isinstance(said, ListError)
            assert said.fault is fault

    def test_an_answer_without_an_address_is_no_listing(self) -> None:
        said = OWN.read(Reply(Question("x", "A"), Status.ANSWER, (TXT((b"?",)),)))
        assert said == ListError(ListFault.WRONG, "an answer without an address")

    def test_every_class_of_127(self) -> None:
        """All of 127.x.y.z by its edges, judged by the rule said once more."""
        edges = (0, 1, 2, 127, 128, 254, 255)
        for octets in ((x, y, z) for x in edges for y in edges for z in edges):
            said = OWN.read(reply("127." + ".".join(map(str, octets))))
            assert isinstance(said, Listed) is (octets[:2] != (255, 255) and octets not in {(0, 0, 0), (0, 0, 1)}), (
                octets
            )


class TestNeverAFalseListing:
    addresses = st.one_of(
        st.integers(0, 2**32 - 1).map(IPv4Address),
        st.tuples(*[st.sampled_from([0, 1, 2, 4, 10, 16, 30, 64, 102, 254, 255])] * 3).map(
            lambda o: IPv4Address(bytes((127, *o)))
        ),
        st.integers(0, 255).map(lambda n: IPv4Address(bytes((127, 255, 255, n)))),
    )

    @given(st.sampled_from(sorted(SHIPPED.lists)), st.lists(addresses, min_size=1, max_size=4))
    def test_random_addresses(self, name: str, addresses: list[IPv4Address]) -> None:
        """Listed only if every address is in 127/8, none refuses, and one is not harmless."""
        of = SHIPPED.lists[name]
        said = of.read(reply(*map(str, addresses)))
        speaks_of_itself = any(
            not address.is_loopback
            or str(address).startswith("127.255.255.")
            or str(address) in of.errors
            or (of.bits and (int(address) & 1 or not int(address) & 255))
            or (str(address) in {"127.0.0.0", "127.0.0.1"})
            for address in addresses
        )
        assert isinstance(said, ListError) is speaks_of_itself
        if not speaks_of_itself:
            assert isinstance(said, Listed) is any(str(address) not in of.harmless for address in addresses)


def test_what_ends_a_listing_is_said_in_the_words_of_its_codes() -> None:
    codes = {"127.0.0.2": Code("spam", Severity.WARNING, "fix the form"), "127.0.0.3": Code("other", Severity.WARNING)}
    ours = replace(OWN, codes=codes)
    for addresses, remedy in ((("127.0.0.2", "127.0.0.3"), "fix the form"), (("127.0.0.3",), DEFAULT_REMEDY)):
        listed = ours.read(reply(*addresses))
        assert isinstance(listed, Listed)
        assert listed.remedy == remedy


class TestTestPoints:
    def test_only_both_right_answers_together_make_a_list_believable(self) -> None:
        assert OWN.judge(reply("127.0.0.2"), reply()) is None

    @pytest.mark.parametrize(
        ("listed", "unlisted", "fault"),
        [
            (reply("127.0.0.2"), reply("127.0.0.2"), ListFault.WORLD),
            (reply(), reply("127.0.0.2"), ListFault.WORLD),
            (lost(), reply("127.0.0.2"), ListFault.WORLD),
            (reply(), reply(), ListFault.DEAD),
            (reply(), lost(), ListFault.DEAD),
            (reply("127.255.255.254"), reply("127.255.255.254"), ListFault.RESOLVER),
            (reply("127.0.0.2"), reply("127.255.255.255"), ListFault.VOLUME),
            (lost(), reply("203.0.113.1"), ListFault.WRONG),
            (reply("127.255.255.254"), reply(), ListFault.RESOLVER),
            (reply("127.255.255.254"), lost(), ListFault.RESOLVER),
        ],
    )
    def test_proven_bad_stays_bad(self, listed: Reply, unlisted: Reply, fault: ListFault) -> None:
        verdict = OWN.judge(listed, unlisted)
        assert isinstance(verdict, ListError)
        assert verdict.fault is fault

    @pytest.mark.parametrize("status", [s for s in Status if not s.conclusive])
    def test_silence_proves_nothing(self, status: Status) -> None:
        for verdict in (OWN.judge(lost(status), reply()), OWN.judge(reply("127.0.0.2"), lost(status))):
            assert isinstance(verdict, Doubt)
            assert verdict.reason is status.reason


class TestSecrets:
    def test_the_zone_is_in_no_repr(self) -> None:
        assert KEY not in repr(KEYED)
        assert "spamhaus-zen" in repr(KEYED)

    def test_the_zone_and_the_key_alone_are_hidden_in_any_text(self) -> None:
        text = f"10.2.0.192.{KEY}.zen.dq.spamhaus.net A; key {KEY.upper()} is over its quota"
        assert KEYED.hide(text) == "10.2.0.192.<spamhaus-zen> A; key <spamhaus-zen> is over its quota"

    @pytest.mark.parametrize("wrong", [f"{KEY}..net", f"-{KEY}", f"{KEY}." * 12 + "net", 5, None, ""])
    def test_a_wrong_zone_is_refused_without_being_quoted(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="mine") as refused:
            blocklist({"name": "mine", "zone": wrong})
        assert KEY not in str(refused.value)
        assert KEY not in repr(refused.value.__cause__)

    def test_a_doubt_about_a_test_point_shows_no_zone(self) -> None:
        silent = Reply(Question("x", "A"), Status.TIMEOUT, detail=f"no answer for 2.0.0.127.{KEYED.zone}")
        doubt = KEYED.judge(silent, silent)
        assert isinstance(doubt, Doubt)
        assert KEY not in doubt.detail


class TestCatalogue:
    def test_the_default_set(self) -> None:
        expected = "spamhaus-zen spamcop psbl mailspike blocklist-de virusfree-bip"
        info = "uceprotect-1 uceprotect-2 uceprotect-3"
        domains = "spamhaus-dbl surbl uribl"
        assert {b.name for b in SHIPPED.default} == {*expected.split(), *info.split(), *domains.split()}
        assert {b.name for b in SHIPPED.default if b.lists is Lists.DOMAINS} == set(domains.split())

    def test_lists_that_sell_removal_fail_nobody(self) -> None:
        for name in ("uceprotect-1", "uceprotect-2", "uceprotect-3"):
            assert {code.severity for code in SHIPPED.lists[name].codes.values()} == {Severity.INFO}

    def test_every_list_has_a_ceiling_a_way_out_and_its_terms(self) -> None:
        for of in SHIPPED.lists.values():
            assert of.queries_per_day
            assert of.delist.startswith("https://")
            assert of.terms
            assert of.queries_per_day <= 100_000, "the strictest published limit is 300,000 a day for all that ask"

    def test_no_shipped_list_is_retired(self) -> None:
        for name in SHIPPED.lists:
            SHIPPED.entry({"name": name})

    @pytest.mark.parametrize(
        "zone",
        [
            "dnsbl.sorbs.net",
            "spam.dnsbl.sorbs.net.",
            "IX.dnsbl.manitu.net",
            "dnsbl.inps.de",
            "ubl.unsubscore.com",
            "cbl.abuseat.org",
            "dnsbl.njabl.org",
            "dnsbl.ahbl.org",
            "relays.ordb.org",
            "bl.spamcannibal.org",
        ],
    )
    def test_a_retired_list_is_refused_with_the_reason(self, zone: str) -> None:
        with pytest.raises(ValueError, match=r"is retired since .* must not be asked: \w+"):
            SHIPPED.entry({"name": "mine", "zone": zone})

    def test_a_retired_name_is_refused_too(self) -> None:
        with pytest.raises(ValueError, match="sorbs is retired since 2024-06-05"):
            SHIPPED.entry({"name": "sorbs"})

    def test_an_entry_with_a_shipped_name_takes_over_what_it_does_not_say(self) -> None:
        assert KEYED.codes == ZEN.codes
        assert KEYED.zone == f"{KEY}.zen.dq.spamhaus.net"
        assert SHIPPED.entry({"name": "spamhaus-zen", "queries_per_day": 7}).queries_per_day == 7

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"name": "No!"}, "name: wants lower-case"),
            ({}, "name: wants lower-case"),
            ({"name": "x"}, "x: zone is no domain name"),
            ({"name": "x", "zone": "x.example", "codez": {}}, "x: has no key codez"),
            ({"name": "x", "zone": "x.example", "lists": "mail"}, "x: lists: 'mail'"),
            ({"name": "x", "zone": "x.example", "bits": "yes"}, "x: bits: wants true or false"),
            ({"name": "x", "zone": "x.example", "queries_per_day": 0}, "x: queries_per_day: wants a whole number"),
            ({"name": "x", "zone": "x.example", "delist": 5}, "x: delist: wants text"),
            (
                {"name": "x", "zone": "x.example", "codes": {"128.0.0.2": {"meaning": "m"}}},
                "x: codes: 128.0.0.2 is no code",
            ),
            ({"name": "x", "zone": "x.example", "codes": {"127.0.0.9-127.0.0.2": {"meaning": "m"}}}, "is no code"),
            ({"name": "x", "zone": "x.example", "codes": {"127.0.0.2-127.9.0.2": {"meaning": "m"}}}, "is no code"),
            ({"name": "x", "zone": "x.example", "codes": {"127.0.0.2": {}}}, "x: codes: wants a meaning"),
            ({"name": "x", "zone": "x.example", "codes": {"127.0.0.2": {"meaning": "m", "bad": 1}}}, "has no bad"),
            ({"name": "x", "zone": "x.example", "codes": ["127.0.0.2"]}, "x: codes: "),
            ({"name": "x", "zone": "x.example", "codes": {"2": {"meaning": "m"}}}, "wants addresses as codes, not 2"),
            ({"name": "x", "zone": "x.example", "bits": True, "codes": {"127.0.0.2": {"meaning": "m"}}}, "wants bits"),
            (
                {
                    "name": "x",
                    "zone": "x.example",
                    "codes": {"127.0.0.2-127.0.0.4": {"meaning": "m"}, "127.0.0.3": {"meaning": "n"}},
                },
                "gives one code two meanings",
            ),
            (
                {
                    "name": "x",
                    "zone": "x.example",
                    "codes": {"127.0.0.2": {"meaning": "m"}},
                    "harmless": {"127.0.0.2": "m"},
                },
                "a code is in two of",
            ),
            (
                {"name": "x", "zone": "x.example", "test_listed": "test"},
                "a test point of a list of addresses is an address",
            ),
            ({"name": "x", "zone": "x.example", "test_listed": "127.0.0.1"}, "the two test points must differ"),
            ({"name": "x", "zone": ".".join(["z" * 60] * 4)}, "x: zone is too long to be asked"),
        ],
    )
    def test_what_is_wrong_with_an_entry_is_said(self, given: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=r"\w") as refused:
            blocklist(given)
        assert says in str(refused.value)

    def test_an_error_code_of_a_list_may_name_its_fault(self) -> None:
        made = blocklist({"name": "x", "zone": "x.example", "errors": {"127.0.9.9": {"meaning": "unpaid"}}})
        assert made.read(reply("127.0.9.9")) == ListError(ListFault.RESOLVER, "127.0.9.9: unpaid")

    def test_doubts_keep_their_reason(self) -> None:
        assert OWN.judge(lost(Status.TIMEOUT), lost()) == Doubt(Reason.DNS_TIMEOUT, "self-test of our-list: timeout")
