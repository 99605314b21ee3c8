"""What `init` writes is a good configuration, short for many domains, and nothing in DNS can break out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter import strict_yaml
from exporter.cli.discovery.draft import ADD, ASK, MOST_ASKED, Answers, draft
from exporter.cli.discovery.search import Found, Likely, Service, discover
from exporter.config import Settings, load
from exporter.demo.nameserver import ZoneData
from exporter.targets import Address, Authorisation, Domain, Selector
from tests.support.configuration import CATALOGUE, only
from tests.support.memory import MemoryResolver
from tests.views.test_golden import same
from tests.worlds.world import World, worlds

GIVEN = Answers(None, (), ("dane", "smtp_tls"))
KEY = "v=DKIM1; k=ed25519; p=FYp4tnRdwbG+Lp7G8brlkNJe4n0ZNcfcouo3PHYH1Ag="
FLEET = "".join(
    f"""
{name}.                  MX     10 mx.platform.example.
{name}.                  TXT    "v=spf1 include:_spf.google.com a:out.platform.example ~all"
s1._domainkey.{name}.    TXT    "{KEY}"
"""
    for name in ("a.example", "b.example", "c.example")
)
ZONE = f"""{FLEET}
; servfail: f.example. MX
mx.platform.example.         A      192.0.2.25
out.platform.example.        A      192.0.2.10
out.platform.example.        A      192.0.2.11
_spf.google.com.             TXT    "v=spf1 ip4:198.51.100.0/24 -all"
d.example.                   TXT    "v=spf1 -all"
e.example.                   A      192.0.2.80
e.example.                   TXT    "v=spf1 ip4:203.0.113.0/24 include:spf.hoster.example a:out.platform.example -all"
k2._domainkey.e.example.     CNAME  dkim2.mcsv.net.
dkim2.mcsv.net.              TXT    "{KEY}"
pm-bounces.e.example.        CNAME  pm.mtasv.net.
f.example.                   TXT    "v=spf1 +all"
"""
TYPICAL = ("own-fleet", "parked", "four-providers", "flattened-spf", "proofpoint", "postmark", "shared-hosting")
HIDDEN = {"88.99.51.1", "88.99.51.2", "2a01:4f8:51::6"}  # behind a macro, and in the policy of a bounce domain alone
NAMES = [f"{letter}.example" for letter in "abcdef"]


def read(text: str, at: Path) -> Settings:
    file = at / "config.yaml"
    file.write_text(text)
    return load(file, CATALOGUE)


def answered(text: str) -> str:
    """With an answer wherever one is waited for."""
    return text.replace(ADD, "").replace("NAME", "mail.example.com")


async def drafted(zone: str, names: list[str], given: Answers = GIVEN) -> str:
    dns = MemoryResolver(ZoneData(zone))
    return draft([await discover(name, dns) for name in names], given)


async def test_a_fleet_comes_out_as_ever(tmp_path: Path) -> None:
    text = await drafted(ZONE, NAMES)
    same(text, "init.yaml", tmp_path)
    settings = read(text, tmp_path)
    assert not only(settings, Address), "no HELO name is guessed"
    assert {(it.domain, it.sender) for it in only(settings, Authorisation)} == {
        *((f"{letter}.example", "google-workspace") for letter in "abc"),
        ("e.example", "spf.hoster.example"),
    }
    assert {it.domain for it in only(settings, Selector) if it.selector == "s1"} == {f"{it}.example" for it in "abc"}


async def test_with_the_answers_it_is_good_too(tmp_path: Path) -> None:
    settings = read(answered(await drafted(ZONE, NAMES)), tmp_path)
    assert [str(it.ip) for it in only(settings, Address)] == ["192.0.2.10", "192.0.2.11"]
    assert {it.domain for it in only(settings, Authorisation) if it.egress} == {f"{it}.example" for it in "abce"}
    parked = {it.name for it in only(settings, Domain) if not it.sends_mail and not it.receives_mail}
    assert parked == {"d.example"}


@pytest.mark.parametrize("world", [it for it in worlds() if it.name in TYPICAL], ids=lambda world: world.name)
async def test_each_documented_set_up_comes_out_good(world: World, tmp_path: Path) -> None:
    names = [it.name for it in load(world.config, CATALOGUE).targets if isinstance(it, Domain)]
    text = await drafted(world.zone, names)
    assert [it.name for it in only(read(text, tmp_path), Domain)] == names
    settings = read(answered(text), tmp_path)
    configured = {str(it.ip) for it in only(load(world.config, CATALOGUE), Address)}
    assert {str(it.ip) for it in only(settings, Address)} >= configured - HIDDEN


async def test_one_domain_needs_no_defaults(tmp_path: Path) -> None:
    text = await drafted(ZONE, ["a.example"])
    assert "domain_defaults" not in text
    assert [it.sender for it in only(read(text, tmp_path), Authorisation)] == ["google-workspace"]


async def test_what_the_command_line_says_is_written_and_not_asked(tmp_path: Path) -> None:
    text = await drafted(ZONE, ["a.example"], replace(GIVEN, helo_name="p.example.net", nameservers=("[::1]:5353",)))
    settings = read(text, tmp_path)
    assert (settings.helo_name, settings.nameservers[0].port) == ("p.example.net", 5353)
    assert "smtp_tls" in settings.running


def test_three_thousand_customers_stay_short(tmp_path: Path) -> None:
    machines = tuple(Likely(ip_address(f"192.0.2.{n}"), ("SPF",)) for n in range(40))
    found = [Found(f"d{n}.example", machines, selectors=("s1",) if n % 25 else ()) for n in range(3000)]
    text = draft(found, GIVEN)
    assert len(text.splitlines()) < 3000 + 70
    assert text.count("outbound") == 2, "the sender, and the defaults"
    settings = read(answered(draft(found[:300], GIVEN)), tmp_path)
    assert len(only(settings, Authorisation)) == 300
    assert len(only(settings, Selector)) == 300 - 12


HOSTILE = (
    "x\n- {name: evil}",
    "x\r\nsenders: []",
    "x\u2028y",
    "x\x85y: z",
    "# ? x",
    "x # y",
    "{a: b}",
    "x: y",
    "*a",
    "&a",
    "!!python/object",
    '"x',
    "'",
    "%TAG",
    "\x00\x1b[2J",
    r"x\"\010.evil.example",
    "NAME",
    "é.example",
    "x" * 4000,
)


def test_hostile_names_stay_in_comments(tmp_path: Path) -> None:
    services = tuple(Service(None, ("SPF",), name) for name in HOSTILE)
    doubts = tuple(HOSTILE)
    text = draft([Found("a.example", services=services, doubts=doubts), Found("b.example", services=services)], GIVEN)
    root = strict_yaml.parse(text.encode()).root
    assert root is not None
    assert root.plain() == {
        "checks": {"dane": {"enabled": False}, "smtp_tls": {"enabled": False}},
        "domains": [{"name": "a.example"}, {"name": "b.example"}],
    }
    assert all(line.isprintable() and len(line) < 2000 for line in text.splitlines())
    assert text.splitlines() == text.split("\n")[:-1]
    read(text, tmp_path)


@pytest.mark.parametrize("name", ["123.456", "1e5.0x10", "_spf.x.example", "null.true", "2001.1", "no.off", "-.-"])
def test_names_that_yaml_reads_otherwise_are_quoted(name: str, tmp_path: Path) -> None:
    text = draft([Found("a.example", services=(Service(None, ("SPF",), name),))], GIVEN)
    settings = read(text, tmp_path)
    assert {it.spf_include for it in only(settings, Authorisation)} <= {name}


def test_senders_have_names_of_their_own(tmp_path: Path) -> None:
    one, two = "x" * 60 + ".example", "_x.example"
    found = [
        Found("a.example", services=(Service(None, ("SPF",), one), Service(None, ("SPF",), two))),
        Found("b.example", services=(Service(None, ("SPF",), f"y{one}"), Service(None, ("SPF",), "x.example"))),
    ]
    settings = read(draft(found, GIVEN), tmp_path)
    assert len({it.sender for it in only(settings, Authorisation)}) == 4


def test_there_are_not_thousands_of_questions() -> None:
    found = [
        Found(f"d{n}.example", passed_over=(Likely(ip_address(n), ("A",)),), doubts=(f"d{n}",)) for n in range(3000)
    ]
    assert draft(found, GIVEN).count(ASK) < MOST_ASKED + 10


def test_shared_machines_are_one_sender_and_an_address_is_in_one_alone(tmp_path: Path) -> None:
    ips = [Likely(ip_address(f"192.0.2.{n}"), ("MX",)) for n in range(3)]
    found = [Found("a.example", (ips[0], ips[1])), Found("b.example", (ips[1], ips[2])), Found("c.example", (ips[1],))]
    text = answered(draft(found, GIVEN))
    settings = read(text, tmp_path)
    senders: dict[str, set[str]] = {}
    for it in only(settings, Authorisation):
        senders.setdefault(it.domain, set()).update(str(egress.ip) for egress in it.egress)
    assert senders == {
        "a.example": {"192.0.2.0", "192.0.2.1"},
        "b.example": {"192.0.2.1", "192.0.2.2"},
        "c.example": {"192.0.2.1"},
    }
    assert re.findall(r"- name: (outbound-\d)", text) == ["outbound-1", "outbound-2", "outbound-3"]


def test_a_domain_that_differs_says_how(tmp_path: Path) -> None:
    same_for = tuple(Found(f"d{n}.example", services=(Service(None, ("SPF",), "x.example"),)) for n in range(3))
    differs = Found("e.example", (Likely(ip_address("192.0.2.1"), ("A",)),), receives=False)
    text = draft([*same_for, differs], GIVEN)
    settings = read(text, tmp_path)
    assert {it.domain for it in only(settings, Authorisation)} == {it.domain for it in same_for}
    assert [it.name for it in only(settings, Domain) if not it.receives_mail] == ["e.example"]
