"""What becomes known by following the terms of a policy (RFC 7208): its cost, where it breaks, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from exporter.facts import Doubt, Finding, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.spf import remedies
from exporter.mail.spf.limits import MOST_LOOKUPS, MOST_MX, MOST_VOIDS
from exporter.mail.spf.record import SpfResult
from exporter.mail.spf.worst_case import Cost, TermDoubt, TermFault, TermTrouble
from exporter.targets import Domain

TOO_MANY_LOOKUPS = Rule(
    "spf.too-many-lookups",
    Severity.WARNING,
    says="the SPF policy of {name} needs {lookups} DNS lookups, the limit is {limit}; most expensive include chain: "
    "{costliest}",
    why="Receivers stop at the limit with permerror. Senders that only a later mechanism authorises fail.",
    fix="Remove mechanisms of {name} that are no longer needed, or replace one with its addresses, first in "
    "{costliest}.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
NEAR_LOOKUP_LIMIT = Rule(
    "spf.near-lookup-limit",
    Severity.WARNING,
    says="the SPF policy of {name} needs {lookups} of at most {limit} DNS lookups; most expensive include chain: "
    "{costliest}",
    why="One more include makes it a permerror, even inside a provider's record that you do not control.",
    fix="Remove mechanisms of {name} that are no longer needed, or replace one with its addresses, first in "
    "{costliest}.",
    ref="RFC 7208 section 4.6.4",
)
TOO_MANY_VOID_LOOKUPS = Rule(
    "spf.too-many-void-lookups",
    Severity.WARNING,
    says="{count} mechanisms of the SPF policy of {name} have no records (void lookups), the limit is {limit}: {voids}",
    why="Many receivers stop at the third empty answer with permerror.",
    fix="Remove the mechanisms without records from the SPF policy of {name}: {voids}.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
TOO_MANY_MX = Rule(
    "spf.too-many-mx",
    Severity.WARNING,
    says="{detail}, and {term} of {domain} may use only {limit}",
    why="Every evaluation that reaches this mechanism ends in permerror.",
    fix="Replace {term} in the SPF record of {domain} with ip4: and ip6: mechanisms.",
    ref="RFC 7208 section 4.6.4",
    cause=("domain", "term"),
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_WITHOUT_RECORD = Rule(
    "spf.include-without-record",
    Severity.WARNING,
    says="{term} of {domain} refers to {detail}, which has no SPF record",
    why="Every evaluation that reaches it ends in permerror.",
    fix="Remove {term} from the SPF record of {domain}, or correct its name.",
    ref="RFC 7208 sections 5.2 and 6.1",
    cause=("detail", "term"),  # a term with macros leads each domain elsewhere
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_BROKEN = Rule(
    "spf.include-broken",
    Severity.WARNING,
    says="{term} of {domain} refers to a broken policy: {detail}",
    why="Every evaluation that reaches it ends in permerror.",
    fix="Ask its owner to correct that record, or remove {term} from the SPF record of {domain}.",
    ref="RFC 7208 section 5.2",
    cause=("detail", "term"),  # a term with macros leads each domain elsewhere
    refusals=receiver_replies.SPF_FAILS,
)
LOOP = Rule(
    "spf.loop",
    Severity.WARNING,
    says="{term} of {domain} is a loop: {detail}",
    why="Every evaluation that reaches it runs into the lookup limit and ends in permerror.",
    fix="Remove {term} from the SPF record of {domain}.",
    ref="RFC 7208 section 4.6.4",
    cause=("domain", "term"),
    refusals=receiver_replies.SPF_FAILS,
)
IMPOSSIBLE_NAME = Rule(
    "spf.impossible-name",
    Severity.WARNING,
    says="{term} of {domain} refers to {detail}, which is not a valid domain name",
    why="Receivers differ: some never match it, others answer permerror.",
    fix="Correct the name in {term} in the SPF record of {domain}.",
    ref="RFC 7208 section 4.8; RFC 1035 section 2.3.4",
    cause=("domain", "term"),
)
ALLOWS_EVERYONE = Rule(
    "spf.allows-everyone",
    Severity.WARNING,
    says="{term} in the SPF record of {name} authorises the whole Internet",
    why="Anybody may send for the domain, and filters distrust such domains.",
    fix='Replace {term} in the SPF record of {name} with the real senders, and end it with "-all" or "~all".',
    ref="RFC 7208 section 5.1",
)
OPEN_ENDED = Rule(
    "spf.open-ended",
    Severity.WARNING,
    says="the SPF record of {name} ends with {end}, so it rejects nobody",
    why='Spoofed mail is "neutral", and filters cannot use that. If the domain has a DMARC policy, that decides.',
    fix='End the SPF record of {name} with "-all" or "~all".',
    ref="RFC 7208 sections 4.7 and 5.1",
    remedy=remedies.correct,
)
EXPLANATION_MISSING = Rule(
    "spf.explanation-missing",
    Severity.INFO,
    says="{term} in the SPF record of {name} has no usable explanation: {error}",
    why="Rejections come without the explanation. SPF results do not change.",
    fix="Publish one TXT record with that text at {target}, or remove {term} from the SPF record of {name}.",
    ref="RFC 7208 section 6.2",
)
VOID_LOOKUPS = Rule(
    "spf.void-lookups",
    Severity.INFO,
    says="mechanisms of the SPF policy of {name} have no records (void lookups): {voids}",
    why="They authorise nobody. A few do no harm, but receivers stop at the third empty answer with permerror.",
    fix="Remove the mechanisms without records from the SPF policy of {name}: {voids}.",
    ref="RFC 7208 section 4.6.4",
)
UNCOUNTABLE = Rule(
    "spf.uncountable",
    Severity.INFO,
    says="the SPF policy of {name} needs at least {lookups} DNS lookups; these mechanisms depend on the message: "
    "{terms}",
    why="A mechanism with such macros counts as one lookup here. For a certain sender it may cost more.",
    fix="Keep the SPF policy of {name} well below {limit} lookups.",
    ref="RFC 7208 sections 4.6.4 and 7",
)
PARKED_NOT_CLOSED = Rule(
    "spf.parked-not-closed",
    Severity.WARNING,
    says="{name} sends no mail, but its SPF record does not reject everything: {record}",
    why="A forger may use whatever it does not reject.",
    fix='Replace the SPF record of {name} by "v=spf1 -all", or set sends_mail to true.',
    ref="RFC 7208 section 10.1.2",
    remedy=remedies.close,
)

NEAR = 9  # lookups
_TROUBLES = {
    TermTrouble.NO_RECORD: INCLUDE_WITHOUT_RECORD,
    TermTrouble.BROKEN: INCLUDE_BROKEN,
    TermTrouble.LOOP: LOOP,
    TermTrouble.IMPOSSIBLE: IMPOSSIBLE_NAME,
}


# Their evidence is whose record holds the term, of all records that the policy leads to.
_OF_A_TERM = (TOO_MANY_MX, *_TROUBLES.values())
_OF_THE_WHOLE = (
    TOO_MANY_LOOKUPS,
    NEAR_LOOKUP_LIMIT,
    TOO_MANY_VOID_LOOKUPS,
    VOID_LOOKUPS,
    ALLOWS_EVERYONE,
    UNCOUNTABLE,
    OPEN_ENDED,
    PARKED_NOT_CLOSED,
)


def unread(name: str, doubt: Doubt, visited: AbstractSet[str]) -> Doubt:
    """Without an answer for the policy itself, all these findings are open."""
    for rule in (*_OF_THE_WHOLE, EXPLANATION_MISSING):
        doubt = doubt.over(rule, name=name)
    return _below(doubt, visited)


def unsure(cost: Cost, visited: AbstractSet[str]) -> Iterator[Doubt]:
    """What each question without an answer leaves open; `visited` are the domains whose records were read in this run.

    A term has no more to it than its own answers, unless it leads to a record: that may hold anything.
    """
    for it in cost.doubts:
        yield _of_the_term(cost, it)
        if it.rdtype in ("TXT", ""):
            yield _below(_of_the_policy(cost, it), visited)


def _of_the_term(cost: Cost, it: TermDoubt) -> Doubt:
    doubt = it.doubt
    for rule in (TOO_MANY_VOID_LOOKUPS, VOID_LOOKUPS):
        doubt = doubt.over(rule, name=cost.policy.name)
    own = {"MX": (TOO_MANY_MX,), "TXT": (INCLUDE_WITHOUT_RECORD, INCLUDE_BROKEN), "": _OF_A_TERM}
    for rule in own.get(it.rdtype, ()):
        doubt = doubt.over(rule, term=it.term, domain=it.domain)
    return doubt


def _of_the_policy(cost: Cost, it: TermDoubt) -> Doubt:
    doubt = it.doubt
    counted = () if cost.lookups > MOST_LOOKUPS else (TOO_MANY_LOOKUPS, NEAR_LOOKUP_LIMIT)
    end = (OPEN_ENDED, PARKED_NOT_CLOSED) if _end_is_open(cost) else ()
    for rule in (*counted, *end, ALLOWS_EVERYONE, UNCOUNTABLE):
        doubt = doubt.over(rule, name=cost.policy.name)
    return doubt


def _below(doubt: Doubt, visited: AbstractSet[str]) -> Doubt:
    """What is open because records of the policy were not read."""
    for rule in _OF_A_TERM:
        doubt = doubt.over(rule)
        for domain in visited:
            doubt = doubt.but(rule, domain=domain)
    return doubt


def followed(cost: Cost, target: Domain) -> Iterator[Finding]:
    """Findings from following the terms. Counts are lower bounds, so they are certain even beside a doubt."""
    name = cost.policy.name
    if cost.lookups > MOST_LOOKUPS:
        yield TOO_MANY_LOOKUPS(name=name, lookups=cost.lookups, limit=MOST_LOOKUPS, costliest=cost.costliest)
    elif cost.lookups >= NEAR:
        yield NEAR_LOOKUP_LIMIT(name=name, lookups=cost.lookups, limit=MOST_LOOKUPS, costliest=cost.costliest)
    if len(cost.voids) > MOST_VOIDS:
        yield TOO_MANY_VOID_LOOKUPS(name=name, count=len(cost.voids), voids="; ".join(cost.voids), limit=MOST_VOIDS)
    elif dead := [void for void in cost.voids if not void.endswith(" TXT")]:  # the others are include-without-record
        yield VOID_LOOKUPS(name=name, voids="; ".join(dead))
    for fault in cost.faults:
        if fault.trouble is TermTrouble.TOO_MANY_MX:
            yield _too_many_mx(fault, cost, target)
        else:
            yield _TROUBLES[fault.trouble](term=fault.term, domain=fault.domain, detail=fault.detail)
    if cost.everyone:
        yield ALLOWS_EVERYONE(name=name, term=cost.everyone)
    if cost.macros:
        yield UNCOUNTABLE(name=name, lookups=cost.lookups, terms="; ".join(cost.macros), limit=MOST_LOOKUPS)
    if not target.sends_mail and cost.policy.record and (cost.mechanisms or not _ends_well(cost)):
        yield PARKED_NOT_CLOSED(name=name, record=cost.policy.record.text)


def _too_many_mx(fault: TermFault, cost: Cost, target: Domain) -> Finding:
    """Critical if every message meets the term first. For our own machines, `spf_sender` judges each address."""
    first = cost.policy.record.mechanisms[:1] if cost.policy.record and fault.domain == cost.policy.name else ()
    everybody = [fault.term] == [mechanism.text for mechanism in first]
    severity = Severity.CRITICAL if everybody and target.sends_mail and not target.own_machines else None
    return TOO_MANY_MX(severity=severity, term=fault.term, domain=fault.domain, detail=fault.detail, limit=MOST_MX)


def _end_is_open(cost: Cost) -> bool:
    """Is it unknown where the redirect ends?"""
    return cost.end is None and any(it.term.lower().startswith("redirect=") for it in cost.doubts)


def _ends_well(cost: Cost) -> bool:
    return cost.end is SpfResult.FAIL or _end_is_open(cost)


def open_end(cost: Cost, target: Domain) -> str:
    """How the policy ends, if that refuses nobody; else, or if that is not known, nothing."""
    record = cost.policy.record
    if record is None or not target.sends_mail or _end_is_open(cost):
        return ""
    if cost.end is SpfResult.NEUTRAL:
        return "?all"
    led_astray = record.redirect and (cost.faults or cost.hidden or not cost.complete)
    return "" if cost.end or led_astray else "no all and no redirect"
