"""What rests on other verdicts follows them: not before they are there, and not without news."""

from __future__ import annotations

from ipaddress import ip_address

from exporter.checks.ptr import MISSING, ptr
from exporter.checks.receiver import receiver
from exporter.checks.smtp_tls import NO_STARTTLS, smtp_tls
from exporter.engine.dependencies import Dependencies
from exporter.engine.store import Store
from exporter.model import Doubt, Finding, Outcome, Reason
from exporter.targets import Address, Delivery, MailHost

HOST = Address(ip=ip_address("192.0.2.1"), helo=("mail.example.com",))
MAIL = Delivery(domain="example.com", receivers=("gmail",), rests_on=(HOST.key,))
OTHER = Delivery(domain="example.net", receivers=("gmail",), rests_on=("ip=192.0.2.2",))
MX = MailHost(host="mx.example.com")
LED = {MX.host: ("domain=example.com", "domain=example.net")}
PTR, GMAIL = ("ptr", HOST.key), ("receiver", MAIL.key)
BAD = MISSING(ip="192.0.2.1", pointer="1.2.0.192.in-addr.arpa", helo="mail.example.com")


class Fleet:
    def __init__(self) -> None:
        self.store = Store()
        self.conclusions = Dependencies(self.store, lambda host: LED.get(host.host, ()))
        for check, target in ((ptr, HOST), (receiver, MAIL), (receiver, OTHER)):
            self.store.want(check, target)
            self.conclusions.learn((check.id, target.key), target)

    def run(self, *findings: Finding, doubt: Reason | None = None) -> list[tuple[str, str]]:
        """One run of ptr; whose turn it is then."""
        before = self.store.known(*PTR)
        self.store.record(Outcome(ptr, HOST, findings, (), Doubt(doubt, "?") if doubt else None, (), 1000, 0))
        return list(self.conclusions.after(PTR, before))


def test_nothing_is_concluded_from_what_has_not_been_looked_at() -> None:
    fleet = Fleet()
    assert fleet.conclusions.too_early(MAIL)
    assert not fleet.conclusions.too_early(OTHER), "what is not configured is not waited for"
    assert not fleet.conclusions.too_early(HOST)
    fleet.store.want(smtp_tls, HOST)
    fleet.store.want(ptr, HOST)
    fleet.run(doubt=Reason.DNS_TIMEOUT)
    assert not fleet.conclusions.too_early(MAIL), "that it could not be told is an answer, too; no demand rests on TLS"


def test_news_is_followed_by_what_rests_on_it_and_nothing_else_is() -> None:
    fleet = Fleet()
    assert fleet.run() == [GMAIL], "the first verdict is news"
    assert fleet.run() == []
    assert fleet.run(BAD) == [GMAIL]
    assert fleet.run(BAD) == [], "a finding that is confirmed is none"
    assert fleet.run(BAD, doubt=Reason.DNS_SERVFAIL) == [GMAIL]
    assert fleet.run(BAD, doubt=Reason.DNS_SERVFAIL) == []
    assert fleet.run() == [GMAIL]


def test_a_conclusion_is_no_news_to_itself() -> None:
    """It has the same key as the domain that it rests on."""
    fleet = Fleet()
    fleet.conclusions.learn(GMAIL, Delivery(domain="example.com", receivers=(), rests_on=(MAIL.key,)))
    assert list(fleet.conclusions.after(GMAIL, None)) == []


def test_the_policies_of_domains_follow_what_is_found_at_their_mail_hosts() -> None:
    fleet = Fleet()
    fleet.store.want(smtp_tls, MX)
    key = smtp_tls.id, MX.key
    bad = [NO_STARTTLS(host=MX.host, ip=ip, port=25) for ip in ("192.0.2.25", "192.0.2.26")]

    def run(*findings: Finding, doubt: Reason | None = None) -> set[tuple[str, str]]:
        before = fleet.store.known(*key)
        fleet.store.record(Outcome(smtp_tls, MX, findings, (), Doubt(doubt, "?") if doubt else None, (), 1000, 0))
        return set(fleet.conclusions.after(key, before))

    both = {("mta_sts", domain) for domain in LED[MX.host]}
    assert run() == set(), "that nothing is wrong is what they went by"
    assert run(bad[0]) == both
    assert run(bad[0]) == set()
    assert run(*bad) == both, "one more address"
    assert run(doubt=Reason.NETWORK) == set(), "what was found still stands"
    assert run() == both


def test_after_a_reload_only_what_is_wanted_now_rests_on_anything() -> None:
    fleet = Fleet()
    fleet.conclusions.clear()
    assert fleet.run() == []
