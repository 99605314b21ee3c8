"""A sender of a domain may name the envelope domains that it uses; `theirs` are domains of its own."""

from __future__ import annotations

import pytest

from exporter.targets import Authorisation, Delivery, Domain, Zone
from tests.support.configuration import Read, only, refused

SENDERS = """\
blocklists: []
smtp: {helo_name: probe.example.net}
senders:
- {name: own, addresses: [192.0.2.1], helo: mail.example.com}
- {name: sendgrid, spf_include: sendgrid.net}
- {name: mailchimp, spf_include: servers.mcsv.net}
"""


def envelopes(read: Read, domain: str) -> tuple[Domain, dict[str, tuple[str, ...]]]:
    """The domain, and what is judged of each sender that SPF has to allow something."""
    settings = read(f"{SENDERS}domains: [{{name: example.com, {domain}}}]")
    (made,) = only(settings, Domain)
    assert [zone.mail_from for zone in only(settings, Zone)] == [made.mail_from]
    return made, {target.sender: target.mail_from for target in only(settings, Authorisation)}


def test_each_sender_is_judged_where_it_sends(read: Read) -> None:
    domain, judged = envelopes(
        read, "senders: [own, {name: sendgrid, mail_from: [em1234.example.com]}, {name: mailchimp, mail_from: theirs}]"
    )
    assert judged == {"own": ("example.com",), "sendgrid": ("em1234.example.com",)}
    assert domain.mail_from == ("example.com", "em1234.example.com")
    assert (domain.theirs, domain.own_machines) == (("mailchimp",), True)


def test_a_sender_without_its_own_uses_those_of_the_domain_as_before(read: Read) -> None:
    domain, judged = envelopes(read, "senders: [own, sendgrid], mail_from: [example.com, em1234.example.com]")
    both = ("example.com", "em1234.example.com")
    assert judged == {"own": both, "sendgrid": both}
    assert (domain.mail_from, domain.theirs) == (both, ())


def test_that_senders_are_judged_crosswise_is_told(read: Read) -> None:
    several = "mail_from: [example.com, em1234.example.com]"
    for domain, told in (
        (f"senders: [own, sendgrid, mailchimp], {several}", True),
        (f"senders: [own, {{name: sendgrid, mail_from: [em1234.example.com]}}], {several}", False),
        ("senders: [own, sendgrid], mail_from: [bounce.example.com]", False),
    ):
        settings = read(f"{SENDERS}domains:\n- {{name: example.com, {domain}}}")
        warnings = [str(it) for it in settings.warnings if "say which one uses which" in it.message]
        assert [it.split(": ")[0] for it in warnings] == ["config.yaml:8 domains[0].mail_from"] * told


def test_a_mapping_that_names_the_sender_alone_is_the_short_form(read: Read) -> None:
    assert envelopes(read, "senders: [{name: own}]") == envelopes(read, "senders: [own]")


def test_the_name_of_the_domain_is_no_envelope_domain_where_each_sender_has_its_own(read: Read) -> None:
    domain, judged = envelopes(read, "senders: [{name: sendgrid, mail_from: [em1234.example.com]}]")
    assert (domain.mail_from, judged) == (("em1234.example.com",), {"sendgrid": ("em1234.example.com",)})


def test_what_is_written_for_the_domain_counts_even_if_each_sender_has_its_own(read: Read) -> None:
    domain, _ = envelopes(read, "mail_from: [b.example.com], senders: [{name: sendgrid, mail_from: [em.example.com]}]")
    assert domain.mail_from == ("b.example.com", "em.example.com")


def test_where_all_use_their_own_nothing_is_left_for_spf_to_allow(read: Read) -> None:
    domain, judged = envelopes(
        read, "senders: [{name: sendgrid, mail_from: theirs}, {name: mailchimp, mail_from: theirs}]"
    )
    assert (domain.mail_from, domain.own_machines, judged) == ((), False, {})
    assert domain.theirs == ("sendgrid", "mailchimp")


def test_who_is_always_theirs_needs_no_spf_include_and_no_verdict_rests_on_its_spf(read: Read) -> None:
    settings = read(
        "blocklists: []\nsmtp: {helo_name: probe.example.net}\nsenders: [{name: mailchimp}]\n"
        "domains: [{name: example.com, receivers: [gmail], senders: [{name: mailchimp, mail_from: theirs}]}]"
    )
    (delivery,) = only(settings, Delivery)
    assert [it.key for it in delivery.rests_on] == ["domain=example.com"]
    assert settings.warnings == ()


MAILS = "smtp: {helo_name: probe.example.net}\nsenders: [{name: a, spf_include: a.example}]\n"
REFUSED = {
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: b, mail_from: theirs}}]}}]": (
        "config.yaml:3 domains[0].senders[0]: no sender is called 'b'; known are a"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [a, {{name: a, mail_from: [em1.example.com]}}]}}]": (
        "config.yaml:3 domains[0].senders[1]: the sender 'a' of example.com is configured twice: "
        "here and at config.yaml:3 domains[0].senders[0]; keep one"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: a, mail_from: [theirs, em1.example.com]}}]}}]": (
        "config.yaml:3 domains[0].senders[0].mail_from: has theirs in a list; write the word alone, or a list of "
        "domain names"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: a, mail_from: []}}]}}]": (
        "config.yaml:3 domains[0].senders[0].mail_from: expected at least one of its domain names, got an empty list"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: a, mail_from: em1.example.com}}]}}]": (
        "config.yaml:3 domains[0].senders[0].mail_from: expected a list of domain names or the word theirs, got "
        "'em1.example.com'"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: a, mail_from: }}]}}]": (
        "config.yaml:3 domains[0].senders[0].mail_from: expected a list of domain names or the word theirs, got nothing"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: a, mail_from: [e.example, e.example]}}]}}]": (
        "config.yaml:3 domains[0].senders[0].mail_from[1]: the envelope domain e.example is configured twice: "
        "here and at config.yaml:3 domains[0].senders[0].mail_from[0]; keep one"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{mail_from: theirs}}]}}]": (
        "config.yaml:3 domains[0].senders[0].name: is missing; set it to the name of the sender"
    ),
    f"{MAILS}domains: [{{name: example.com, senders: [{{name: a, mail-from: theirs}}]}}]": (
        "config.yaml:3 domains[0].senders[0].mail-from: is an unknown key; did you mean mail_from?"
    ),
    "smtp: {helo_name: probe.example.net}\n"
    "senders: [{name: a, helo: a.example, addresses: [192.0.2.1]}]\n"
    "domains: [{name: example.com, senders: [{name: a, mail_from: theirs}]}]": (
        "config.yaml:3 domains[0].senders[0].mail_from: is theirs, but a has addresses of yours; name the envelope "
        "domains that it uses"
    ),
    "smtp: {helo_name: probe.example.net}\n"
    "senders: [{name: a}]\n"
    "domains: [{name: a.example, senders: [{name: a, mail_from: theirs}]}, {name: b.example, senders: [a]}]": (
        "config.yaml:2 senders[0]: has no addresses; list those that send, or set spf_include if the machines are not "
        "yours"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_each_fault_is_told_with_its_place_and_what_to_do(read: Read, text: str) -> None:
    assert refused(read, text) == REFUSED[text]
