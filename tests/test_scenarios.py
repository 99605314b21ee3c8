"""Every scenario zone is played twice, from memory and over real UDP and TCP, and must come out as its header says."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import NameServer, ZoneData
from exporter.engine import catalogue, plan
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.model import Outcome, Target
from exporter.net import Net
from exporter.net.dns.authoritative import AuthoritativeClient
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.https import HttpsClient
from exporter.net.interfaces import DnsClient
from exporter.net.rdap import RdapClient
from exporter.net.smtp.client import SmtpClient
from tests.support import scenario
from tests.support.authoritative import MemoryAuthoritative, zone_servers
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver
from tests.support.rdap import rdap_door
from tests.support.web import web_door

CATALOGUE = catalogue.load()
SCENARIOS = scenario.load()


async def play(case: scenario.Scenario, dns: DnsClient, clock: FakeClock, servers: AuthoritativeClient) -> Outcome:
    async with (
        mail_door(case.mail_servers, clock) as mail,
        rdap_door(case.registrations, clock) as rdap,
        web_door(case.pages, ZoneData(case.text), dns, clock) as web,
    ):
        return await play_with(case, dns, clock, servers, mail=mail, rdap=rdap, web=web)


def checks_for(target: Target) -> list[str]:
    return [check.id for check in CATALOGUE.checks.values() if isinstance(target, check.over)]


async def play_with(
    case: scenario.Scenario,
    dns: DnsClient,
    clock: FakeClock,
    servers: AuthoritativeClient,
    *,
    mail: SmtpClient | None,
    rdap: RdapClient | None,
    web: HttpsClient | None,
) -> Outcome:
    blocklists, held = DnsblClient(clock), Store()

    def net() -> Net:
        return Net(dns, clock, blocklists=blocklists, mail=mail, web=web, rdap=rdap, held=held, authoritative=servers)

    async def judge(check: str, target: Target) -> Outcome:
        return await evaluate(CATALOGUE.checks[check], target, net, clock)

    for target in case.before:
        await judge("blocklist", target)
        clock.pass_(3600)
    for check, target in plan.pairs(CATALOGUE, case.rests, lambda _: True):
        held.want(check, target)
        held.record(await judge(check.id, target))
    times, every = case.runs
    held.want(CATALOGUE.checks[case.check], case.target)
    for run in range(times):
        clock.pass_(every if run else 0)
        for target in case.beside:
            own = checks_for(target)
            for check_id in [case.check] if case.check in own else own:
                await judge(check_id, target)
        outcome = await judge(case.check, case.target)
        held.record(outcome)
    return outcome


@pytest.mark.parametrize("case", SCENARIOS, ids=lambda s: f"{s.check}/{s.name}")
async def test_scenario_in_memory(case: scenario.Scenario) -> None:
    clock = FakeClock()
    servers = MemoryAuthoritative(case.text, clock)
    case.judge(await play(case, MemoryResolver(ZoneData(case.text)), clock, servers))


@pytest.mark.parametrize("truncate", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("case", SCENARIOS, ids=lambda s: f"{s.check}/{s.name}")
async def test_scenario_over_the_wire(case: scenario.Scenario, truncate: bool) -> None:
    clock = FakeClock()
    server = NameServer(ZoneData(case.text), truncate=truncate)
    await server.start()
    dns = Resolver([server.address], clock, timeout=case.patience, queries_per_second=1e9)
    await dns.start()
    try:
        async with zone_servers(case.text, clock) as servers:
            case.judge(await play(case, dns, clock, servers))
    finally:
        await dns.close()
        await server.stop()


def test_every_rule_is_expected_by_a_scenario() -> None:
    expected = {rule for case in SCENARIOS for rule, _ in case.expected}
    assert set(CATALOGUE.rules) - expected == set()


def test_every_check_has_a_clean_scenario() -> None:
    clean = {case.check for case in SCENARIOS if case.name == "clean" and case.one("verdict") == "pass"}
    assert set(CATALOGUE.checks) - clean == set()
