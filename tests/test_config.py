"""A configuration is understood whole or not at all, and every fault is told with its place and what to do."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter import catalogue, strict_yaml
from exporter.config import ConfigError, Nameserver, Settings, defaults, document, load, shipped_blocklists
from exporter.config.fields import kind
from exporter.model import Acceptance, Severity, Target
from exporter.targets import (
    Address,
    Authorisation,
    Domain,
    Egress,
    Greeting,
    ListHealth,
    MailHost,
    OwnResolver,
    Reputation,
    Selector,
)

HOME = Path(__file__).parents[1]
EXAMPLE = HOME / "config.example.yaml"
SCHEMA = HOME / "exporter" / "data" / "config.schema.json"
CATALOGUE = catalogue.load()
SECRET = "k3y0fthecustomer"

Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads the text as config.yaml."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> Settings:
        Path("config.yaml").write_text(text)
        return load("config.yaml", CATALOGUE)

    return read


def refused(read: Read, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def only(settings: Settings, kind: type[Target]) -> list[Target]:
    return [target for target in settings.targets if isinstance(target, kind)]


ACCEPT = "senders: [{name: a, spf_include: a.example, accept: [{finding: spf_sender.softfail"
SENDER = "senders: [{name: out, addresses: [192.0.2.1], helo: out.example.com}]\n"
HOST = "mail_hosts: [{host: mx.example.com}]\n"
WRITE = "write [...], or a `- ` line for each"

# What somebody may write, and the one line it is answered with.
REFUSED = {
    # YAML and its traps
    "a: 'b' c": "config.yaml:1: is no valid YAML: did not find expected key",
    "- a\n": "config.yaml:1: expected a mapping, got a list; write `key: value` lines",
    "limits: &a {series: 5000}": "config.yaml:1 limits: has the anchor &a; remove it, aliases are not read",
    "limits: !!map {series: 5000}": (
        "config.yaml:1 limits: has the tag tag:yaml.org,2002:map; remove it, and quote the value if it is text"
    ),
    "include: [*a]": "config.yaml:1 include[0]: uses the alias *a; write the value out",
    "limits: {series: 5000}\nlimits: {series: 6000}": (
        "config.yaml:2 limits: is written twice: here and in line 1; keep one"
    ),
    "limits: {}\n---\nlimits: {}": "config.yaml:2: starts a second document; keep one document in a file",
    "? [a]\n: b": "config.yaml:1: has a key that is no text; a key is one word before a colon",
    'label_names: ["a\\0"]': "config.yaml:1: holds the character U+0000, which no name or label may hold",
    "limits:\n  {} # \x07": "config.yaml:2: holds the control character U+0007; remove it",
    "limits: {series: 0025}": (
        "config.yaml:1 limits.series: expected a whole number from 1000 to 100000000, got '0025'"
    ),
    "limits: {series: 1:20}": (
        "config.yaml:1 limits.series: expected a whole number from 1000 to 100000000, got '1:20'"
    ),
    "limits: {series: yes}": "config.yaml:1 limits.series: expected a whole number from 1000 to 100000000, got 'yes'",
    "limits: {series: true}": "config.yaml:1 limits.series: expected a whole number from 1000 to 100000000, got true",
    "limits: {series: 10}": (
        "config.yaml:1 limits.series: expected a whole number from 1000 to 100000000, got the number 10"
    ),
    # Keys
    "lables: {}": "config.yaml:1 lables: is an unknown key; did you mean label_names?",
    "resolver:\n  timout: 5s": "config.yaml:2 resolver.timout: is an unknown key; did you mean timeout?",
    "senders: [{name: a, adresses: [192.0.2.1], spf_include: a.example}]": (
        "config.yaml:1 senders[0].adresses: is an unknown key; did you mean addresses?"
    ),
    "senders: [{name: a, spf_include: a.example, addresses: [{ip: 192.0.2.1, hello: x}]}]": (
        "config.yaml:1 senders[0].addresses[0].hello: is an unknown key; did you mean helo?"
    ),
    "limits: 5": "config.yaml:1 limits: expected a mapping, got the number 5; write `key: value` lines below it",
    "checks: [mx]": "config.yaml:1 checks: expected a mapping, got a list; write `key: value` lines below it",
    "checks: {mx: false}": "config.yaml:1 checks.mx: expected a mapping, got false; write `key: value` lines below it",
    "senders: out": f"config.yaml:1 senders: expected a list of senders, got text; {WRITE}",
    "mail_hosts: {}": f"config.yaml:1 mail_hosts: expected a list of mail hosts, got a mapping; {WRITE}",
    "blocklists:": f"config.yaml:1 blocklists: expected a list of blocklists, got nothing; {WRITE}",
    "mail_hosts: [{port: 25}]\nchecks: {smtp_tls: {enabled: false}}": (
        "config.yaml:1 mail_hosts[0].host: is missing; set it to the name of the SMTP server"
    ),
    # Values
    "resolver: {timeout: 5}": (
        "config.yaml:1 resolver.timeout: expected a duration such as 15s, 5m, 1h or 2d, got '5'"
    ),
    "resolver: {timeout: 2m}": "config.yaml:1 resolver.timeout: expected a duration from 1s to 1m, got '2m'",
    "resolver: {nameservers: []}": (
        "config.yaml:1 resolver.nameservers: expected at least one of its name servers, got an empty list"
    ),
    "resolver: {nameservers: [dns.example]}": (
        "config.yaml:1 resolver.nameservers[0]: expected system, an IP address, ADDRESS:PORT or [ADDRESS]:PORT, "
        "got 'dns.example'"
    ),
    "resolver: {nameservers: ['192.0.2.1:0']}": (
        "config.yaml:1 resolver.nameservers[0]: expected system, an IP address, ADDRESS:PORT or [ADDRESS]:PORT, "
        "got '192.0.2.1:0'"
    ),
    "resolver: {nameservers: [192.0.2.1, '192.0.2.1:53']}": (
        "config.yaml:1 resolver.nameservers[1]: the server 192.0.2.1 port 53 is configured twice: "
        "here and at config.yaml:1 resolver.nameservers[0]; keep one"
    ),
    "schedule: {mxx: 5m}": ("config.yaml:1 schedule.mxx: is no check that exists; did you mean mx?"),
    "schedule: {mx: 5s}": "config.yaml:1 schedule.mx: expected a duration from 10s to 30d, got '5s'",
    "checks: {dmark: {enabled: false}}": "config.yaml:1 checks.dmark: is no check that exists; did you mean dmarc?",
    "checks: {mx: {enabled: no}}": "config.yaml:1 checks.mx.enabled: expected true or false, got 'no'",
    "severities: {dmarc.policy-non: info}": (
        "config.yaml:1 severities.dmarc.policy-non: is no finding that exists; did you mean dmarc.policy-none?"
    ),
    "severities: {dmarc.policy-none: page}": (
        "config.yaml:1 severities.dmarc.policy-none: expected critical, warning or info, got 'page'"
    ),
    "smtp: {helo_name: probe.example.net.}": (
        "config.yaml:1 smtp.helo_name: 'probe.example.net.' is no fully qualified host name; set a name with an "
        "address record that leads to the exporter's machine, as in probe.example.net, without a trailing dot"
    ),
    "domains: [{name: example.com}]": (
        "config.yaml:1 smtp.helo_name: is missing, and no guess is made; set it to the exporter's own host name, which "
        "smtp_tls says to mail hosts, or switch that off with `checks: {smtp_tls: {enabled: false}}`"
    ),
    "senders: [{name: a b, spf_include: a.example}]": (
        "config.yaml:1 senders[0].name: expected a name of up to 63 letters, digits, `.`, `_` and `-`, got 'a b'"
    ),
    "senders: [{name: true, spf_include: a.example}]": (
        "config.yaml:1 senders[0].name: expected a name of up to 63 letters, digits, `.`, `_` and `-`, got true; "
        "put it in quotes if it is a name"
    ),
    "senders: [{name: a}]": (
        "config.yaml:1 senders[0]: has no addresses; list those that send, or set spf_include if the machines are not "
        "yours"
    ),
    "senders: [{name: a, addresses: [192.0.2.1]}]": (
        "config.yaml:1 senders[0].addresses[0]: has no HELO name; set helo, here or for the whole sender, to what the "
        "machine says"
    ),
    "senders: [{name: a, helo: h.example, addresses: []}]": (
        "config.yaml:1 senders[0].addresses: expected at least one of its IP addresses, got an empty list"
    ),
    "senders: [{name: a, helo: h.example, addresses: [192.0.2.0/24]}]": (
        "config.yaml:1 senders[0].addresses[0].ip: expected one IP address, got the network '192.0.2.0/24'; "
        "list its addresses"
    ),
    "senders: [{name: a, helo: h.example, addresses: [192.0.2]}]": (
        "config.yaml:1 senders[0].addresses[0].ip: expected an IP address, got '192.0.2'"
    ),
    "senders: [{name: a, helo: h.example, addresses: ['fe80::1%eth0']}]": (
        "config.yaml:1 senders[0].addresses[0].ip: expected an IP address, got 'fe80::1%eth0'"
    ),
    "senders: [{name: a, helo: h.example, addresses: ['::ffff:192.0.2.1']}]": (
        "config.yaml:1 senders[0].addresses[0].ip: '::ffff:192.0.2.1' is an IPv4 address written as IPv6; "
        "write 192.0.2.1"
    ),
    "senders: [{name: a, helo: h.example, spf_include: a.example}]": (
        "config.yaml:1 senders[0].helo: cannot stand beside spf_include, which says that the machines are not ours"
    ),
    "senders: [{name: a, spf_include: 192.0.2.1}]": (
        "config.yaml:1 senders[0].spf_include: '192.0.2.1' is an address; a domain name is wanted here"
    ),
    "senders: [{name: a, spf_include: a b.example}]": (
        "config.yaml:1 senders[0].spf_include: 'a b.example' has the impossible label 'a b'"
    ),
    "senders: [{name: a, helo: , addresses: [192.0.2.1]}]": (
        "config.yaml:1 senders[0].helo: expected the HELO name as text, got nothing; put it in quotes if it is a name"
    ),
    f"senders: [{{name: a, helo: {'h' * 513}, addresses: [192.0.2.1]}}]": (
        "config.yaml:1 senders[0].helo: is longer than 512 characters; no machine says that"
    ),
    "smtp: {helo_name: p.example.net}\ndomains:\n- name: a.example\n  dkim_selectors: s1": (
        f"config.yaml:4 domains[0].dkim_selectors: expected a list of names, got text; {WRITE}"
    ),
    "smtp: {helo_name: p.example.net}\ndomains: [{name: a.example, dkim_selectors: ['s 1']}]": (
        "config.yaml:2 domains[0].dkim_selectors[0].selector: 's 1' has the impossible label 's 1'"
    ),
    SENDER + "smtp: {helo_name: p.example.net}\ndomains:\n- name: a.example\n  senders:\n  - outt": (
        "config.yaml:6 domains[0].senders[0]: no sender is called 'outt'; did you mean out?"
    ),
    SENDER + "smtp: {helo_name: p.example.net}\ndomains: [{name: a.example, sends_mail: false, senders: [out]}]": (
        "config.yaml:3 domains[0].senders: names senders, but sends_mail is false; remove one of the two"
    ),
    "smtp: {helo_name: p.example.net}\nmail_hosts: [{host: a.example, port: 70000}]": (
        "config.yaml:2 mail_hosts[0].port: expected a whole number from 1 to 65535, got the number 70000"
    ),
    "probe: {allow: [192.0.2.1/24]}": "config.yaml:1 probe.allow[0]: 192.0.2.1/24 has host bits set",
    "include: [targets.yaml]": (
        "config.yaml:1 include[0]: names a file that does not exist; correct the path or remove it"
    ),
    # Labels
    "label_names: [instance]": (
        "config.yaml:1 label_names[0]: instance is used by the exporter or by Prometheus; choose another name"
    ),
    "label_names: [exported_team]": (
        "config.yaml:1 label_names[0]: exported_team is used by the exporter or by Prometheus; choose another name"
    ),
    "label_names: [mail_host]": (
        "config.yaml:1 label_names[0]: mail_host is used by the exporter or by Prometheus; choose another name"
    ),
    "label_names: [9a]": ("config.yaml:1 label_names[0]: expected a label name of letters, digits and `_`, got '9a'"),
    "label_names: [team, team]": (
        "config.yaml:1 label_names[1]: the label team is configured twice: here and at config.yaml:1 label_names[0]; "
        "keep one"
    ),
    "label_names: [team]\nsenders: [{name: a, spf_include: a.example, labels: {teem: crm}}]": (
        "config.yaml:2 senders[0].labels.teem: is not declared in label_names; did you mean team?"
    ),
    "senders: [{name: a, spf_include: a.example, labels: {team: crm}}]": (
        "config.yaml:1 senders[0].labels.team: is not declared in label_names; none are"
    ),
    "label_names: [team]\nsenders: [{name: a, spf_include: a.example, labels: {team: ''}}]": (
        "config.yaml:2 senders[0].labels.team: expected 1 to 128 printable characters, got ''"
    ),
    # What is switched off or accepted
    "senders: [{name: a, spf_include: a.example, checks: {mx: {enabled: false}}}]": (
        "config.yaml:1 senders[0].checks.mx: never looks at a sender with spf_include; move it to where it applies"
    ),
    "senders: [{name: a, spf_include: a.example, accept: [{finding: ptr.missing, reason: r}]}]": (
        "config.yaml:1 senders[0].accept[0].finding: is never found of a sender with spf_include; "
        "move it to where it applies"
    ),
    ACCEPT + ", until: 31.1.27, reason: r}]}]": (
        "config.yaml:1 senders[0].accept[0].until: expected a date such as 2027-01-31, got '31.1.27'"
    ),
    ACCEPT + ", until: 2027-02-30, reason: r}]}]": (
        "config.yaml:1 senders[0].accept[0].until: there is no day 2027-02-30"
    ),
    ACCEPT + "}]}]": (
        "config.yaml:1 senders[0].accept[0].reason: is missing; set it to the reason, for whoever reads it next year"
    ),
    # Blocklists: nothing of a zone is ever shown
    "blocklists: [spamhaus-zenn]": (
        "config.yaml:1 blocklists[0]: names no list of the shipped catalogue, and has no zone; "
        "did you mean spamhaus-zen?"
    ),
    "blocklists: [{name: ours, zone: a b}]": (
        "config.yaml:1 blocklists[0].zone: expected a zone name, got something else"
    ),
    f"blocklists: [{{name: spamhaus-zen, zone: {SECRET}.zen.dq.spamhaus.net}}]": (
        "config.yaml:1 blocklists[0].zone: holds a key, which is a secret; put the zone into a file and set zone_file"
    ),
    "blocklists: [{name: spamhaus-zen, zone_file: missing}]": (
        "config.yaml:1 blocklists[0].zone_file: names a file that cannot be read: No such file or directory"
    ),
    "blocklists: [{name: spamhaus-zen, zone_env: NO_SUCH_VARIABLE}]": (
        "config.yaml:1 blocklists[0].zone_env: names an environment variable that is not set"
    ),
    "blocklists: [{name: ours, zone: bl.example.net, zone_file: z}]": (
        "config.yaml:1 blocklists[0].zone_file: cannot stand beside zone; keep one of them"
    ),
    "blocklists: [{name: ours, zone: bl.example.net, lists: urls}]": (
        "config.yaml:1 blocklists[0].lists: expected ip or domain, got 'urls'"
    ),
    "blocklists: [{name: sorbs, zone: dnsbl.sorbs.net}]": (
        "config.yaml:1 blocklists[0]: sorbs is retired since 2024-06-05 and must not be asked: decommissioned by its "
        "owner, all zones are empty"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_each_fault_is_told_in_one_line_with_its_place_and_what_to_do(read: Read, text: str) -> None:
    assert refused(read, text) == REFUSED[text]


TWICE = {
    "senders:\n- {name: a, spf_include: a.example}\n- {name: a, spf_include: b.example}": (
        "config.yaml:3 senders[1].name: the sender a is configured twice: here and at config.yaml:2 senders[0].name; "
        "keep one"
    ),
    "senders:\n- {name: a, helo: h.example, addresses: ['2001:DB8:0::1']}\n"
    "- {name: b, helo: h.example, addresses: ['2001:db8::1']}": (
        "config.yaml:3 senders[1].addresses[0]: the address 2001:db8::1 is configured twice: "
        "here and at config.yaml:2 senders[0].addresses[0]; keep one"
    ),
    "smtp: {helo_name: p.example.net}\ndomains:\n- name: Bücher.example\n- name: xn--bcher-kva.example.": (
        "config.yaml:4 domains[1].name: the domain xn--bcher-kva.example is configured twice: "
        "here and at config.yaml:3 domains[0].name; keep one"
    ),
    "smtp: {helo_name: p.example.net}\ndomains:\n- name: a.example\n  dkim_selectors:\n  - s1\n"
    "  - {selector: S1, domain: b.example}": (
        "config.yaml:6 domains[0].dkim_selectors[1]: the selector s1 of a.example is configured twice: "
        "here and at config.yaml:5 domains[0].dkim_selectors[0]; keep one"
    ),
    SENDER + "smtp: {helo_name: p.example.net}\ndomains: [{name: a.example, senders: [out, out]}]": (
        "config.yaml:3 domains[0].senders[1]: the sender 'out' of a.example is configured twice: "
        "here and at config.yaml:3 domains[0].senders[0]; keep one"
    ),
    "smtp: {helo_name: p.example.net}\nmail_hosts:\n- host: a.example\n- {host: A.example, port: 25}": (
        "config.yaml:4 mail_hosts[1]: the mail host a.example:25 is configured twice: "
        "here and at config.yaml:3 mail_hosts[0]; keep one"
    ),
    "blocklists:\n- spamhaus-zen\n- spamhaus-zen": (
        "config.yaml:3 blocklists[1]: this blocklist is configured twice: here and at config.yaml:2 blocklists[0]; "
        "keep one"
    ),
}


@pytest.mark.parametrize("text", TWICE)
def test_one_identity_twice_names_both_lines(read: Read, text: str) -> None:
    assert refused(read, text) == TWICE[text]


def test_every_fault_of_every_part_is_told_at_once_and_in_order(read: Read) -> None:
    text = """\
