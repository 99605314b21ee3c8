"""Our own addresses: SPF is evaluated for each with each envelope domain, as a receiver does (RFC 7208)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from exporter.facts import Doubt, Finding, Known, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.spf import remedies
from exporter.mail.spf.check_host import SpfEvaluation
from exporter.mail.spf.limits import MOST_VOIDS
from exporter.mail.spf.record import SpfResult
from exporter.model import Fact
from exporter.targets import Egress
from exporter.text import commas

_SHOWN = 20  # networks in one fix: more would not fit into a record that people can read


def _merged(findings: Sequence[Finding], known: Known) -> str:
    """One fix for all addresses: the include that other domains use, or the networks that hold exactly them."""
    evidence = [dict(finding.evidence) for finding in findings]
    addresses = [ip_address(it["ip"]) for it in evidence]
    name, result = evidence[0]["name"], evidence[0].get("result")
    shared = remedies.include_of_others(name, addresses, known) if result != SpfResult.PERMERROR else ()
    if shared:
        policy, domains = shared
        terms, by = f"include:{policy}", f": {domains} other domains pass by it" if domains > 1 else ""
    elif len(findings) == 1:
        return ""
    else:
        networks = remedies.networks(addresses)
        terms, by = " ".join(map(remedies.term, networks[:_SHOWN])), ""
        if len(networks) > _SHOWN:
            terms += f" and {len(networks) - _SHOWN} more"
    if result == SpfResult.NONE:
        return f'Publish at {name} the TXT record "v=spf1 {terms} ~all", with everything else that sends{by}.'
    if result == SpfResult.PERMERROR:
        return f"Correct the SPF policy of {name}, and make sure that it contains {terms}."
    return f'Add {terms} to the SPF record of {name}, before "all" and before any mechanism that rejects them{by}.'


NOT_AUTHORISED = Rule(
    "spf_sender.not-authorised",
    Severity.CRITICAL,
    says="SPF {result} for {ip} (HELO {helo}) at {name}: {why}",
    why="Receivers reject or junk its mail. For DMARC, only a DKIM signature can still help.",
    fix="Authorise {ip} in the SPF record of {name}: {remedy}.",
    ref="RFC 7208 sections 2.6 and 4",
    refusals=(receiver_replies.GMAIL_HARD_FAIL, *receiver_replies.SPF_FAILS),
    subjects=("ip",),
    merged=_merged,
    remedy=remedies.authorise,
)
SOFTFAIL = Rule(
    "spf_sender.softfail",
    Severity.WARNING,
    says="SPF softfail for {ip} (HELO {helo}) at {name}: {why}",
    why="The domain says that this address is probably not its own. Filters count that, and DMARC gets no pass.",
    fix='Add {term} to the SPF record of {name}, before its "all".',
    ref="RFC 7208 sections 2.6.5 and 8.5",
    refusals=receiver_replies.SPF_DOES_NOT_PASS,
    subjects=("ip",),
    merged=_merged,
    remedy=remedies.authorise,
)
NEUTRAL = Rule(
    "spf_sender.neutral",
    Severity.WARNING,
    says="SPF neutral for {ip} (HELO {helo}) at {name}: {why}",
    why="The domain says nothing about this address. For DMARC and bulk-sender rules that is not a pass.",
    fix='Add {term} to the SPF record of {name}, before its "all".',
    ref="RFC 7208 sections 2.6.2 and 8.2",
    refusals=receiver_replies.SPF_DOES_NOT_PASS,
    subjects=("ip",),
    merged=_merged,
    remedy=remedies.authorise,
)
DEPENDS_ON_MAILBOX = Rule(
    "spf_sender.depends-on-mailbox",
    Severity.INFO,
    says="SPF {result} for {ip} at postmaster@{name}; other mailboxes may get another result because of {term}",
    why="The policy asks DNS about the local part of MAIL FROM, so each mailbox may get another answer.",
    fix="Send a test message through {ip} from each mailbox in use, or replace {term} with a mechanism that names "
    "addresses.",
    ref="RFC 7208 section 7.2",
    subjects=("ip",),
)

_MILD = (SpfResult.SOFTFAIL, SpfResult.NEUTRAL)
_WORST = (SpfResult.FAIL, SpfResult.PERMERROR, SpfResult.NONE)
_RULES = (NOT_AUTHORISED, SOFTFAIL, NEUTRAL, DEPENDS_ON_MAILBOX)


def judge(egress: Egress, results: Mapping[str, SpfEvaluation]) -> Iterator[Fact]:
    """One finding for the address, with the result for each envelope domain. Then the doubts."""
    known = {name: result for name, result in results.items() if result.reason is None}
    bad = {name: result for name, result in known.items() if result.word is not SpfResult.PASS}
    if bad:
        yield _refused(bad, egress)
    for name, result in known.items():
        if result.mailbox:
            yield DEPENDS_ON_MAILBOX(ip=egress.ip, name=name, result=result.word, term=result.mailbox)
    for result in results.values():
        if result.reason is not None:
            yield _unsure(Doubt(result.reason, result.why), egress, [*known])


def _unsure(doubt: Doubt, egress: Egress, answered: list[str]) -> Doubt:
    """The doubt, but a finding is not left open if all names that it is about were answered."""
    for rule in _RULES:
        doubt = doubt.over(rule, ip=egress.ip)
        for names in dict.fromkeys((*answered, commas(answered))):
            doubt = doubt.but(rule, ip=egress.ip, name=names)
    return doubt


def _refused(results: Mapping[str, SpfEvaluation], egress: Egress) -> Finding:
    term = f"ip{egress.ip.version}:{egress.ip}"
    words = {result.word for result in results.values()}
    worst = next((word for word in _WORST if word in words), None)
    several = len(results) > 1
    why = "; ".join(
        f"{result.word} at {name}: {result.why}" if several else result.why for name, result in results.items()
    )
    name = commas(results)
    if worst is None:
        rule = SOFTFAIL if SpfResult.SOFTFAIL in words else NEUTRAL
        return rule(ip=egress.ip, helo=egress.helo, name=name, why=why, term=term)
    refused = [result for result in results.values() if result.word in _WORST]
    remedies = [f"{f'at {name}, ' if several else ''}{_remedy(it, term)}" for name, it in results.items()]
    return NOT_AUTHORISED(
        severity=Severity.WARNING if all(map(_perhaps_not, refused)) else None,
        ip=egress.ip,
        helo=egress.helo,
        name=name,
        result=worst,
        why=why,
        remedy="; ".join(remedies),
    )


def _perhaps_not(result: SpfEvaluation) -> bool:
    """May some receivers or mailboxes pass? The limit of voids is only a SHOULD (RFC 7208 section 4.6.4)."""
    return result.voids > MOST_VOIDS or result.first_ten or bool(result.mailbox)


def _remedy(result: SpfEvaluation, term: str) -> str:
    if result.word is SpfResult.NONE:
        return f'publish the TXT record "v=spf1 {term} ~all", with everything else that sends'
    if result.word is SpfResult.PERMERROR:
        return f"correct the SPF policy ({result.why}), and make sure that it contains {term}"
    if result.word in _MILD:
        return f'add {term}, before "all"'
    return f'add {term}, before "all" and before any mechanism that rejects it'
