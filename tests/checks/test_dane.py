"""What the scenarios of dane cannot say: who is connected with, and by which name; what is remembered; the command."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.checks.dane import dane as check
from exporter.demo.ca import Authority
from exporter.demo.mailserver import Behaviour
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import IP, Doubt, Reason
from exporter.mail.dane.chain import advised
from exporter.mail.tls import Version
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.interfaces import CheckStates
from exporter.net.smtp.connection import Secured
from exporter.net.smtp.probe import SmtpResult
from exporter.targets import Domain, MailHost
from tests.mail.test_certificate import der
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver

NOW = FakeClock().wall()
(LEAF,) = der(Authority(NOW).issue("mx.example.com", not_before=NOW - 1, not_after=NOW + 1).chain)
RIGHT, WRONG = advised(LEAF), f"3 1 1 {'ab' * 32}"
HOST = MailHost(host="mx.example.com")
ALL_SIGNED = "; signed: mx.example.com. *\n; signed: _25._tcp.mx.example.com. *\n"


class Told(Net):
    """Every address shows the certificate."""

    asked: list[tuple[str, IP]]

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        self.asked.append((target.host, ip))
        return SmtpResult(ip, starttls=True, secured=Secured(Version.TLS_1_3, "cipher", (LEAF,)))


async def judged(zone: str, target: MailHost | Domain = HOST) -> tuple[Outcome, list[tuple[str, IP]]]:
    clock, asked = FakeClock(), list[tuple[str, IP]]()

    def net() -> Net:
        it = Told(MemoryResolver(ZoneData(zone)), clock)
        it.asked = asked
        return it

    return await evaluate(check, target, net, clock), asked


async def test_nobody_is_connected_with_unless_there_are_records_that_senders_use() -> None:
    records = f"mx.example.com. A 192.0.2.25\n_25._tcp.mx.example.com. TLSA {RIGHT}\n"
    assert len((await judged(ALL_SIGNED + records))[1]) == 1
    assert (await judged(records))[1] == []
    assert (await judged(f"{ALL_SIGNED}mx.example.com. A 192.0.2.25"))[1] == []


async def test_the_name_that_is_asked_for_in_tls_is_that_of_the_records() -> None:
    """RFC 7672 section 8.1."""
    signed = "; signed: mx.example.com. *\n; signed: real.example. *\n; signed: _25._tcp.real.example. *\n"
    zone = f"mx.example.com. CNAME real.example.\nreal.example. A 192.0.2.25\n_25._tcp.real.example. TLSA {RIGHT}\n"
    _, asked = await judged(signed + zone)
    assert asked == [("real.example", ip_address("192.0.2.25"))]


async def test_no_more_than_eight_addresses_are_visited_and_that_is_said() -> None:
    addresses = "\n".join(f"mx.example.com. A 192.0.2.{n}" for n in range(1, 11))
    outcome, asked = await judged(f"{ALL_SIGNED}{addresses}\n_25._tcp.mx.example.com. TLSA {RIGHT}\n")
    assert len(set(asked)) == len(asked) == 8
    assert ("2 more addresses, which are not checked",) in [exchange.got for exchange in outcome.transcript]


async def test_in_whatever_order_dns_tells_them_the_same_addresses_are_visited() -> None:
    every = [f"mx.example.com. A 192.0.2.{n}" for n in range(1, 11)]
    visited = []
    for order in (every, every[::-1]):
        addresses = "\n".join(order)
        visited.append((await judged(f"{ALL_SIGNED}{addresses}\n_25._tcp.mx.example.com. TLSA {RIGHT}\n"))[1])
    assert visited[0] == visited[1]


@pytest.mark.parametrize(
    ("zone", "records"),
    [
        (f"_25._tcp.mx.example.com. TLSA {RIGHT}\n_25._tcp.mx.example.com. TLSA {WRONG}", {RIGHT, WRONG}),
        ("_25._tcp.mx.example.com. TXT nothing", set()),
        ("; servfail: _25._tcp.mx.example.com. TLSA", None),
    ],
    ids=["records", "none", "no answer"],
)
async def test_what_was_answered_is_remembered(zone: str, records: set[str] | None) -> None:
    outcome, _ = await judged(f"{ALL_SIGNED}mx.example.com. A 192.0.2.25\n{zone}\n")
    seen = {record.name: set(record.texts) for record in outcome.records}
    assert seen == ({} if records is None else {"_25._tcp.mx.example.com TLSA": records})


HERE, THERE = ip_address("192.0.2.25"), ip_address("192.0.2.26")
TWO = f"{ALL_SIGNED}mx.example.com. A 192.0.2.25\nmx.example.com. A 192.0.2.26\n"
ONE_RECORD = f"{TWO}_25._tcp.mx.example.com. TLSA {RIGHT}\n"
SILENT = Doubt(Reason.NETWORK, "no end of banner within 28 s")


class Each(Net):
    """Each address tells what it is told to."""

    told: dict[IP, SmtpResult]

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        return self.told[ip]


class Host:
    """One mail host, looked at again and again."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), Store()
        self.store.hold(check, HOST)

    async def look(self, *results: SmtpResult, zone: str = ONE_RECORD) -> set[str]:
        """The ids of the findings that are held afterwards."""

        def net() -> Net:
            it = Each(MemoryResolver(ZoneData(zone)), self.clock)
            it.told = {told.ip: told for told in results}
            return it

        self.clock.pass_(3600)
        self.store.record(await evaluate(check, HOST, net, self.clock))
        state = self.store.get("dane", HOST.key)
        assert state is not None
        return {active.finding.id for active in state.findings}


