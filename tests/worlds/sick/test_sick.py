"""One fault at a time in a healthy set-up: it is found, what follows from it is listed, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.check_state import FindingPolicy
from exporter.clock import SystemClock
from exporter.engine import catalogue
from exporter.facts import Severity
from exporter.model import Target
from tests.worlds.sick import authentication, hosts, names, receivers, zones
from tests.worlds.sick.fault import HOME, ZONE, Fault
from tests.worlds.world import World, play

pytestmark = pytest.mark.long

FAULTS: list[Fault] = [*names.FAULTS, *authentication.FAULTS, *hosts.FAULTS, *zones.FAULTS, *receivers.FAULTS]
ALWAYS = {"zone.unsigned acme-parked.net"}  # an info finding of the healthy set-up
NOT_PLANTED = {  # by why; a scenario of each has what this world has not
    "it takes an hour of silence, which this world cannot wait for": {
        "mx.all-unreachable",
        "smtp_tls.unreachable",
    },
    "it is in the world of smtp_tls.refused, from which it follows": {"mx.host-unreachable"},
    "it takes runs with time between them, or a change of what is there": {
        "blocklist_health.contradicts-itself",
        "blocklist_health.suspect",
        "blocklist_health.unreliable",
        "mta_sts.id-unchanged",
        "smtp_tls.starttls-gone",
        "zone.silent",
    },
    "a resolver that knows no com knows nothing of this world either": {"resolver.denies"},
    "the resolver of this world is on this machine, and no public one may be asked": {"resolver.public"},
}


def who(target: Target) -> str:
    """The first of its labels; the resolver has none, as there is only one."""
    return next((value for _, value in target.identity), "exporter")


async def look(world: World, sweeps: int = 1) -> tuple[set[str], set[str]]:
    """The findings of whatever severity, and the checks that cannot tell, each with whom it is about."""
    clock = SystemClock()
    settings, store = await play(world, clock, sweeps)
    policy = FindingPolicy(settings.severities)
    return (
        {f"{it.finding.id} {who(state.target)}" for state in store for it in state.effective(policy, clock.wall())},
        {f"{state.key[0]} {who(state.target)}" for state in store if state.doubt},
    )


async def test_the_set_up_is_healthy_without_a_fault() -> None:
    assert await look(World("healthy", ZONE, HOME)) == (ALWAYS, set())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_is_found_and_nothing_else(fault: Fault, tmp_path: Path) -> None:
    found, unknown = await look(fault.world(tmp_path), fault.sweeps)
    assert found == (ALWAYS - set(fault.ends)) | {fault.finds} | set(fault.follows)
    assert unknown == set(fault.unknown)


def test_every_critical_and_warning_rule_is_planted_or_excused() -> None:
    """What several receivers demand is planted by one fault."""
    rules = {rule.id for rule in catalogue.load().rules.values() if rule.severity is not Severity.INFO}
    planted = {fault.finds for fault in FAULTS} | {it for fault in receivers.FAULTS for it in fault.follows}
    excused = set().union(*NOT_PLANTED.values())
    assert rules - {it.split()[0] for it in planted} == excused


def test_each_fault_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
