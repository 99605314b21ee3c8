"""Each record that is proposed is set in the world of the scenario that has the fault. It heals, and harms nothing."""

from __future__ import annotations

import pytest

from tests.support import scenario
from tests.support.healing import CATALOGUE, found_after, held_by, remedies, world_of, worlds_after
from tests.support.scenario import Scenario

RULES = {rule.id for rule in CATALOGUE.rules.values() if rule.remedy}
CASES = [case for case in scenario.load() if RULES & {rule for rule, _ in case.expected}]

# What another finding hid: nobody looks at it before that one is gone.
REVEALED = {
    "dmarc.missing": {
        "dmarc.policy-none",  # how each rollout begins
        "dmarc.no-rua",  # the domain takes no mail, so there is no mailbox at it
        "dmarc.cannot-align",  # without a policy nothing has to be aligned
    },
    "dmarc.no-policy": {"dmarc.policy-none"},
    "dmarc.bad-policy": {"dmarc.policy-none"},
    "spf.multiple-records": {"spf.parked-not-closed"},  # only one record can be judged
    "helo.no-address": {"helo.spf-missing", "helo.spf-not-authorised"},  # SPF of a name without an address
    "helo.private-address": {"helo.spf-missing"},
    "mta_sts.at-apex": {"mta_sts.policy-unreachable"},  # the policy is fetched if there is a valid record
    "mta_sts.syntax": {"mta_sts.policy-unreachable"},
    "mta_sts.multiple-records": {"mta_sts.policy-unreachable"},
}
_SAME_RECORD = dict.fromkeys(
    ("dmarc.bad-version", "dmarc.multiple-records", "dmarc.spf-text", "dmarc.at-apex"), "dmarc.missing"
)


@pytest.mark.parametrize("case", CASES, ids=lambda it: f"{it.check}/{it.name}")
async def test_the_records_that_are_proposed_heal_and_harm_nothing(case: Scenario) -> None:
    states = await held_by(case, world_of(case))
    before = {active.finding.id for active in states[0].findings}
    for rule, remedy in remedies(states):
        if not remedy.records:
            continue
        for world in worlds_after(case, remedy):
            after = await found_after(case, remedy, world)
            assert rule not in after, remedy
            assert after - before - REVEALED.get(_SAME_RECORD.get(rule, rule), set()) == set(), remedy
