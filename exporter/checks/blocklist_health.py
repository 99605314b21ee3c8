"""Are the answers of a blocklist right (RFC 5782 section 5)? An unhealthy list changes none of our verdicts."""

from __future__ import annotations

from datetime import timedelta

from exporter.facts import Rule, Severity
from exporter.mail.dnsbl.blocklist import ListFault
from exporter.model import Door, Facts, check
from exporter.net import Net
from exporter.targets import ListHealth


@check(over=ListHealth, interval=timedelta(hours=1), needs={Door.BLOCKLISTS})
async def blocklist_health(target: ListHealth, net: Net) -> Facts:
    """Can the answers of the blocklist be believed?"""
    name = target.blocklist.name
    condition = await net.list_condition(target.blocklist, ipv6=target.ipv6)
    if condition.fault:
        yield _RULES[condition.fault.fault](blocklist=name, detail=condition.fault.detail)
    elif condition.ipv6:
        yield NOT_FOR_IPV6(blocklist=name, detail=condition.ipv6.detail)
    if condition.suspects:
        yield SUSPECT(blocklist=name, subjects=condition.suspects)
    if condition.contradicted:
        yield CONTRADICTS_ITSELF(blocklist=name, subjects=condition.contradicted)
    if condition.unreliable:
        yield UNRELIABLE(blocklist=name, unanswered=condition.unanswered)
    elif condition.doubt:
        yield condition.doubt  # the latest test proved nothing, and nothing else is known against the list


LISTS_THE_WORLD = Rule(
    "blocklist_health.lists-the-world",
    Severity.WARNING,
    says="{blocklist} lists what no list may list: {detail}",
    why="A list that names everybody says nothing of anybody; it was shut down, or its domain changed hands.",
    fix="Remove {blocklist} from `blocklists` unless its operator repairs it.",
    ref="RFC 5782 section 5; RFC 6471 section 3.4",
    certain=True,
    doubts=True,
)
DEAD = Rule(
    "blocklist_health.dead",
    Severity.WARNING,
    says="{blocklist} does not list its own test point: {detail}",
    why='The list is dead or emptied, or it hides from this resolver: its "not listed" proves nothing.',
    fix="Ask {blocklist} through your own recursive resolver (registered, or with a key, where the list wants that), "
    "or remove it from `blocklists`.",
    ref="RFC 5782 section 5",
    certain=True,
    doubts=True,
)
REFUSES_RESOLVER = Rule(
    "blocklist_health.refuses-resolver",
    Severity.WARNING,
    says="{blocklist} refuses the resolver that asks: {detail}",
    why="The list does not serve public or unknown resolvers, so that a listing would go unseen.",
    fix="Set `resolver: nameservers:` to your own recursive resolver, or a `zone_file` with your key for {blocklist}.",
    ref="Spamhaus news article 788",
    certain=True,
    cause=(),
    doubts=True,
)
TOO_MANY_QUESTIONS = Rule(
    "blocklist_health.too-many-questions",
    Severity.WARNING,
    says="{blocklist} refuses because it was asked too often: {detail}",
    why="All questions through this resolver count, those of the mail servers too; a listing would go unseen.",
    fix="Get a key for {blocklist} and set its `zone_file`, or ask less often with `schedule: blocklist:`.",
    ref="Spamhaus page returnc/vol",
    certain=True,
    doubts=True,
)
MISTYPED_ZONE = Rule(
    "blocklist_health.mistyped-zone",
    Severity.WARNING,
    says="{blocklist} does not know the zone that is asked: {detail}",
    why="Nothing that is asked there gets a true answer.",
    fix="Correct the zone of {blocklist} in `blocklists`.",
    ref="Spamhaus news article 788",
    certain=True,
    doubts=True,
)
WRONG_ANSWERS = Rule(
    "blocklist_health.wrong-answers",
    Severity.WARNING,
    says="{blocklist} answers as no blocklist does: {detail}",
    why="The zone is parked or hijacked, or the resolver rewrites answers; taken as a listing it would be a false one.",
    fix="Use a resolver that rewrites nothing; if the answer stays, remove {blocklist} from `blocklists`.",
    ref="RFC 5782 section 2.1",
    certain=True,
    doubts=True,
)
UNRELIABLE = Rule(  # doubts nothing: one that is merely slow says the truth when it answers
    "blocklist_health.unreliable",
    Severity.WARNING,
    says="{blocklist} leaves questions unanswered, {unanswered} of late, while other lists answer",
    why="Verdicts no longer wait for this list, so that a new listing there may go unseen.",
    fix="Look at the path to the name servers of {blocklist}; remove it from `blocklists` if it stays so.",
    ref="RFC 6471 section 3.3",
    certain=True,
)
NOT_FOR_IPV6 = Rule(  # doubts nothing: its listings of IPv4 addresses are true, and those of IPv6 began while it was so
    "blocklist_health.not-for-ipv6",
    Severity.WARNING,
    says="{blocklist} cannot be believed about IPv6 addresses: {detail}",
    why="Verdicts about IPv6 addresses do not rest on this list, so that a listing there may go unseen.",
    fix="Set `ipv6: false` for {blocklist} in `blocklists`, unless its operator repairs it.",
    ref="RFC 5782 section 5",
    certain=True,
)
SUSPECT = Rule(  # doubts nothing: its new listings alert nobody by themselves, and older ones still count
    "blocklist_health.suspect",
    Severity.WARNING,
    says="{blocklist} has suddenly named {subjects} subjects that it called clean, though its test points are right",
    why="A list that was broken does so. Its new listings alert nobody for six hours unless another list agrees.",
    fix="Ask the operator of {blocklist}, or look at the pages of the addresses; remove the list if it is wrong.",
    ref="RFC 6471 section 3.4",
    certain=True,
)
CONTRADICTS_ITSELF = Rule(  # doubts nothing: listings that stand have been confirmed
    "blocklist_health.contradicts-itself",
    Severity.WARNING,
    says="{blocklist} names subjects and soon after does not: {subjects} within six hours",
    why="One of its servers answers wrongly. For a day no new listing counts, and no verdict waits for this list.",
    fix="Compare the answers of the name servers of {blocklist}; remove the list from `blocklists` if it stays so.",
    ref="RFC 5782 section 5",
    certain=True,
)
_RULES = {
    ListFault.WORLD: LISTS_THE_WORLD,
    ListFault.DEAD: DEAD,
    ListFault.RESOLVER: REFUSES_RESOLVER,
    ListFault.VOLUME: TOO_MANY_QUESTIONS,
    ListFault.ZONE: MISTYPED_ZONE,
    ListFault.WRONG: WRONG_ANSWERS,
}


# Hourly, for a list that cannot be believed is tested every hour; one that can is tested every sixth time only.
