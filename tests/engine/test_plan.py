"""One plan: which check looks at what, and what runs again because of what, no sooner than that and only for news."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from exporter.check_state import CheckState, Key
from exporter.checks.mx import mx
from exporter.checks.ptr import MISSING, ptr
from exporter.checks.receiver import receiver
from exporter.checks.smtp_tls.check import smtp_tls
from exporter.checks.smtp_tls.connection import NO_STARTTLS
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue, CatalogueEntry
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.facts import Doubt, Finding, Reason
from exporter.model import Check, Outcome, Target, TargetId, check
from exporter.targets import Address, Delivery, Domain, MailHost, Selector
from tests.support.checks import SAMPLE

CATALOGUE = catalogue.load()
HOST = Address(ip=ip_address("192.0.2.1"), helo=("mail.example.com",))
MAIL = Delivery(domain="example.com", receivers=("gmail",), rests_on=(TargetId(HOST.identity),))
OTHER = Delivery(domain="example.net", receivers=("gmail",), rests_on=(TargetId((("ip", "192.0.2.2"),)),))
DOMAINS = [Domain(name=name, mail_from=(name,)) for name in ("example.com", "example.net")]
MX = MailHost(host="mx.example.com")
GMAIL = ("receiver", MAIL.key)
BAD = MISSING(ip="192.0.2.1", pointer="1.2.0.192.in-addr.arpa", helo="mail.example.com")


class Fleet:
    """A store and a plan; what runs is told what to find."""

    def __init__(self, *targets: Target, off: tuple[str, ...] = ()) -> None:
        self.store = Store()
        enabled = CATALOGUE.checks.keys() - set(off)
        self.plan = Plan(CATALOGUE, targets, enabled.__contains__, self.store)
        for pair in self.plan.configured():
            self.store.hold(*pair)

    def run(
        self,
        check: Check,
        target: Target,
        *findings: Finding,
        doubt: Reason | None = None,
        found: tuple[Target, ...] = (),
    ) -> set[Key]:
        """One run; whose turn it is then."""
        before = self.store.get(check.id, target.key)
        doubts = (Doubt(doubt, "?"),) if doubt else ()
        now = self.store.record(Outcome(check, target, findings, (), doubts, (), 1000, 0, found=found))
        assert now is not None
        for new in self.plan.learn(now).added:
            self.store.hold(*new)
        return self.plan.dependents(before, now)


def test_what_breaks_of_a_domain_makes_mx_look_whether_it_exists() -> None:
    domain = DOMAINS[0]
    key = Selector(domain="example.com", selector="s1", signer="example.com")
    fleet = Fleet(*DOMAINS, key, HOST)
    missing = CATALOGUE.rules["dkim.missing"]
    evidence: dict[str, Any] = dict.fromkeys(missing.fields, "x")
    bad = missing(**evidence)
    dkim = CATALOGUE.checks["dkim"]
    assert fleet.run(dkim, key) == set(), "nothing is wrong"
    assert fleet.run(dkim, key, bad) == {("mx", domain.key)}
    assert fleet.run(dkim, key, bad) == set(), "no news"
    assert fleet.run(dkim, key) == set(), "it is well again"
    assert ("mx", domain.key) not in fleet.run(ptr, HOST, BAD), "it is of no domain"
    assert Fleet(key, off=("mx",)).run(dkim, key, bad) == set(), "nobody looks at it"


def test_nothing_is_concluded_from_what_has_not_been_looked_at() -> None:
    fleet = Fleet(HOST, MAIL, OTHER)
    assert fleet.plan.too_early(receiver, MAIL)
    assert not fleet.plan.too_early(receiver, OTHER), "what is not configured is not waited for"
    assert not fleet.plan.too_early(ptr, HOST)
    fleet.run(ptr, HOST, doubt=Reason.DNS_TIMEOUT)
    assert not fleet.plan.too_early(receiver, MAIL), "that it could not be told is an answer, too"


def test_news_is_followed_by_what_rests_on_it_and_nothing_else_is() -> None:
    fleet = Fleet(HOST, MAIL, OTHER)
    assert fleet.run(ptr, HOST) == {GMAIL}, "the first verdict is news"
    assert fleet.run(ptr, HOST) == set()
    assert fleet.run(ptr, HOST, BAD) == {GMAIL}
    assert fleet.run(ptr, HOST, BAD) == set(), "a finding that is confirmed is none"
    assert fleet.run(ptr, HOST, BAD, doubt=Reason.DNS_SERVFAIL) == {GMAIL}
    assert fleet.run(ptr, HOST, BAD, doubt=Reason.DNS_SERVFAIL) == set()
    assert fleet.run(ptr, HOST) == {GMAIL}


def test_a_conclusion_is_no_news_to_itself() -> None:
    """It has the same key as the domain that it rests on."""
    fleet = Fleet(replace(MAIL, rests_on=(TargetId(MAIL.identity),)))
    assert fleet.run(receiver, MAIL) == set()


def test_domains_follow_what_is_found_at_their_mail_hosts() -> None:
    fleet = Fleet(*DOMAINS)
    for domain in DOMAINS:
        fleet.run(mx, domain, found=(MX,))
    bad = [NO_STARTTLS(host=MX.host, ip=ip, port=25) for ip in ("192.0.2.25", "192.0.2.26")]
    both = {(check, domain.key) for domain in DOMAINS for check in ("mta_sts", "mx")}
    assert fleet.run(smtp_tls, MX) == set(), "that nothing is wrong is what they went by"
    assert fleet.run(smtp_tls, MX, bad[0]) == both
    assert fleet.run(smtp_tls, MX, bad[0]) == set()
    assert fleet.run(smtp_tls, MX, *bad) == both, "one more address"
    assert fleet.run(smtp_tls, MX, doubt=Reason.NETWORK) == set(), "what was found still stands"
    assert fleet.run(smtp_tls, MX) == both


def test_who_finds_a_mail_host_that_is_known_already_hears_of_what_is_wrong_there() -> None:
    """It ran before it knew that it has to read those results, and nothing there will change."""
    first, second = DOMAINS
    fleet = Fleet(*DOMAINS)
    fleet.run(mx, first, found=(MX,))
    assert fleet.run(mx, second) == set()
    fleet.run(smtp_tls, MX, NO_STARTTLS(host=MX.host, ip="192.0.2.25", port=25))
    told = fleet.run(mx, second, found=(MX,))
    assert ("mta_sts", second.key) in told
    assert {key for _, key in told} == {second.key}
    assert fleet.run(mx, second, found=(MX,)) == set(), "it is no news any more"


def test_what_is_switched_off_follows_nothing() -> None:
    fleet = Fleet(*DOMAINS, off=("mta_sts",))
    fleet.run(mx, DOMAINS[0], found=(MX,))
    bad = NO_STARTTLS(host=MX.host, ip="192.0.2.25", port=25)
    assert fleet.run(smtp_tls, MX, bad) == {("mx", DOMAINS[0].key)}


def test_what_nobody_leads_to_any_more_is_gone() -> None:
    fleet = Fleet(*DOMAINS)
    fleet.run(mx, DOMAINS[0], found=(MX,))
    assert {target for key in fleet.plan.found for _, target in fleet.plan.found_pairs(key)} == {MX}
    missed = fleet.store.record(Outcome(mx, DOMAINS[0], (), (), (), (), 2000, 0))
    assert missed is not None
    assert fleet.plan.learn(missed).removed == [], "the resolver may have lied"
    before = fleet.store.confirm(missed.key, 2001)
    assert before is not None
    gone = {(check.id, target.key) for check, target in fleet.plan.learn(before).removed}
    assert gone == {(name, MX.key) for name in CATALOGUE.looking_at(MailHost)}
    assert fleet.plan.found == []


def test_a_run_in_doubt_loses_no_target() -> None:
    fleet = Fleet(*DOMAINS)
    fleet.run(mx, DOMAINS[0], found=(MX,))
    fleet.run(mx, DOMAINS[0], doubt=Reason.DNS_TIMEOUT)
    assert {target for key in fleet.plan.found for _, target in fleet.plan.found_pairs(key)} == {MX}


def chain(**after: tuple[str, ...]) -> Catalogue:
    """Checks that come after each other as said."""
    made = []
    for name, others in after.items():

        async def run(target: object, net: object) -> object:
            """Is it so?"""

        run.__name__ = name
        made.append(CatalogueEntry(check(over=Domain, after=others)(run), (), ()))  # type: ignore[arg-type]  # the same
    return Catalogue(tuple(made))


def test_the_order_of_checks_has_no_circle() -> None:
    order = catalogue.order(chain(a=("b",), b=("c",), c=()))
    assert order.index("c") < order.index("b") < order.index("a")
    with pytest.raises(ValueError, match="come after each other: "):
        catalogue.order(chain(a=("b",), b=("a",)))
    with pytest.raises(ValueError, match="there is not: x"):
        catalogue.order(chain(a=("x",)))
    assert SAMPLE.after == frozenset()


def test_only_the_given_targets_are_planned_if_some_are_given() -> None:
    fleet = Fleet(HOST, *DOMAINS)
    assert {target for _, target in fleet.plan.configured([HOST])} == {HOST}
    assert {target for _, target in fleet.plan.configured()} == {HOST, *DOMAINS}
    assert list(fleet.plan.configured([])) == []


def test_what_finds_no_targets_changes_none() -> None:
    fleet = Fleet(HOST)
    assert fleet.plan.learn(fleet.store["ptr", HOST.key]) == ([], [])


def test_what_nobody_reads_is_followed_by_nothing_also_the_first_time() -> None:
    target = Domain(name="example.com", mail_from=())
    plan = Plan(Catalogue((CatalogueEntry(SAMPLE, (), ()),)), [target], lambda _: True, Store())
    assert plan.dependents(None, CheckState(SAMPLE, target)) == set()


def test_the_first_findings_of_a_pair_that_was_not_known_are_news() -> None:
    fleet = Fleet(HOST, MAIL)
    fleet.run(ptr, HOST, BAD)
    assert fleet.plan.dependents(None, fleet.store["ptr", HOST.key]) == {GMAIL}
