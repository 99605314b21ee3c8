"""Each record that is proposed is set in the world of the scenario that has the fault. It heals, and harms nothing."""

from __future__ import annotations

from typing import Any

import dns.zone
import pytest

from exporter.engine.held import Held
from exporter.explain import examples
from exporter.mail import host_remedies
from exporter.remedies import forms
from tests.support import scenario
from tests.support.healing import CATALOGUE, found_after, held_by, remedies, world_of, worlds_after
from tests.support.scenario import Scenario

NO_RECORDS = {host_remedies.greet, host_remedies.offer_tls, host_remedies.speak_newer_tls, host_remedies.leave_one}
RULES = {rule.id for rule in CATALOGUE.rules.values() if rule.remedy and rule.remedy not in NO_RECORDS}
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


@pytest.mark.parametrize(
    "value", ["x", "192.0.2.1", "a.example, b.example", 'a" b\\', "cut off…", "\\u{7}", "x; y", ""]
)
def test_no_evidence_makes_what_cannot_be_pasted(value: str) -> None:
    """Whatever remote text gets into a finding: a zone file with the records can be read, and nothing raises."""
    for rule in (it for it in CATALOGUE.rules.values() if it.remedy):
        evidence: dict[str, Any] = dict.fromkeys(rule.fields, value) | {"ip": "192.0.2.1", "rdtype": "A"}
        findings = [rule(**{key: evidence[key] for key in rule.fields})] * 2
        remedy = rule.remedy_of(findings, Held([]))
        text = forms.zone_file(remedy.records)
        dns.zone.from_text(text, origin=".", relativize=False, check_origin=False)
        assert rule.fix_of(findings, Held([]))


def test_a_record_that_is_not_known_as_a_whole_is_not_replaced() -> None:
    """Nothing is held. So each TXT record that is proposed stands beside others, which may be there."""
    for rule in (it for it in CATALOGUE.rules.values() if it.remedy):
        made = rule.remedy_of([examples.example(rule)], Held([]))
        assert [it for it in made.records if it.type == "TXT" and it.keep is not None] == [], rule.id
