"""What the scenarios of smtp_tls cannot say: certificates of any lifetime, hosts of many addresses, and no client."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from exporter.checks.smtp_tls.certificate import BY_FLAW, CERTIFICATE_PURPOSE
from exporter.checks.smtp_tls.check import OF_ADDRESSES
from exporter.checks.smtp_tls.check import smtp_tls as check
from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import IP, Doubt, Reason
from exporter.mail.certificate import Certificate, ChainFlaw, FlawKind, Shown
from exporter.mail.smtp import SmtpReply
from exporter.mail.tls import Version
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.silence import Silence
from exporter.net.smtp.connection import Secured
from exporter.net.smtp.probe import Rejection, SmtpResult
from exporter.targets import MailHost
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver
from tests.support.peers import HOST

DAY = 86400.0
LEAF = Certificate(0, 0, ("mx.example.com",), "CN=mx", "CN=ca", self_signed=False, key="EC 256", weak="", sha256="")


HERE, THERE = ip_address("192.0.2.25"), ip_address("192.0.2.26")
TWO = "mx.example.com. A 192.0.2.25\nmx.example.com. A 192.0.2.26\n"
SILENT = Doubt(Reason.NETWORK, "no end of banner within 28 s")


class Told(Net):
    """Every address tells the same."""

    told: SmtpResult
    asked: list[IP]

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        self.asked.append(ip)
        return self.told


async def judged(
    told: SmtpResult, zone: str = "mx.example.com. A 192.0.2.25", port: int = 25
) -> tuple[Outcome, list[IP]]:
    clock, asked = FakeClock(), list[IP]()

    def net() -> Net:
        it = Told(MemoryResolver(ZoneData(zone)), clock)
        it.told, it.asked = told, asked
        return it

    return await evaluate(check, MailHost(host=HOST.host, port=port), net, clock), asked


def shown(lifetime: float, left: float) -> SmtpResult:
    """With so many days of life, and left of it."""
    end = FakeClock().wall() + left * DAY
    leaf = Certificate(
        end - lifetime * DAY, end, LEAF.names, LEAF.subject, LEAF.issuer, self_signed=False, key="", weak="", sha256=""
    )
    return SmtpResult(
        ip_address("192.0.2.25"),
        greeting=SmtpReply(220, ("mx",)),
        offered={"SIZE": "1"},
        starttls=True,
        shown=Shown(leaf, 2, trusted=True),
    )


@pytest.mark.parametrize(
    ("lifetime", "left", "expiring"),
    [
        (365, 22, False),
        (365, 20, True),
        (90, 22, False),
        (90, 20, True),
        (47, 15, False),  # where ACME clients renew with a third of the life left
        (47, 11, True),
        (6, 2, False),
        (6, 1, True),
    ],
)
async def test_renewal_is_overdue_by_the_certificate_s_own_measure(
    lifetime: float, left: float, expiring: bool
) -> None:
    """A fixed number of days would call every short-lived certificate overdue all its life."""
    outcome, _ = await judged(shown(lifetime, left))
    assert [finding.id for finding in outcome.findings] == ["smtp_tls.certificate-expiring"] * expiring


@pytest.mark.parametrize(
    ("port", "left", "severity"), [(25, 2, "warning"), (587, 4, "warning"), (587, 2, "critical"), (465, 2, "critical")]
)
async def test_the_last_days_are_critical_only_where_clients_verify(port: int, left: float, severity: str) -> None:
    outcome, _ = await judged(shown(365, left), port=port)
    assert [finding.severity for finding in outcome.findings] == [severity]


async def test_no_more_than_eight_addresses_are_visited_and_that_is_said() -> None:
    zone = "\n".join(f"mx.example.com. A 192.0.2.{n}" for n in range(1, 11))
    outcome, asked = await judged(shown(90, 60), zone)
    assert len(set(asked)) == len(asked) == 8
    assert ("2 more addresses, which are not checked",) in [exchange.got for exchange in outcome.transcript]


async def test_in_whatever_order_dns_tells_them_the_same_addresses_are_visited() -> None:
    every = [f"mx.example.com. A 192.0.2.{n}" for n in range(1, 11)]
    visited = [(await judged(shown(90, 60), "\n".join(order)))[1] for order in (every, every[::-1])]
    assert visited[0] == visited[1]


async def test_without_a_door_the_check_is_no_verdict() -> None:
    clock = FakeClock()
    dns = MemoryResolver(ZoneData("mx.example.com. A 192.0.2.25"))
    outcome = await evaluate(check, HOST, lambda: Net(dns, clock), clock)
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.BUG


class Each(Net):
    """Each address tells what it is told to."""

    told: dict[IP, SmtpResult]

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        return self.told[ip]


class Host:
    """One mail host of two addresses, looked at again and again."""

    def __init__(self, port: int = 25) -> None:
        self.clock, self.store = FakeClock(), Store()
        self.target = MailHost(host=HOST.host, port=port)
        self.store.hold(check, self.target)

    async def look(self, *results: SmtpResult, zone: str = TWO) -> set[tuple[str, str]]:
        """The findings that are held afterwards, each with the last figure of its address."""

        def net() -> Net:
            it = Each(MemoryResolver(ZoneData(zone)), self.clock)
            it.told = {told.ip: told for told in results}
            return it

        self.clock.pass_(1800)
        self.store.record(await evaluate(check, self.target, net, self.clock))
        state = self.store.get(check.id, self.target.key)
        assert state is not None
        return {(it.finding.id, dict(it.finding.evidence).get("ip", "")[-1:]) for it in state.findings}


def good(ip: IP, **other: Any) -> SmtpResult:
    """All is well at this address, but for what is given."""
    end = FakeClock().wall() + 60 * DAY
    leaf = replace(LEAF, not_before=end - 90 * DAY, not_after=end)
    told = SmtpResult(
        ip,
        greeting=SmtpReply(220, ("mx",)),
        offered={"SIZE": "1"},
        starttls=True,
        secured=Secured(Version.TLS_1_3, "cipher", (b"",)),
        shown=Shown(leaf, 2, trusted=True),
        seconds=dict.fromkeys(("connect", "banner", "ehlo", "starttls", "tls"), 0.1),
        versions={Version.TLS_1_0: False, Version.TLS_1_1: False, Version.TLS_1_2: True, Version.TLS_1_3: True},
    )
    return replace(told, **other)


def silent(ip: IP, **other: Any) -> SmtpResult:
    return replace(SmtpResult(ip, doubt=SILENT), **other)


def with_leaf(ip: IP, **other: Any) -> SmtpResult:
    whole = good(ip)
    assert whole.shown is not None
    trusted = other.pop("trusted", True)
    return replace(whole, shown=Shown(replace(whole.shown.leaf, **other), 2, trusted=trusted, flaw=None))


NO_TLS: dict[str, Any] = {"starttls": False, "secured": None, "shown": None, "versions": {}}
FAULTS: dict[str, SmtpResult] = {
    "refused": SmtpResult(THERE, refused=True),
    "no-smtp": SmtpResult(THERE, other_protocol="SSH", seconds={"connect": 0.1}),
    "unreachable": SmtpResult(THERE, silence=Silence(1.0, 4), last_words="421"),
    "rejected": SmtpResult(
        THERE,
        greeting=SmtpReply(554, ("no",)),
        rejected=Rejection("our connection", SmtpReply(554, ("no",))),
        seconds={"connect": 0.1, "banner": 0.1},
    ),
    "slow-greeting": good(THERE, seconds={"connect": 0.1, "banner": 12.0}),
    "inspected": good(THERE, inspected="it greets with asterisks"),
    "no-starttls": good(THERE, **NO_TLS),
    "starttls-gone": good(THERE, **NO_TLS, starttls_last=1.0),
    "tls-fails": good(THERE, tls_failure="alert handshake failure", secured=None, shown=None, versions={}),
    "starttls-injection": good(THERE, in_clear="250", secured=None, shown=None, versions={}),
    "starttls-command-injection": good(THERE, obeys_clear_text=True),
    "outdated-ciphers": good(THERE, outdated="dh key too small"),
    "obsolete-only": good(THERE, secured=Secured(Version.TLS_1_0, "c", (b"",)), versions={Version.TLS_1_0: True}),
    "obsolete-version": good(THERE, versions={Version.TLS_1_0: True, Version.TLS_1_3: True}),
    "no-size": good(THERE, offered={"STARTTLS": ""}),
    "certificate-name": with_leaf(THERE, names=("other.example.com",)),
    "certificate-weak": with_leaf(THERE, weak="a key of 1024 bits (RSA)"),
    "certificate-expired": with_leaf(THERE, not_after=1.0),
    "certificate-not-yet-valid": with_leaf(THERE, not_before=FakeClock().wall() + 30 * DAY),
    "certificate-expiring": with_leaf(THERE, not_after=FakeClock().wall() + 5 * DAY),
    "certificate-self-signed": with_leaf(THERE, self_signed=True, trusted=False),
    "certificate-untrusted": with_leaf(THERE, trusted=False),
    **{
        f"certificate-{rule.id.partition('certificate-')[2]}": replace(
            good(THERE),
            shown=Shown(replace(LEAF, not_after=4e9), 2, trusted=False, flaw=ChainFlaw(kind, "CN=ca", "is so")),
        )
        for kind, rule in {**BY_FLAW, FlawKind.PURPOSE: CERTIFICATE_PURPOSE}.items()
    },
}
# The questions that a conversation has answered which then breaks off in the middle of TLS.
BEFORE_TLS = {"refused", "no-smtp", "rejected", "slow-greeting", "inspected", "no-starttls", "starttls-gone", "no-size"}


def test_every_rule_of_an_address_is_among_the_faults() -> None:
    assert {rule.id.partition(".")[2] for rule in OF_ADDRESSES} == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_at_one_address_ends_when_it_is_mended_whatever_is_in_doubt_elsewhere(fault: str) -> None:
    host, found = Host(), (f"smtp_tls.{fault}", "6")
    assert found in await host.look(good(HERE), FAULTS[fault])
    assert found in await host.look(good(HERE), silent(THERE)), "its own question is in doubt"
    assert await host.look(silent(HERE), good(THERE)) == set(), "the doubt is about the other address"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_at_one_address_ends_whatever_dns_does_not_tell(fault: str) -> None:
    host, found = Host(), (f"smtp_tls.{fault}", "6")
    unsure = f"; servfail: mx.example.com. AAAA\n{TWO}"
    assert found in await host.look(good(HERE), FAULTS[fault])
    assert await host.look(good(HERE), good(THERE), zone=unsure) == set()
    await host.look(good(HERE), FAULTS[fault])
    silence = "; servfail: mx.example.com. A\n; servfail: mx.example.com. AAAA\n"
    assert found in await host.look(zone=silence), "its address is not known any more"
    one = "mx.example.com. A 192.0.2.25\n"
    assert await host.look(good(HERE), zone=one) == set(), "the address has gone"


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_was_answered_before_a_conversation_broke_off_counts(fault: str) -> None:
    host, found = Host(), (f"smtp_tls.{fault}", "6")
    await host.look(good(HERE), FAULTS[fault])
    broken = good(THERE, doubt=SILENT, secured=None, shown=None, versions={}, seconds={"connect": 0.1, "banner": 0.1})
    assert (found in await host.look(good(HERE), broken)) is (fault not in BEFORE_TLS)


async def test_a_missing_address_is_found_again_only_by_an_answer() -> None:
    host = Host()
    assert await host.look(zone="mx.example.com. TXT x") == {("smtp_tls.no-address", "")}
    assert await host.look(zone="; servfail: mx.example.com. AAAA\nmx.example.com. TXT x") == {
        ("smtp_tls.no-address", "")
    }
    assert await host.look(good(HERE), good(THERE), zone=f"; servfail: mx.example.com. AAAA\n{TWO}") == set()


async def conclusion_of_a_silent_port(host: str, ip: str) -> Doubt | None:
    clock, dns = FakeClock(), MemoryResolver(ZoneData(f"{host}. A {ip}"))
    async with mail_door({(ip_address(ip), 25): Behaviour(fault=SmtpFault.TIMEOUT)}, clock) as mail:
        return (await evaluate(check, MailHost(host=host), lambda: Net(dns, clock, mail=mail), clock)).doubt


async def test_a_closed_port_is_told_in_the_same_words_for_every_host() -> None:
    words = (
        "nothing answers on port 25 from here over IPv4. Test it on this machine with "
        "`nc -4 -zvw 10 gmail-smtp-in.l.google.com 25`. If that fails, the hoster or a firewall blocks the port; "
        "switch smtp_tls and dane off then (checks: {smtp_tls: {enabled: false}, dane: {enabled: false}})"
    )
    for host, ip in (("mx.example.com", "192.0.2.25"), ("mx.example.net", "198.51.100.7")):
        assert await conclusion_of_a_silent_port(host, ip) == Doubt(Reason.EGRESS, words)
