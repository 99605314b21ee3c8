"""May our senders use the envelope domains? What a receiver's check_host says about each of their addresses."""

from __future__ import annotations

from exporter.mail import quotes
from exporter.mail.dns import Reply
from exporter.mail.spf import MOST_LOOKUPS, MOST_VOIDS, Result, check_host
from exporter.mail.spf_cost import Cost, Trouble, worst_case
from exporter.mail.spf_macro import query_name
from exporter.mail.spf_record import Word
from exporter.model import CannotTell, Facts, Finding, Rule, Severity, check
from exporter.net import Net, believe
from exporter.targets import Authorisation, Egress

NOT_AUTHORISED = Rule(
    "spf_sender.not-authorised",
    Severity.CRITICAL,
    says="{ip} (HELO {helo}) may not send for {name}: SPF says {result}, because {why}",
    why="Receivers refuse or junk its mail; for DMARC only a DKIM signature can still help.",
    fix="Make {ip} pass at {name}: {remedy}.",
    ref="RFC 7208 sections 2.6 and 4",
    refusals=(quotes.GMAIL_HARD_FAIL, *quotes.SPF_FAILS),
    subjects=("ip",),
)
SOFTFAIL = Rule(
    "spf_sender.softfail",
    Severity.WARNING,
    says="{ip} (HELO {helo}) gets softfail for {name}, because {why}",
    why="The domain says that this address is probably not its own; filters count it, and DMARC gets no pass.",
    fix='Add the term {term} to the SPF record of {name}, before its "all".',
    ref="RFC 7208 sections 2.6.5 and 8.5",
    refusals=quotes.SPF_DOES_NOT_PASS,
    subjects=("ip",),
)
NEUTRAL = Rule(
    "spf_sender.neutral",
    Severity.WARNING,
    says="{ip} (HELO {helo}) gets neutral for {name}, because {why}",
    why="The domain says nothing about this address: for DMARC and bulk-sender rules that is no pass.",
    fix='Add the term {term} to the SPF record of {name}, before its "all".',
    ref="RFC 7208 sections 2.6.2 and 8.2",
    refusals=quotes.SPF_DOES_NOT_PASS,
    subjects=("ip",),
)
INCLUDE_MISSING = Rule(
    "spf_sender.include-missing",
    Severity.WARNING,
    says="the SPF policy of {name} does not include {include}, through which {sender} sends: {why}",
    why="The provider's addresses are not authorised, so its mail in the domain's name fails SPF.",
    fix='Give the SPF record of {name} a working term include:{include}, before its "all".',
    ref="RFC 7208 section 5.2",
    refusals=quotes.SPF_FAILS,
)
INCLUDE_TOO_LATE = Rule(
    "spf_sender.include-too-late",
    Severity.WARNING,
    says="the SPF policy of {name} reaches {include}, through which {sender} sends, only with DNS lookup {lookups}",
    why="Receivers stop with permerror at the limit, before they see the provider's addresses.",
    fix="Move include:{include} forward in the SPF record of {name}, and remove terms until {limit} lookups suffice.",
    ref="RFC 7208 section 4.6.4",
    refusals=quotes.SPF_FAILS,
)
INCLUDE_HIDDEN = Rule(
    "spf_sender.include-hidden",
    Severity.WARNING,
    says="whether the SPF policy of {name} includes {include} cannot be seen: it depends on the message in {terms}",
    why="Nothing proves that the provider {sender} is authorised; the policy has to be tried with real messages.",
    fix="Add the term include:{include} to the SPF record of {name}, or configure {sender} by its addresses.",
    ref="RFC 7208 sections 5.2 and 7",
)

_DEAD_ENDS = frozenset({Trouble.NO_RECORD, Trouble.BROKEN, Trouble.IMPOSSIBLE})


@check(over=Authorisation)
async def spf_sender(target: Authorisation, net: Net) -> Facts:
    """Does the SPF policy of the envelope domains authorise the sender?"""
    unclear: list[Result] = []
    unsure: list[Reply] = []
    for name in target.mail_from:
        for egress in target.egress:
            result = await net.follow(check_host(egress.ip, name, f"postmaster@{name}", egress.helo))
            if result.reason is not None:
                unclear.append(result)
            elif result.word is not Word.PASS:
                yield _refused(result, name, egress)
        if target.spf_include is not None:
            cost = await net.follow(worst_case(name))
            lookups = _lookups_until(target.spf_include, cost)
            if lookups is None and cost.doubt:
                unsure.append(cost.doubt)
            elif lookups is None:
                yield _missing(cost, target.sender, name, target.spf_include)
            elif lookups > MOST_LOOKUPS:
                yield INCLUDE_TOO_LATE(
                    name=name, include=target.spf_include, sender=target.sender, lookups=lookups, limit=MOST_LOOKUPS
                )
    for reply in unsure:
        believe(reply)
    for result in unclear:
        if result.reason is not None:
            raise CannotTell(result.reason, result.why)


def _refused(result: Result, name: str, egress: Egress) -> Finding:
    term = f"ip{egress.ip.version}:{egress.ip}"
    if result.word is Word.SOFTFAIL:
        return SOFTFAIL(ip=egress.ip, helo=egress.helo, name=name, why=result.why, term=term)
    if result.word is Word.NEUTRAL:
        return NEUTRAL(ip=egress.ip, helo=egress.helo, name=name, why=result.why, term=term)
    if result.word is Word.NONE:
        remedy = f'publish there the TXT record "v=spf1 {term} -all", with all else that sends'
    elif result.word is Word.PERMERROR:
        remedy = f"repair the SPF policy ({result.why}), and see that it holds {term}"
    else:
        remedy = f'add the term {term} to its SPF record, before "all" and before any term that refuses it'
    return NOT_AUTHORISED(
        severity=Severity.WARNING if result.voids > MOST_VOIDS else None,  # a SHOULD: not every receiver counts voids
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
    why = cost.policy.error or broken or "no term leads there"
    if not cost.policy.texts:
        why = f"{name} has no SPF record"
    return INCLUDE_MISSING(name=name, include=include, sender=sender, why=why)
