"""`domain_defaults` spares each of thousands of domains the same lines, and is judged once."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.targets import Authorisation, Delivery, Domain, KeyNamespace, Selector
from tests.support.configuration import Read, only, refused

HEAD = """
smtp: {helo_name: probe.example.net}
label_names: [team, tier]
senders:
  - {name: pool, addresses: [192.0.2.1], helo: out.example.com}
  - {name: other, addresses: [192.0.2.2], helo: out2.example.com}
"""
DEFAULTS = "domain_defaults: {senders: [pool], dkim_selectors: [s1]"


def test_a_domain_that_says_nothing_else_has_the_defaults(read: Read) -> None:
    settings = read(
        f"""{HEAD}
{DEFAULTS}, mail_from: [bounce.example.com], receivers: [gmail], receives_mail: false}}
domains: [{{name: a.example}}, {{name: b.example, senders: [other], dkim_selectors: [], mail_from: [m.b.example]}}]
"""
    )
    assert [(it.domain, it.sender, it.mail_from) for it in only(settings, Authorisation)] == [
        ("a.example", "pool", ("bounce.example.com",)),
        ("b.example", "other", ("m.b.example",)),
    ]
    assert [(it.domain, it.selector) for it in only(settings, Selector)] == [("a.example", "s1")]
    assert [it.domain for it in only(settings, KeyNamespace)] == ["b.example"], "its empty list counts"
    assert {it.receivers for it in only(settings, Delivery)} == {("gmail",)}
    assert not any(it.receives_mail for it in only(settings, Domain))
    assert settings.warnings == ()


def test_a_parked_domain_takes_no_senders_from_the_defaults(read: Read) -> None:
    settings = read(f"{HEAD}{DEFAULTS}, receives_mail: false}}\ndomains: [{{name: a.example, sends_mail: false}}]\n")
    assert not only(settings, Authorisation)
    assert not only(settings, Selector)
    assert [(it.sends_mail, it.receives_mail) for it in only(settings, Domain)] == [(False, False)]


def test_labels_and_checks_are_added_and_those_of_the_domain_count(read: Read) -> None:
    settings = read(
        f"""{HEAD}
domain_defaults:
  labels: {{team: crm, tier: gold}}
  checks: {{mx: {{enabled: false}}, bimi: {{enabled: false}}}}
domains: [{{name: a.example, senders: [pool, other], labels: {{team: ops}}, checks: {{mx: {{enabled: true}}}}}}]
"""
    )
    (domain,) = only(settings, Domain)
    assert domain.labels == (("team", "ops"), ("tier", "gold"))
    assert "bimi" in domain.off
    assert "mx" not in domain.off


def test_included_files_may_hold_names_alone(read: Read) -> None:
    Path("targets.d").mkdir()
    Path("targets.d/customers.yaml").write_text("domains:\n- {name: a.example}\n- {name: b.example}\n")
    settings = read(f'{HEAD}{DEFAULTS}}}\ninclude: ["targets.d/*.yaml"]\ndomains: [{{name: c.example}}]\n')
    assert [it.domain for it in only(settings, Authorisation)] == ["c.example", "a.example", "b.example"]
    Path("targets.d/customers.yaml").write_text("domain_defaults: {senders: [other]}\n")
    told = refused(read, f'{HEAD}{DEFAULTS}}}\ninclude: ["targets.d/*.yaml"]\n')
    assert told.startswith("targets.d/customers.yaml:1 domain_defaults: is an unknown key"), "one place for all"


def test_three_thousand_domains_share_their_lines(read: Read) -> None:
    names = "".join(f"- {{name: d{n}.example}}\n" for n in range(3000))
    settings = read(f"{HEAD}{DEFAULTS}}}\ndomains:\n{names}")
    assert len(only(settings, Authorisation)) == len(only(settings, Selector)) == 3000


DOMAINS = "\ndomains:\n" + "".join(f"- {{name: d{n}.example}}\n" for n in range(40))


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        ("{senders: [poool]}", "senders[0]: no sender is called 'poool'; did you mean pool?"),
        ("{selectors: [s1]}", "selectors: is an unknown key; did you mean dkim_selectors?"),
        ("{name: a.example}", "name: is an unknown key; "),
        ("{senders: pool}", "senders: expected a list of names of senders, got text; "),
        ("{senders: [pool], sends_mail: false}", "senders: names senders, but sends_mail is false; "),
        ("{labels: {owner: x}}", "labels.owner: is not declared in label_names; "),
        ("{checks: {ptr: {enabled: false}}}", "checks.ptr: never looks at a domain; "),
        ("{receivers: [gmail, gmail]}", "receivers[1]: the receiver gmail is configured twice: here and at "),
        ("{senders: [{name: pool, mail_from: theirs}]}", "senders[0].mail_from: is theirs, but pool has addresses"),
        ("[pool]", ": expected a mapping, got a list; "),
    ],
)
def test_a_fault_of_the_defaults_is_told_once_where_it_stands(read: Read, defaults: str, told: str) -> None:
    said = refused(read, f"{HEAD}domain_defaults: {defaults}{DOMAINS}")
    path = f"domain_defaults{told if told.startswith(':') else f'.{told}'}"
    assert said.startswith(f"config.yaml:7 {path}")
    assert len(said.splitlines()) == 1


def test_theirs_as_a_default_makes_a_name_of_a_sender_enough(read: Read) -> None:
    settings = read(
        "smtp: {helo_name: p.example.net}\nsenders: [{name: lists}]\n"
        "domain_defaults: {senders: [{name: lists, mail_from: theirs}]}\ndomains: [{name: a.example}]\n"
    )
    assert [it.theirs for it in only(settings, Domain)] == [("lists",)]