limits: {series: many}
resolver: {timout: 5s}
smtp: {helo_name: localhost}
senders:
- name: a
  addresses: [192.0.2.300, 192.0.2.1]
  helo: a.example
  checks: {helo: {enabled: maybe}}
- nmae: b
  spf_include: b.example
domains:
- name: a.example
  dkim_selectors: s1
  senders: [a]
  accept: [{finding: dmarc.none, reason: r}]
- name: a.example
mail_hosts: [{host: a.example, port: "25"}]
blocklists: [nonsense]
limits: {}
"""
    lines = refused(read, text).splitlines()
    places = [line.split(": ")[0] for line in lines]
    assert places == [
        "config.yaml:1 limits.series",
        "config.yaml:2 resolver.timout",
        "config.yaml:3 smtp.helo_name",
        "config.yaml:6 senders[0].addresses[0].ip",
        "config.yaml:8 senders[0].checks.helo.enabled",
        "config.yaml:9 senders[1].name",
        "config.yaml:9 senders[1].nmae",
        "config.yaml:13 domains[0].dkim_selectors",
        "config.yaml:15 domains[0].accept[0].finding",
        "config.yaml:16 domains[1].name",
        "config.yaml:17 mail_hosts[0].port",
        "config.yaml:18 blocklists[0]",
        "config.yaml:19 limits",
    ]


def test_an_alias_is_told_once_and_not_again_by_what_stands_there(read: Read) -> None:
    text = "senders:\n- name: *a\n  spf_include: a.example\n"
    assert refused(read, text) == "config.yaml:2 senders[0].name: uses the alias *a; write the value out"


def test_a_missing_or_unreadable_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory$"):
        load(tmp_path / "none.yaml", CATALOGUE)
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory$"):
        load(tmp_path, CATALOGUE)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"senders: []\n# M\xfcnchen\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: is not UTF-8 text; save the file as UTF-8$"):
        load(latin, CATALOGUE)


# What a good file comes to.


def test_short_and_long_form_of_a_sender_and_of_somebody_elses_machines(read: Read) -> None:
    settings = read(
        """
