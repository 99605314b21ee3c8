"""Who probably sends for a domain is found in DNS, and companies that send for others are known by their names."""

from __future__ import annotations

import re

import pytest

from exporter import providers
from exporter.cli.discovery import search
from exporter.cli.discovery.search import Found, discover
from exporter.demo.nameserver import ZoneData
from exporter.mail import names
from tests.support.memory import MemoryResolver

KEY = "v=DKIM1; k=ed25519; p=FYp4tnRdwbG+Lp7G8brlkNJe4n0ZNcfcouo3PHYH1Ag="
HOSTS = """
mx.a.example.     A     192.0.2.25
a.example.        A     192.0.2.80
a.example.        AAAA  2001:db8::80
a.example.        MX    10 mx.a.example.
"""


async def found(zone: str, name: str = "a.example") -> Found:
    return await discover(name, MemoryResolver(ZoneData(zone)))


def likely(it: Found) -> dict[str, tuple[str, ...]]:
    return {str(one.ip): one.by for one in it.addresses}


def services(it: Found) -> dict[str, tuple[str, ...]]:
    return {one.name: one.by for one in it.services}


async def test_without_a_policy_the_hosts_that_dns_names_are_likely() -> None:
    it = await found(HOSTS)
    assert likely(it) == {"192.0.2.25": ("MX",), "192.0.2.80": ("A",), "2001:db8::80": ("A",)}
    assert (it.passed_over, it.services, it.parked, it.receives) == ((), (), False, True)


async def test_a_policy_decides_who_sends() -> None:
    it = await found(HOSTS + 'a.example. TXT "v=spf1 mx ip4:198.51.100.7 ip6:2001:db8::1 -all"\n')
    assert likely(it) == {"192.0.2.25": ("SPF", "MX"), "198.51.100.7": ("SPF",), "2001:db8::1": ("SPF",)}
    assert [(str(one.ip), one.by) for one in it.passed_over] == [("192.0.2.80", ("A",)), ("2001:db8::80", ("A",))]


@pytest.mark.parametrize("policy", ["v=spf1 ip4:999 -all", "v=spf1 +all", "v=spf1 ip4:192.0.2.1/0 -all"])
async def test_a_policy_that_names_nobody_or_everybody_decides_nothing(policy: str) -> None:
    assert "192.0.2.80" in likely(await found(f'{HOSTS}a.example. TXT "{policy}"\n'))


@pytest.mark.parametrize(
    "unseen",
    [
        'a.example. TXT "v=spf1 include:_spf.a.example -all"\n; servfail: _spf.a.example. TXT\n',
        'a.example. TXT "v=spf1 a:out.a.example -all"\n; servfail: out.a.example. A\n',
        f'a.example. TXT "v=spf1 {" ".join(f"a:h{n}.a.a" for n in range(search.MOST_TERMS + 1))} -all"\n',
    ],
)
async def test_a_policy_that_was_not_seen_to_its_end_passes_nobody_over(unseen: str) -> None:
    it = await found(HOSTS + unseen)
    assert it.passed_over == ()
    assert likely(it)["192.0.2.80"] == ("A",)


async def test_of_a_large_network_only_hosts_that_dns_names_are_likely() -> None:
    it = await found(HOSTS + 'a.example. TXT "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.8/29 -all"\n')
    assert [str(network) for network in it.large] == ["192.0.2.0/24"]
    assert len(it.addresses) == search.MOST_IN_NETWORK + 2
    assert likely(it)["192.0.2.25"] == ("MX",)


async def test_only_so_many_addresses_are_likely() -> None:
    terms = " ".join(f"ip4:198.51.100.{n}" for n in range(search.MOST_ADDRESSES + 5))
    strings = " ".join(f'"{piece}"' for piece in re.findall(".{1,250}", f"v=spf1 {terms} -all"))
    it = await found(f"a.example. TXT {strings}\n")
    assert (len(it.addresses), it.more) == (search.MOST_ADDRESSES, 5)


async def test_records_of_the_same_organisation_are_read_and_those_of_others_are_not() -> None:
    it = await found(
        """
a.example.             TXT  "v=spf1 redirect=_spf.a.example"
_spf.a.example.        TXT  "v=spf1 include:_more.a.example include:spf.hoster.example exists:%{i}.a.example ~all"
_more.a.example.       TXT  "v=spf1 a:out.a.example -ip4:198.51.100.9 include:_spf.a.example -all"
out.a.example.         A    192.0.2.10
spf.hoster.example.    TXT  "v=spf1 ip4:198.51.100.1 -all"
"""
    )
    assert likely(it) == {"192.0.2.10": ("SPF",)}
    assert services(it) == {"spf.hoster.example": ("SPF",)}


