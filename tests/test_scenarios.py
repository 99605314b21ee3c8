"""Every scenario zone is played twice, from memory and over real UDP and TCP, and must come out as its header says."""

from __future__ import annotations

import pytest

from exporter import catalogue
from exporter.demo.nameserver import Zone
from exporter.engine import evaluate
from exporter.net import Net
from tests.support import scenario
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CATALOGUE = catalogue.load()
SCENARIOS = scenario.load()


@pytest.mark.parametrize("case", SCENARIOS, ids=lambda s: f"{s.check}/{s.name}")
async def test_scenario_in_memory(case: scenario.Scenario) -> None:
    clock = FakeClock()
    dns = MemoryResolver(Zone(case.text))
    case.judge(await evaluate(CATALOGUE.checks[case.check], case.target, lambda: Net(dns, clock), clock))


def test_every_rule_is_expected_by_a_scenario() -> None:
    expected = {rule for case in SCENARIOS for rule, _ in case.expected}
    assert set(CATALOGUE.rules) - expected == set()


def test_every_check_has_a_clean_scenario() -> None:
    clean = {case.check for case in SCENARIOS if case.name == "clean" and case.one("verdict") == "pass"}
    assert set(CATALOGUE.checks) - clean == set()