blocklists: []
smtp: {helo_name: Probe.example.net}
senders:
  - {name: a, addresses: [192.0.2.10, "2001:DB8::0010"], helo: mail.example.com}
  - {name: b, addresses: [{ip: 192.0.2.21, helo: out1.example.com}, 192.0.2.22], helo: b.example.com}
  - {name: c, spf_include: SPF.provider.example.}
domains:
  - name: Example.COM.
    senders: [a, b, c]
    mail_from: [bounce.example.com]
    dkim_selectors: [S1, {selector: 20260101, domain: c.example}]
"""
    )
    a4, a6 = ip_address("192.0.2.10"), ip_address("2001:db8::10")
    b1, b2 = ip_address("192.0.2.21"), ip_address("192.0.2.22")
    mail_from = ("bounce.example.com",)
    assert settings.targets == (
        Address(ip=a4, helo=("mail.example.com",)),
        Greeting(sender="a", ip=a4, helo="mail.example.com"),
        Address(ip=a6, helo=("mail.example.com",)),
        Greeting(sender="a", ip=a6, helo="mail.example.com"),
        Address(ip=b1, helo=("out1.example.com",)),
        Greeting(sender="b", ip=b1, helo="out1.example.com"),
        Address(ip=b2, helo=("b.example.com",)),
        Greeting(sender="b", ip=b2, helo="b.example.com"),
        Domain(name="example.com", mail_from=mail_from),
        Authorisation(
            domain="example.com",
            sender="a",
            mail_from=mail_from,
            egress=(Egress(a4, "mail.example.com"), Egress(a6, "mail.example.com")),
        ),
        Authorisation(
            domain="example.com",
            sender="b",
            mail_from=mail_from,
            egress=(Egress(b1, "out1.example.com"), Egress(b2, "b.example.com")),
        ),
        Authorisation(domain="example.com", sender="c", mail_from=mail_from, spf_include="spf.provider.example"),
        Selector(domain="example.com", selector="s1", signer="example.com"),
        Selector(domain="example.com", selector="20260101", signer="c.example"),
        OwnResolver(uses_blocklists=False),
    )
    assert settings.helo_name == "probe.example.net"
    assert settings.warnings == ()


WRONG_HELOS = [
    "mylaptopname.",
    "MacBook..",
    "mail.example.com ",
    " mail.example.com",
    "[IPv6:::ffff:10.0.4.47]",
    "[192.0.2.1]",
    "mail_out.example.com",
    "",
    "MAIL.example.com",
    "münchen.example",
    "a\tb",
    "198.51.100.9",
    "no",
    "mail.example.com\n",
]


@pytest.mark.parametrize("helo", WRONG_HELOS)
def test_a_helo_name_is_kept_exactly_since_it_is_what_is_judged(read: Read, helo: str) -> None:
    settings = read(f"senders: [{{name: a, addresses: [192.0.2.1], helo: {json.dumps(helo)}}}]")
    assert [target.helo for target in settings.targets if isinstance(target, Greeting)] == [helo]


def test_yaml_1_1_does_not_turn_a_domain_or_selector_into_something_else(read: Read) -> None:
    settings = read(
        "smtp: {helo_name: p.example.net}\n"
        "domains: [{name: no, dkim_selectors: [on, 0025, 1e3, 2027-01-31, 1_000, 0x1f]}]\n".replace("1_000, ", "")
    )
    assert [domain.name for domain in settings.targets if isinstance(domain, Domain)] == ["no"]
    selectors = [target.selector for target in settings.targets if isinstance(target, Selector)]
    assert selectors == ["on", "0025", "1e3", "2027-01-31", "0x1f"]


def test_what_is_left_out_has_the_defaults_that_the_example_names(read: Read) -> None:
    settings = read("")
    assert settings.nameservers == (Nameserver("system", 53),)
    assert (settings.dns_timeout, settings.queries_per_second, settings.series_limit) == (5.0, 500, 1_000_000)
    assert settings.every["mx"] == timedelta(minutes=15)
    assert settings.every["blocklist"] == CATALOGUE.checks["blocklist"].every
    assert settings.enabled == set(CATALOGUE.checks)
    assert settings.blocklists == shipped_blocklists().default != ()
    assert (settings.probe.configured, settings.probe.networks, settings.probe.domains) == (True, (), ())
    assert [str(w) for w in settings.warnings] == [
        "config.yaml:1: has no senders, domains or mail_hosts: there is nothing to look at"
    ]
    empty = defaults(CATALOGUE)
    assert (empty.targets, empty.every, empty.blocklists) == (settings.targets, settings.every, settings.blocklists)


def test_schedule_default_is_for_checks_without_a_pace_of_their_own(read: Read) -> None:
    every = read("schedule: {default: 1h, ptr: 5m}").every
    assert (every["mx"], every["ptr"], every["blocklist"]) == (
        timedelta(hours=1),
        timedelta(minutes=5),
        CATALOGUE.checks["blocklist"].every,
    )


def test_name_servers_are_addresses_with_a_port_and_system_stays_a_word(read: Read) -> None:
    text = 'resolver: {nameservers: [system, 192.0.2.53, "192.0.2.53:5353", "2001:DB8::53", "[2001:db8::53]:5353"]}'
    assert read(text).nameservers == (
        ("system", 53),
        ("192.0.2.53", 53),
        ("192.0.2.53", 5353),
        ("2001:db8::53", 53),
        ("2001:db8::53", 5353),
    )


def test_an_entrys_own_switch_outweighs_the_general_one(read: Read) -> None:
    settings = read(
        """
