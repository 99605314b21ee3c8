"""One fault at a time in a healthy set-up: it is found, what follows from it is listed, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.check_state import FindingPolicy
from exporter.clock import SystemClock
from exporter.engine import catalogue
from exporter.facts import Severity
from tests.worlds.sick import authentication, hosts, names, zones
from tests.worlds.sick.fault import HOME, ZONE, Fault
from tests.worlds.world import World, play

pytestmark = pytest.mark.long

FAULTS: list[Fault] = [*names.FAULTS, *authentication.FAULTS, *hosts.FAULTS, *zones.FAULTS]
ALWAYS = {"zone.unsigned acme-parked.net"}  # an info finding of the healthy set-up
NOT_PLANTED = {
    "mx.all-unreachable": "it takes an hour of silence, which this world cannot wait for",
    "zone.silent": "it takes runs in silence, one after the other",
}


async def look(world: World) -> tuple[set[str], set[str]]:
    """The findings of whatever severity, and the checks that cannot tell, each with whom it is about."""
    clock = SystemClock()
    settings, store = await play(world, clock)
    policy = FindingPolicy(settings.severities)
    return (
        {
            f"{it.finding.id} {state.target.identity[0][1]}"
            for state in store
            for it in state.effective(policy, clock.wall())
        },
        {f"{state.key[0]} {state.target.identity[0][1]}" for state in store if state.doubt},
    )


async def test_the_set_up_is_healthy_without_a_fault() -> None:
    assert await look(World("healthy", ZONE, HOME)) == (ALWAYS, set())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_is_found_and_nothing_else(fault: Fault, tmp_path: Path) -> None:
    found, unknown = await look(fault.world(tmp_path))
    assert found == (ALWAYS - set(fault.ends)) | {fault.finds} | set(fault.follows)
    assert unknown == set(fault.unknown)


def test_every_critical_rule_is_planted_or_excused() -> None:
    critical = {rule.id for rule in catalogue.load().rules.values() if rule.severity is Severity.CRITICAL}
    planted = {fault.finds.split()[0] for fault in FAULTS}
    assert critical - planted == set(NOT_PLANTED)


def test_each_fault_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
