"""Is one of our addresses or domains on a blocklist? exporter/net/dnsbl/client.py has the rules for what counts."""

from __future__ import annotations

from datetime import timedelta

from exporter.facts import Metric, Rule, Severity
from exporter.model import Door, Facts, check
from exporter.net import Net
from exporter.net.dnsbl.client import missing, resting_on
from exporter.targets import Reputation


@check(over=Reputation, interval=timedelta(hours=1), timeout=timedelta(minutes=2), needs={Door.BLOCKLISTS})
async def blocklist(target: Reputation, net: Net) -> Facts:
    """Is the address or domain free of blocklist listings?"""
    verdicts = await net.listed(target.subject, target.lists)
    listings = [(it.blocklist, it.listing) for it in verdicts if it.listing]
    for of, listing in listings:
        yield LISTED(
            severity=listing.severity,
            subject=target.subject,
            blocklist=of.name,
            meaning=listing.meaning,
            codes=", ".join(listing.codes),
            text=listing.text or "nothing",
            remedy=listing.remedy,
            delist=of.delist or f"the operator of {of.name}",
        )
    yield LISTINGS(sum(1 for _, listing in listings if listing.severity.fails))
    yield CHECKED(resting_on(verdicts))
    yield missing(verdicts)


LISTED = Rule(
    "blocklist.listed",
    Severity.WARNING,  # the list and its return code decide
    says="{subject} is listed on {blocklist}: {meaning} ({codes}); the list says: {text}",
    why="Receivers that use the list refuse or junk mail from what it names.",
    fix="End the cause ({remedy}), then ask for removal at {delist}.",
    ref="RFC 5782 section 2",
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
CHECKED = Metric("deliverability_blocklist_checked", "Blocklists that the verdict rests on.")
