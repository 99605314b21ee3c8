"""Set-ups as providers document them are healthy: nothing pages, and few warnings stand, each with its reason."""

from __future__ import annotations

import pytest

from exporter.check_state import FindingPolicy
from exporter.clock import SystemClock
from exporter.facts import Severity
from tests.worlds.world import World, play, worlds

pytestmark = pytest.mark.long

WORLDS = worlds()
MOST_WARNINGS = 3  # over all worlds


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
async def test_a_documented_set_up_is_healthy(world: World) -> None:
    clock = SystemClock()
    settings, store = await play(world, clock)
    policy = FindingPolicy(settings.severities)
    found = {
        (it.finding.id, state.target.identity[0][1], it.severity, it.finding.text)
        for state in store
        for it in state.effective(policy, clock.wall())
        if it.fails
    }
    assert {(rule, who) for rule, who, _, _ in found} == world.warnings, found
    assert all(severity is Severity.WARNING for _, _, severity, _ in found)
    unknown = {(*state.key, str(state.doubt)) for state in store if state.doubt}
    assert unknown == set()


def test_few_warnings_stand_in_all_worlds_together() -> None:
    assert sum(len(world.warnings) for world in WORLDS) <= MOST_WARNINGS


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_world_says_where_it_is_documented(world: World) -> None:
    assert world.text.startswith("; ")
    assert world.all("source")
