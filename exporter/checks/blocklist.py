"""Is one of our addresses or domains on a blocklist? exporter/net/dnsbl/client.py has the rules for what counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from exporter.facts import Doubt, LookAgain, Measured, Metric, Reason, Rule, Severity
from exporter.model import Door, Facts, Light, check
from exporter.net import Net
from exporter.net.dnsbl.verdict import ListVerdict, missing, resting_on, silent
from exporter.targets import Reputation


@check(
    over=Reputation,
    light=Light.BLOCKLISTS,
    interval=timedelta(hours=1),
    timeout=timedelta(minutes=2),
    needs={Door.BLOCKLISTS},
)
async def blocklist(target: Reputation, net: Net) -> Facts:
    """Is the address or domain free of blocklist listings?"""
    verdicts = await net.listed(target.subject, target.lists)
    listings = [(s, s.listing) for s in verdicts if s.listing]
    for verdict, listing in listings:
        of = verdict.blocklist
        alone = verdict.alone(verdicts)
        yield LISTED(
            severity=Severity.INFO if alone else listing.severity,
            subject=target.subject,
            blocklist=of.name,
            meaning=listing.meaning,
            codes=", ".join(listing.codes),
            text=listing.text or "nothing",
            remedy=listing.remedy,
            delist=of.delist or f"ask the operator of {of.name}",
        )
        if alone and listing.severity.fails:  # neither proven nor refuted
            yield Doubt(
                Reason.BLOCKLIST_UNHEALTHY, f"{of.name} lists very many at once, and no other list agrees"
            ).over(LISTED, blocklist=of.name)
    doubts, left_open = list(missing(verdicts)), silent(verdicts) or verdicts
    count = sum(1 for s, listing in listings if listing.severity.fails and not s.alone(verdicts))
    before = [(s, net.active(target, LISTED, blocklist=s.blocklist.name)) for s in verdicts if doubts]
    count += sum(1 for s, it in before if it and it.severity.fails and not s.listing and s in left_open)
    if count or not doubts or any(it for _, it in before):  # else "none" is not known
        yield Measured(LISTINGS)
    yield LISTINGS(count)
    yield Measured(CHECKED), CHECKED(resting_on(verdicts))
    yield (_over(doubt, left_open) for doubt in doubts)
    yield [LookAgain(s.again) for s in verdicts if s.again is not None]


def _over(doubt: Doubt, lists: Sequence[ListVerdict]) -> Doubt:
    """The doubt leaves open only earlier listings by these lists."""
    for verdict in lists:
        doubt = doubt.over(LISTED, blocklist=verdict.blocklist.name)
    return doubt


LISTED = Rule(
    "blocklist.listed",
    Severity.WARNING,  # the list and its return code decide
    says="{subject} is listed on {blocklist}: {meaning} ({codes}); the list says: {text}",
    why="Receivers that use the list reject or junk mail from what it lists.",
    fix="Fix the cause ({remedy}), then request delisting: {delist}",
    ref="RFC 5782 section 2",
    certain=True,
    refusals=(
        "Postfix: 554 5.7.1 Service unavailable; Client host ... blocked using",
        "Office 365: 550 5.7.1 Service unavailable, Client host ... blocked using Spamhaus",
        "Yahoo: 553 5.7.1 [BL21] Connections will not be accepted from ... because the ip is in Spamhaus's list",
    ),
    subjects=("blocklist",),
)
LISTINGS = Metric(
    "deliverability_blocklist_listings", "Blocklists that list the subject, not counting those of severity info."
)
CHECKED = Metric("deliverability_blocklist_checked", "Blocklists whose answers the result uses.")
