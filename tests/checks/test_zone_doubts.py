"""A finding of `zone` ends when its own question is answered, whatever else of the run is in doubt; else it stays."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Zone
from tests.support.authoritative import MemoryAuthoritative
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECK = catalogue.load().checks["zone"]
TARGET = Zone(name="example.com", mail_from=("example.com",), keys=("s1._domainkey.example.com",))
PARENT = "; server: a.gtld.example 192.0.2.30 com\n"
NS1 = "; server: ns1.example.com 192.0.2.53 example.com\n"
NS2 = "; server: ns2.example.net 198.51.100.53 example.com\n"
ZONE = """
; soa: com. 1
com. NS a.gtld.example.
a.gtld.example. A 192.0.2.30
; soa: example.com. 2026050101
example.com. NS ns1.example.com.
example.com. NS ns2.example.net.
ns1.example.com. A 192.0.2.53
ns2.example.net. A 198.51.100.53
example.com. MX 10 mx.example.com.
example.com. TXT "v=spf1 mx -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"
s1._domainkey.example.com. TXT "v=DKIM1; p=AAAA"
"""
GOOD = PARENT + NS1 + NS2 + ZONE


def silent(server: str) -> str:
    return server.replace("\n", " servfail\n")


def one_bad(**lines: str) -> str:
    """The good world, where these servers are otherwise."""
    return PARENT + lines.get("ns1", NS1) + lines.get("ns2", NS2) + ZONE


MX_DIFFERS = GOOD + "; at ns2.example.net: example.com. MX 10 old.example.com.\n"
SPF_DIFFERS = GOOD + '; at ns2.example.net: example.com. TXT "v=spf1 -all"\n'
BOGUS = GOOD + "; bogus: _dmarc.example.com. TXT\n"
RESOLVER_FAILS = "; servfail: _dmarc.example.com. TXT\n"
NS2_FAILS = "; servfail: ns2.example.net. *\n"
DS_FAILS = "; servfail: example.com. DS\n"
NS2_UNKNOWN = PARENT + NS1 + ZONE + NS2_FAILS  # neither its address nor the server itself can be had
PARENT_FAILS = PARENT.replace("\n", " servfail\n") + NS1 + NS2 + ZONE
GLUE = "; at a.gtld.example: ns1.example.com. A 203.0.113.99\n"
OTHER_DELEGATION = (
    "; at a.gtld.example: example.com. NS ns1.example.com.\n; at a.gtld.example: example.com. NS ns3.example.org.\n"
)
LAME = one_bad(ns2=NS2.replace("\n", " lame\n"))
DEAD = one_bad(ns1=NS1.replace("\n", " lame\n"), ns2=NS2.replace("\n", " lame\n"))
ALL_SILENT = one_bad(ns1=NS1.replace("\n", " silent\n"), ns2=NS2.replace("\n", " silent\n"))
ALL_FAIL = one_bad(ns1=silent(NS1), ns2=silent(NS2))
SINGLE = GOOD.replace("example.com. NS ns2.example.net.\n", "")


async def held(*worlds: str) -> tuple[set[str], bool]:
    """The findings that stand after a run in each world, and whether the last run was in doubt."""
    store, clock = Store(), FakeClock()
    store.hold(CHECK, TARGET)
    found: set[str] = set()
    doubted = False
    memory = MemoryAuthoritative("", clock).silences
    for world in worlds:
        servers = MemoryAuthoritative(world, clock)
        servers.silences = memory
        net = Net(MemoryResolver(ZoneData(world)), clock, states=store, authoritative=servers)
        state = store.record(await evaluate(CHECK, TARGET, lambda net=net: net, clock))  # type: ignore[misc]  # mypy infers no lambda with a default
        assert state
        found, doubted = {active.finding.id for active in state.findings}, state.doubt is not None
        clock.pass_(3600)
    return found, doubted


@pytest.mark.parametrize(
    ("rule", "broken", "repaired"),
    [
        pytest.param("zone.data-differ", MX_DIFFERS, GOOD + RESOLVER_FAILS, id="data-beside-resolver"),
        pytest.param("zone.lame", LAME, GOOD + RESOLVER_FAILS, id="lame-beside-resolver"),
        pytest.param("zone.lame", LAME, GOOD + DS_FAILS, id="lame-beside-ds"),
        pytest.param("zone.bogus", BOGUS, GOOD + DS_FAILS, id="bogus-beside-ds"),
        pytest.param("zone.bogus", BOGUS, ALL_SILENT, id="bogus-beside-silence"),
        pytest.param("zone.single", SINGLE, GOOD + RESOLVER_FAILS, id="single-beside-resolver"),
        pytest.param("zone.none-authoritative", DEAD, NS2_UNKNOWN, id="dead-beside-a-server-unknown"),
        pytest.param("zone.delegation-differs", GOOD + OTHER_DELEGATION, NS2_UNKNOWN, id="delegation-beside-address"),
        pytest.param("zone.stale-glue", GOOD + GLUE, GOOD + DS_FAILS, id="glue-beside-ds"),
        pytest.param(
            "zone.unsigned", GOOD, GOOD + "example.com. DS 1 8 2 " + "AA" * 32 + "\n" + RESOLVER_FAILS, id="unsigned"
        ),
    ],
)
async def test_what_is_repaired_ends_beside_another_doubt(rule: str, broken: str, repaired: str) -> None:
    assert rule in (await held(broken))[0]
    found, doubted = await held(broken, repaired)
    assert rule not in found
    assert doubted


@pytest.mark.parametrize(
    ("rule", "broken", "in_doubt"),
    [
        pytest.param("zone.data-differ", MX_DIFFERS, NS2_UNKNOWN, id="data"),
        pytest.param("zone.data-differ", SPF_DIFFERS, ALL_SILENT, id="data-silence"),
        pytest.param("zone.lame", LAME, NS2_UNKNOWN, id="lame"),
        pytest.param("zone.lame", LAME, ALL_SILENT, id="lame-silence"),
        pytest.param("zone.bogus", BOGUS, GOOD + RESOLVER_FAILS, id="bogus"),
        pytest.param("zone.none-authoritative", DEAD, ALL_FAIL, id="dead"),
        pytest.param("zone.delegation-differs", GOOD + OTHER_DELEGATION, PARENT_FAILS, id="delegation"),
        pytest.param("zone.stale-glue", GOOD + GLUE, PARENT_FAILS, id="glue"),
        pytest.param("zone.unsigned", GOOD, GOOD + DS_FAILS, id="unsigned"),
        pytest.param("zone.no-ipv6", GOOD, NS2_UNKNOWN, id="no-ipv6"),
    ],
)
async def test_what_cannot_be_asked_stays(rule: str, broken: str, in_doubt: str) -> None:
    assert rule in (await held(broken))[0]
    found, doubted = await held(broken, in_doubt)
    assert rule in found
    assert doubted


async def test_a_silence_ends_with_the_first_answer_and_stays_while_nobody_can_be_asked() -> None:
    assert "zone.silent" not in (await held(*[ALL_SILENT] * 3))[0]
    assert "zone.silent" in (await held(*[ALL_SILENT] * 4))[0]
    nobody = ALL_SILENT.replace("192.0.2.30 com", "192.0.2.30 com silent")
    assert "zone.silent" in (await held(*[ALL_SILENT] * 4, nobody))[0]
    found, doubted = await held(*[ALL_SILENT] * 4, one_bad(ns2=NS2.replace("\n", " silent\n")) + RESOLVER_FAILS)
    assert "zone.silent" not in found
    assert doubted
