"""What a good configuration comes to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from exporter.checks.helo import HeloOptions
from exporter.checks.ptr import PtrOptions
from exporter.config import Nameserver, defaults, shipped_blocklists
from exporter.facts import Severity
from exporter.model import Acceptance, TargetId
from exporter.targets import (
    Address,
    Authorisation,
    Delivery,
    Domain,
    Egress,
    Greeting,
    ListHealth,
    OwnResolver,
    Registration,
    Reputation,
    Selector,
    Zone,
)
from tests.support.configuration import CATALOGUE, HOST, SENDER, Read, only, refused


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
    domain = (("domain", "example.com"),)
    assert settings.targets == (
        Address(ip=a4, helo=("mail.example.com",)),
        Greeting(sender="a", ip=a4, helo="mail.example.com"),
        Address(ip=a6, helo=("mail.example.com",)),
        Greeting(sender="a", ip=a6, helo="mail.example.com"),
        Address(ip=b1, helo=("out1.example.com",)),
        Greeting(sender="b", ip=b1, helo="out1.example.com"),
        Address(ip=b2, helo=("b.example.com",)),
        Greeting(sender="b", ip=b2, helo="b.example.com"),
        Domain(name="example.com", mail_from=mail_from, signers=("example.com", "c.example"), own_machines=True),
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
        Zone(
            name="example.com",
            mail_from=mail_from,
            keys=("s1._domainkey.example.com", "20260101._domainkey.c.example"),
        ),
        Registration(domain="example.com"),
        Delivery(
            domain="example.com",
            receivers=("microsoft", "gmail", "yahoo"),
            rests_on=(
                TargetId(domain),
                TargetId((*domain, ("sender", "a"))),
                TargetId((("ip", "192.0.2.10"),)),
                TargetId((("sender", "a"), ("ip", "192.0.2.10"))),
                TargetId((("ip", "2001:db8::10"),)),
                TargetId((("sender", "a"), ("ip", "2001:db8::10"))),
                TargetId((*domain, ("sender", "b"))),
                TargetId((("ip", "192.0.2.21"),)),
                TargetId((("sender", "b"), ("ip", "192.0.2.21"))),
                TargetId((("ip", "192.0.2.22"),)),
                TargetId((("sender", "b"), ("ip", "192.0.2.22"))),
                TargetId((*domain, ("sender", "c"))),
                TargetId((*domain, ("selector", "s1"))),
                TargetId((*domain, ("selector", "20260101"))),
            ),
        ),
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
    assert [target.helo for target in only(settings, Greeting)] == [helo]


def test_yaml_1_1_does_not_turn_a_domain_or_selector_into_something_else(read: Read) -> None:
    settings = read(
        "smtp: {helo_name: p.example.net}\n"
        "domains: [{name: no, dkim_selectors: [on, 0025, 1e3, 2027-01-31, 1_000, 0x1f]}]\n"
    )
    assert [domain.name for domain in only(settings, Domain)] == ["no"]
    selectors = [target.selector for target in only(settings, Selector)]
    assert selectors == ["on", "0025", "1e3", "2027-01-31", "1_000", "0x1f"]


def test_defaults_are_what_an_empty_file_says(read: Read) -> None:
    """They are written down once more, because reading needs models that a look at one domain need not load."""
    empty = read("")
    assert defaults(CATALOGUE) == replace(empty, warnings=(), files=(), digest=hashlib.sha256().hexdigest())


def test_what_is_left_out_has_the_defaults_that_the_example_names(read: Read) -> None:
    settings = read("")
    assert settings.nameservers == (Nameserver("system", 53),)
    assert (settings.dns_timeout, settings.queries_per_second, settings.series_limit) == (5.0, 500, 1_000_000)
    assert settings.intervals["mx"] == timedelta(minutes=15)
    assert settings.intervals["blocklist"] == CATALOGUE.checks["blocklist"].interval
    assert settings.enabled == set(CATALOGUE.checks)
    assert settings.blocklists == shipped_blocklists().default != ()
    assert [str(w) for w in settings.warnings] == [
        "config.yaml:1: has no senders, domains or mail_hosts: there is nothing to check"
    ]


def test_schedule_default_is_for_checks_without_a_pace_of_their_own(read: Read) -> None:
    every = read("schedule: {default: 1h, ptr: 5m}").intervals
    assert (every["mx"], every["ptr"], every["blocklist"]) == (
        timedelta(hours=1),
        timedelta(minutes=5),
        CATALOGUE.checks["blocklist"].interval,
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


def test_strict_counts_for_all_senders_unless_one_says_otherwise(read: Read) -> None:
    senders = """
senders:
  - {name: a, addresses: [192.0.2.1], helo: a.example}
  - {name: b, addresses: [192.0.2.2], helo: b.example, checks: {helo: {strict: true}}}
  - {name: c, addresses: [192.0.2.3], helo: c.example, checks: {helo: {strict: false}}}
  - {name: d, addresses: [192.0.2.4], helo: d.example, checks: {helo: {enabled: true}}}
