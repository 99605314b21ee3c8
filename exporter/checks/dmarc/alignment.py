"""Part of the check `dmarc`: can the domain's mail pass DMARC with the names that are configured for it?

The configuration may be incomplete. Other companies that send for the domain often use envelope and DKIM domains of
their own. So we are certain only about mail from our own machines.

A provider may send with an envelope domain of its own (`theirs`). Then SPF proves the provider, and DKIM must align.

We say that everybody refuses such mail only if two things are true. Each name must be proven useless by both RFCs, and
both RFCs must lead to the same record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

from exporter.facts import Doubt, Finding, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.dmarc.alignment import Identifier
from exporter.mail.dmarc.record import DmarcPolicy, Requested
from exporter.mail.dmarc.tree_walk import Discovery
from exporter.mail.dns import doubts
from exporter.targets import Domain
from exporter.text import commas

CANNOT_ALIGN = Rule(
    "dmarc.cannot-align",
    Severity.CRITICAL,
    says="neither MAIL FROM ({mail_from}) nor DKIM ({signers}) aligns with {domain}: its mail fails DMARC, and "
    "receivers apply {applied}",
    why="DMARC passes only if SPF or DKIM passes for the From: domain or its organisation. With p=reject receivers "
    "reject such mail, with p=quarantine they treat it as spam. Large receivers require alignment even with "
    "p=none.",
    fix="Sign mail of {domain} with DKIM d={domain}, or send it with MAIL FROM at {domain}. Set mail_from and "
    "dkim_selectors to what is used.",
    ref="RFC 9989 sections 4.4, 4.10.2; RFC 7489 section 3.1",
    refusals=receiver_replies.NOT_ALIGNED,
)
NOTHING_ALIGNED = Rule(
    "dmarc.nothing-aligned",
    Severity.WARNING,
    says="nothing configured for {domain} aligns with it: MAIL FROM ({mail_from}), DKIM ({signers}); no own machine "
    "sends for it",
    why="Its mail passes DMARC only if the provider uses other domains than these.",
    fix="Ask the providers that send for {domain} to sign with d={domain}. Set mail_from and dkim_selectors to what "
    "they use.",
    ref="RFC 9989 section 4.4; RFC 7489 section 3.1",
    refusals=receiver_replies.NOT_ALIGNED,
)
ALIGNMENT_DIFFERS = Rule(
    "dmarc.alignment-differs",
    Severity.WARNING,
    says="receivers disagree whether these names align with {domain}: {names}",
    why="RFC 9989 finds the organisational domain by a tree walk, RFC 7489 by a list. Mail with such a name passes "
    "DMARC at some receivers and fails at others.",
    fix="Use only {domain} as DKIM d= and in MAIL FROM.",
    ref="RFC 9989 section 4.10.2; RFC 7489 section 3.2",
)
SPF_CANNOT_ALIGN = Rule(
    "dmarc.spf-cannot-align",
    Severity.INFO,
    says="mail of {domain} with MAIL FROM at {mail_from} cannot pass DMARC through SPF",
    why="Such mail needs an aligned DKIM signature. It fails when a forwarder breaks the signature.",
    fix="Use MAIL FROM addresses at {domain}, or make sure that all of this mail is signed with d={domain}.",
    ref="RFC 9989 section 4.4.2",
)
DKIM_CANNOT_ALIGN = Rule(
    "dmarc.dkim-cannot-align",
    Severity.INFO,
    says="mail of {domain} that is signed with d={signers} only cannot pass DMARC through DKIM",
    why="Such mail depends on SPF, which fails when somebody forwards it.",
    fix="Add a signature with d={domain}. A message may have several.",
    ref="RFC 9989 section 4.4.1",
)


PROVIDER_NOT_ALIGNED = Rule(
    "dmarc.provider-not-aligned",
    Severity.WARNING,
    says="a provider sends mail of {domain} with its own envelope sender domain, and no configured DKIM domain "
    "({signers}) aligns with {domain}",
    why="SPF authenticates the provider there. So this mail passes DMARC only with a signing domain that is not "
    "configured.",
    fix="Ask the provider to sign with d={domain}, and list its selectors in dkim_selectors.",
    ref="RFC 9989 section 4.4; RFC 7489 section 3.1",
    refusals=receiver_replies.NOT_ALIGNED,
)
ALIGNMENT_UNSEEN = Rule(
    "dmarc.alignment-unseen",
    Severity.INFO,
    says="a provider sends mail of {domain} with its own envelope sender domain, and no DKIM selector is configured: "
    "its alignment is unknown",
    why="SPF authenticates the provider there. So this mail passes DMARC only with a DKIM signature of the domain.",
    fix="List in dkim_selectors of {domain} each s= of the DKIM-Signature headers of that mail. Add the d= if it is "
    "another domain.",
    ref="RFC 9989 section 4.4; RFC 6376 section 3.5",
)
OF_NOTHING_ALIGNED = (CANNOT_ALIGN, NOTHING_ALIGNED, PROVIDER_NOT_ALIGNED)
RULES = (*OF_NOTHING_ALIGNED, ALIGNMENT_DIFFERS, SPF_CANNOT_ALIGN, DKIM_CANNOT_ALIGN, ALIGNMENT_UNSEEN)
THEIRS = "a domain of the provider"


def judge(
    target: Domain, found: Discovery, requested: Requested, spf: Sequence[Identifier], dkim: Sequence[Identifier]
) -> Iterator[Finding]:
    """`spf` are the domains of MAIL FROM, `dkim` those of d=; without the latter DKIM may do what SPF cannot."""
    name, signers = target.name, commas(it.domain for it in dkim)
    useless_spf, useless_dkim = [it for it in spf if it.never], [it for it in dkim if it.never]
    unsigned = bool(dkim) and len(useless_dkim) == len(dkim)
    if unsigned and len(useless_spf) == len(spf):
        mail_from = commas([*(it.domain for it in spf), *([THEIRS] if target.theirs else [])])
        if not target.own_machines:
            yield NOTHING_ALIGNED(domain=name, mail_from=mail_from, signers=signers)
        else:
            refused = requested.applied is not DmarcPolicy.NONE and _agreed(found, (*spf, *dkim))
            yield CANNOT_ALIGN(
                domain=name,
                mail_from=mail_from,
                signers=signers,
                applied=requested.applied,
                severity=None if refused else Severity.WARNING,
            )
    else:
        if useless_spf:
            yield SPF_CANNOT_ALIGN(domain=name, mail_from=commas(it.domain for it in useless_spf))
        if target.theirs and unsigned:
            yield PROVIDER_NOT_ALIGNED(domain=name, signers=signers)
        elif useless_dkim:
            yield DKIM_CANNOT_ALIGN(domain=name, signers=commas(it.domain for it in useless_dkim))
        if target.theirs and not dkim:
            yield ALIGNMENT_UNSEEN(domain=name)
    yield from _differences(target, spf, dkim)


def _differences(target: Domain, spf: Sequence[Identifier], dkim: Sequence[Identifier]) -> Iterator[Finding]:
    differing = [it for it in (*spf, *dkim) if it.differs]
    # Where each message has something else that everybody takes, the difference costs nothing.
    groups = [group for group in (() if target.theirs else spf, dkim) if group]
    covered = any(all(it.always for it in group) for group in groups)
    perhaps = any(all(it.always or it.doubt for it in group) for group in groups)
    if differing and covered == perhaps:  # else a doubt leaves it open
        names = "; ".join(
            f"{it.domain} (by RFC {9989 if it.new else 7489} it is, by RFC {7489 if it.new else 9989} not)"
            for it in differing
        )
        yield ALIGNMENT_DIFFERS(domain=target.name, names=names, severity=Severity.INFO if covered else None)


def open_questions(spf: Sequence[Identifier], dkim: Sequence[Identifier]) -> Iterator[Doubt]:
    """What is not known of these names."""
    some_use = any(not (it.never or it.doubt) for it in (*spf, *dkim))
    for group, own in ((spf, SPF_CANNOT_ALIGN), (dkim, DKIM_CANNOT_ALIGN)):
        rules = (own, ALIGNMENT_DIFFERS, *(() if some_use else OF_NOTHING_ALIGNED))
        if group is dkim:
            rules = (*rules, PROVIDER_NOT_ALIGNED)
        for doubt in doubts(*(it.doubt for it in group)):
            yield reduce(Doubt.over, rules, doubt)


def _agreed(found: Discovery, identifiers: Iterable[Identifier]) -> bool:
    """Do receivers of both RFCs see the same policy, and the same names as useless?"""
    # A tag that is there twice may mean anything.
    same = found.source is not None and found.source == found.old_source and not found.source.record.repeated
    return same and all(it.old is False for it in identifiers)
