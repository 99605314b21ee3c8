"""A name of records may have underscores, as _spf.google.com has; the name of a host may not."""

from __future__ import annotations

import pytest

from exporter.targets import Authorisation, Domain, Selector
from tests.support.configuration import Read, only, refused

SMTP = "blocklists: []\nsmtp: {helo_name: probe.example.net}\n"


def test_what_spf_must_include_may_have_underscores(read: Read) -> None:
    settings = read(
        f"{SMTP}senders: [{{name: google, spf_include: _SPF.google.com.}}]\n"
        "domains: [{name: example.com, senders: [google]}]"
    )
    assert [target.spf_include for target in only(settings, Authorisation)] == ["_spf.google.com"]


def test_envelope_domains_selectors_and_signers_may_have_underscores(read: Read) -> None:
    settings = read(
        f"{SMTP}domains: [{{name: example.com, mail_from: [my_bounces.example.com], "
        "dkim_selectors: [{selector: s_1, domain: my_mail.example.com}]}]"
    )
    assert [target.mail_from for target in only(settings, Domain)] == [("my_bounces.example.com",)]
    assert [(key.selector, key.signer) for key in only(settings, Selector)] == [("s_1", "my_mail.example.com")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("smtp: {helo_name: my_probe.example.net}", "smtp.helo_name"),
        (f"{SMTP}mail_hosts: [{{host: _mx.example.com}}]", "mail_hosts[0].host"),
        (f"{SMTP}ehlo_probe: {{peers: [{{host: _mx.example.com}}]}}", "ehlo_probe.peers[0].host"),
        (f"{SMTP}domains: [{{name: _dmarc.example.com}}]", "domains[0].name"),
    ],
)
def test_a_host_and_the_domain_of_an_address_may_not(read: Read, text: str, place: str) -> None:
    assert f"{place}: '" in refused(read, text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: example.com, mail_from: [192.0.2.1]", "mail_from[0]"),
        ("name: example.com, dkim_selectors: [{selector: s1, domain: 192.0.2.1}]", "dkim_selectors[0].domain"),
    ],
)
def test_an_address_is_no_name_of_records_either(read: Read, text: str, place: str) -> None:
    assert f"{place}: '192.0.2.1' is an address" in refused(read, f"{SMTP}domains: [{{{text}}}]")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("S1._domainkey.example.com.", "selector: s1, domain: example.com"),
        ("a.b._domainkey.my_mail.example.com", "selector: a.b, domain: my_mail.example.com"),
        ("s1._domainkey", "selector: s1"),
        ("_domainkey.example.com", "selector: SELECTOR, domain: example.com"),
        ("_domainkey", "selector: SELECTOR"),
    ],
)
def test_the_name_of_a_key_is_no_selector(read: Read, written: str, meant: str) -> None:
    said = refused(read, f"{SMTP}domains: [{{name: example.com, dkim_selectors: ['{written}']}}]")
    assert said.endswith(f"dkim_selectors[0].selector: '{written}' is the name of a key; write {meant}")


def test_a_selector_may_only_look_like_the_name_of_a_key(read: Read) -> None:
    settings = read(f"{SMTP}domains: [{{name: example.com, dkim_selectors: [s1_domainkey, a._domainkeys]}}]")
    assert [key.selector for key in only(settings, Selector)] == ["s1_domainkey", "a._domainkeys"]
