"""The SPF policy of each envelope domain: is it valid, is it within the limits, and does it say anything (RFC 7208)?

All terms are judged here, whoever sends. The check `spf_sender` asks whether the policy authorises our own senders.

A fault that breaks the policy for each message is critical. A fault that breaks it only for mail that reaches a certain
term is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.checks.spf import record, terms
from exporter.facts import Doubt, Finding, Measured, Metric, Severity
from exporter.mail import names
from exporter.mail.dmarc.tree_walk import discover
from exporter.mail.spf.record import SpfPolicy, read, read_explanation
from exporter.mail.spf.worst_case import Cost, worst_case
from exporter.model import Facts, Light, check
from exporter.net import Net
from exporter.targets import Domain


@check(over=Domain, light=Light.SPF, questions=5)
async def spf(target: Domain, net: Net) -> Facts:
    """Is the SPF policy of the domain valid, and within the limits of receivers?"""
    policies = [read(await net.query(name, "TXT")) for name in target.mail_from]
    for policy in policies:
        yield record.published(policy, target)
    costs: list[Cost] = []
    for policy in policies:
        if policy.record is None:
            continue
        cost = await net.drive(worst_case(policy.name, policy))
        net.transcript.note(f"worst case of {policy.name}", cost.lines, "counted")
        costs.append(cost)
        yield terms.followed(cost, target)
        if end := terms.open_end(cost, target):
            yield await _open_ended(policy.name, end, target, net)
        yield await _unexplained(policy, net)
    for name in target.mail_from:
        async for fact in record.obsolete(name, target, net):
            yield fact
    unsure = [*_unsure(policies, costs)]
    yield unsure
    if costs and not unsure:
        yield LOOKUPS(max(cost.lookups for cost in costs))
        if voids := max(len(cost.voids) for cost in costs):
            yield VOIDS(voids)
    if any(policy.texts for policy in policies) and not any(policy.reply.doubt for policy in policies):
        yield Measured(BYTES), BYTES(max(len(text) for policy in policies for text in policy.texts))


def _unsure(policies: list[SpfPolicy], costs: list[Cost]) -> Iterator[Doubt]:
    visited = frozenset[str]().union(*(cost.visited for cost in costs))
    for policy in policies:
        if policy.reply.doubt:
            yield terms.unread(policy.name, record.unread(policy, policy.reply.doubt), visited)
    for cost in costs:
        yield from terms.unsure(cost, visited)


async def _open_ended(name: str, end: str, target: Domain, net: Net) -> Finding | Doubt:
    """Info if a DMARC policy covers the name, because that asks receivers to refuse forged mail."""
    found = await net.drive(discover(target.name))
    if found.source is None and found.doubt and found.doubt.doubt:
        return found.doubt.doubt.over(terms.OPEN_ENDED, name=name)
    covered = found.source and names.under(found.source.domain, names.registrable(target.name))
    return terms.OPEN_ENDED(severity=Severity.INFO if covered else None, name=name, end=end)


async def _unexplained(policy: SpfPolicy, net: Net) -> list[Finding]:
    """The explanation (exp=). If it cannot be read, no result changes, so that is no doubt."""
    if policy.record is None or policy.record.exp is None:
        return []
    explained = policy.record.explained(policy.name)
    reply = await net.query(explained, "TXT") if explained else None
    error = read_explanation(reply).error if reply and reply.status.conclusive else ""
    if not error:
        return []
    term = policy.record.exp.text
    return [terms.EXPLANATION_MISSING(name=policy.name, term=term, target=explained, error=error)]


LOOKUPS = Metric(
    "deliverability_spf_dns_lookups", "DNS lookups of the SPF policy if every mechanism is evaluated; the limit is 10."
)
VOIDS = Metric(
    "deliverability_spf_void_lookups",
    "SPF mechanisms without records (void lookups) if every mechanism is evaluated; limit 2. Absent if there is none.",
)
BYTES = Metric("deliverability_spf_record_bytes", "Size of the SPF record in bytes.")
