"""Our resolver against real servers: unbound validates, nsd has the zones, rbldnsd the blocklist."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from exporter.checks.resolver import resolver as check
from exporter.clock import SystemClock
from exporter.engine.evaluate import evaluate
from exporter.facts import Verdict
from exporter.mail.dns import Question, Status
from exporter.net import Net
from exporter.net.dns.resolver import Resolver
from exporter.targets import OwnResolver
from tests.lab import nameservers
from tests.lab.process import Endpoint, Lab
from tests.lab.zones import Signing, zone

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def unbound(lab: Lab) -> Endpoint:
    long = "long TXT" + f' "{"x" * 250}"' * 12
    alias = "alias CNAME good.test.\ndangling CNAME absent.good.test.\nloop CNAME loop2\nloop2 CNAME loop"
    signed = zone("good.test", f'@ TXT "v=spf1 -all"\n{long}', Signing.GOOD)
    bogus = zone("bogus.test", '@ TXT "v=spf1 -all"', Signing.BOGUS)
    expired = zone("expired.test", '@ TXT "v=spf1 -all"', Signing.EXPIRED)
    plain = zone("plain.test", f'@ TXT "v=spf1 ~all"\n{alias}')
    zones = [signed, bogus, expired, plain]
    authority = nameservers.nsd(lab, zones)
    lists = nameservers.rbldnsd(lab, {"bl.test": {"ip4set": ":127.0.0.2:See bl.test $\n127.0.0.2\n"}})
    stubs = {it.origin: authority for it in zones} | {"lame.test": authority, "bl.test": lists}
    return nameservers.unbound(lab, stubs, zones)


@pytest.fixture
async def ours(unbound: Endpoint) -> AsyncIterator[Resolver]:
    resolver = Resolver([(unbound.host, unbound.port)], SystemClock(), timeout=5)
    await resolver.start()
    yield resolver
    await resolver.close()


@pytest.mark.parametrize(
    ("name", "rdtype", "status", "chain", "authenticated", "transport"),
    [
        ("good.test", "TXT", Status.ANSWER, (), True, "udp"),
        ("long.good.test", "TXT", Status.ANSWER, (), True, "tcp"),
        ("good.test", "MX", Status.NODATA, (), True, "udp"),
        ("absent.good.test", "A", Status.NXDOMAIN, (), True, "udp"),
        ("plain.test", "TXT", Status.ANSWER, (), False, "udp"),
        ("absent.plain.test", "TXT", Status.NXDOMAIN, (), False, "udp"),
        ("alias.plain.test", "TXT", Status.ANSWER, ("good.test",), False, "udp"),
        ("alias.plain.test", "MX", Status.NODATA, ("good.test",), False, "udp"),
        ("dangling.plain.test", "TXT", Status.NXDOMAIN, ("absent.good.test",), False, "udp"),
        ("loop.plain.test", "TXT", Status.SERVFAIL, (), False, "udp"),
        ("bogus.test", "TXT", Status.BOGUS, (), False, "udp"),
        ("expired.test", "TXT", Status.BOGUS, (), False, "udp"),
        ("lame.test", "A", Status.SERVFAIL, (), False, "udp"),
        ("2.0.0.127.bl.test", "A", Status.ANSWER, (), False, "udp"),
        ("1.0.0.127.bl.test", "A", Status.NXDOMAIN, (), False, "udp"),
        ("mail.example.com", "A", Status.NXDOMAIN, (), False, "udp"),
    ],
)
async def test_what_unbound_says_is_understood(
    ours: Resolver, name: str, rdtype: str, status: Status, chain: tuple[str, ...], authenticated: bool, transport: str
) -> None:
    reply = await ours.ask(Question(name, rdtype))
    assert (reply.status, reply.chain, reply.authenticated) == (status, chain, authenticated), reply
    assert reply.transport == transport
    assert reply.ttl > 0 or not status.conclusive or status is Status.NXDOMAIN, reply
    assert bool(reply.extended_errors) >= (status is Status.BOGUS)


async def test_a_lab_without_the_internet_has_a_verdict_on_its_own_resolver(ours: Resolver, unbound: Endpoint) -> None:
    clock = SystemClock()
    target = OwnResolver(wildcard_free="plain.test", signed="good.test")
    outcome = await evaluate(check, target, lambda: Net(ours, clock), clock)
    assert (outcome.verdict, outcome.findings, outcome.doubt) == (Verdict.PASS, (), None)
