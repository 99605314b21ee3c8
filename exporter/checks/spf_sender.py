"""May our senders use the envelope domains? It evaluates SPF for each of their addresses, as a receiver does."""

from __future__ import annotations

from exporter.facts import Doubt, Finding, Metric, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.mail.spf.limits import MOST_LOOKUPS, MOST_VOIDS
from exporter.mail.spf.macro import query_name
from exporter.mail.spf.record import SpfResult
from exporter.mail.spf.worst_case import MOST_COUNTED, Cost, TermTrouble, worst_case
from exporter.model import Facts, check
from exporter.net import Net
from exporter.targets import Authorisation, Egress


@check(over=Authorisation)
async def spf_sender(target: Authorisation, net: Net) -> Facts:
    """Does the SPF policy of the envelope domains authorise the sender?"""
    results: list[SpfEvaluation] = []
    unsure: list[Doubt] = []
    for name in target.mail_from:
        for egress in target.egress:
            result = await net.drive(check_host(egress.ip, name, f"postmaster@{name}", egress.helo))
            asked = f"check_host {egress.ip}, MAIL FROM postmaster@{name}, HELO {egress.helo}"
            net.transcript.note(asked, result.told, "evaluated", result.seconds)
            results.append(result)
            if result.reason is not None:
                unsure.append(Doubt(result.reason, result.why))
                continue
            if result.word is not SpfResult.PASS:
                yield _refused(result, name, egress)
            if result.mailbox:
                yield DEPENDS_ON_MAILBOX(ip=egress.ip, name=name, result=result.word, term=result.mailbox)
        if target.spf_include is not None:
            cost = await net.drive(worst_case(name))
            net.transcript.note(f"worst case of {name}", cost.told, "counted")
            lookups = _lookups_until(target.spf_include, cost)
            if lookups is None and cost.doubt:
                unsure.append(cost.doubt)
            elif lookups is None:
                yield _missing(cost, target.sender, name, target.spf_include)
            elif lookups > MOST_LOOKUPS:
                yield INCLUDE_TOO_LATE(
                    name=name, include=target.spf_include, sender=target.sender, lookups=lookups, limit=MOST_LOOKUPS
                )
    yield unsure
    if results and not unsure:
        yield LOOKUPS(max(result.lookups for result in results))
        yield VOIDS(max(result.voids for result in results))


