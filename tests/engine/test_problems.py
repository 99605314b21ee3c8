"""Findings that one change repairs are one problem, with its members, the domains that it hurts, and one fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine import catalogue
from exporter.engine.held import Held
from exporter.engine.problems import Problem, problems
from exporter.facts import Finding, Record, Rule, Severity
from exporter.model import Acceptance, Outcome, Target
from exporter.targets import Address, Authorisation, Domain, Greeting, MailHost, Selector

CATALOGUE = catalogue.load()
POLICY = FindingPolicy()
NOBODY = Held([])


def state(
    check: str,
    target: Target,
    *findings: Finding,
    at: float = 1000.0,
    found: tuple[Target, ...] = (),
    records: tuple[Record, ...] = (),
) -> CheckState:
    judged = CATALOGUE.checks[check]
    run = Outcome(judged, target, findings, (), (), (), started=at, duration=0.0, found=found, records=records)
    return CheckState(judged, target).after(run)


def finding(rule: str, **evidence: Any) -> Finding:
    declared = CATALOGUE.rules[rule]
    return declared(**(dict.fromkeys(declared.fields, "x") | evidence))


def domain(name: str) -> Domain:
    return Domain(name=name, mail_from=(name,))


def found(*states: CheckState, policy: FindingPolicy = POLICY) -> list[Problem]:
    return problems(states, policy, now=5000)


def refused(name: str, sender: str, addresses: Iterable[str], result: str = "fail") -> CheckState:
    return state(
        "spf_sender",
        Authorisation(domain=name, sender=sender, mail_from=(name,)),
        *(finding("spf_sender.not-authorised", ip=ip, name=name, result=result) for ip in addresses),
    )


def test_one_wrong_record_of_forty_senders_is_one_problem_with_one_fix() -> None:
    """The network is exact: no address more is authorised than those that send."""
    (problem,) = found(
        *(refused("example.com", f"out{host}", [f"198.51.100.{host}"]) for host in range(64)),
        refused("example.com", "six", ["2001:db8::1"]),
    )
    assert len(problem.members) == 65
    assert problem.domains == {"example.com"}
    assert problem.fix == (
        "Add ip4:198.51.100.0/26 ip6:2001:db8::1 to the SPF record of example.com, "
        'before "all" and before any mechanism that rejects them.'
    )


def test_a_fix_for_many_addresses_names_what_has_to_be_done_to_that_record() -> None:
    assert found(refused("example.com", "out", ["192.0.2.1", "192.0.2.3"], result="none"))[0].fix == (
        'Publish at example.com the TXT record "v=spf1 ip4:192.0.2.1 ip4:192.0.2.3 ~all", '
        "with everything else that sends."
    )
    scattered = [f"192.0.2.{host}" for host in range(0, 250, 2)]
    assert " and 105 more to the SPF record" in found(refused("example.com", "out", scattered))[0].fix


def test_the_fix_of_one_member_is_its_own() -> None:
    single = finding("spf_sender.not-authorised", ip="192.0.2.1", name="example.com", remedy="add the term")
    target = Authorisation(domain="example.com", sender="out", mail_from=("example.com",))
    assert found(state("spf_sender", target, single))[0].fix == single.fix


def test_one_mail_host_of_fifty_domains_is_one_problem_that_hurts_them_all() -> None:
    names = [f"customer{number}.example" for number in range(50)]
    host = MailHost(host="mx.example.net")
    unreachable = {"mail_host": host.host, "how": "silent", "since": "yesterday"}
    domains = [
        state("mx", domain(name), finding("mx.host-unreachable", domain=name, **unreachable), found=(host,), at=number)
        for number, name in enumerate(names)
    ]
    silent = state("smtp_tls", host, finding("smtp_tls.unreachable", host=host.host, ip="192.0.2.25"))
    by_rule = {problem.rule.id: problem for problem in found(*domains, silent)}
    assert set(by_rule) == {"mx.host-unreachable", "smtp_tls.unreachable"}
    for problem in by_rule.values():
        assert problem.domains == set(names)
    shared = by_rule["mx.host-unreachable"]
    assert (len(shared.members), shared.since) == (50, 0)
    assert "customer0.example, customer1.example" in shared.text
    assert "and 45 more" in shared.text


def test_records_of_two_domains_are_two_problems() -> None:
    assert len(found(refused("example.com", "out", ["192.0.2.1"]), refused("example.org", "out", ["192.0.2.1"]))) == 2


def test_a_greeting_hurts_every_domain_that_its_sender_sends_for() -> None:
    ip = ip_address("192.0.2.1")
    sends = [refused(name, "out", []) for name in ("example.com", "example.org")]
    says = state("helo", Greeting(sender="out", ip=ip, helo="localhost"), finding("helo.local-name", helo="localhost"))
    pointer = state("ptr", Address(ip=ip, helo=("localhost",)), finding("ptr.missing", ip=ip, helo="localhost"))
    both = found(*sends, says, pointer)
    assert {problem.rule.id for problem in both} == {"helo.local-name", "ptr.missing"}
    assert all(problem.domains == {"example.com", "example.org"} for problem in both)


def test_what_hurts_most_comes_first() -> None:
    """Severity, then the domains that it hurts, then the newest: the greeting of all domains is above one record."""
    ip = ip_address("192.0.2.1")
    order = found(
        *(refused(name, "out", []) for name in ("a.example", "b.example")),
        state("dmarc", domain("a.example"), finding("dmarc.missing", domain="a.example")),
        state(
            "dkim",
            Selector(domain="a.example", selector="s", signer="a.example"),
            finding("dkim.missing", name="s"),
            at=2,
        ),
        state(
            "dkim",
            Selector(domain="b.example", selector="s", signer="b.example"),
            finding("dkim.missing", name="t"),
            at=3,
        ),
        state("helo", Greeting(sender="out", ip=ip, helo="localhost"), finding("helo.local-name", helo="localhost")),
    )
    assert [(it.rule.id, it.since) for it in order] == [
        ("helo.local-name", 1000),
        ("dkim.missing", 3),
        ("dkim.missing", 2),
        ("dmarc.missing", 1000),
    ]


def test_what_is_accepted_or_information_or_repeats_others_is_no_problem() -> None:
    accepted = replace(domain("example.com"), accept=(Acceptance(finding="dmarc.missing", until=None, reason="later"),))
    missing = finding("dmarc.missing", domain="example.com")
    assert not found(state("dmarc", accepted, missing))
    assert not found(state("dmarc", domain("example.com"), finding("dmarc.no-rua", name="example.com")))
    info = FindingPolicy({"dmarc.missing": Severity.INFO})
    assert not found(state("dmarc", domain("example.com"), missing), policy=info)
    repeats = next(check for check in CATALOGUE.checks.values() if check.concludes)
    rule = next(entry for entry in CATALOGUE.entries if entry.check is repeats).rules[0]
    assert not found(state(repeats.id, domain("example.com"), finding(rule.id)))


def several(rule: Rule) -> list[Finding]:
    return [finding(rule.id, **{name: f"{name}{number}" for name in rule.fields}) for number in (1, 2)]


@pytest.mark.parametrize("rule", [it for it in CATALOGUE.rules.values() if it.merged is None], ids=lambda rule: rule.id)
def test_the_sentences_of_every_rule_can_be_about_several(rule: Rule) -> None:
    both = several(rule)
    for sentence in (rule.text_of(both), rule.fix_of(both, NOBODY)):
        assert "{" not in sentence
    assert rule.text_of(both[:1]) == both[0].text
    assert rule.fix_of(both[:1], NOBODY) == both[0].fix


def test_a_cause_is_evidence_of_its_rule() -> None:
    with pytest.raises(TypeError, match="host"):
        Rule("sample.x", Severity.WARNING, says="{ip}", why="W.", fix="F.", ref="R", cause=("host",))
