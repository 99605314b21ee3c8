"""The fleet in the pictures of the documents has the three problems that fleet.py names, and no other."""

from __future__ import annotations

from pathlib import Path

from exporter.check_state import FindingPolicy
from exporter.clock import SystemClock
from exporter.engine.problems import problems
from tests.first_hour import fleet
from tests.worlds.world import World, play

REPLACED = "127.0.0.1"  # `play` has its own resolver


async def test_three_things_are_wrong_with_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(fleet.config(REPLACED))
    clock = SystemClock()
    settings, store = await play(World("fleet", fleet.zone(), tmp_path), clock)
    found = problems(store, FindingPolicy(settings.severities), clock.wall())
    assert [(it.rule.id, len(it.domains)) for it in found] == [
        ("helo.local-name", 12),
        ("dkim.missing", 1),
        ("spf.include-broken", len(fleet.WITH_PARTNER)),
    ]
    assert not any(state.doubt for state in store)