NOT_AUTHORISED = Rule(
    "spf_sender.not-authorised",
    Severity.CRITICAL,
    says="{ip} (HELO {helo}) may not send for {name}: SPF says {result}, because {why}",
    why="Receivers refuse or junk its mail; for DMARC only a DKIM signature can still help.",
    fix="Make {ip} pass at {name}: {remedy}.",
    ref="RFC 7208 sections 2.6 and 4",
    refusals=(receiver_replies.GMAIL_HARD_FAIL, *receiver_replies.SPF_FAILS),
    subjects=("ip",),
)
SOFTFAIL = Rule(
    "spf_sender.softfail",
    Severity.WARNING,
    says="{ip} (HELO {helo}) gets softfail for {name}, because {why}",
    why="The domain says that this address is probably not its own; filters count it, and DMARC gets no pass.",
    fix='Add the term {term} to the SPF record of {name}, before its "all".',
    ref="RFC 7208 sections 2.6.5 and 8.5",
    refusals=receiver_replies.SPF_DOES_NOT_PASS,
    subjects=("ip",),
)
NEUTRAL = Rule(
    "spf_sender.neutral",
    Severity.WARNING,
    says="{ip} (HELO {helo}) gets neutral for {name}, because {why}",
    why="The domain says nothing about this address: for DMARC and bulk-sender rules that is no pass.",
    fix='Add the term {term} to the SPF record of {name}, before its "all".',
    ref="RFC 7208 sections 2.6.2 and 8.2",
    refusals=receiver_replies.SPF_DOES_NOT_PASS,
    subjects=("ip",),
)
INCLUDE_MISSING = Rule(
    "spf_sender.include-missing",
    Severity.WARNING,
    says="the SPF policy of {name} does not include {include}, through which {sender} sends: {why}",
    why="The provider's addresses are not authorised, so its mail in the domain's name fails SPF.",
    fix='Give the SPF record of {name} a working term include:{include}, before its "all".',
    ref="RFC 7208 section 5.2",
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_TOO_LATE = Rule(
    "spf_sender.include-too-late",
    Severity.WARNING,
    says="the SPF policy of {name} reaches {include}, through which {sender} sends, only with DNS lookup {lookups}",
    why="Receivers stop with permerror at the limit, before they see the provider's addresses.",
    fix="Move include:{include} forward in the SPF record of {name}, and remove terms until {limit} lookups suffice.",
    ref="RFC 7208 section 4.6.4",
    refusals=receiver_replies.SPF_FAILS,
)
INCLUDE_HIDDEN = Rule(
    "spf_sender.include-hidden",
    Severity.WARNING,
    says="whether the SPF policy of {name} includes {include} cannot be seen: it depends on the message in {terms}",
    why="Nothing proves that the provider {sender} is authorised; the policy has to be tried with real messages.",
    fix="Add the term include:{include} to the SPF record of {name}, or configure {sender} by its addresses.",
    ref="RFC 7208 sections 5.2 and 7",
)

DEPENDS_ON_MAILBOX = Rule(
    "spf_sender.depends-on-mailbox",
    Severity.INFO,
    says="for postmaster@{name}, SPF says {result} of {ip}; for other mailboxes it may not, because of {term}",
    why="The policy asks DNS about the local part of MAIL FROM, and each mailbox may get another answer.",
    fix="Send a test message through {ip} from each mailbox that is used, or replace {term} by a term that names "
    "addresses.",
    ref="RFC 7208 section 7.2",
    subjects=("ip",),
)

LOOKUPS = Metric(
    "deliverability_spf_sender_dns_lookups",
    "DNS lookups that SPF really takes for the sender's costliest address; the eleventh ends it in permerror.",
)
VOIDS = Metric(
    "deliverability_spf_sender_void_lookups",
    "SPF terms whose DNS lookups really come back empty for the sender's costliest address; the third ends it in "
    "permerror.",
)

_DEAD_ENDS = frozenset({TermTrouble.NO_RECORD, TermTrouble.BROKEN, TermTrouble.IMPOSSIBLE})


def _refused(result: SpfEvaluation, name: str, egress: Egress) -> Finding:
    term = f"ip{egress.ip.version}:{egress.ip}"
    if result.word is SpfResult.SOFTFAIL:
        return SOFTFAIL(ip=egress.ip, helo=egress.helo, name=name, why=result.why, term=term)
    if result.word is SpfResult.NEUTRAL:
        return NEUTRAL(ip=egress.ip, helo=egress.helo, name=name, why=result.why, term=term)
    if result.word is SpfResult.NONE:
        remedy = f'publish there the TXT record "v=spf1 {term} -all", with all else that sends'
    elif result.word is SpfResult.PERMERROR:
        remedy = f"repair the SPF policy ({result.why}), and see that it holds {term}"
    else:
        remedy = f'add the term {term} to its SPF record, before "all" and before any term that refuses it'
    # That voids are counted is a SHOULD, not every receiver does; another mailbox may pass.
    perhaps = result.voids > MOST_VOIDS or result.mailbox
    return NOT_AUTHORISED(
        severity=Severity.WARNING if perhaps else None,
        ip=egress.ip,
        helo=egress.helo,
        name=name,
        result=result.word,
        why=result.why,
        remedy=remedy,
    )


def _lookups_until(include: str, cost: Cost) -> int | None:
    """How many until that name's policy is reached, by include, redirect or CNAME; None: it is not."""
    if cost.policy.record is None:
        return None
    wanted = query_name(include) or include
    return 0 if wanted in (cost.policy.name, *cost.policy.reply.chain) else cost.included.get(wanted)


def _missing(cost: Cost, sender: str, name: str, include: str) -> Finding:
    if cost.hidden:
        return INCLUDE_HIDDEN(name=name, include=include, sender=sender, terms="; ".join(cost.hidden))
    broken = "; ".join(f"{fault.term}: {fault.detail}" for fault in cost.faults if fault.trouble in _DEAD_ENDS)
    nowhere = "no term leads there" if cost.complete else f"none of its first {MOST_COUNTED} lookups leads there"
    why = cost.policy.error or broken or nowhere
    if not cost.policy.texts:
        why = f"{name} has no SPF record"
    return INCLUDE_MISSING(name=name, include=include, sender=sender, why=why)