checks: {smtp_tls: {enabled: false}, mx: {enabled: false}, spf: {enabled: false}}
blocklists: []
domains:
  - {name: a.example, checks: {mx: {enabled: true}, dmarc: {enabled: false}}}
  - {name: b.example}
"""
    )
    off = {domain.name: domain.off for domain in settings.targets if isinstance(domain, Domain)}
    assert off == {"a.example": {"smtp_tls", "spf", "dmarc"}, "b.example": {"smtp_tls", "mx", "spf"}}
    assert settings.enabled == set(CATALOGUE.checks) - {"smtp_tls", "spf"}


def test_a_helo_name_of_our_own_is_wanted_only_where_smtp_is_spoken(read: Read) -> None:
    off = "checks: {smtp_tls: {enabled: false}}"
    assert read(SENDER).helo_name is None
    assert read(f"{off}\ndomains: [{{name: a.example}}]").helo_name is None
    assert read(f"domains: [{{name: a.example, {off}}}]").helo_name is None
    assert "smtp.helo_name: is missing" in refused(read, HOST)


def test_acceptances_end_with_their_day_in_utc(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
domains:
  - name: a.example
    dkim_selectors: [s1]
    accept:
      - {finding: dmarc.policy-none, until: 2027-01-31, reason: roll-out}
      - {finding: dkim.weak, reason: "  old signer  "}
"""
    )
    end = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
    expected = (
        Acceptance(finding="dmarc.policy-none", until=end, reason="roll-out"),
        Acceptance(finding="dkim.weak", until=None, reason="old signer"),
    )
    assert {target.accept for target in settings.targets if isinstance(target, Domain | Selector)} == {expected}


