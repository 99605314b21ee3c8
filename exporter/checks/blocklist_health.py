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
    """Are the answers of the blocklist reliable (RFC 5782 self-test)?"""
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
    says="{blocklist} lists everything: {detail}",
    why="A list that lists everything says nothing about anybody. It was shut down, or its domain changed hands.",
    fix="Remove {blocklist} from `blocklists` unless its operator repairs it.",
    ref="RFC 5782 section 5; RFC 6471 section 3.4",
    certain=True,
    doubts=True,
)
DEAD = Rule(
    "blocklist_health.dead",
    Severity.WARNING,
    says="{blocklist} failed its self-test: {detail}",
    why='The list is dead or empty, or it does not answer this resolver. Its "not listed" proves nothing.',
    fix="Query {blocklist} through your own recursive resolver, registered or with a key if the list requires it. "
    "Otherwise remove it from `blocklists`.",
    ref="RFC 5782 section 5",
    certain=True,
    doubts=True,
)
REFUSES_RESOLVER = Rule(
    "blocklist_health.refuses-resolver",
    Severity.WARNING,
    says="{blocklist} rejects queries of this resolver: {detail}",
    why="The list does not serve public or unknown resolvers, so a listing would go unnoticed.",
    fix="Set `resolver: nameservers:` to your own recursive resolver, or use a `zone_file` with your key for "
    "{blocklist}.",
    ref="Spamhaus news article 788",
    certain=True,
    cause=(),
    doubts=True,
)
TOO_MANY_QUESTIONS = Rule(
    "blocklist_health.too-many-questions",
    Severity.WARNING,
    says="{blocklist} rejects queries because there were too many: {detail}",
    why="All queries through this resolver count, including those of your mail servers. A listing would go unnoticed.",
    fix="Get a key for {blocklist} and set its `zone_file`, or query less often with `schedule: blocklist:`.",
    ref="Spamhaus page returnc/vol",
    certain=True,
    doubts=True,
)
MISTYPED_ZONE = Rule(
    "blocklist_health.mistyped-zone",
    Severity.WARNING,
    says="{blocklist} does not know the configured zone: {detail}",
    why="Queries in this zone get no true answer.",
    fix="Correct the zone of {blocklist} in `blocklists`.",
    ref="Spamhaus news article 788",
    certain=True,
    doubts=True,
)
WRONG_ANSWERS = Rule(
    "blocklist_health.wrong-answers",
    Severity.WARNING,
    says="{blocklist} gives answers that are not those of a blocklist: {detail}",
    why="The zone is parked or hijacked, or the resolver rewrites answers. They would be false listings.",
    fix="Use a resolver that does not rewrite answers. If the answer stays, remove {blocklist} from `blocklists`.",
    ref="RFC 5782 section 2.1",
    certain=True,
    doubts=True,
)
UNRELIABLE = Rule(  # doubts nothing: one that is merely slow says the truth when it answers
    "blocklist_health.unreliable",
    Severity.WARNING,
    says="{blocklist} did not answer {unanswered} recent queries, while other lists do",
    why="Results no longer wait for this list, so a new listing there may go unnoticed.",
    fix="Check the path to the name servers of {blocklist}. Remove it from `blocklists` if it does not recover.",
    ref="RFC 6471 section 3.3",
    certain=True,
)
NOT_FOR_IPV6 = Rule(  # doubts nothing: its listings of IPv4 addresses are true, and those of IPv6 began while it was so
    "blocklist_health.not-for-ipv6",
    Severity.WARNING,
    says="{blocklist} fails its self-test for IPv6 addresses: {detail}",
    why="Results for IPv6 addresses do not use this list, so a listing there may go unnoticed.",
    fix="Set `ipv6: false` for {blocklist} in `blocklists`, unless its operator repairs it.",
    ref="RFC 5782 section 5",
    certain=True,
)
SUSPECT = Rule(  # doubts nothing: its new listings alert nobody by themselves, and older ones still count
    "blocklist_health.suspect",
    Severity.WARNING,
    says="{blocklist} suddenly lists {subjects} addresses or domains that were not listed, although its self-test "
    "passes",
    why="A broken list does this. Its new listings cause no alert for six hours unless another list agrees.",
    fix="Ask the operator of {blocklist}, or check the pages of the addresses. Remove the list if it is wrong.",
    ref="RFC 6471 section 3.4",
    certain=True,
)
CONTRADICTS_ITSELF = Rule(  # doubts nothing: listings that stand have been confirmed
    "blocklist_health.contradicts-itself",
    Severity.WARNING,
    says="{blocklist} contradicts its own answers about {subjects} addresses or domains within six hours",
    why="One of its servers gives wrong answers. For a day no new listing counts, and no result waits for this list.",
    fix="Compare the answers of the name servers of {blocklist}. Remove the list from `blocklists` if it does not "
    "recover.",
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
