"""What the scenarios of dane cannot say: who is connected with, and by which name; what is remembered; the command."""

from __future__ import annotations

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
from exporter.facts import IP, Reason
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
    assert ("2 more addresses, which are not looked at",) in [exchange.got for exchange in outcome.transcript]


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


async def test_no_answer_about_the_records_says_what_it_does_to_mail() -> None:
    zone = f"{ALL_SIGNED}mx.example.com. A 192.0.2.25\n; bogus: _25._tcp.mx.example.com. TLSA\n"
    outcome, _ = await judged(zone)
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.BOGUS
    assert outcome.doubt.detail.endswith("senders that use DANE put mail off while this lasts")


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
