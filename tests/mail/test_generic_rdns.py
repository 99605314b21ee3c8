"""exporter/mail/generic_rdns.py: names that machines make up are told from names that somebody has chosen."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.mail import names
from exporter.mail.generic_rdns import GENERIC, REMARKABLE, STRONG_WORDS, WEAK_WORDS, Sign, signs, weigh

# How providers write an address into a name, each with its own habit.
V4_HABITS = [
    "{a}-{b}-{c}-{d}.example.net",
    "{a}.{b}.{c}.{d}.example.net",
    "{d}.{c}.{b}.{a}.in.example.net",
    "{d}-{c}-{b}-{a}.example.net",
    "ip{a}-{b}-{c}-{d}.example.net",
    "host-{a}_{b}_{c}_{d}.example.net",
    "h{a}x{b}x{c}x{d}.example.net",
    "{a:03}-{b:03}-{c:03}-{d:03}.example.net",
    "{a:03}{b:03}{c:03}{d:03}.example.net",
    "{d:03}{c:03}{b:03}{a:03}.example.net",
    "p{a:02X}{b:02X}{c:02X}{d:02X}.example.net",
    "{d:02x}{c:02x}{b:02x}{a:02x}.example.net",
    "{d}.area-{a}-{b}-{c}.example.net",
    "x-{b}-{c}-{d}.example.net",
    "{c}.{b}.{a}.example.net",
    "ec2-{a}-{b}-{c}-{d}.compute-1.amazonaws.com",
]
V6_HABITS = [
    lambda ip: f"{ip.exploded.replace(':', '-')}.example.net",
    lambda ip: f"host-{ip.compressed.replace(':', '-')}.example.net",
    lambda ip: f"{ip.exploded.replace(':', '')}.example.net",
    lambda ip: f"{ip.exploded.replace(':', '').upper()}.example.net",
    lambda ip: f"{names.reverse_octets(ip)}.example.net",
    lambda ip: f"{'.'.join(ip.packed.hex())}.example.net",
    lambda ip: f"c-{ip.packed.hex()[16:]}.example.net",
    lambda ip: f"{ip.packed.hex()[:16]}.example.net",
    lambda ip: f"{'-'.join(ip.exploded.split(':')[4:])}.example.net",
]

# Names of mail servers that somebody has chosen, at addresses that have nothing to do with them or almost nothing.
CHOSEN = [
    ("mail.example.com", "192.0.2.10"),
    ("mail-1-2.example.com", "192.0.2.10"),
    ("mail-1-2.example.com", "192.0.1.2"),
    ("mta-12-34.example.com", "12.34.5.6"),
    ("mx10.example.com", "192.0.2.10"),
    ("o1.ptr1234.service.example", "192.0.2.34"),
    ("a27-12.smtp-out.us-west-2.service.example", "203.240.27.12"),
    ("mail-ed1-f51.service.example", "192.0.2.51"),
    ("mail-am7eur03on2061.outbound.protection.service.example", "192.0.2.61"),
    ("m192-0.service.example", "192.0.2.10"),
    ("mail20260101.example.com", "192.0.2.10"),
    ("client-mail.example.com", "192.0.2.10"),
    ("pool3.example.com", "192.0.2.3"),
    ("mx.dsl-experts.com", "192.0.2.10"),
    ("mail.dynamic-solutions.com", "192.0.2.10"),
    ("dynasty.example.com", "192.0.2.10"),
    ("pppublishing.example.com", "192.0.2.10"),
    ("mx1.example.com", "2001:db8::25"),
    ("deadbeef.example.com", "2001:db8::dead:beef"),
    ("mx-2001-db8.example.com", "2001:db8::25"),
    ("", "192.0.2.10"),
    (".", "192.0.2.10"),
    ("com", "192.0.2.10"),
]

public_v4 = st.ip_addresses(v=4).filter(lambda ip: len(set(ip.packed)) > 2)
any_ip = st.ip_addresses()


@pytest.mark.parametrize("habit", V4_HABITS)
@given(ip=public_v4)
@example(ip=IPv4Address("198.51.100.12"))
@example(ip=IPv4Address("1.2.3.4"))
@example(ip=IPv4Address("203.0.113.200"))
def test_an_address_in_its_own_name_is_found_however_it_is_written(habit: str, ip: IPv4Address) -> None:
    found = signs(habit.format(**dict(zip("abcd", ip.packed, strict=True))), ip)
    assert weigh(found) >= GENERIC
    assert "address" in found[0].what


@pytest.mark.parametrize("number", range(len(V6_HABITS)))
@given(ip=st.ip_addresses(v=6))
@example(ip=IPv6Address("2001:db8::25"))
@example(ip=IPv6Address("2001:db8:1:2:3:4:5:6"))
def test_an_ipv6_address_in_its_own_name_is_found_however_it_is_written(number: int, ip: IPv6Address) -> None:
    found = signs(V6_HABITS[number](ip), ip)
    assert weigh(found) >= GENERIC
    assert "address" in found[0].what


@pytest.mark.parametrize(("name", "ip"), CHOSEN)
def test_a_chosen_name_is_not_even_remarkable(name: str, ip: str) -> None:
    assert weigh(signs(name, ip_address(ip))) < REMARKABLE


def test_one_number_more_makes_the_difference() -> None:
    ip = ip_address("192.0.2.10")
    assert signs("mta-2-10.example.com", ip) == (Sign(1, "two of the four numbers of the address, decimal"),)
    assert weigh(signs("mta-0-2-10.example.com", ip)) == GENERIC
    assert weigh(signs("mta-192-0-2-10.example.com", ip)) == GENERIC + 1


def test_the_address_of_another_machine_proves_nothing() -> None:
    assert signs("host-198-51-100-12.example.net", ip_address("192.0.2.10")) == ()


@pytest.mark.parametrize("word", STRONG_WORDS.split())
def test_a_strong_word_is_enough_wherever_it_stands_left_of_the_domain(word: str) -> None:
    ip = ip_address("192.0.2.10")
    for pattern in ("{}.example.com", "host7.{}12.a.example.co.uk", "a-{}-b.example.com"):
        name = pattern.format(word)
        assert weigh(signs(name.upper(), ip)) == weigh(signs(name, ip)) == GENERIC
    assert signs(f"mail.{word}.example", ip) == signs(f"mail.{word}x.a.example", ip) == ()


@given(st.sets(st.sampled_from(WEAK_WORDS.split()), max_size=8))
def test_weak_words_alone_are_never_more_than_a_remark(words: set[str]) -> None:
    name = ".".join([*sorted(words), "example.com"])
    assert weigh(signs(name, ip_address("192.0.2.10"))) == (0, 2, REMARKABLE)[min(len(words), 2)]


@given(
    st.lists(st.sampled_from(["mail", "mta", "out", "o", "smtp", "customers", "pool", "mx"]), min_size=1, max_size=4),
    st.lists(st.integers(0, 255), max_size=2),
)
def test_without_a_strong_word_or_three_numbers_of_the_address_no_name_looks_generic(
    words: list[str], numbers: list[int]
) -> None:
    name = f"{'-'.join(map(str, [*words, *numbers]))}.example.com"
    for ip in ("10.20.30.40", "192.0.2.10", "255.255.255.255"):
        assert weigh(signs(name, ip_address(ip))) < GENERIC


@given(st.one_of(st.text(), st.text(alphabet="0123456789abcdefx-._:d", max_size=300)), any_ip)
@example("ſſ.dyn.example", IPv4Address("192.0.2.1"))
@example("\u0661-2-3-4.example", IPv4Address("1.2.3.4"))
@example("999-999999-999999999999.example", IPv4Address("1.2.3.4"))
def test_no_name_whatever_makes_it_fail(name: str, ip: IPv4Address | IPv6Address) -> None:
    found = signs(name, ip)
    assert [sign.weight for sign in found] == sorted((sign.weight for sign in found), reverse=True)
    assert 0 <= weigh(found) <= GENERIC + 1


@pytest.mark.parametrize("part", ["1-", "1.", "dyn.", "aaaa-", "0:", "a"])
def test_what_is_too_long_for_a_name_is_not_looked_at(part: str) -> None:
    """So that its length costs nothing: a PTR record may hold anything."""
    for ip in ("1.1.1.1", "2001:db8::1"):
        assert signs(part * 1_000_000, ip_address(ip)) == ()
        assert isinstance(signs((part * 1000)[: names.LONGEST_NAME], ip_address(ip)), tuple)
