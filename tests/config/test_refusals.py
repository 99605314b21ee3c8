"""Every fault is told in one line with its file, line and path, and with what to do; all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import ConfigError, load
from tests.support.configuration import CATALOGUE, SENDER, Read, refused

SECRET = "k3y0fthecustomer"
ACCEPT = "senders: [{name: a, spf_include: a.example, accept: [{finding: spf_sender.softfail"
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
    "limits: {reload_drop: 20}": "config.yaml:1 limits.reload_drop: expected a percentage such as 20%, got '20'",
    "limits: {reload_drop: 101%}": "config.yaml:1 limits.reload_drop: expected a percentage such as 20%, got '101%'",
    "include: ['targets.d/*.yaml']": (
        "config.yaml:1 include[0]: 'targets.d/*.yaml' matches no file; correct it, or write {path: 'targets.d/*.yaml', "
        "optional: true} if there may be none"
    ),
    "include: [{path: 'a.yaml', optionl: true}]": (
        "config.yaml:1 include[0].optionl: is an unknown key; did you mean optional?"
    ),
    "limits: {series: 10}": (
        "config.yaml:1 limits.series: expected a whole number from 1000 to 100000000, got the number 10"
    ),
    "metrics: {deny: [deliverability_check_okay]}": (
        "config.yaml:1 metrics.deny[0]: is no metric family that exists; did you mean deliverability_check_ok?"
    ),
    "metrics: {deny: [deliverability_exporter_serie]}": (
        "config.yaml:1 metrics.deny[0]: is no metric family that exists; did you mean deliverability_exporter_series?"
    ),
    "metrics: {deny: [7]}": "config.yaml:1 metrics.deny[0]: expected the name of a metric family, got the number 7",
    "metrics: {deny: deliverability_check_ok}": (
        f"config.yaml:1 metrics.deny: expected a list of names of metric families, got text; {WRITE}"
    ),
    "label_names: [team]\nmetrics: {totals_by: [taem]}": (
        "config.yaml:2 metrics.totals_by[0]: taem is not declared in label_names; did you mean team?"
    ),
    "metrics: {totals_by: [team]}": (
        "config.yaml:1 metrics.totals_by[0]: team is not declared in label_names; none are"
    ),
    "label_names: [status]": (
        "config.yaml:1 label_names[0]: status is used by the exporter or by Prometheus; choose another name"
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
    "schedule: {mx: 31d}": "config.yaml:1 schedule.mx: expected a duration from 1s to 30d, got '31d'",
    "checks: {dmark: {enabled: false}}": "config.yaml:1 checks.dmark: is no check that exists; did you mean dmarc?",
    "checks: {mx: {}}": "config.yaml:1 checks.mx: says nothing; set enabled to true or false",
    "checks: {mx: {strict: true}}": "config.yaml:1 checks.mx.strict: is a key of the check helo alone; remove it",
    "checks: {helo: {strict: no}}": "config.yaml:1 checks.helo.strict: expected true or false, got 'no'",
    "checks: {helo: {strict: }}": "config.yaml:1 checks.helo.strict: expected true or false, got nothing",
    "checks: {helo: {allow_generic: [a.example]}}": (
        "config.yaml:1 checks.helo.allow_generic: is a key of the check ptr alone; remove it"
    ),
    "checks: {ptr: {allow_generic: a.example}}": (
        f"config.yaml:1 checks.ptr.allow_generic: expected a list of domains, got text; {WRITE}"
    ),
    "checks: {ptr: {allow_generic: ['*']}}": (
        "config.yaml:1 checks.ptr.allow_generic[0]: '*' has the invalid label '*'"
    ),
    "senders: [{name: a, helo: h.example, addresses: [192.0.2.1], checks: {ptr: {strict: true}}}]": (
        "config.yaml:1 senders[0].checks.ptr.strict: is a key of the check helo alone; remove it"
    ),
    "senders: [{name: a, spf_include: a.example, checks: {helo: {strict: true}}}]": (
        "config.yaml:1 senders[0].checks.helo: never looks at a sender with spf_include; move it to where it applies"
    ),
    "checks: {mx: {enabled: no}}": "config.yaml:1 checks.mx.enabled: expected true or false, got 'no'",
    "severities: {dmarc.policy-non: info}": (
        "config.yaml:1 severities.dmarc.policy-non: is no finding that exists; did you mean dmarc.policy-none?"
    ),
    "severities: {dmarc.policy-none: page}": (
        "config.yaml:1 severities.dmarc.policy-none: expected critical, warning or info, got 'page'"
    ),
    "smtp: {helo_name: probe.example.net.}": (
        "config.yaml:1 smtp.helo_name: 'probe.example.net.' is not a fully qualified host name. Set a name with "
        "an address record of the exporter's machine, such as probe.example.net, without a trailing dot"
    ),
    "domains: [{name: example.com}]": (
        "config.yaml:1 smtp.helo_name: is missing, and no guess is made. Set it to the exporter's own host name, for "
        "EHLO of smtp_tls. Or switch that off with `checks: {smtp_tls: {enabled: false}}`"
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
        "config.yaml:1 senders[0].spf_include: 'a b.example' has the invalid label 'a b'"
    ),
    "senders: [{name: a, helo: , addresses: [192.0.2.1]}]": (
        "config.yaml:1 senders[0].helo: expected the HELO name as text, got nothing; put it in quotes if it is a name"
    ),
    f"senders: [{{name: a, helo: {'h' * 513}, addresses: [192.0.2.1]}}]": (
        "config.yaml:1 senders[0].helo: is longer than 512 characters; no machine uses that"
    ),
    "smtp: {helo_name: p.example.net}\ndomains:\n- name: a.example\n  dkim_selectors: s1": (
        f"config.yaml:4 domains[0].dkim_selectors: expected a list of names, got text; {WRITE}"
    ),
    "smtp: {helo_name: p.example.net}\ndomains: [{name: a.example, dkim_selectors: ['s 1']}]": (
        "config.yaml:2 domains[0].dkim_selectors[0].selector: 's 1' has the invalid label 's 1'"
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
        "config.yaml:1 include[0]: 'targets.yaml' matches no file; correct it, or write {path: 'targets.yaml', "
        "optional: true} if there may be none"
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
        "config.yaml:1 senders[0].accept[0].reason: is missing; set it to the reason, for those who read it next year"
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
