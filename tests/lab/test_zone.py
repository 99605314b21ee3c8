"""The check of zones against real servers: nsd has the zones, unbound looks them up and validates."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from exporter.checks.zone.check import zone as check
from exporter.clock import SystemClock
from exporter.demo.nameserver import ZoneData as DemoZone
from exporter.demo.zoneserver import ZoneServers
from exporter.engine.evaluate import evaluate
from exporter.facts import IP, Reason, Severity, Verdict
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.dns.authoritative import AuthoritativeClient
from exporter.net.dns.resolver import Resolver
from exporter.targets import Zone
from tests.lab import nameservers
from tests.lab.process import Endpoint, Lab
from tests.lab.zones import SignedZone, Signing, zone

pytestmark = pytest.mark.lab

PARENT, ONE, TWO, THREE = map(IPv4Address, ("203.0.113.53", "192.0.2.53", "198.51.100.53", "192.0.2.54"))
APEX = "@ SOA ns1.test. hostmaster {serial} 3600 600 86400 30\n@ NS ns1.test.\n@ NS ns2.test.\n"
MAIL = '@ MX 10 {mx}.mail.test.\n@ TXT "v=spf1 mx -all"\n_dmarc TXT "v=DMARC1; p=reject"\n'
# Answered by our own server, since nsd knows no way to leave TCP out.
NO_TCP = """
; server: ns3.test 192.0.2.54 no-tcp.test no-tcp
; soa: no-tcp.test. 1
no-tcp.test.  NS   ns1.test.
              NS   ns3.test.
              MX   10 a.mail.test.
              TXT  "v=spf1 mx -all"
_dmarc.no-tcp.test. TXT "v=DMARC1; p=reject"
"""


def served(name: str, *, mx: str = "a", serial: int = 1, signing: Signing = Signing.NONE, ns: str = "") -> SignedZone:
    apex = APEX.format(serial=serial)
    return zone(f"{name}.test", MAIL.format(mx=mx), signing, apex=apex.replace("ns2", ns) if ns else apex)


@dataclass(frozen=True)
class World:
    unbound: Endpoint
    at: dict[IP, Endpoint]


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    good, signed, bogus = served("good"), served("signed", signing=Signing.GOOD), served("bogus", signing=Signing.BOGUS)
    ended = served("ended", signing=Signing.EXPIRED)
    alike = [good, signed, bogus, ended]
    one = [*alike, served("differs"), served("late", serial=2), served("lame"), served("no-tcp", ns="ns3")]
    two = [*alike, served("differs", mx="b"), served("late", mx="b")]
    delegated = "".join(
        f"{name} NS ns1\n{name} NS {'ns3' if name == 'no-tcp' else 'ns2'}\n"
        for name in ("good", "signed", "bogus", "ended", "differs", "late", "lame", "lost", "no-tcp")
    )
    anchors = "".join(f"{it.anchor.replace('.test. IN', ' IN')}\n" for it in alike if it.anchor)
    hosts = f"ns1 A {ONE}\nns2 A {TWO}\nns3 A {THREE}\nns A {PARENT}\na.mail A 192.0.2.1\n"
    apex = "@ SOA ns hostmaster 1 3600 600 86400 30\n@ NS ns\n"
    parent = zone("test", apex + hosts + delegated + anchors, apex="")
    at: dict[IP, Endpoint] = {
        PARENT: nameservers.nsd(lab, [parent], "parent"),
        ONE: nameservers.nsd(lab, one, "one"),
        TWO: nameservers.nsd(lab, two, "two"),
    }
    names = {"test": PARENT} | {it.origin: ONE for it in one} | {"lost.test": ONE}
    return World(nameservers.unbound(lab, {name: at[ip] for name, ip in names.items()}, alike), at)


@pytest.fixture
async def net(world: World) -> AsyncIterator[Net]:
    own = ZoneServers(NO_TCP, DemoZone(NO_TCP))
    await own.start()

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        endpoint = world.at.get(ip)
        return (endpoint.host, endpoint.port) if endpoint else await own.dial(ip, port)

    clock = SystemClock()
    resolver = Resolver([(world.unbound.host, world.unbound.port)], clock, timeout=2)
    yield Net(resolver, clock, authoritative=AuthoritativeClient(clock, dial=dial, timeout=1))
    await resolver.close()
    await own.stop()


async def judged(net: Net, name: str) -> Outcome:
    outcome = await evaluate(check, Zone(name=f"{name}.test", mail_from=(f"{name}.test",)), lambda: net, net.clock)
    print(*(f"{it.asked}: {it.got}" for it in outcome.transcript), sep="\n")  # noqa: T201  (for whoever has it fail)
    return outcome


def failing(outcome: Outcome) -> dict[str, Severity]:
    return {finding.id: finding.severity for finding in outcome.findings if finding.severity.fails}


async def test_servers_that_agree_pass(net: Net) -> None:
    outcome = await judged(net, "good")
    assert (outcome.verdict, failing(outcome)) == (Verdict.PASS, {})


async def test_a_signed_zone_passes_and_says_until_when(net: Net) -> None:
    outcome = await judged(net, "signed")
    assert (outcome.verdict, failing(outcome)) == (Verdict.PASS, {})
    ends = {sample.metric.name: sample.value for sample in outcome.samples}
    left = ends["deliverability_zone_signature_not_after_timestamp_seconds"] - net.clock.wall()
    assert 6 * 86400 < left <= 7 * 86400


async def test_a_bogus_zone_is_critical_and_keeps_unbounds_reason(net: Net) -> None:
    outcome = await judged(net, "bogus")
    assert failing(outcome) == {"zone.bogus": Severity.CRITICAL}
    (bogus,) = (finding for finding in outcome.findings if finding.id == "zone.bogus")
    assert re.search(r"EDE \d+ \(.+\)", dict(bogus.evidence)["reason"])
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.BOGUS


async def test_signatures_that_have_ended_are_found_at_the_servers_too(net: Net) -> None:
    outcome = await judged(net, "ended")
    assert failing(outcome) == {"zone.bogus": Severity.CRITICAL, "zone.signature-expiring": Severity.WARNING}


async def test_different_data_under_one_serial_are_critical(net: Net) -> None:
    outcome = await judged(net, "differs")
    assert failing(outcome) == {"zone.data-differ": Severity.CRITICAL}
    (finding,) = (finding for finding in outcome.findings if finding.severity.fails)
    assert dict(finding.evidence)["answers"] == '"10 a.mail.test" at ns1.test; "10 b.mail.test" at ns2.test'


async def test_different_data_under_different_serials_may_be_on_their_way(net: Net) -> None:
    outcome = await judged(net, "late")
    assert failing(outcome) == {"zone.data-differ": Severity.WARNING}
    assert "zone.serials-differ" in {finding.id for finding in outcome.findings}


async def test_nsd_without_the_zone_is_lame(net: Net) -> None:
    outcome = await judged(net, "lame")
    assert failing(outcome) == {"zone.lame": Severity.WARNING}
    (finding,) = (finding for finding in outcome.findings if finding.severity.fails)
    assert finding.subject == (("ip", str(TWO)),)


async def test_a_zone_that_no_server_has_is_critical(net: Net) -> None:
    outcome = await judged(net, "lost")
    assert failing(outcome) == {"zone.none-authoritative": Severity.CRITICAL, "zone.lame": Severity.WARNING}


async def test_a_server_without_tcp_is_found_beside_one_that_has_it(net: Net) -> None:
    outcome = await judged(net, "no-tcp")
    assert failing(outcome)["zone.no-tcp"] is Severity.WARNING
