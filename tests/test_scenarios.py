"""Every scenario zone is played twice, from memory and over real UDP and TCP, and must come out as its header says.

Who is judged comes out of the configuration loader, wherever a configuration comes to it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.check_state import CheckState
from exporter.config import ConfigError
from exporter.demo.nameserver import NameServer, ZoneData
from exporter.engine import catalogue, plan
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.explain.examples import written
from exporter.mail.dns import Question, Reply
from exporter.model import Door, Outcome, Target
from exporter.net import Net
from exporter.net.dns.authoritative import AuthoritativeClient
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.https import HttpsClient
from exporter.net.interfaces import DnsClient
from exporter.net.rdap import RdapClient
from exporter.net.smtp.client import SmtpClient
from exporter.targets import MailHost
from tests.support import examples, scenario
from tests.support.authoritative import MemoryAuthoritative, zone_servers
from tests.support.checks import taken
from tests.support.clock import FakeClock
from tests.support.mail import mail_door
from tests.support.memory import MemoryResolver
from tests.support.rdap import rdap_door
from tests.support.scenario_configuration import differences
from tests.support.web import web_door

CATALOGUE = catalogue.load()
SCENARIOS = scenario.load()
EXAMPLES = {rule: examples.chosen(SCENARIOS, rule) for rule in CATALOGUE.rules}
SHORTEST_OPENING, LONGEST_SENTENCE = 4, 25  # words


class Otherwise:
    """The same answers, with all that is not in a trace otherwise."""

    def __init__(self, dns: DnsClient) -> None:
        self._dns = dns

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        reply = await self._dns.ask(question, fresh=fresh, tcp=tcp)
        return replace(reply, records=reply.records[::-1], ttl=7, server="another", transport="tcp", seconds=0.01)


def facts(it: Outcome) -> tuple[object, ...]:
    """All that a run says of its target."""
    return it.findings, it.samples, it.doubts, it.records, it.found, it.again, it.measured


def stands_again(state: CheckState, outcome: Outcome) -> None:
    """What a state that stands becomes if its latest outcome holds again, is what it becomes by another such run."""
    if outcome.doubts:
        return
    for number in range(1, 5):
        later = replace(outcome, started=outcome.started + 100.0 * number)
        plain = state.after(later)
        if state.stands:
            again = state.stood(later.started + later.duration)
            assert again == replace(plain, latest=state.latest, latest_trouble=state.latest_trouble, repeated=1)
            assert again.tells_as(state)
        state = plain


async def play(
    case: scenario.Scenario, dns: DnsClient, clock: FakeClock, servers: AuthoritativeClient, zone: ZoneData
) -> Outcome:
    async with (
        mail_door(case.mail_servers, clock) as mail,
        rdap_door(case.registrations, clock) as rdap,
        web_door(case.pages, ZoneData(case.world), dns, clock) as web,
    ):
        return await play_with(case, dns, clock, servers, zone, mail=mail, rdap=rdap, web=web)


def checks_for(target: Target) -> list[str]:
    return [check.id for check in CATALOGUE.checks.values() if isinstance(target, check.over)]


async def play_with(
    case: scenario.Scenario,
    dns: DnsClient,
    clock: FakeClock,
    servers: AuthoritativeClient,
    zone: ZoneData,
    *,
    mail: SmtpClient | None,
    rdap: RdapClient | None,
    web: HttpsClient | None,
) -> Outcome:
    blocklists, held = DnsblClient(clock), Store()

    def net() -> Net:
        return Net(dns, clock, blocklists=blocklists, mail=mail, web=web, rdap=rdap, states=held, authoritative=servers)

    async def judge(check: str, target: Target) -> Outcome:
        used = net()
        outcome = await evaluate(CATALOGUE.checks[check], target, lambda: used, clock)
        if used.trace and not outcome.doubts:
            again = Net(Otherwise(dns), clock, mail=mail, states=held)
            assert facts(await evaluate(outcome.check, target, lambda: again, clock)) == facts(outcome), (
                "no trace of it"
            )
        return outcome

    ran = 0

    def change() -> None:
        nonlocal ran
        ran += 1
        for after, rrset in case.changes:
            if after == ran:
                zone.put(rrset)

    for target in case.before:
        await judge("blocklist", target)
        change()
        clock.pass_(3600)
    for check, target in plan.pairs(CATALOGUE, case.rests, lambda _: True):
        held.hold(check, target)
        held.record(await judge(check.id, target))
    times, every = case.runs
    held.hold(CATALOGUE.checks[case.check], case.target)
    for run in range(times):
        clock.pass_(every if run else 0)
        for target in case.beside:
            own = checks_for(target)
            for check_id in [case.check] if case.check in own else own:
                await judge(check_id, target)
        outcome = await judge(case.check, case.target)
        stands_again(taken(held, outcome), outcome)
        change()
    return outcome


@pytest.mark.parametrize("case", SCENARIOS, ids=lambda s: f"{s.check}/{s.name}")
async def test_scenario_in_memory(case: scenario.Scenario) -> None:
    """What pages show as an example of a finding is what one scenario of its rule finds."""
    outcome = await play_in_memory(case)
    case.judge(outcome)
    for finding in {it.id: it for it in reversed(outcome.findings)}.values():
        if EXAMPLES[finding.id] is case:
            assert examples.evidence(finding) == written()[finding.id], "python -m tests.support.examples"


@pytest.mark.parametrize("case", [it for it in SCENARIOS if it.name == "clean"], ids=lambda s: s.check)
async def test_a_check_asks_as_many_questions_as_it_declares(case: scenario.Scenario) -> None:
    """Where all is well. Whether configured rates are enough is reckoned with these numbers."""
    check, outcome = CATALOGUE.checks[case.check], await play_in_memory(case)
    asked = [it.asked for it in outcome.transcript if re.fullmatch(r"\S+ [A-Z]+", it.asked)]
    assert check.questions == (0 if Door.BLOCKLISTS in check.needs else len(asked)), asked


async def play_in_memory(case: scenario.Scenario) -> Outcome:
    clock = FakeClock()
    zone = ZoneData(case.world)
    return await play(case, MemoryResolver(zone), clock, MemoryAuthoritative(case.world, clock), zone)


@pytest.mark.long
@pytest.mark.parametrize("case", SCENARIOS, ids=lambda s: f"{s.check}/{s.name}")
async def test_scenario_over_the_wire(case: scenario.Scenario) -> None:
    """Over UDP, and beside it over TCP, to which answers that do not fit lead."""
    await asyncio.gather(play_over_the_wire(case, truncate=False), play_over_the_wire(case, truncate=True))


async def play_over_the_wire(case: scenario.Scenario, *, truncate: bool) -> None:
    clock = FakeClock()
    zone = ZoneData(case.world)
    server = NameServer(zone, truncate=truncate)
    await server.start()
    dns = Resolver([server.address], clock, timeout=case.patience, queries_per_second=1e9)
    await dns.start()
    try:
        async with zone_servers(case.world, clock) as servers:
            case.judge(await play(case, dns, clock, servers, zone))
    finally:
        await dns.close()
        await server.stop()


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("; verdict:", None),
        ("; signed: com. NS", None),
        ("; at ns1.example.com: example.com. A", None),
        ("; A sentence of prose: it may have a colon.", None),
        ("; https://example.com/ is an address.", None),
        ("; signd: com. NS", "`; signd:` is no order; the nearest is `; signed:`"),
        ("; authenticated: com. NS", "`; authenticated:` is no order; the nearest is"),
        ("; verdit:pass", "`; verdit:` is no order; the nearest is `; verdict:`"),
        ("; Verdict: pass", "`; Verdict:` is no order; the nearest is `; verdict:`"),
        ("; servfail: com.", "`; servfail:` cannot be understood"),
    ],
)
def test_a_word_that_nobody_knows_is_an_error_and_not_a_comment(tmp_path: Path, line: str, nearest: str | None) -> None:
    path = tmp_path / "wrong.zone"
    path.write_text(f"; A world.\n{line}\n")
    if nearest is None:
        scenario.read(path)
        return
    with pytest.raises(ValueError, match=re.escape(f"{path}:2: {nearest}")):
        scenario.read(path)


@pytest.mark.parametrize("order", ["; authenticated: com. NS", "; target: Domain name=example.com", "; soa: com."])
def test_no_name_server_takes_an_order_that_it_does_not_know(order: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        ZoneData(order)


def test_no_server_that_is_not_there_has_anything_otherwise() -> None:
    with pytest.raises(ValueError, match="ns2"):
        MemoryAuthoritative(
            "; server: ns1.example.com 192.0.2.53 com\n; at ns2.example.com: example.com. A", FakeClock()
        )


@pytest.mark.parametrize("check", sorted(CATALOGUE.checks))
def test_the_loader_comes_to_what_the_scenarios_say(check: str) -> None:
    for case in SCENARIOS:
        if case.check == check:
            said = [target for line in scenario.TARGET_LINES for target in case.written(line)]
            assert differences(said) == [], case.name


def test_what_no_configuration_comes_to_is_told() -> None:
    found = MailHost(host="mx.example.com", port=587)
    assert differences([found]) == [f"{found} is loaded as {replace(found, configured=True)}"]
    with pytest.raises(ConfigError, match="mail_hosts"):
        differences([MailHost(host="_mx.example.com", configured=True)])


def test_every_rule_is_expected_by_a_scenario() -> None:
    expected = {rule for case in SCENARIOS for rule, _ in case.expected}
    assert set(CATALOGUE.rules) - expected == set()


def test_every_metric_is_measured_by_a_scenario() -> None:
    measured = {line.split()[0] for case in SCENARIOS for line in case.all("sample")}
    assert {metric.name for metric in CATALOGUE.metrics} - measured == set()


def faults_of_the_opening(text: str) -> list[str]:
    sentences = re.split(r"(?<=[.?!]) +", text)
    return [
        *(["does not begin as a sentence does"] if re.match(r"[a-z]", text) else []),
        *(["does not end with a full stop"] if not text.endswith(".") else []),
        *(["is too short to say anything"] if len(text.split()) < SHORTEST_OPENING else []),
        *(f"has too long a sentence: {said}" for said in sentences if len(said.split()) > LONGEST_SENTENCE),
    ]


def test_every_scenario_opens_with_a_sentence() -> None:
    told = {f"{case.check}/{case.name}": faults_of_the_opening(case.opening) for case in SCENARIOS}
    assert {name: faults for name, faults in told.items() if faults} == {}


@pytest.mark.parametrize(
    "text", ["", "p=none is weak enough.", "The MX host is away", "All is well.", f"A {'very ' * 25}long sentence."]
)
def test_what_is_no_sentence_is_told(text: str) -> None:
    assert faults_of_the_opening(text) != []


def says_what_comes_out(case: scenario.Scenario) -> bool:
    """Is its name that of a rule, clean or unknown, alone or with a variant behind it, and rightly so?"""
    rules = {rule.partition(".")[2] for rule, _ in case.expected}
    verdict = case.one("verdict")
    if verdict == "pass" or (not rules and verdict != "unknown"):
        rules.add("clean")
    if verdict == "unknown":
        rules.add("unknown")
    return any(f"{case.name}-".startswith(f"{rule}-") for rule in rules)


def test_the_name_of_a_scenario_says_what_comes_out() -> None:
    assert [f"{case.check}/{case.name}" for case in SCENARIOS if not says_what_comes_out(case)] == []


def test_every_check_has_a_clean_scenario() -> None:
    clean = {case.check for case in SCENARIOS if case.name == "clean" and case.one("verdict") == "pass"}
    assert set(CATALOGUE.checks) - clean == set()
