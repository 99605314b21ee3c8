"""exporter/mail/names.py: names and addresses as mail uses them."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PSLFILE, PublicSuffixList

from exporter.facts import IP
from exporter.mail import names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        (" example.com\n", "example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("a。b.example。", "a.b.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
    ],
)
def test_canonical_is_the_lower_case_a_label_without_trailing_dot(text: str, name: str) -> None:
    assert names.canonical(text) == name
    assert names.canonical(name) == name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (".", "empty"),
        ("  ", "empty"),
        ("a..example", "invalid label ''"),
        ("example.com..", "invalid label ''"),
        ("a b.example", "invalid label 'a b'"),
        ("_dmarc.example", "invalid label '_dmarc'"),
        ("-a.example", "invalid label"),
        ("a-.example", "invalid label"),
        (f"{'a' * 64}.example", "invalid label"),
        ("a." * 127 + "a", "longer than 253"),
        ("ä" * 254, "longer than 253"),
        (".".join(["ä" * 40] * 6), "longer than 253"),
        ("ä" * 64, "internationalised"),
        ("。", "invalid label ''"),
        ("❤.example", "internationalised"),
        ("a\u0338\u200d.example", "internationalised"),
    ],
)
def test_canonical_says_what_is_no_host_name(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        names.canonical(text)


def test_canonical_admits_underscores_when_asked() -> None:
    assert names.canonical("_DMARC.example.com", underscores=True) == "_dmarc.example.com"
    assert names.canonical("s_1.example.com", underscores=True) == "s_1.example.com"
    assert names.canonical("_spf.münchen.example", underscores=True) == "_spf.xn--mnchen-3ya.example"
    with pytest.raises(ValueError, match="invalid label"):
        names.canonical("-s.example.com", underscores=True)


@given(st.text())
def test_canonical_gives_a_host_name_or_a_value_error(text: str) -> None:
    try:
        name = names.canonical(text)
    except ValueError:
        return
    assert names.is_hostname(name)
    assert names.canonical(name) == name


@pytest.mark.parametrize("name", ["example.com", "EXAMPLE.com", "a", "3com.example", "a" * 63, "a." * 126 + "a"])
def test_letters_digits_and_hyphens_are_a_host_name(name: str) -> None:
    assert names.is_hostname(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..b",
        "a.",
        "-a",
        "a-",
        "a_b",
        "a b",
        "a" * 64,
        "a." * 127 + "a",
        "mäil",
        "\u212aelvin.example",  # its lower case is an ASCII k
        "a\n",
        r"a\.b",
    ],
)
def test_anything_else_is_none(name: str) -> None:
    assert not names.is_hostname(name)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[192.0.2.1]", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", None),
        ("192.0.2.256", None),
        ("192.0.2.01", None),
        ("3221225985", None),
        ("[192.0.2.1", None),
        ("mail.example.com", None),
        ("", None),
    ],
)
def test_an_address_in_the_place_of_a_name_is_seen(text: str, address: str | None) -> None:
    assert names.as_address(text) == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    ("name", "parent", "inside"),
    [
        ("example.com", "example.com", True),
        ("a.example.com", "example.com", True),
        ("notexample.com", "example.com", False),
        ("example.com", "a.example.com", False),
        ("com", "example.com", False),
    ],
)
def test_under_goes_by_whole_labels(name: str, parent: str, inside: bool) -> None:
    assert names.under(name, parent) is inside


def test_ipv4_is_reversed_by_octets() -> None:
    assert names.reverse_octets(ip_address("127.0.0.2")) == "2.0.0.127"
    assert names.pointer(ip_address("192.0.2.10")) == "10.2.0.192.in-addr.arpa"


def test_ipv6_is_reversed_by_nibbles_and_not_by_groups() -> None:
    """A known checker asked 0025.0000...0db8.2001, which no zone ever holds (RFC 3596 section 2.5)."""
    pointer = names.pointer(ip_address("2001:db8::25"))
    assert pointer == "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    assert not pointer.startswith("0025.")
    assert pointer.count(".") == 33


def test_rfc_3596s_own_example() -> None:
    pointer = names.pointer(ip_address("4321:0:1:2:3:4:567:89ab"))
    assert pointer == "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"


@given(st.ip_addresses())
def test_the_pointer_is_that_of_the_standard_library(ip: IP) -> None:
    assert names.pointer(ip) == ip.reverse_pointer


def test_a_scope_has_no_place_in_a_reverse_name() -> None:
    assert names.pointer(ip_address("fe80::1%eth0")) == names.pointer(ip_address("fe80::1"))


@pytest.mark.parametrize(
    ("name", "organisation"),
    [
        ("example.com", "example.com"),
        ("mail.example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("foo-bar.com", "foo-bar.com"),  # a known library makes this "foo"
        ("mail.foo-bar.com", "foo-bar.com"),
        ("a-b.c-d.co.uk", "c-d.co.uk"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("com", "com"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        (".", "."),
        ("", ""),
    ],
)
def test_registrable_is_one_label_below_the_public_suffix(name: str, organisation: str) -> None:
    assert names.registrable(name) == organisation


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("project.github.io", "github.io"),  # GitHub's, though its customers are strangers to each other
        ("example.uk.com", "uk.com"),
        ("a.unheard-of", "a.unheard-of"),
        ("localhost", "localhost"),
    ],
)
def test_registered_is_what_a_registry_holds(name: str, held: str) -> None:
    assert names.registered(name) == held


def test_the_rules_of_one_top_level_domain_say_what_the_whole_list_says() -> None:
    whole, registries = PublicSuffixList(), PublicSuffixList(only_icann=True)
    lines = [line.partition(" ")[0].strip("!*.") for line in Path(PSLFILE).read_text("utf-8").splitlines()]
    rules = [line for line in lines if line and not line.startswith("//")]
    international = [rule for rule in rules if not rule.isascii()]
    odd = ["", ".", "a", "com.", "a..com", "a.nosuchtld", "a.nosuchtld.", "A.CO.UK.", "a.xn--zz", "a.\u212a", "*.ck"]
    for rule in {*rules[::7], *international, *(it.encode("idna").decode() for it in international), *odd}:
        for name in (rule, f"a.{rule}", f"a.b.{rule}", f"a.b.c.{rule}"):
            assert names.registrable(name) == (whole.privatesuffix(name) or name)
            assert names.registered(name) == (registries.privatesuffix(name) or name)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("localhost", "localhost"),
        ("localhost.localdomain", "localdomain"),
        ("printer.local", "local"),
        ("router.home.arpa", "home.arpa"),
        ("a.b.internal", "internal"),
        ("local.example.com", None),
        ("mylocal", None),
        ("example.com", None),
        ("10.in-addr.arpa", None),
    ],
)
def test_names_of_home_are_told_from_names_of_the_internet(name: str, suffix: str | None) -> None:
    assert names.local_suffix(name) == suffix


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        ("0.0.0.0", "this network"),
        ("10.255.255.255", "private use"),
        ("100.63.255.255", None),
        ("100.64.0.0", "shared address space (carrier-grade NAT)"),
        ("100.127.255.255", "shared address space (carrier-grade NAT)"),
        ("100.128.0.0", None),
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link local"),
        ("172.15.255.255", None),
        ("172.16.0.0", "private use"),
        ("172.31.255.255", "private use"),
        ("172.32.0.0", None),
        ("192.0.0.8", "protocol assignments"),
        ("192.0.1.0", None),
        ("192.168.0.1", "private use"),
        ("192.169.0.0", None),
        ("198.18.0.1", "benchmarking"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("8.8.8.8", None),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::192.0.2.1", "IPv4-compatible"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("64:ff9b::8.8.8.8", "NAT64"),
        ("64:ff9b:1::1", "NAT64"),
        ("100::1", "discard only"),
        ("2001::1", "Teredo"),
        ("2001:20::1", "ORCHID"),
        ("2002:808:808::1", "6to4"),
        ("2606:4700::1111", None),
        ("fc00::1", "unique local"),
        ("fdff::1", "unique local"),
        ("fe80::1", "link local"),
        ("fe80::1%eth0", "link local"),
        ("fec0::1", "site local"),
        ("ff02::1", "multicast"),
        # Documentation: examples and scenarios live there.
        ("192.0.2.1", None),
        ("198.51.100.1", None),
        ("203.0.113.1", None),
        ("2001:db8::1", None),
    ],
)
def test_an_address_that_no_receiver_can_see_is_named_by_its_block(address: str, meaning: str | None) -> None:
    assert names.not_public(ip_address(address)) == meaning
