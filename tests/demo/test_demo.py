"""The demonstration keeps its promise: an entry of config.example.yaml shows the fault of its name, and no other."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from exporter import clients, receivers
from exporter.check_state import CheckState, FindingPolicy
from exporter.config import Settings, load
from exporter.demo import world
from exporter.demo.world import PAUSE, DemoWorld
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import Severity, Verdict
from exporter.mail.dns import Question
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.receivers import DemandState
from exporter.targets import Delivery, Domain, Greeting
from exporter.views import cards
from exporter.views.cards import Reception
from exporter.views.report import Report, report
from tests.lab.process import free

pytestmark = pytest.mark.long

CATALOGUE = catalogue.load()
EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"

# What an entry between the marks shows: findings that fail a check, or "check: reason" where it cannot be told.
FAULTS = {
    "lists-the-world": {"blocklist_health.lists-the-world"},
    "dead-list": {"blocklist_health.dead"},
    "refusing-list": {"blocklist_health.refuses-resolver"},
    "helo-trailing-dot": {"helo.trailing-dot", "helo.single-label", "ehlo_probe.refused"},
    "helo-two-dots": {"helo.trailing-dot", "helo.empty-label", "ehlo_probe.refused"},
    "helo-trailing-space": {"helo.white-space", "ehlo_probe.refused"},
    "helo-mapped-literal": {"helo.bad-literal"},
    "helo-empty": {"helo.empty", "ehlo_probe.refused"},
    "helo-underscore": {"helo.underscore", "ehlo_probe.refused"},
    "helo-localhost": {"helo.local-name"},
    "helo-single-label": {"helo.single-label"},
    "helo-bare-address": {"helo.bare-address"},
    "helo-without-address": {"helo.no-address"},
    "helo-of-another-machine": {"helo.other-address"},
    "helo-not-the-ptr": {"helo.ptr-differs"},
    "helo-not-the-ptr-strict": {"helo.ptr-differs"},
    "helo-spf-forgets-it": {"helo.spf-not-authorised"},
    "ptr-missing": {"ptr.missing"},
    "ptr-leads-elsewhere": {"ptr.unconfirmed"},
    "ptr-generic": {"ptr.generic-name"},
    "ptr-not-answered": {"ptr: dns_servfail", "helo: dns_servfail"},
    "listed-as-infected": {"blocklist.listed"},
    "listed-by-us": {"blocklist.listed"},
    "certificate-expired.example.net": {"smtp_tls.certificate-expired"},
    "certificate-expiring.example.net": {"smtp_tls.certificate-expiring"},
    "certificate-for-another-name.example.net": {"smtp_tls.certificate-name"},
    "certificate-self-signed.example.net": {"smtp_tls.certificate-self-signed"},
    "tls-1-0-only.example.net": {"smtp_tls.obsolete-only"},
    "tls-1-0-too.example.net": {"smtp_tls.obsolete-version"},
    "no-starttls.example.net": {"smtp_tls.no-starttls"},
    "starttls-injection.example.net": {"smtp_tls.starttls-injection"},
    "refuses-connections.example.net": {"smtp_tls.refused"},
    "rejects-everybody.example.net": {"smtp_tls.rejected"},
    "says-try-later.example.net": {"smtp_tls: tempfail"},
    "no-address.example.net": {"smtp_tls.no-address"},
    "dane-mismatch.example": {"dane.mismatch"},
    "fleet.example.org": set(),
    "mx-missing.example.net": {"mx.nowhere"},
    "mx-dangling.example.net": {"mx.dangling"},
    "mx-alias.example.net": {"mx.alias"},
    "mx-unreachable.example.net": {"mx.host-unreachable", "mx.all-unreachable"},
    "mx-null.example.net": {"mx.null"},
    "spf-missing.example.net": {"spf.missing", "spf_sender.not-authorised"},
    "spf-two-records.example.net": {"spf.multiple-records", "spf_sender.not-authorised"},
    "spf-too-many-lookups.example.net": {"spf.too-many-lookups"},
    "spf-too-many-voids.example.net": {"spf.too-many-void-lookups"},
    "spf-syntax-error.example.net": {"spf.syntax-error", "spf_sender.not-authorised"},
    "spf-broken-include.example.net": {"spf.include-without-record"},
    "spf-allows-everyone.example.net": {"spf.allows-everyone"},
    "spf-forgets-sender.example.net": {"spf_sender.not-authorised"},
    "spf-forgets-provider.example.net": {"spf_sender.include-missing"},
    "spf-and-dkim-forgotten.example.net": {"spf_sender.not-authorised", "dkim.missing"},
    "spf-softfail.example.net": {"spf_sender.softfail"},
    "spf-obsolete-type.example.net": {"spf.obsolete-type"},
    "dkim-missing.example.net": {"dkim.missing"},
    "dkim-dangling-cname.example.net": {"dkim.dangling-cname"},
    "dkim-revoked.example.net": {"dkim.revoked"},
    "dkim-512-bits.example.net": {"dkim.too-short"},
    "dkim-1024-bits.example.net": {"dkim.weak"},
    "dkim-testing.example.net": set(),
    "dkim-retired-still-published.example.net": {"dkim.retired-still-published"},
    "dkim-no-keys.example.net": {"dkim.no-keys"},
    "dkim-selectors-unknown.example.net": set(),
    "dmarc-missing.example": {"dmarc.missing"},
    "registration-expiring.example": {"registration.expiring"},
    # None of the two counts. By RFC 9989 the policy is then that of example.net, by RFC 7489 there is none.
    "dmarc-two-records.example.net": {"dmarc.multiple-records", "dmarc.discovery-differs"},
    "dmarc-misspelt-policy.example.net": {"dmarc.bad-policy"},
    "dmarc-policy-none.example.net": set(),
    "dmarc-foreign-reports.example.net": {"dmarc.rua-unauthorised"},
    "dmarc-cannot-align.example.net": {"dmarc.cannot-align"},
    "zone-lame.example.net": {"zone.lame"},
    "zone-contradicts-itself.example.net": {"zone.data-differ"},
    "mta-sts-other-hosts.example.net": {"mta_sts.mx-not-listed"},
    "mta-sts-certificate.example.net": {"mta_sts.certificate"},
    "tls-rpt-bad-uri.example.net": {"tls_rpt.bad-uri"},
    "bimi-without-dmarc.example.net": {"bimi.dmarc-too-weak"},
    "bimi-not-tiny-ps.example.net": {"bimi.logo-profile"},
    "record-changed.example.net": set(),  # before and after: no fault, but worth a look
    "listed.example.net": {"blocklist.listed"},
    "parked-but-open.example.net": {"spf.parked-not-closed", "dmarc.parked"},
    "not-answered.example.net": {
        f"{check}: dns_servfail"
        for check in ("mx", "spf", "spf_sender", "dkim", "dmarc", "zone", "dane", "mta_sts", "tls_rpt", "bimi")
    },
}
# What receivers demand and these domains do not meet; all others of the file meet what can be seen.
UNMET = {
    "fleet.example.org": {
        "microsoft": {"helo", "reputation"},
        "gmail": {"helo", "ptr"},
        "yahoo": {"ptr", "helo", "spamhaus"},
    },
    "spf-forgets-sender.example.net": {"microsoft": {"spf"}, "gmail": {"spf-fail"}},
    "spf-and-dkim-forgotten.example.net": {
        "microsoft": {"spf", "authenticated-ipv6"},
        "gmail": {"spf-fail", "authenticated"},
        "yahoo": {"authenticated"},
    },
    "dmarc-missing.example": {"microsoft_bulk": {"dmarc"}, "gmail_bulk": {"dmarc"}},
    "dmarc-cannot-align.example.net": {
        "microsoft": {"dmarc"},
        "microsoft_bulk": {"alignment"},
        "gmail_bulk": {"alignment"},
    },
}
# And what cannot be told of them, because names are not answered.
UNTOLD = {
    "fleet.example.org": {"microsoft": {"helo-own-name"}},
    "not-answered.example.net": {
        "microsoft": {"spf", "authenticated-ipv6"},
        "gmail": {"spf-fail", "authenticated"},
        "yahoo": {"authenticated"},
    },
}
ACCEPTED = {"domain=shop.example.com": {"dmarc.testing"}}


class OneDay:
    """A day on which what the example accepts is still accepted; waiting is real."""

    def wall(self) -> float:
        return 1_780_000_000.0

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Seen:
    """What the exporter holds after one round."""

    settings: Settings
    held: tuple[CheckState, ...]
    told: str
    receptions: tuple[Reception, ...]
    report: Report

    def failing(self, held: CheckState) -> set[str]:
        if isinstance(held.target, Delivery):  # what follows from the faults has tables of its own
            return set()
        effective = held.effective(FindingPolicy(self.settings.severities), OneDay().wall())
        doubt = {f"{held.check.id}: {held.doubt.reason}"} if held.doubt else set()
        return {j.finding.id for j in effective if j.fails} | doubt

    def accepted(self, held: CheckState) -> set[str]:
        effective = held.effective(FindingPolicy(self.settings.severities), OneDay().wall())
        return {j.finding.id for j in effective if j.accepted_until is not None}

    def of(self, entry: str) -> list[CheckState]:
        """What belongs to one entry. What a domain has with a sender belongs to the domain."""
        ips = {str(t.ip) for t in self.settings.targets if isinstance(t, Greeting) and t.sender == entry}
        return [
            held
            for held in self.held
            for who in [dict(held.target.identity)]
            if entry in (who.get("domain"), who.get("mail_host"), who.get("blocklist")) or who.get("ip") in ips
        ]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return asyncio.run(look())


async def look() -> Seen:
    clock = OneDay()
    async with DemoWorld(clock) as demo:
        settings = demo.settings(CATALOGUE)
        world = clients.open_clients(
            settings, DnsblClient(clock, patience=0.0), clock, dial=demo.dial, authorities=demo.authorities, pause=PAUSE
        )
        try:
            store = Store()
            plan = Plan(CATALOGUE, settings.targets, settings.enabled.__contains__, store)
            await Sweep(plan, store, world.net, clock).run()
        finally:
            await world.close()
        told = demo.told("http://127.0.0.1:10554")
        found = report(store, FindingPolicy(settings.severities), clock.wall())
        return Seen(settings, tuple(store), told, tuple(cards.receptions(store)), found)


def test_what_it_tells_people_to_type_can_be_typed(seen: Seen) -> None:
    commands = re.findall(r"^  (\S+) (?:check example.com|--config.file=config.yaml)$", seen.told, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        shown = subprocess.run([command, "--version"], capture_output=True, check=True, text=True)
        assert shown.stdout.startswith("deliverability-exporter ")


def between_the_marks() -> Iterator[str]:
    for part in re.findall(r"# >>> faults\n(.*?)# <<< faults", EXAMPLE.read_text(), re.DOTALL):
        yield from re.findall(r"^ *- \{?(?:name|host): ([^,}\s]+)", part, re.MULTILINE)


def test_each_entry_between_the_marks_has_its_expectation() -> None:
    assert sorted(between_the_marks()) == sorted(FAULTS)


@pytest.mark.parametrize("entry", FAULTS)
def test_an_entry_shows_its_fault_and_no_other(seen: Seen, entry: str) -> None:
    held = seen.of(entry)
    assert held
    assert set().union(*map(seen.failing, held)) == FAULTS[entry]


def test_everything_else_passes(seen: Seen) -> None:
    faulty = {held.key for entry in FAULTS for held in seen.of(entry)}
    good = [held for held in seen.held if held.key not in faulty]
    assert {held.key: seen.failing(held) for held in good if seen.failing(held)} == {}
    assert {held.target.key: seen.accepted(held) for held in good if seen.accepted(held)} == ACCEPTED
    policy = FindingPolicy(seen.settings.severities)
    assert {held.verdict(policy, OneDay().wall()) for held in good} == {Verdict.PASS}
    assert {held.check.id for held in good} == set(CATALOGUE.checks), "each check has something good to show"


@pytest.mark.parametrize(
    ("state", "expected"),
    [(DemandState.UNMET, UNMET), (DemandState.CANNOT_TELL, UNTOLD)],
    ids=["unmet", "untold"],
)
def test_each_domain_meets_what_receivers_demand_but_for_what_is_listed(
    seen: Seen, state: DemandState, expected: dict[str, dict[str, set[str]]]
) -> None:
    found: dict[str, dict[str, set[str]]] = {}
    for told in seen.receptions:
        prefix = f"receiver.{told.profile.id.replace('_', '-')}-"
        ids = {(it.finding or "").removeprefix(prefix) for it in told.demands if it.answer.state is state}
        if ids:
            found.setdefault(told.target.domain, {})[told.profile.id] = ids
    assert found == expected


def test_every_receiver_that_is_chosen_has_a_domain_that_it_takes_mail_of(seen: Seen) -> None:
    chosen = {it for t in seen.settings.targets if isinstance(t, Delivery) for it in t.receivers}
    assert {told.profile.id for told in seen.receptions if told.state is DemandState.MET} == chosen
    assert chosen >= {*receivers.DEFAULT, "gmail_bulk", "microsoft_bulk"}
    asked = {told.target.domain for told in seen.receptions}
    assert asked == {t.name for t in seen.settings.targets if isinstance(t, Domain) and t.sends_mail}


def test_a_receivers_findings_are_what_its_page_tells(seen: Seen) -> None:
    for held in seen.held:
        if isinstance(held.target, Delivery):
            of = [told for told in seen.receptions if told.target.domain == held.target.domain]
            unmet = {it.finding for told in of for it in told.demands if it.answer.state is DemandState.UNMET}
            assert {s.finding.id for s in held.findings} == unmet
            assert (held.doubt is not None) == any(told.counts[DemandState.CANNOT_TELL] for told in of)


def test_what_check_says_of_a_receiver_is_what_its_page_tells(seen: Seen) -> None:
    critical = (it.domains for it in seen.report.problems if it.severity is Severity.CRITICAL)
    hurt = frozenset[str]().union(*critical)
    for it in seen.report.prospects:
        states = {told.target.domain: told.state for told in seen.receptions if told.profile == it.profile}
        assert it.domains == tuple(sorted(states))
        assert {*it.at_risk} == {name for name in states if name in hurt or states[name] is DemandState.UNMET}
        unseen = (DemandState.CANNOT_TELL, DemandState.NOT_OBSERVABLE)
        assert {*it.unknown} == {name for name in states if states[name] in unseen} - hurt
    assert any(it.unknown for it in seen.report.prospects)


def test_only_the_resolver_is_another_than_in_the_file(seen: Seen) -> None:
    written = load(EXAMPLE, CATALOGUE)
    assert replace(seen.settings, nameservers=written.nameservers, files=written.files) == written
    assert [ip_address(server.host).is_loopback for server in seen.settings.nameservers] == [True]


def test_what_is_told_leads_to_pages_that_exist(seen: Seen) -> None:
    keys = re.findall(r"http://127\.0\.0\.1:10554/targets/(\S+)", seen.told)
    assert len(keys) == 5
    assert [any(held.target.key == key for held in seen.held) for key in keys] == [True] * 5


async def test_its_mail_servers_say_to_a_bad_helo_name_what_office_365_says() -> None:
    async with DemoWorld(OneDay()) as demo:
        found = re.search(r"nc (\S+) (\d+) .* type (EHLO \S+)$", demo.told("http://127.0.0.1:10554"), re.MULTILINE)
        assert found
        reader, writer = await asyncio.open_connection(found[1], int(found[2]))
        assert (await reader.readline()).startswith(b"220 mx1.example.com ")
        writer.write(f"{found[3]}\r\n".encode())
        assert (await reader.readline()).startswith(b"501 5.5.4 Invalid domain name")
        writer.close()
        await writer.wait_closed()


async def test_somebody_changes_a_record_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "CHANGED_AFTER", 0.05)
    name, rdtype, after = world.CHANGED
    async with DemoWorld(OneDay()) as demo, asyncio.timeout(10):
        dns = Resolver([demo.nameserver.address], OneDay())
        await dns.start()
        try:
            seen = [await dns.ask(Question(name, rdtype), fresh=True)]
            while seen[-1].texts == seen[0].texts:
                await asyncio.sleep(0.01)
                seen.append(await dns.ask(Question(name, rdtype), fresh=True))
        finally:
            await dns.close()
    assert [text.text.decode() for text in seen[-1].texts] == [after.strip('"')]
    assert seen[0].texts[0].text.decode().startswith("v=spf1 ")


async def test_it_listens_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[object] = []
    bind = socket.socket.bind

    def note(self: socket.socket, address: tuple[str, int]) -> None:
        bound.append(address[0])
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", note)
    async with DemoWorld(OneDay()):
        pass
    assert set(bound) == {"127.0.0.1"}


async def test_it_ends_although_somebody_is_still_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    real = asyncio.start_server

    async def start_server(client: Any, host: str, _: int) -> asyncio.Server:
        return await real(client, host, free().port)  # one that the kernel gives to nobody else afterwards

    monkeypatch.setattr(asyncio, "start_server", start_server)
    async with DemoWorld(OneDay()) as demo:
        addresses = [demo.nameserver.address, *(server.address for server in demo.mail.servers.values())]
        connections = [await asyncio.open_connection(*address) for address in addresses]
    for reader, writer in connections:
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def test_it_can_be_started_again_beside_itself() -> None:
    async with DemoWorld(OneDay()) as one, DemoWorld(OneDay()) as other:
        assert one.nameserver.address != other.nameserver.address