def test_labels_stand_on_every_target_of_their_entry_and_the_domains_win_for_a_pair(read: Read) -> None:
    settings = read(
        """
label_names: [team, env]
smtp: {helo_name: p.example.net}
blocklists: [spamhaus-zen]
senders: [{name: a, addresses: [192.0.2.1], helo: h.example, labels: {env: prod, team: infra}}]
domains: [{name: a.example, senders: [a], dkim_selectors: [s1], labels: {team: crm}}]
mail_hosts: [{host: mx.example.com, labels: {team: mx}}]
"""
    )
    labels = {type(target).__name__: target.labels for target in settings.targets if target.labels}
    sender = (("team", "infra"), ("env", "prod"))
    assert labels == {
        "Address": sender,
        "Greeting": sender,
        "Reputation": sender,
        "Domain": (("team", "crm"),),
        "Authorisation": (("team", "crm"), ("env", "prod")),
        "Selector": (("team", "crm"),),
        "MailHost": (("team", "mx"),),
    }


def test_addresses_and_domains_are_looked_up_only_in_lists_that_can_hold_them(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
blocklists: [spamcop, {name: ours, zone: bl.example.net}, {name: names, zone: dbl.example.net, lists: domain}]
senders: [{name: a, addresses: [192.0.2.1, "2001:db8::1"], helo: h.example}, {name: b, spf_include: b.example}]
domains: [{name: a.example, senders: [a, b]}]
"""
    )
    found = {
        str(target.subject): [blocklist.name for blocklist in target.lists]
        for target in settings.targets
        if isinstance(target, Reputation)
    }
    assert found == {"192.0.2.1": ["spamcop", "ours"], "2001:db8::1": ["ours"], "a.example": ["names"]}
    assert {str(subject) for subject in settings.subjects} == set(found)
    health = [target.blocklist.name for target in settings.targets if isinstance(target, ListHealth)]
    assert health == ["spamcop", "ours", "names"]


def test_lists_that_hold_none_of_our_subjects_are_not_asked(read: Read) -> None:
    assert only(read(f"{SENDER}blocklists: [spamhaus-dbl]"), ListHealth) == []
    assert only(read(f"{SENDER}blocklists: []"), Reputation) == []
    assert only(read(f"{SENDER}checks: {{blocklist: {{enabled: false}}}}"), ListHealth) == []
    assert only(read("probe: {allow: [192.0.2.0/24]}\nblocklists: [spamcop]"), ListHealth) != []


def test_probe_allows_networks_and_domains_with_all_below_them(read: Read) -> None:
    probe = read("probe: {allow: [192.0.2.0/24, 2001:db8::1, '*.example.com', example.net]}").probe
    assert not probe.configured
    assert probe.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::1/128"))
    assert probe.allows(ip_address("192.0.2.7"))
    assert not probe.allows(ip_address("192.0.3.7"))
    assert probe.allows("mail.example.com")
    assert probe.allows("example.net")
    assert not probe.allows("badexample.net")


def test_severities_are_those_that_differ(read: Read) -> None:
    assert read("severities: {dmarc.policy-none: info}").severities == {"dmarc.policy-none": Severity.INFO}


def test_doubtful_things_are_warnings(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
include: ["targets.d/*.yaml"]
senders: [{name: a, addresses: [10.0.0.1], helo: h.example}]
domains: [{name: a.example}]
"""
    )
    assert [str(warning) for warning in settings.warnings] == [
        "config.yaml:3 include[0]: matches no file",
        (
            "config.yaml:4 senders[0].addresses[0]: 10.0.0.1 is private use: receivers never see it; "
            "set the address that they see"
        ),
        "config.yaml:5 domains[0]: has no senders: whether SPF authorises the machines that send is not checked",
        "config.yaml:5 domains[0]: has no dkim_selectors: they cannot be found in DNS, so no key is checked",
        "config.yaml:4 senders[0]: is named by no domain: whether SPF authorises it is not checked",
    ]


