"""A finding of `mx` ends when its own question is answered, whatever else of the run is in doubt; else it stays."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Domain
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECK = catalogue.load().checks["mx"]
BOUNCE = "bounce.example.com. MX 10 mx1.example.com.\n"
MX1 = "mx1.example.com. A 192.0.2.1\nmx1.example.com. AAAA 2001:db8::1\n"
MX2 = "mx2.example.com. A 192.0.2.2\nmx2.example.com. AAAA 2001:db8::2\n"
TWO = "example.com. MX 10 mx1.example.com.\nexample.com. MX 20 mx2.example.com.\n"
GOOD = BOUNCE + TWO + MX1 + MX2
NOBODY = "com. NS a.gtld.example.\n"
SILENT_MX2 = "; servfail: mx2.example.com. *\n"
SILENT_MX = "; servfail: example.com. MX\n"
SILENT_BOUNCE = "; servfail: bounce.example.com. MX\n"


async def held(*worlds: str, **fields: bool) -> tuple[set[str], bool]:
    """The findings that stand after a run in each world, and whether the last run was in doubt."""
    target = Domain(name="example.com", mail_from=("bounce.example.com",), **fields)  # type: ignore[arg-type]  # its flags alone
    store, clock = Store(), FakeClock()
    store.hold(CHECK, target)
    found: set[str] = set()
    doubted = False
    for world in worlds:
        dns = MemoryResolver(ZoneData(world))
        outcome = await evaluate(CHECK, target, lambda dns=dns: Net(dns, clock, states=store), clock)  # type: ignore[misc]  # mypy infers no lambda with a default
        state = store.record(outcome)
        assert state
        found, doubted = {active.finding.id for active in state.findings}, state.doubt is not None
        clock.pass_(900)
    return found, doubted


REPAIRED = [
    pytest.param("mx.null", BOUNCE + "example.com. MX 0 .\n" + MX1, BOUNCE + TWO + MX1 + SILENT_MX2, id="null"),
    pytest.param("mx.nowhere", BOUNCE + 'example.com. TXT "x"\n' + MX1, BOUNCE + TWO + MX1 + SILENT_MX2, id="nowhere"),
    pytest.param("mx.no-such-domain", NOBODY, BOUNCE + TWO + MX1 + SILENT_MX2, id="no-such-domain"),
    pytest.param("mx.implicit", BOUNCE + "example.com. A 192.0.2.1\n" + MX1, GOOD + SILENT_MX2, id="implicit"),
    pytest.param("mx.null-beside-others", GOOD + "example.com. MX 0 .\n", GOOD + SILENT_MX2, id="null-beside"),
    pytest.param("mx.is-address", GOOD + "example.com. MX 30 192.0.2.9.\n", GOOD + SILENT_MX2, id="is-address"),
    pytest.param("mx.bad-name", GOOD + "example.com. MX 30 mx_9.example.com.\n", GOOD + SILENT_MX2, id="bad-name"),
    pytest.param("mx.dangling", BOUNCE + TWO + MX2, GOOD + SILENT_MX2, id="dangling"),
    pytest.param(
        "mx.no-address", BOUNCE + TWO + MX2 + 'mx1.example.com. TXT "x"\n', GOOD + SILENT_MX2, id="no-address"
    ),
    pytest.param(
        "mx.not-public", BOUNCE + TWO + MX2 + "mx1.example.com. A 10.0.0.1\n", GOOD + SILENT_MX2, id="private"
    ),
    pytest.param("mx.dangling", BOUNCE + TWO + MX2, GOOD + SILENT_BOUNCE, id="dangling-beside-envelope"),
    pytest.param("mx.null-sender", GOOD.replace(BOUNCE, "bounce.example.com. MX 0 .\n"), GOOD + SILENT_MX, id="sender"),
    pytest.param("mx.no-such-sender", TWO + MX1 + MX2, GOOD + SILENT_MX, id="no-such-sender"),
    pytest.param(
        "mx.nowhere", BOUNCE + 'example.com. TXT "x"\n' + MX1, GOOD + SILENT_BOUNCE, id="nowhere-of-the-other"
    ),
]


@pytest.mark.parametrize(("rule", "broken", "repaired"), REPAIRED)
async def test_what_is_repaired_ends_beside_another_doubt(rule: str, broken: str, repaired: str) -> None:
    found, _ = await held(broken)
    assert rule in found
    found, doubted = await held(broken, repaired)
    assert rule not in found
    assert doubted


OPEN = [
    pytest.param("mx.null", BOUNCE + "example.com. MX 0 .\n" + MX1, GOOD + SILENT_MX, id="null"),
    pytest.param("mx.no-such-domain", NOBODY, GOOD + SILENT_MX, id="no-such-domain"),
    pytest.param("mx.implicit", BOUNCE + "example.com. A 192.0.2.1\n" + MX1, GOOD + SILENT_MX, id="implicit"),
    pytest.param(
        "mx.nowhere", BOUNCE + 'example.com. TXT "x"\n', BOUNCE + "; servfail: example.com. A\n", id="nowhere"
    ),
    pytest.param("mx.is-address", GOOD + "example.com. MX 30 192.0.2.9.\n", GOOD + SILENT_MX, id="is-address"),
    pytest.param("mx.dangling", BOUNCE + TWO + MX1, GOOD + SILENT_MX2, id="dangling"),
    pytest.param("mx.dangling", BOUNCE + TWO + MX1, GOOD + SILENT_MX, id="dangling-whatever-the-hosts-are"),
    pytest.param(
        "mx.not-public", BOUNCE + TWO + MX1 + "mx2.example.com. A 10.0.0.1\n", GOOD + SILENT_MX2, id="private"
    ),
    pytest.param(
        "mx.null-sender", GOOD.replace(BOUNCE, "bounce.example.com. MX 0 .\n"), GOOD + SILENT_BOUNCE, id="sender"
    ),
    pytest.param("mx.no-such-sender", TWO + MX1 + MX2, GOOD + SILENT_BOUNCE, id="no-such-sender"),
]


@pytest.mark.parametrize(("rule", "broken", "in_doubt"), OPEN)
async def test_what_cannot_be_asked_stays(rule: str, broken: str, in_doubt: str) -> None:
    assert rule in (await held(broken))[0]
    found, doubted = await held(broken, in_doubt)
    assert rule in found
    assert doubted


async def test_unwanted_hosts_end_with_the_record_and_stay_without_an_answer() -> None:
    emptied = BOUNCE + MX1 + 'example.com. TXT "x"\n'
    assert "mx.unwanted" in (await held(GOOD, receives_mail=False))[0]
    assert (await held(GOOD, emptied, receives_mail=False))[0] == {"mx.nowhere"}
    assert "mx.unwanted" in (await held(GOOD, GOOD + SILENT_MX, receives_mail=False))[0]


async def test_of_two_findings_of_one_rule_the_one_in_doubt_stays_beside_the_other() -> None:
    target = Domain(name="example.com", mail_from=("bounce.example.com",))
    store, clock = Store(), FakeClock()
    store.hold(CHECK, target)
    both = 'example.com. TXT "x"\nbounce.example.com. TXT "x"\n'
    told = []
    for world in (both, both + "; servfail: example.com. A\n", both + "example.com. A 192.0.2.1\n"):
        net = Net(MemoryResolver(ZoneData(world)), clock, states=store)
        state = store.record(await evaluate(CHECK, target, lambda net=net: net, clock))  # type: ignore[misc]  # mypy infers no lambda with a default
        assert state
        told.append({dict(it.finding.evidence)["domain"] for it in state.findings if it.finding.id == "mx.nowhere"})
        clock.pass_(900)
    assert told == [
        {"example.com", "bounce.example.com"},
        {"example.com", "bounce.example.com"},
        {"bounce.example.com"},
    ]
