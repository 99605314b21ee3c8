"""A host is unreachable for as long as that is proven, and no longer. What proves nothing changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.clients import Clients
from exporter.clock import Clock, SystemClock
from exporter.config import Nameserver, Settings, defaults
from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.demo.nameserver import ZoneData
from exporter.facts import Doubt, Reason
from exporter.mail.smtp import SmtpReply
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.silence import Silence
from exporter.net.smtp.probe import SmtpResult
from exporter.net.smtp.unreachable import EVERY, Unreachable, UnreachableHosts
from exporter.targets import MailHost
from tests.support.clock import FakeClock
from tests.support.configuration import CATALOGUE
from tests.support.memory import MemoryResolver
from tests.support.peers import FIRST, HOST, SECOND, world

IP = ip_address("192.0.2.25")
REFUSED = SmtpResult(IP, refused=True)
SILENT = SmtpResult(IP, silence=Silence(1_779_990_000.0, 4))
TIMEOUT = SmtpResult(IP, doubt=Doubt(Reason.NETWORK, "no greeting"))
SPOKE = SmtpResult(IP, greeting=SmtpReply(220, ("mx",)))
START = FakeClock().wall()


def after(*met: SmtpResult) -> tuple[UnreachableHosts, FakeClock]:
    """What is remembered after these visits, one in each round."""
    clock = FakeClock()
    known = UnreachableHosts(clock)
    for number, result in enumerate(met):
        clock.pass_(EVERY if number else 0)
        known.learn(25, result)
    return known, clock


def test_what_nobody_has_visited_is_not_unreachable() -> None:
    assert after()[0].look(IP, 25) is None


def test_a_refused_connection_is_proof_for_this_address_and_port_alone() -> None:
    seen, _ = after(REFUSED)
    assert seen.look(IP, 25) == Unreachable(START, "refuses connections")
    assert seen.look(IP, 587) is None
    assert seen.look(ip_address("192.0.2.26"), 25) is None


def test_long_silence_is_proof_and_began_with_its_first_run() -> None:
    assert after(SILENT)[0].look(IP, 25) == Unreachable(1_779_990_000.0, "does not answer")


@pytest.mark.parametrize(
    "met",
    [
        TIMEOUT,
        SPOKE,
        SmtpResult(IP, passed_over="no way from here"),
        replace(TIMEOUT, greeting=SmtpReply(421, ("try later",))),
        replace(SILENT, greeting=SmtpReply(421, ("try later",))),
        SmtpResult(IP, tls_failure="it speaks in clear"),
    ],
)
def test_nothing_else_is_proof(met: SmtpResult) -> None:
    assert after(met)[0].look(IP, 25) is None


def test_it_has_been_unreachable_since_it_was_first_met_so() -> None:
    seen, _ = after(REFUSED, REFUSED, SILENT)
    assert seen.look(IP, 25) == Unreachable(START, "does not answer")


def test_since_when_is_told_by_the_clock_as_it_is_now() -> None:
    seen, clock = after(REFUSED)
    clock.step_wall(1e6)
    assert seen.look(IP, 25) == Unreachable(START + 1e6, "refuses connections")


def test_one_visit_without_proof_leaves_the_older_one_standing_for_its_two_rounds() -> None:
    seen, clock = after(REFUSED, TIMEOUT)
    clock.pass_(EVERY)
    assert seen.look(IP, 25) == Unreachable(START, "refuses connections")
    clock.pass_(1)
    assert seen.look(IP, 25) is None


def test_after_a_gap_it_has_been_unreachable_since_it_was_met_so_again() -> None:
    seen, _ = after(REFUSED, TIMEOUT, TIMEOUT, TIMEOUT, REFUSED)
    assert seen.look(IP, 25) == Unreachable(START + 4 * EVERY, "refuses connections")


@pytest.mark.parametrize("word", [SPOKE, replace(TIMEOUT, greeting=SmtpReply(421, ("try later",)))])
def test_the_first_word_opens_it(word: SmtpResult) -> None:
    assert after(REFUSED, word)[0].look(IP, 25) is None


def test_an_address_that_was_passed_over_is_as_it_was() -> None:
    assert after(REFUSED, SmtpResult(IP, passed_over="no way from here"))[0].look(IP, 25) is not None


def test_the_rounds_are_those_of_the_schedule() -> None:
    seen, clock = after(REFUSED)
    seen.interval = 86_400.0
    clock.pass_(2 * 86_400)
    assert seen.look(IP, 25) is not None
    seen.interval = 60.0
    assert seen.look(IP, 25) is None


def test_what_nobody_visits_any_more_is_forgotten() -> None:
    clock = FakeClock()
    seen = UnreachableHosts(clock)
    for number in range(5):
        seen.learn(25, SmtpResult(ip_address(f"192.0.2.{number}"), refused=True))
        clock.pass_(EVERY)
    assert len(seen._seen) == 3


async def test_the_door_learns_from_every_dialogue() -> None:
    clock = FakeClock()
    async with world(Behaviour(fault=SmtpFault.REFUSED), Behaviour(), clock=clock) as (mail, _):
        for ip in (FIRST, SECOND):
            await mail.probe(HOST, ip)
        assert (mail.unreachable.look(FIRST, 25), mail.unreachable.look(SECOND, 25)) == (
            Unreachable(START, "refuses connections"),
            None,
        )


async def test_a_run_writes_down_what_it_was_told_of_a_door() -> None:
    clock = FakeClock()
    async with world(Behaviour(fault=SmtpFault.REFUSED), clock=clock) as (mail, _):
        await mail.probe(MailHost(host="mx.example.com"), FIRST)
        net = Net(MemoryResolver(ZoneData("")), clock, mail=mail)
        assert net.unreachable(FIRST, 25) == Unreachable(START, "refuses connections")
        assert net.unreachable(SECOND, 25) is None
    (exchange,) = net.transcript.freeze()
    assert (exchange.asked, exchange.got) == ("SMTP port 25 at 192.0.2.1, when last visited", ("refuses connections",))


def test_without_an_smtp_client_nothing_is_known_and_nothing_is_doubted() -> None:
    net = Net(MemoryResolver(ZoneData("")), FakeClock())
    assert net.unreachable(FIRST, 25) is None
    assert net.transcript.freeze() == ()


async def test_a_reload_that_changes_the_schedule_changes_how_long_it_counts_and_forgets_nothing() -> None:
    paces, opened = [timedelta(hours=2), timedelta(minutes=5)], list[Clients]()

    def load() -> Settings:
        empty = defaults(CATALOGUE)
        every = {**empty.intervals, "smtp_tls": paces.pop(0)}
        nowhere = (Nameserver("127.0.0.1", 9),)
        return replace(
            empty, helo_name="p.example.net", nameservers=nowhere, blocklists=(), targets=(), intervals=every
        )

    def open_world(settings: Settings, blocklists: DnsblClient, clock: Clock) -> Clients:
        opened.append(clients.open_clients(settings, blocklists, clock))
        return opened[-1]

    daemon = Daemon(lambda _files: load(), open_world, CATALOGUE, SystemClock())
    await daemon.start([("127.0.0.1", 0)])
    try:
        mail = opened[0].mail
        assert mail
        assert mail.unreachable.interval == 7200
        assert await daemon.reload() == []
        assert mail.unreachable.interval == 300
        assert len(opened) == 1
    finally:
        await daemon.stop()