# More than one file.


def test_included_files_add_entries_and_are_part_of_the_digest(read: Read) -> None:
    Path("targets.d").mkdir()
    Path("targets.d/b.yaml").write_text("senders: [{name: out, spf_include: a.example}]\n")
    Path("targets.d/a.yaml").write_text("domains: [{name: a.example, senders: [out]}]\n")
    text = "smtp: {helo_name: p.example.net}\ninclude: ['*.yaml', 'targets.d/*.yaml', targets.d/a.yaml]\n"
    settings = read(text)
    assert settings.files == ("config.yaml", "targets.d/a.yaml", "targets.d/b.yaml")
    assert only(settings, Authorisation) == [
        Authorisation(domain="a.example", sender="out", mail_from=("a.example",), spf_include="a.example")
    ]
    Path("targets.d/b.yaml").write_text("senders: [{name: out, spf_include: b.example}]\n")
    assert read(text).digest != settings.digest


def test_faults_of_included_files_name_their_file_and_nothing_is_half_done(read: Read) -> None:
    Path("more.yaml").write_text("domains: [{name: a.example, senders: [nobody]}]\nresolver: {}\n")
    Path("twice.yaml").write_text("\n\nmail_hosts: [{host: mx.example.com}]\n")
    Path("broken.yaml").write_text("domains:\n- name: a.example\n   senders: []\n")
    text = f"smtp: {{helo_name: p.example.net}}\ninclude: [more.yaml, twice.yaml, broken.yaml]\n{HOST}"
    lines = refused(read, text).splitlines()
    assert lines[:3] == [
        "more.yaml:1 domains[0].senders[0]: no sender is called 'nobody'; there is none like it",
        "more.yaml:2 resolver: is an unknown key; known are domains, mail_hosts, senders",
        (
            "twice.yaml:3 mail_hosts[0]: the mail host mx.example.com:25 is configured twice: "
            "here and at config.yaml:3 mail_hosts[0]; keep one"
        ),
    ]
    assert len(lines) == 4
    assert lines[3].startswith("broken.yaml:3: is no valid YAML: ")