async def test_machines_of_a_company_are_named_and_left_alone() -> None:
    it = await found(
        f"""
a.example.                     MX     10 aspmx.l.google.com.
a.example.                     MX     20 mail.a.example.
a.example.                     TXT    "v=spf1 mx ip4:198.51.100.5 include:_spf.google.com -all"
aspmx.l.google.com.            A      192.0.2.1
mail.a.example.                CNAME  in.mailgun.org.
in.mailgun.org.                A      192.0.2.2
5.100.51.198.in-addr.arpa.     PTR    mail5.mcsv.net.
s1._domainkey.a.example.       CNAME  s1.domainkey.u1.wl1.sendgrid.net.
s1.domainkey.u1.wl1.sendgrid.net.  TXT  "{KEY}"
pm-bounces.a.example.          CNAME  pm.mtasv.net.
pm.mtasv.net.                  TXT    "v=spf1 include:spf.mtasv.net ~all"
"""
    )
    assert (it.addresses, it.passed_over, it.selectors) == ((), (), ("s1",))
    assert {name: set(by) for name, by in services(it).items()} == {
        "Google Workspace": {"MX", "SPF"},
        "Mailgun": {"MX", "SPF"},
        "Mailchimp": {"PTR"},
        "SendGrid": {"DKIM s1"},
        "Postmark": {"CNAME pm-bounces"},
    }
    assert {one.name: one.include for one in it.services if one.include} == {"Google Workspace": "_spf.google.com"}
    assert [one.bounces for one in it.services if one.bounces] == ["pm-bounces.a.example"]


async def test_a_company_is_no_customer_of_its_own_and_where_machines_are_rented_a_name_proves_nothing() -> None:
    zone = 'mailgun.org. TXT "v=spf1 ip4:192.0.2.1 -all"\nb.example. TXT "v=spf1 ip4:192.0.2.1 -all"\n'
    zone += "1.2.0.192.in-addr.arpa. PTR ip-192-0-2-1.ip.secureserver.net.\n"
    for name in ("mailgun.org", "b.example"):
        it = await found(zone, name)
        assert (list(likely(it)), it.services) == (["192.0.2.1"], ())


@pytest.mark.parametrize(
    ("mx", "policy", "parked", "receives"),
    [
        ("0 .", "v=spf1 -all", True, False),
        ("", "v=spf1 -all", True, False),
        ("10 mx.a.example.", "v=spf1 -all", False, True),
        ("", "v=spf1 ~all", False, True),
        ("", "v=spf1 a -all", False, True),
        ("0 .", "v=spf1 a -all", False, False),
    ],
)
async def test_a_parked_domain_says_so(mx: str, policy: str, parked: bool, receives: bool) -> None:
    record = f"a.example. MX {mx}\n" if mx else ""
    it = await found(f'{record}a.example. TXT "{policy}"\n')
    assert (it.parked, it.receives) == (parked, receives)


async def test_what_is_not_answered_is_a_doubt_and_proves_nothing() -> None:
    it = await found("; servfail: a.example. TXT\n; servfail: a.example. MX\n")
    assert len(it.doubts) == 2
    assert (it.parked, it.receives) == (False, True)


async def test_wildcards_make_no_company_and_no_key() -> None:
    it = await found("*.a.example. CNAME any.sendgrid.net.\nany.sendgrid.net. A 192.0.2.1\n")
    assert (it.services, it.selectors) == ((), ())


async def test_an_endless_policy_ends() -> None:
    resolver = MemoryResolver(ZoneData('*.a.example. TXT "v=spf1 include:a.%{d} include:b.%{d} redirect=c.%{d}"\n'))
    await discover("x.a.example", resolver)
    assert len(resolver.asked) < 150


async def test_a_policy_whose_terms_get_no_answer_is_not_followed_for_minutes() -> None:
    hosts = [f"h{n}.b.example" for n in range(15)]
    zone = "".join(f"; timeout: {host}. {rdtype}\n" for host in hosts for rdtype in ("A", "AAAA"))
    resolver = MemoryResolver(
        ZoneData(f'{zone}a.example. TXT "v=spf1 {" ".join(f"a:{host}" for host in hosts)} -all"\n')
    )
    assert len((await discover("a.example", resolver)).doubts) < search.MOST_DOUBTS + 2


async def test_hostile_names_lead_nowhere() -> None:
    zone = r"""
a.example.  TXT  "v=spf1 include:\"\010\#\{%{d}.evil.example a:%_%-.evil.example ip4:10.0.0.1 ip4:127.0.0.1 -all"
a.example.  MX   10 \000\010x\".evil.example.
"""
    it = await found(zone)
    assert it.addresses == ()


def test_the_providers_are_well_told() -> None:
    domains = [domain for it in providers.shipped() for domain in it.domains]
    assert len(domains) == len(set(domains))
    assert all(names.canonical(domain, underscores=True) == domain for domain in domains)
    assert len({it.id for it in providers.shipped()}) == len(providers.shipped()) >= 30
    assert all(it.source.startswith("http") and it.source[-12:].startswith(", 20") for it in providers.shipped())


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("ASPMX.L.Google.com.", "Google Workspace"),
        ("%{ir}.%{v}.%{d}.spf.has.pphosted.com", "Proofpoint"),
        ("notgoogle.com", None),
        ("google.com.evil.example", None),
        ("com", None),
        ("", None),
    ],
)
def test_the_end_of_a_name_says_whose_it_is(name: str, whose: str | None) -> None:
    it = providers.of(name)
    assert (it and it.name) == whose
