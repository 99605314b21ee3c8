"""Will the large receivers take our mail? The answer is combined from the other checks; nobody is asked anything.

data/receivers has the demands and the texts of refusals. exporter/receivers.py combines the results. Each demand that
we can observe has a finding of its own.

All these findings are warnings:

- Critical findings wake people. If that is needed, the finding that causes this one is critical already.
- With info, the check would pass while mail is refused.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from exporter import receivers
from exporter.facts import Doubt, Finding, Measured, Metric, Rule, Severity
from exporter.model import Facts, Light, check
from exporter.net import Net
from exporter.receivers import Demand, DemandAnswer, DemandState, OpenQuestion, Profile
from exporter.targets import Delivery


@check(over=Delivery, light=Light.RECEIVERS, interval=timedelta(minutes=5), after=receivers.checks(), concludes=True)
async def receiver(target: Delivery, net: Net) -> Facts:
    """Will large receivers accept mail of the domain, as far as it can be checked before sending?"""
    # Several demands rest on the same verdict, and the evidence names it once.
    results = receivers.Results(target.rests_on, cache(net.state))
    troubles: list[tuple[Rule, OpenQuestion]] = []
    for name in target.receivers:
        profile = receivers.shipped()[name]
        rules = _OF_DEMANDS[name]
        seen = [(rules[demand.id], answer) for demand, answer in results.judge(profile) if demand.rests_on]
        unmet = [(rule, answer) for rule, answer in seen if answer.state is DemandState.UNMET]
        yield (_unmet(rule, target, answer) for rule, answer in unmet)
        # A doubt keeps a finding that is already there.
        kept = [it for it in seen if it[1].troubles and it not in unmet and net.active(target, it[0])]
        if unmet or kept:
            yield UNMET(len(unmet) + len(kept), receiver=name)
        troubles += ((rule, trouble) for rule, answer in seen for trouble in answer.troubles)
    yield Measured(UNMET)
    yield (Doubt(it.doubt.reason, f"{it.check} of {it.title}: {it.doubt.detail}").over(rule) for rule, it in troubles)


MOST_CAUSES = 3  # named in one sentence


def _rule(finding: str, profile: Profile, demand: Demand) -> Rule:
    return Rule(
        finding,
        Severity.WARNING,
        says=f'mail of {{domain}} fails a requirement of {profile.name}, "{demand.text}": {{causes}}',
        why=f"The receiver may reject, defer or junk such mail.{_words(demand)}",
        fix="Fix {finding} of {target} first: {remedy}",
        ref=str(demand.source),
        certain=True,  # it repeats findings of other checks
    )


def _words(demand: Demand) -> str:
    """Not as `refusals` of the rule: a refusal that somebody looks up should lead to the cause."""
    return f' Rejection text: "{demand.refusals[0].rstrip(".")}".' if demand.refusals else ""


RULES = {
    finding: _rule(finding, profile, demand)
    for profile in receivers.shipped().values()
    for demand in profile.demands
    if (finding := profile.finding(demand, receiver.id))
}

_OF_DEMANDS = {
    profile.id: {it.id: RULES[found] for it in profile.demands if (found := profile.finding(it, receiver.id))}
    for profile in receivers.shipped().values()
}
UNMET = Metric(
    "deliverability_receiver_unmet",
    "Failed requirements of the receiver; absent while mail of the domain passes all checkable ones.",
    labels=("receiver",),
)


def _unmet(rule: Rule, target: Delivery, answer: DemandAnswer) -> Finding:
    named = list(dict.fromkeys(f"{cause.finding.id} of {cause.title}" for cause in answer.causes))
    more = f" and {len(named) - MOST_CAUSES} more" if len(named) > MOST_CAUSES else ""
    first = answer.causes[0]
    return rule(
        domain=target.domain,
        causes=", ".join(named[:MOST_CAUSES]) + more,
        finding=first.finding.id,
        target=first.title,
        remedy=first.finding.fix,
    )