"""
    found = {"": "b", "checks: {helo: {strict: true}}": "abd", "checks: {helo: {enabled: true}}": "b"}
    for general, strict in found.items():
        assert (
            "".join(t.sender for t in only(read(general + senders), Greeting) if t.option(HeloOptions).strict) == strict
        )


def test_a_key_of_one_check_switches_it_neither_on_nor_off(read: Read) -> None:
    text = "checks: {helo: {enabled: false}}\n" + SENDER.replace("}]", ", checks: {helo: {strict: true}}}]")
    assert [(t.option(HeloOptions).strict, t.off) for t in only(read(text), Greeting)] == [(True, frozenset({"helo"}))]
    assert "helo" not in read(text).enabled
    assert "helo" in read("checks: {helo: {strict: true}}").enabled


def test_names_that_may_look_generic_are_allowed_in_general_and_for_a_sender_besides(read: Read) -> None:
    settings = read(
        """
checks: {ptr: {allow_generic: ["*.Pool.example.com", .example.net]}}
senders:
  - {name: a, addresses: [192.0.2.1], helo: a.example}
  - {name: b, addresses: [192.0.2.2], helo: b.example, checks: {ptr: {allow_generic: [bücher.example, example.net]}}}
"""
    )
    assert [address.option(PtrOptions).allow_generic for address in only(settings, Address)] == [
        ("pool.example.com", "example.net"),
        ("pool.example.com", "example.net", "xn--bcher-kva.example"),
    ]


def test_a_helo_name_of_our_own_is_wanted_only_where_smtp_is_spoken(read: Read) -> None:
    off = "checks: {smtp_tls: {enabled: false}}"
    assert read(SENDER).helo_name is None
    assert read(f"{off}\ndomains: [{{name: a.example}}]").helo_name is None
    assert read(f"domains: [{{name: a.example, {off}}}]").helo_name is None
    assert "smtp.helo_name: is missing" in refused(read, HOST)


def test_without_a_helo_name_of_our_own_nothing_that_speaks_smtp_runs(read: Read) -> None:
    assert read("smtp: {helo_name: p.example.net}\ndomains: [{name: a.example}]").running == set(CATALOGUE.checks)
    silent = read("checks: {smtp_tls: {enabled: false}}\ndomains: [{name: a.example}]")
    assert silent.running == set(CATALOGUE.checks) - {"smtp_tls", "dane"}


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
        "Zone": (("team", "crm"),),
        "Registration": (("team", "crm"),),
        "Delivery": (("team", "crm"),),
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
    health = [target.blocklist.name for target in only(settings, ListHealth)]
    assert health == ["spamcop", "ours", "names"]


def test_lists_that_hold_none_of_our_subjects_are_not_asked(read: Read) -> None:
    nameless = SENDER.replace("helo: out.example.com", "helo: laptop")
    assert only(read(f"{nameless}blocklists: [spamhaus-dbl]"), ListHealth) == []
    assert only(read(f"{SENDER}blocklists: []"), Reputation) == []
    assert only(read(f"{SENDER}checks: {{blocklist: {{enabled: false}}}}"), ListHealth) == []
    assert only(read("probe: {allow: [192.0.2.0/24]}\nblocklists: [spamcop]"), ListHealth) != []


def test_a_name_that_is_said_in_helo_is_looked_up_in_lists_of_domains(read: Read) -> None:
    """In those alone, and in none where the entry asks no blocklists."""

    def asked(text: str) -> list[list[str]]:
        settings = read(f"{text}blocklists: [spamcop, spamhaus-dbl]")
        health = [target.blocklist.name for target in only(settings, ListHealth)]
        return [[blocklist.name for blocklist in target.lists] for target in only(settings, Greeting)] + [health]

    assert asked(SENDER) == [["spamhaus-dbl"], ["spamcop", "spamhaus-dbl"]]
    assert asked(SENDER.replace("helo: out.example.com", 'helo: "[192.0.2.1]"')) == [[], ["spamcop"]]
    assert asked(SENDER.replace("helo: out.example.com", "helo: out.example.com.")) == [[], ["spamcop"]]
    assert asked(SENDER + "checks: {helo: {enabled: false}}\n")[-1] == ["spamcop"]
    assert asked(SENDER + "checks: {blocklist: {enabled: false}}\n") == [[], []]


def test_severities_are_those_that_differ(read: Read) -> None:
    assert read("severities: {dmarc.policy-none: info}").severities == {"dmarc.policy-none": Severity.INFO}


def test_doubtful_things_are_warnings(read: Read) -> None:
    settings = read(
        """
smtp: {helo_name: p.example.net}
senders: [{name: a, addresses: [10.0.0.1], helo: h.example}]
domains: [{name: a.example}]
"""
    )
    assert [str(warning) for warning in settings.warnings] == [
        (
            "config.yaml:3 senders[0].addresses[0]: 10.0.0.1 is private use: receivers never see it; "
            "set the address that they see"
        ),
        "config.yaml:4 domains[0]: has no senders: whether SPF authorises the machines that send is not checked",
        "config.yaml:3 senders[0]: is named by no domain: whether SPF authorises it is not checked",
    ]


def test_how_much_a_reload_may_drop(read: Read) -> None:
    assert read("").reload_drop == 20
    assert read("limits: {reload_drop: 100%}").reload_drop == 100


def test_entries_are_counted_by_what_is_checked_of_them(read: Read) -> None:
    text = """
smtp: {helo_name: p.example.net}
senders:
  - {name: pool, addresses: [{ip: 192.0.2.1, helo: a.example}, {ip: 192.0.2.2, helo: b.example}]}
  - {name: theirs, spf_include: spf.example}
domains: [{name: a.example, senders: [pool, theirs]}]
mail_hosts: [{host: mx.example, port: 587}]
"""
    assert set(read(text).entries) == {"sender pool", "sender theirs", "domain a.example", "mail host mx.example:587"}