# Secrets.


def test_a_zone_with_a_key_comes_from_a_file_or_the_environment_and_brings_the_shipped_codes(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("zen").write_text(f"{SECRET}.zen.dq.spamhaus.net\n")
    monkeypatch.setenv("DBL", f"{SECRET}.dbl.dq.spamhaus.net")
    text = "blocklists: [{name: spamhaus-zen, zone_file: zen}, {name: spamhaus-dbl, zone_env: DBL, queries_per_day: 5}]"
    zen, dbl = read(text).blocklists
    assert (zen.zone, dbl.zone) == (f"{SECRET}.zen.dq.spamhaus.net", f"{SECRET}.dbl.dq.spamhaus.net")
    shipped = shipped_blocklists().lists
    assert zen.codes == shipped["spamhaus-zen"].codes
    assert dbl.lists is shipped["spamhaus-dbl"].lists
    assert dbl.queries_per_day == 5


LEAKS = [
    "blocklists: [{name: spamhaus-zen, zone_file: zen}]",
    "blocklists: [{name: spamhaus-zen, zone_env: ZEN}]",
    "blocklists: [{name: spamhaus-zen, zone_file: zen, severity: bad}]",
    "blocklists: [{name: spamhaus-zen, zone_file: zen}, {name: spamhaus-zen, zone_env: ZEN}]",
    "blocklists: [{name: ours, zone_file: broken}]",
    "blocklists: [{name: ours, zone_env: BROKEN}]",
    f"blocklists: [{SECRET}.zen.dq.spamhaus.net]",
    f"blocklists: ['{SECRET} x']",
    f"blocklists: [{{name: '{SECRET} x'}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: {SECRET}.zen.dq.spamhaus.net}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: '{SECRET} x'}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: [{SECRET}]}}]",
    f"blocklists: [{{name: spamhaus-zen, zone_file: {SECRET}}}]",
    f"blocklists: [{{name: spamhaus-zen, zone_env: {SECRET}}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: {SECRET}.example, zone: {SECRET}.example}}]",
    f"blocklists: [{{name: spamhaus-zen, zoen: {SECRET}.example}}]",
    f"blocklists: {SECRET}",
    f"blocklists: [{{name: ours, zone: {SECRET}.{'a' * 63}.{'b' * 63}.{'c' * 63}}}]",
    f"blocklists: [{{name: spamhaus-zen, zone: &{{{SECRET}}}]",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_secret_is_in_no_error_no_repr_and_no_log(
    read: Read, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Path("zen").write_text(f"{SECRET}.zen.dq.spamhaus.net\n")
    Path("broken").write_text(f"{SECRET}..zen example\n")
    monkeypatch.setenv("ZEN", f"{SECRET}.zen.dq.spamhaus.net")
    monkeypatch.setenv("BROKEN", f"{SECRET}..zen example")
    try:
        shown = repr(read(f"{SENDER}{text}\n"))
    except ConfigError as error:
        shown = f"{error} {error!r} {error.problems}"
    assert shown
    assert SECRET not in shown + caplog.text


# Hostile files.


@pytest.mark.parametrize(
    ("text", "told"),
    {
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n" * 2000: "config.yaml:1 a: has the anchor &a",
        "a: " + "[" * 20_000: "config.yaml:1: is nested more than 20 levels deep; nothing here needs that",
        "a: " + "{a: " * 20_000: "config.yaml:1: is nested more than 20 levels deep; nothing here needs that",
        "".join("  " * n + "a:\n" for n in range(1000)): "config.yaml:20: is nested more than 20 levels deep",
        "# " + "x" * strict_yaml.LARGEST: "config.yaml:1: is larger than 5 MiB",
        "senders: [" + "1, " * 200_000 + "]": "config.yaml:1 senders[0]: expected a mapping, got the number 1",
        "".join(f"k{n}: 1\n" for n in range(50_000)): "config.yaml:1 k0: is an unknown key",
        f"limits: {{series: {'9' * 5000}}}": "config.yaml:1 limits.series: expected a whole number",
    }.items(),
    ids=["bomb", "lists", "mappings", "blocks", "large", "senders", "keys", "digits"],
)
def test_hostile_files_end_quickly(read: Read, text: str, told: str) -> None:
    before = time.process_time()
    shown = refused(read, text)
    assert time.process_time() - before < 5
    assert told in shown
    assert shown.count("\n") <= 100


def test_yaml_is_read_with_lines_and_without_surprises() -> None:
    read = strict_yaml.parse(b"a:\n  - b: 1\n    c: no\n  - true\nd: ~\n")
    assert read.root
    assert read.root.plain() == {"a": [{"b": 1, "c": "no"}, True], "d": None}
    node, walked = read.root.at(("a", 0, "c", "deeper"))
    assert (node.line, walked) == (3, ("a", 0, "c"))
    assert read.faults == ()


_MARKS = st.sampled_from("{}[]&*!|>'\"#?~-:,%\t\n\0\x07\u2028\ud800é ")
_WORDS = st.sampled_from(
    ["no", "null", "true", "0025", "1:20", "2027-01-31", "&a x", "*a", "!!int ", "- ", ": ", "\n---\n"]
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_mutation_of_the_example_raises_anything_but_config_errors(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = EXAMPLE.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 40))
        text = text[:start] + data.draw(_MARKS | _WORDS | st.text(max_size=5)) + text[start + cut :]
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        settled = load(path, CATALOGUE)
    except ConfigError as error:
        found = [str(problem) for problem in error.problems]
    else:
        found = [f"{type(target)} {target.key}" for target in settled.targets]
        assert len(found) == len(set(found))
    assert found
    assert not any("\n" in line for line in found)


def test_without_libyaml_the_example_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = EXAMPLE.read_bytes()
    fast = strict_yaml.parse(content)
    monkeypatch.setattr(strict_yaml, "_LOADER", yaml.SafeLoader)
    slow = strict_yaml.parse(content)
    assert fast.root
    assert slow.root
    assert fast.root.plain() == slow.root.plain()
    assert fast.faults == slow.faults == ()


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    "text", [r'a: "\ud800"', r'a: "\UFFFFFFFF"', "%YAML 9" + "9" * 5000 + ".1\n--- a", "a: [1", "@"]
)
def test_what_is_no_yaml_is_one_fault(monkeypatch: pytest.MonkeyPatch, loader: str, text: str) -> None:
    monkeypatch.setattr(strict_yaml, "_LOADER", getattr(yaml, loader))
    read = strict_yaml.parse(text.encode())
    assert read.root is None
    assert len(read.faults) == 1


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_the_reader_of_yaml_never_raises(content: bytes) -> None:
    read = strict_yaml.parse(content)
    assert read.root is None or kind(read.root.plain())


# The example and the schema.


def keys(model: type[document.Keys]) -> set[str]:
    models = [model, *(inner for field in model.model_fields.values() for inner in document._models(field.annotation))]
    return set(model.model_fields) | {key for inner in models[1:] for key in keys(inner)}  # type: ignore[arg-type]  # ours


def test_the_example_is_a_good_configuration_without_doubts() -> None:
    settings = load(EXAMPLE, CATALOGUE)
    assert [str(warning) for warning in settings.warnings] == []
    found = {type(target) for target in settings.targets}
    assert found == {
        Address,
        Authorisation,
        Domain,
        Greeting,
        ListHealth,
        MailHost,
        OwnResolver,
        Reputation,
        Selector,
    }


def test_the_example_explains_every_key() -> None:
    text = EXAMPLE.read_text()
    assert {key for key in keys(document.Config) if not re.search(rf"\b{key}:", text)} == set()


def test_the_lines_that_the_example_begins_with_are_enough(read: Read) -> None:
    start = EXAMPLE.read_text().partition("are enough:\n#\n")[2].partition("#\n# Check it")[0]
    settings = read("".join(line.removeprefix("#   ") + "\n" for line in start.splitlines()))
    assert settings.warnings == ()
    assert len(start.splitlines()) <= 10


def test_what_is_commented_out_in_the_example_is_right_too(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = EXAMPLE.read_text().splitlines()
    optional = [line for line in lines if re.match(r"\s*# (- |include:)", line)]
    assert len(optional) == 3
    monkeypatch.setenv("DBL_ZONE", "dbl.example.net")
    text = "\n".join(line.replace("# ", "", 1) if line in optional else line for line in lines)
    text = (
        text.replace("/run/secrets/zen-zone", "zen").replace("  - spamhaus-zen ", "  #").replace("  - spamhaus-dbl", "")
    )
    Path("zen").write_text("zen.example.net")
    assert {blocklist.zone for blocklist in read(text).blocklists} >= {"zen.example.net", "dbl.example.net"}


def test_without_its_faults_the_example_is_still_good(read: Read) -> None:
    text, count = re.subn(r" *# >>> faults\n.*?# <<< faults\n", "", EXAMPLE.read_text(), flags=re.DOTALL)
    assert count == 4
    settings = read(text)
    assert settings.warnings == ()
    assert len(settings.targets) < len(load(EXAMPLE, CATALOGUE).targets) / 3


def test_the_example_uses_only_addresses_and_names_for_documentation() -> None:
    networks = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    settings = load(EXAMPLE, CATALOGUE)
    for target in settings.targets:
        if isinstance(target, Address):
            assert any(target.ip in network for network in networks)
        if isinstance(target, Domain):
            assert re.search(r"(^|\.)example(\.(com|net|org))?$", target.name)


def test_the_committed_schema_is_current() -> None:
    """Else write json.dumps(document.schema(), indent=2) there."""
    assert SCHEMA.read_text() == json.dumps(document.schema(), indent=2) + "\n"


def test_every_key_has_a_description_for_editors() -> None:
    schema = document.schema()
    parts = [schema, *schema["$defs"].values()]
    assert [key for part in parts for key, value in part["properties"].items() if not value.get("description")] == []
    assert EXAMPLE.read_text().startswith("# yaml-language-server: $schema=exporter/data/config.schema.json\n")
