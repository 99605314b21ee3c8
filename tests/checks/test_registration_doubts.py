"""A finding of `registration` ends when its own question is answered, whatever else of the run is in doubt."""

from __future__ import annotations

import pytest

from exporter.demo.nameserver import ZoneData
from exporter.demo.registry import Name, RegistryFault
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Registration
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver
from tests.support.rdap import registry

CHECK = catalogue.load().checks["registration"]
EXAMPLE, OTHER = Registration(domain="example.com"), Registration(domain="other.com")
IN_DNS, GONE = "example.com. NS ns.example.com.\n", "com. NS a.gtld.example.\n"
NOT_FOUND, BUSY = Name(fault=RegistryFault.NOT_FOUND), Name(fault=RegistryFault.BUSY)
ON_HOLD = Name(status=("client hold",))
UNDATED = Name(expires=None)
SOON = Name(expires=3)


async def held(*worlds: tuple[Name, str]) -> tuple[set[str], bool]:
    """The findings that stand after a run in each world, a day apart, and whether the last one was in doubt."""
    store, clock = Store(), FakeClock()
    store.hold(CHECK, EXAMPLE)
    names = {EXAMPLE.domain: worlds[0][0], OTHER.domain: Name()}
    found: set[str] = set()
    doubted = False
    async with registry(names, clock) as (rdap, _):
        for name, world in worlds:
            names[EXAMPLE.domain] = name
            net = Net(MemoryResolver(ZoneData(world)), clock, rdap=rdap, states=store)
            await net.registration(OTHER.domain)
            state = store.record(await evaluate(CHECK, EXAMPLE, lambda net=net: net, clock))  # type: ignore[misc]  # mypy infers no lambda with a default
            assert state
            found, doubted = {active.finding.id for active in state.findings}, state.doubt is not None
            clock.pass_(86400)
    return found, doubted


@pytest.mark.parametrize(
    ("rule", "broken", "repaired"),
    [
        ("registration.on-hold", (ON_HOLD, IN_DNS), (UNDATED, IN_DNS)),
        ("registration.not-registered", (NOT_FOUND, GONE), (NOT_FOUND, IN_DNS)),
    ],
)
async def test_what_is_repaired_ends_beside_another_doubt(
    rule: str, broken: tuple[Name, str], repaired: tuple[Name, str]
) -> None:
    assert rule in (await held(broken))[0]
    found, doubted = await held(broken, repaired)
    assert rule not in found
    assert doubted


@pytest.mark.parametrize(
    ("rule", "broken", "in_doubt"),
    [
        ("registration.expiring", (SOON, IN_DNS), (UNDATED, IN_DNS)),
        ("registration.expiring", (SOON, IN_DNS), (NOT_FOUND, IN_DNS)),
        ("registration.on-hold", (ON_HOLD, IN_DNS), (NOT_FOUND, IN_DNS)),
        ("registration.on-hold", (ON_HOLD, IN_DNS), (BUSY, IN_DNS)),
        ("registration.not-registered", (NOT_FOUND, GONE), (NOT_FOUND, "; servfail: example.com. NS\n")),
    ],
)
async def test_what_cannot_be_asked_stays(rule: str, broken: tuple[Name, str], in_doubt: tuple[Name, str]) -> None:
    found, doubted = await held(broken, in_doubt)
    assert rule in found
    assert doubted
