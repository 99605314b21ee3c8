"""The SPF policy of each envelope domain: is it valid, is it within the limits, and does it say anything (RFC 7208)?

All terms are judged here, whoever sends. The check `spf_sender` asks whether the policy authorises our own senders.

A fault that breaks the policy for each message is critical. A fault that breaks it only for mail that reaches a certain
term is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.facts import Finding, Metric, Record, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.dns import doubts
from exporter.mail.spf import record as spf_record
from exporter.mail.spf.limits import MOST_LOOKUPS, MOST_MX, MOST_VOIDS
from exporter.mail.spf.record import MECHANISMS, SpfPolicy, SpfResult, read, read_explanation
from exporter.mail.spf.worst_case import Cost, TermTrouble, worst_case
from exporter.model import Fact, Facts, check
from exporter.net import Net
from exporter.targets import Domain


@check(over=Domain)
async def spf(target: Domain, net: Net) -> Facts:
    """Is the SPF policy of the domain valid, and within the limits that receivers set?"""
    policies = [read(await net.query(name, "TXT")) for name in target.mail_from]
    for policy in policies:
        yield _published(policy, target)
    costs: list[Cost] = []
    unsure = [*doubts(*(policy.reply for policy in policies))]
    for policy in policies:
        if policy.record is None:
            continue
        cost = await net.drive(worst_case(policy.name, policy))
        net.transcript.note(f"worst case of {policy.name}", cost.told, "counted")
        costs.append(cost)
        yield _cost(cost, target)
        explained = policy.record.explained(policy.name)
        if explained and policy.record.exp:
            reply = await net.query(explained, "TXT")
            unsure += doubts(reply)
            error = read_explanation(reply).error
            if reply.status.conclusive and error:
                yield EXPLANATION_MISSING(name=policy.name, term=policy.record.exp.text, target=explained, error=error)
    for name in target.mail_from:
        async for fact in _obsolete(name, target, net):
            yield fact
    unsure += (cost.doubt for cost in costs if cost.doubt)
    yield unsure
    if costs and not unsure:
        yield LOOKUPS(max(cost.lookups for cost in costs))
        yield VOIDS(max(len(cost.voids) for cost in costs))
    if any(policy.texts for policy in policies) and not unsure:
        yield BYTES(max(len(text) for policy in policies for text in policy.texts))


MISSING = Rule(
    "spf.missing",
    Severity.WARNING,
    says="{name} sends mail but has no SPF record",
    why="Gmail, Yahoo and Microsoft want an SPF pass or a DKIM signature from everybody, and both from bulk senders.",
    fix='Publish at {name} one TXT record "v=spf1 ip4:ADDRESS -all" with an ip4:, ip6: or include: term for all '
    "that sends in its name.",
    ref="RFC 7208 section 4.5",
    refusals=receiver_replies.SPF_DOES_NOT_PASS,
)
LOOKALIKE = Rule(
    "spf.lookalike",
    Severity.WARNING,
    says="a TXT record of {name} looks like SPF, but is none: {text}",
    why="A record counts only if it begins with v=spf1 and a space, without anything before it.",
    fix='Rewrite that TXT record of {name} so that it begins with exactly "v=spf1 ".',
    ref="RFC 7208 section 4.5",
)
MULTIPLE_RECORDS = Rule(
    "spf.multiple-records",
    Severity.CRITICAL,
    says="{name} has {count} SPF records: {records}",
    why="With more than one record none of them counts: every evaluation ends in permerror.",
    fix="Merge the SPF records of {name} into one TXT record and remove the others.",
    ref="RFC 7208 sections 3.2 and 4.5",
    refusals=receiver_replies.SPF_FAILS,
)
SYNTAX_ERROR = Rule(
    "spf.syntax-error",
    Severity.CRITICAL,
    says="{error}",
    why="One error anywhere spoils the whole record: every evaluation ends in permerror.",
    fix="Correct that term in the SPF record of {name}, now: {record}",
    ref="RFC 7208 section 4.6",
    refusals=receiver_replies.SPF_FAILS,
)
TOO_MANY_LOOKUPS = Rule(
    "spf.too-many-lookups",
    Severity.WARNING,
    says="the SPF policy of {name} takes {lookups} DNS lookups, the limit is {limit}; the costliest path: {costliest}",
    why="Receivers stop at the limit with permerror: senders that only a later term authorises fail.",
    fix="Remove terms of {name} that are no longer needed, or replace one by its addresses, first in {costliest}.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
NEAR_LOOKUP_LIMIT = Rule(
    "spf.near-lookup-limit",
    Severity.WARNING,
    says="the SPF policy of {name} takes {lookups} DNS lookups of at most {limit}; the costliest path: {costliest}",
    why="One more include, also inside a provider's record that you do not control, makes it a permerror.",
    fix="Remove terms of {name} that are no longer needed, or replace one by its addresses, first in {costliest}.",
    ref="RFC 7208 section 4.6.4",
)
TOO_MANY_VOID_LOOKUPS = Rule(
    "spf.too-many-void-lookups",
    Severity.WARNING,
    says="{count} terms of the SPF policy of {name} lead to nothing: {voids}; the limit is {limit}",
    why="Many receivers stop at the third empty answer with permerror.",
    fix="Remove from the SPF policy of {name} the terms whose names have no records: {voids}.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
TOO_MANY_MX = Rule(
    "spf.too-many-mx",
    Severity.WARNING,
    says="{detail}, and {term} of {domain} may look at {limit} only",
    why="Every evaluation that reaches this term ends in permerror.",
    fix="Replace {term} in the SPF record of {domain} by ip4: and ip6: terms.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_WITHOUT_RECORD = Rule(
    "spf.include-without-record",
    Severity.WARNING,
    says="{term} of {domain} refers to {detail}, which has no SPF record",
    why="Every evaluation that reaches this term ends in permerror.",
    fix="Remove {term} from the SPF record of {domain}, or correct its name.",
    ref="RFC 7208 sections 5.2 and 6.1",
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_BROKEN = Rule(
    "spf.include-broken",
    Severity.WARNING,
    says="{term} of {domain} refers to a broken policy: {detail}",
    why="Every evaluation that reaches this term ends in permerror.",
    fix="Have that record corrected, or remove {term} from the SPF record of {domain}.",
    ref="RFC 7208 section 5.2",
    refusals=receiver_replies.SPF_FAILS,
)
LOOP = Rule(
    "spf.loop",
    Severity.WARNING,
    says="{term} of {domain} leads back to itself: {detail}",
    why="Every evaluation that reaches this term runs into the lookup limit and ends in permerror.",
    fix="Remove {term} from the SPF record of {domain}.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
IMPOSSIBLE_NAME = Rule(
    "spf.impossible-name",
    Severity.WARNING,
    says="{term} of {domain} refers to {detail}, which can be no domain name here",
    why="Receivers differ: some never match the term, others answer permerror.",
    fix="Correct the name in {term} in the SPF record of {domain}.",
    ref="RFC 7208 section 4.8; RFC 1035 section 2.3.4",
)
ALLOWS_EVERYONE = Rule(
    "spf.allows-everyone",
    Severity.WARNING,
    says="{term} in the SPF record of {name} lets the whole Internet pass",
    why="Anybody may send in the domain's name, and filters distrust such domains.",
    fix='Replace {term} in the SPF record of {name} by what really sends, and end it with "-all" or "~all".',
    ref="RFC 7208 section 5.1",
)
OPEN_ENDED = Rule(
    "spf.open-ended",
    Severity.WARNING,
    says="the SPF record of {name} ends with {end}, so it refuses nobody",
    why="Forged mail gets neutral, and DMARC and filters make nothing of it.",
    fix='End the SPF record of {name} with "-all" or "~all".',
    ref="RFC 7208 sections 4.7 and 5.1",
)
PTR = Rule(
    "spf.ptr",
    Severity.WARNING,
    says="the SPF record of {name} uses {term}",
    why="The ptr mechanism is slow and unreliable; it must not be published, and some receivers skip it.",
    fix="Replace {term} in the SPF record of {name} by ip4:, ip6: or a: terms.",
    ref="RFC 7208 section 5.5",
)
TERMS_AFTER_ALL = Rule(
    "spf.terms-after-all",
    Severity.WARNING,
    says="the SPF record of {name} has terms after {all}, which are never tried: {terms}",
    why="What they should authorise is not authorised.",
    fix="Move these terms of {name} before {all}, or remove them: {terms}.",
    ref="RFC 7208 section 5.1",
)
REDIRECT_IGNORED = Rule(
    "spf.redirect-ignored",
    Severity.WARNING,
    says="the SPF record of {name} has {redirect}, which is ignored because of {all}",
    why="The policy it names never takes part.",
    fix="Remove either {all} or {redirect} from the SPF record of {name}.",
    ref="RFC 7208 section 6.1",
)
MISTAKEN_MODIFIER = Rule(
    "spf.mistaken-modifier",
    Severity.WARNING,
    says="{term} in the SPF record of {name} is ignored: a mechanism takes ':' instead of '='",
    why="With '=' it is an unknown modifier, which receivers skip in silence: it authorises nobody.",
    fix="Write {right} instead of {term} in the SPF record of {name}.",
    ref="RFC 7208 sections 4.6.1 and 6",
)
UNKNOWN_MODIFIER = Rule(
    "spf.unknown-modifier",
    Severity.INFO,
    says="{term} in the SPF record of {name} means nothing to receivers",
    why="Unknown modifiers are skipped; it may be a misspelt term.",
    fix="Remove {term} from the SPF record of {name}.",
    ref="RFC 7208 section 6",
)
EXPLANATION_MISSING = Rule(
    "spf.explanation-missing",
    Severity.INFO,
    says="{term} in the SPF record of {name} leads to no explanation: {error}",
    why="The explanation is left out of refusals; results do not change.",
    fix="Publish one TXT record with that text at {target}, or remove {term} from the SPF record of {name}.",
    ref="RFC 7208 section 6.2",
)
TOO_LONG = Rule(
    "spf.too-long",
    Severity.WARNING,
    says="the SPF record of {name} is {bytes} bytes long, more than {limit}",
    why="The answer does not fit in 512 bytes: where larger UDP answers or DNS over TCP fail, the record is not seen.",
    fix="Shorten the SPF record of {name} to {limit} bytes, for example by moving addresses into an include.",
    ref="RFC 7208 section 3.4",
)
ANSWER_TOO_LONG = Rule(
    "spf.answer-too-long",
    Severity.INFO,
    says="the {count} TXT records of {name} are {bytes} bytes long together, more than {limit}",
    why="They come in one answer: where larger UDP answers or DNS over TCP fail, SPF is lost with the others.",
    fix="Remove the TXT records of {name} that are no longer needed, such as proofs of ownership from the past.",
    ref="RFC 7208 section 3.4",
)
OBSOLETE_TYPE = Rule(
    "spf.obsolete-type",
    Severity.WARNING,
    says="{name} publishes a record of the withdrawn type SPF (99): {records}",
    why="Receivers ask for TXT only; old software asks for this type first, and follows what nobody looks after.",
    fix="Remove the records of type SPF from {name}, and keep the TXT record.",
    ref="RFC 7208 sections 3.1 and 14.1",
)
UNCOUNTABLE = Rule(
    "spf.uncountable",
    Severity.INFO,
    says="the lookups of {name} are at least {lookups}; these terms depend on the message: {terms}",
    why="A term with such macros counts once here, but may cost more for a certain sender.",
    fix="Keep the SPF policy of {name} well below {limit} lookups.",
    ref="RFC 7208 sections 4.6.4 and 7",
)
SENDER_ID = Rule(
    "spf.sender-id",
    Severity.INFO,
    says="{name} still publishes a Sender ID record: {text}",
    why="Sender ID (spf2.0) is historic; nobody evaluates it.",
    fix="Remove the TXT record that begins with spf2.0 from {name}.",
    ref="RFC 6686 section 6",
)
PARKED_WITHOUT_RECORD = Rule(
    "spf.parked-without-record",
    Severity.WARNING,
    says="{name} sends no mail, but has no SPF record that says so",
    why="Forgers like such domains: nothing tells receivers that all mail from it is forged.",
    fix='Publish at {name} the TXT record "v=spf1 -all", or set sends_mail to true.',
    ref="RFC 7208 section 10.1.2",
)
PARKED_NOT_CLOSED = Rule(
    "spf.parked-not-closed",
    Severity.WARNING,
    says="{name} sends no mail, but its SPF record is not a plain refusal: {record}",
    why="Whatever it does not refuse, a forger may use.",
    fix='Replace the SPF record of {name} by "v=spf1 -all", or set sends_mail to true.',
    ref="RFC 7208 section 10.1.2",
)

LOOKUPS = Metric(
    "deliverability_spf_dns_lookups", "DNS lookups of the SPF policy if every term is reached; the limit is 10."
)
VOIDS = Metric(
    "deliverability_spf_void_lookups", "SPF terms whose DNS lookups come back empty if every term is reached; limit 2."
)
BYTES = Metric("deliverability_spf_record_bytes", "Size of the SPF record in bytes.")

NEAR = 9  # lookups
LONGEST = 450  # bytes, section 3.4
_TROUBLES = {
    TermTrouble.NO_RECORD: INCLUDE_WITHOUT_RECORD,
    TermTrouble.BROKEN: INCLUDE_BROKEN,
    TermTrouble.LOOP: LOOP,
    TermTrouble.IMPOSSIBLE: IMPOSSIBLE_NAME,
}


def _published(policy: SpfPolicy, target: Domain) -> Iterator[Fact]:
    """What the TXT records alone prove."""
    name = policy.name
    severity = None if target.sends_mail else Severity.WARNING  # no mail is refused where none is sent
    if policy.reply.status.conclusive:
        yield Record.of(f"{name} TXT v=spf1", policy.texts)
    if len(policy.texts) > 1:
        records = " | ".join(map(_shown, policy.texts))
        yield MULTIPLE_RECORDS(severity=severity, name=name, count=len(policy.texts), records=records)
    elif policy.error:
        yield SYNTAX_ERROR(severity=severity, name=name, error=policy.error, record=_shown(policy.texts[0]))
    elif policy.record:
        yield from _text(policy.record, policy)
    elif policy.reply.status.conclusive:
        yield MISSING(name=name) if target.sends_mail else PARKED_WITHOUT_RECORD(name=name)
        for text in policy.lookalikes:
            yield LOOKALIKE(name=name, text=_shown(text))
    for text in policy.sender_id:
        yield SENDER_ID(name=name, text=_shown(text))


def _text(record: spf_record.SpfRecord, policy: SpfPolicy) -> Iterator[Finding]:
    name = policy.name
    together = len(name) + sum(len(txt.text) for txt in policy.reply.texts)
    if len(record.text) > LONGEST:
        yield TOO_LONG(name=name, bytes=len(record.text), limit=LONGEST)
    elif together > LONGEST and len(policy.reply.texts) > 1:
        yield ANSWER_TOO_LONG(name=name, count=len(policy.reply.texts), bytes=together, limit=LONGEST)
    for mechanism in record.reachable:
        if mechanism.name == "ptr":
            yield PTR(name=name, term=mechanism.text)
    if record.all:
        after = record.mechanisms[len(record.reachable) :]
        if after:
            yield TERMS_AFTER_ALL(name=name, all=record.all.text, terms=" ".join(m.text for m in after))
        if record.redirect:
            yield REDIRECT_IGNORED(name=name, all=record.all.text, redirect=record.redirect.text)
    for modifier in record.unknown:
        if modifier.name in MECHANISMS:
            right = modifier.text.replace("=", ":", 1)
            yield MISTAKEN_MODIFIER(name=name, term=modifier.text, right=right)
        else:
            yield UNKNOWN_MODIFIER(name=name, term=modifier.text)


async def _obsolete(name: str, target: Domain, net: Net) -> Facts:
    """Records of the type that no receiver asks for any more, so that a server without an answer to it harms nobody.

    What was last seen stands until an answer shows that it is gone.
    """
    reply = await net.query(name, "SPF")
    record = Record.of(f"{name} SPF", (txt.text for txt in reply.texts))
    before = net.remembered(target, record.name)
    if before and not reply.status.conclusive:
        record = before.record
    if record.texts or before:
        yield record
    if record.texts:
        yield OBSOLETE_TYPE(name=name, records=" | ".join(record.texts))


def _cost(cost: Cost, target: Domain) -> Iterator[Finding]:
    """What becomes known by following the policy; counts are at least so high, whatever else is in doubt."""
    name = cost.policy.name
    if cost.lookups > MOST_LOOKUPS:
        yield TOO_MANY_LOOKUPS(name=name, lookups=cost.lookups, limit=MOST_LOOKUPS, costliest=cost.costliest)
    elif cost.lookups >= NEAR:
        yield NEAR_LOOKUP_LIMIT(name=name, lookups=cost.lookups, limit=MOST_LOOKUPS, costliest=cost.costliest)
    if len(cost.voids) > MOST_VOIDS:
        yield TOO_MANY_VOID_LOOKUPS(name=name, count=len(cost.voids), voids="; ".join(cost.voids), limit=MOST_VOIDS)
    for fault in cost.faults:
        if fault.trouble is TermTrouble.TOO_MANY_MX:
            yield TOO_MANY_MX(term=fault.term, domain=fault.domain, detail=fault.detail, limit=MOST_MX)
        else:
            yield _TROUBLES[fault.trouble](term=fault.term, domain=fault.domain, detail=fault.detail)
    if cost.everyone:
        yield ALLOWS_EVERYONE(name=name, term=cost.everyone)
    if cost.macros:
        yield UNCOUNTABLE(name=name, lookups=cost.lookups, terms="; ".join(cost.macros), limit=MOST_LOOKUPS)
    yield from _end(cost, target)


def _end(cost: Cost, target: Domain) -> Iterator[Finding]:
    record, name = cost.policy.record, cost.policy.name
    if record is None or (cost.end is None and record.redirect and cost.doubt):
        return  # where the redirect ends is not known
    if not target.sends_mail:
        if cost.mechanisms or cost.end is not SpfResult.FAIL:
            yield PARKED_NOT_CLOSED(name=name, record=record.text)
    elif cost.end is SpfResult.NEUTRAL:
        yield OPEN_ENDED(name=name, end="?all")
    elif cost.end is None and not (record.redirect and (cost.faults or cost.hidden or not cost.complete)):
        yield OPEN_ENDED(name=name, end="no all and no redirect")


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