def good(ip: IP) -> SmtpResult:
    return SmtpResult(ip, starttls=True, secured=Secured(Version.TLS_1_3, "cipher", (LEAF,)))


def silent(ip: IP, *, offers: bool | None = None) -> SmtpResult:
    return SmtpResult(ip, starttls=offers, doubt=SILENT)


(OTHER,) = der(Authority(NOW).issue("other.example.com", not_before=NOW - 1, not_after=NOW + 1).chain)
FAULTS = {
    "dane.mismatch": SmtpResult(THERE, starttls=True, secured=Secured(Version.TLS_1_3, "cipher", (OTHER,))),
    "dane.no-starttls": SmtpResult(THERE, starttls=False),
    "dane.tls-fails": SmtpResult(THERE, starttls=True, tls_failure="alert handshake failure"),
}
NEXT = "dane.no-rollover"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_at_one_address_ends_when_it_is_mended_whatever_is_in_doubt_elsewhere(fault: str) -> None:
    host = Host()
    assert await host.look(good(HERE), FAULTS[fault]) == {fault}
    assert await host.look(good(HERE), silent(THERE)) == {fault}, "its own question is in doubt"
    assert await host.look(silent(HERE), good(THERE)) == set(), "the doubt is about the other address"
    await host.look(good(HERE), FAULTS[fault])
    unsure = f"; servfail: mx.example.com. AAAA\n{ONE_RECORD}"
    assert await host.look(good(HERE), good(THERE), zone=unsure) == {NEXT}, "nor are other addresses asked"


async def test_an_offer_of_starttls_counts_whatever_comes_behind_it() -> None:
    host = Host()
    await host.look(good(HERE), FAULTS["dane.no-starttls"])
    assert await host.look(good(HERE), silent(THERE, offers=True)) == set()


async def test_a_fault_of_the_records_ends_whatever_the_hosts_do() -> None:
    host, bad = Host(), f"{ONE_RECORD}_25._tcp.mx.example.com. TLSA 4 1 1 {'ab' * 32}\n"
    assert await host.look(good(HERE), good(THERE), zone=bad) == {"dane.bad-record", NEXT}
    assert await host.look(silent(HERE), silent(THERE), zone=bad) == {"dane.bad-record", NEXT}
    assert await host.look(silent(HERE), silent(THERE)) == {NEXT}, "the record has gone; who uses the other is open"
    gone = f"; servfail: mx.example.com. AAAA\n{TWO}"
    assert await host.look(zone=gone) == set(), "without records nothing is promised, whatever addresses there are"


async def test_no_answer_about_the_records_leaves_everything_open() -> None:
    host = Host()
    await host.look(good(HERE), FAULTS["dane.mismatch"])
    assert await host.look(zone=f"; servfail: _25._tcp.mx.example.com. TLSA\n{TWO}") == {"dane.mismatch"}


async def test_a_host_that_demands_a_certificate_of_the_client_keeps_no_promise() -> None:
    host = Host()
    demanding = replace(good(THERE), tls_failure="certificate required")
    assert await host.look(good(HERE), demanding) == {"dane.tls-fails", NEXT}


async def test_records_are_not_called_stale_while_an_address_is_not_known() -> None:
    host, both = Host(), f"{ONE_RECORD}_25._tcp.mx.example.com. TLSA {WRONG}\n"
    assert await host.look(good(HERE), good(THERE), zone=both) == {"dane.stale-record"}
    host = Host()
    assert await host.look(good(HERE), good(THERE), zone=f"; servfail: mx.example.com. AAAA\n{both}") == set()


async def test_no_answer_about_the_records_says_what_it_does_to_mail() -> None:
    zone = f"{ALL_SIGNED}mx.example.com. A 192.0.2.25\n; bogus: _25._tcp.mx.example.com. TLSA\n"
    outcome, _ = await judged(zone)
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.BOGUS
    assert outcome.doubt.detail.endswith("meanwhile senders that use DANE defer mail")


async def test_a_domain_of_very_many_hosts_asks_about_the_first_thirty() -> None:
    hosts = "\n".join(f"example.com. MX {n} mx{n}.example.com." for n in range(50))
    outcome, _ = await judged(hosts, Domain(name="example.com", mail_from=("example.com",)))
    assert len({exchange.asked for exchange in outcome.transcript if exchange.asked.endswith(" A")}) == 30


@pytest.mark.parametrize(
    ("validates", "record", "found"),
    [(True, WRONG, {"dane.mismatch"}), (True, RIGHT, {"dane.no-rollover"}), (False, WRONG, {"dane.unproven"})],
)
async def test_mail_hosts_that_a_command_has_found_are_looked_at(validates: bool, record: str, found: set[str]) -> None:
    zone = f"example.com. MX 10 mx.example.com.\nmx.example.com. A 192.0.2.25\n_25._tcp.mx.example.com. TLSA {record}\n"
    clock = FakeClock()
    dns = MemoryResolver(ZoneData((ALL_SIGNED if validates else "") + zone))
    async with mail_door({(ip_address("192.0.2.25"), 25): Behaviour()}, clock) as mail:

        def net(states: CheckStates) -> Net:
            return Net(dns, clock, mail=mail, states=states)

        domain = Domain(name="example.com", mail_from=("example.com",))
        store = Store()
        await Sweep(Plan(catalogue.load(), [domain], {"mx", "dane"}.__contains__, store), store, net, clock).run()
    (host,) = (held for held in store if isinstance(held.target, MailHost))
    assert {standing.finding.id for standing in host.findings} == found
    assert host.doubt is None
