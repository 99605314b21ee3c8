"""The DMARC policy of a domain: is there one, do all receivers find the same, and does the domain's own mail pass?

RFC 9989 and RFC 7489 find the policy in different ways. Receivers use one or the other, so both are followed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from exporter.checks.dmarc import alignment, complaints, reports
from exporter.facts import Doubt, Finding, Measured, Metric, Record, Rule, Severity
from exporter.mail import names, receiver_replies
from exporter.mail.cname import dangling
from exporter.mail.dmarc import remedies
from exporter.mail.dmarc.alignment import align
from exporter.mail.dmarc.record import DmarcPolicy, Requested, is_record, meant, parse
from exporter.mail.dmarc.reports import destination
from exporter.mail.dmarc.tree_walk import Discovery, Published, WalkStep, climb, discover, walk
from exporter.mail.dns import doubts
from exporter.model import Fact, Facts, Light, check
from exporter.net import Net
from exporter.remedies import MAILBOX
from exporter.targets import Domain


@check(over=Domain, light=Light.DMARC, questions=3)
async def dmarc(target: Domain, net: Net) -> Facts:
    """Does every receiver find a DMARC policy, does it protect the domain, and can its own mail pass?"""
    found = await net.drive(discover(target.name))
    yield _records(found)
    for step in _looked_at(found):
        alias, unsure = await net.drive(dangling(step.reply))
        yield (doubt.over(DANGLING_CNAME, name=step.name) for doubt in doubts(unsure))
        yield _strays(step, alias, found)
    source = found.source
    if source is None:
        if found.doubt:
            yield (_without_source(found, doubt) for doubt in doubts(found.doubt))
            return
        yield _missing(target, found)
        yield Measured(POLICY_INFO), POLICY_INFO(1, **_labels(None, None, None))
        yield (doubt.over(AT_APEX) for doubt in doubts(found.apex))
        if found.apex and any(is_record(txt.text) for txt in found.apex.texts):
            yield AT_APEX(domain=target.name)
        return
    if names.under(source.domain, names.registrable(target.name)):  # else it is the registry's, who will not ask us
        yield (*complaints.judge(source), *reports.judge_list(source, wanted=target.sends_mail))
        uris = source.record.rua[: reports.MOST]
        above = await net.drive(climb(source.domain)) if uris and source.domain != target.name else found
        for uri in uris:
            end = await net.drive(destination(above, uri))
            yield (*reports.open_questions(end), *reports.judge(source, end))
    inherited = source.domain != target.name
    requested = source.record.requests(subdomain=inherited, exists=found.exists)
    unsure = (
        found.apex if inherited and source.record.np else None
    )  # np= counts instead of sp= if the name does not exist
    if unsure and unsure.doubt:
        yield reduce(Doubt.over, (*OF_POLICY, *alignment.RULES), unsure.doubt)
    else:
        yield _judge(target, source, requested)
        if requested and target.sends_mail:
            spf = [await net.drive(align(found, name, "aspf")) for name in dict.fromkeys(target.mail_from)]
            dkim = [await net.drive(align(found, name, "adkim")) for name in dict.fromkeys(target.signers)]
            yield alignment.open_questions(spf, dkim)
            yield alignment.judge(target, found, requested, spf, dkim)
        yield _below(found, source, requested)
    yield _differences(found)


UNPROTECTED = (
    "Large receivers want a DMARC policy from everyone who sends in bulk, and without one anybody may use the name."
)

MISSING = Rule(
    "dmarc.missing",
    Severity.WARNING,
    says="{domain} has no DMARC policy, neither its own nor one from a parent domain",
    why="Large receivers require a DMARC policy from bulk senders. Without one, anybody may use the name.",
    fix='Publish at _dmarc.{domain} the TXT record "{record}".',
    ref="RFC 9989 section 4.10.1",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.publish,
)
AT_APEX = Rule(
    "dmarc.at-apex",
    Severity.WARNING,
    says="{domain} has its DMARC record at the wrong name: receivers look at _dmarc.{domain} only",
    why="Large receivers require a DMARC policy from bulk senders. Without one, anybody may use the name.",
    fix="Move the TXT record that begins with v=DMARC1 from {domain} to _dmarc.{domain}.",
    ref="RFC 9989 section 4.5",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.publish_missing,
)
DANGLING_CNAME = Rule(
    "dmarc.dangling-cname",
    Severity.WARNING,
    says="{name} is a CNAME to {target}, which has no TXT record",
    why="Receivers do not see the policy that was meant to be there.",
    fix="Ask the operator of {target} to publish the record there, or replace the CNAME at {name} with a TXT record.",
    ref="RFC 9989 section 4.10; RFC 1034 section 3.6.2",
)
MULTIPLE_RECORDS = Rule(
    "dmarc.multiple-records",
    Severity.WARNING,
    says="{name} has {count} DMARC records, so receivers use none of them",
    why="Large receivers require a DMARC policy from bulk senders. Without one, anybody may use the name.",
    fix="Leave one TXT record that begins with v=DMARC1 at {name}.",
    ref="RFC 9989 section 4.10; RFC 7489 section 6.6.3",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.publish_missing,
)
BAD_VERSION = Rule(
    "dmarc.bad-version",
    Severity.WARNING,
    says="{name} has a malformed DMARC record, which does not begin with v=DMARC1: {text}",
    why="Receivers ignore a record that does not begin with exactly v=DMARC1.",
    fix="Begin the TXT record at {name} with v=DMARC1 and a semicolon.",
    ref="RFC 9989 section 4.7",
    remedy=remedies.publish_missing,
)
SPF_TEXT = Rule(
    "dmarc.spf-text",
    Severity.WARNING,
    says="{name} has an SPF record: {text}",
    why="An SPF record has no meaning there. Usually a wildcard answers because there is no DMARC record.",
    fix="Publish the DMARC record at {name}, which replaces the wildcard there, or remove the SPF record.",
    ref="RFC 9989 section 4.10",
    remedy=remedies.publish_missing,
)
POLICY_NONE = Rule(
    "dmarc.policy-none",
    Severity.INFO,
    says="the policy for {domain} is {tag}=none at {name}: spoofed mail is delivered",
    why="Others can send mail as this domain, and their spam damages your reputation.",
    fix="Change {tag}=none at {name} to {tag}=quarantine, and later to {tag}=reject. Wait until reports show that all "
    "legitimate mail passes.",
    ref="RFC 9989 sections 4.7, 5.1",
)
TESTING = Rule(
    "dmarc.testing",
    Severity.WARNING,
    says="the policy {policy} for {domain} is in test mode (t=y at {name}): receivers apply {applied}",
    why="With t=y, receivers apply the next weaker policy.",
    fix="Remove t=y from the TXT record at {name} once the reports show that all legitimate mail passes.",
    ref="RFC 9989 section 4.7, appendix A.6",
)
WEAKER_SUBDOMAINS = Rule(
    "dmarc.weaker-subdomains",
    Severity.INFO,
    says="the record at {name} says {tag}={weaker} for {subdomains}, weaker than p={policy}",
    why="Forgers can use any name below the domain instead of the domain itself.",
    fix="Set {tag}={policy} in the TXT record at {name}, or remove {tag}=.",
    ref="RFC 9989 section 4.7",
)
PARKED = Rule(
    "dmarc.parked",
    Severity.WARNING,
    says="{domain} sends no mail, but receivers apply {applied} to mail in its name ({name})",
    why="Every mail from a domain that sends none is forged, so receivers can safely reject all of it.",
    fix='Publish at _dmarc.{domain} the TXT record "{record}".',
    ref="RFC 9989 section 4.7",
    remedy=remedies.publish,
)
DISCOVERY_DIFFERS = Rule(
    "dmarc.discovery-differs",
    Severity.WARNING,
    says="receivers find different policies for {domain}: {new} by RFC 9989, {old} by RFC 7489",
    why="The same mail gets another policy, or another alignment, depending on the RFC that the receiver implements.",
    fix="Use only {domain} as DKIM d= and in MAIL FROM, and publish one DMARC record at {places}.",
    ref="RFC 9989 sections 4.10.1, 4.10.2; RFC 7489 sections 3.2, 6.6.3",
)
POLICY_INFO = Metric(
    "deliverability_dmarc_policy_info",
    "Always 1; the DMARC policies in force for the domain, for its subdomains and for subdomains that do not exist. "
    "Where testing is yes, receivers apply one level less.",
    ("policy", "subdomain_policy", "nonexistent_policy", "testing"),
)

OF_POLICY = (PARKED, POLICY_NONE, TESTING)
OF_PLACES = (DANGLING_CNAME, MULTIPLE_RECORDS, BAD_VERSION, SPF_TEXT, *complaints.RULES, *reports.RULES, *OF_POLICY)
OF_THE_DOMAIN = (MISSING, AT_APEX, WEAKER_SUBDOMAINS, DISCOVERY_DIFFERS, *alignment.RULES)
SUBDOMAINS = {"sp": "subdomains", "np": "subdomains that do not exist"}


def _missing(target: Domain, found: Discovery) -> Finding:
    """The finding, with the record to publish. It keeps the valid parts of texts that are meant as a record."""
    replies = [*(step.reply for step in found.steps[:1]), *([found.apex] if found.apex else [])]
    texts = sorted({txt.text for reply in replies for txt in reply.texts if meant(txt.text)})
    records = [parse(b"v=DMARC1;" + text.partition(b";")[2]) for text in texts]
    reported_to = [",".join(uri.text for uri in record.rua[: reports.ENOUGH]) for record in records if record.rua]
    policies = [record.p for record in records if record.valid and record.p]
    policy = min(policies, key=lambda it: it.strength, default=DmarcPolicy.NONE)
    if not target.sends_mail:
        policy = DmarcPolicy.REJECT
    elif target.receives_mail:
        reported_to.append(f"mailto:{MAILBOX}@{target.name}")
    record = "; ".join(("v=DMARC1", f"p={policy}", *(f"rua={uris}" for uris in reported_to[:1])))
    return MISSING(domain=target.name, record=record)


def _closed(target: Domain, source: Published) -> str:
    """A record that refuses all mail. It asks for reports only within the same organisation (RFC 7489 section 7.1)."""
    if source.domain == target.name:
        return source.record.closed()
    near = [uri.text for uri in source.record.rua if names.under(uri.host, names.registrable(target.name))]
    return "; ".join(("v=DMARC1", "p=reject", *([f"rua={','.join(near)}"] if near else [])))


def _records(found: Discovery) -> Iterator[Record]:
    """What stands at the domain itself, and at that of its organisation from which it inherits."""
    places = {found.domain, *([found.source.domain] if found.source else [])}
    for step in found.steps:
        if step.domain in places and names.under(step.domain, names.registrable(found.domain)):
            yield Record.of(f"{step.name} TXT", (txt.text for txt in step.reply.texts if meant(txt.text)))
            if step.reply.chain:
                yield Record.of(f"{step.name} CNAME", (" -> ".join(step.reply.chain),))


def _looked_at(found: Discovery) -> tuple[WalkStep, ...]:
    """The _dmarc names of the organisation, as far as receivers look for a policy."""
    enough = 1 if found.steps and found.steps[0].record else None
    return tuple(step for step in found.steps[:enough] if names.under(step.domain, names.registrable(found.domain)))


def _strays(step: WalkStep, end: str, found: Discovery) -> Iterator[Fact]:
    """Texts at one _dmarc name that are no policy. `end` is the target of a CNAME that leads nowhere."""
    if end:
        yield DANGLING_CNAME(name=step.name, target=end)
    if len(step.records) > 1:
        yield MULTIPLE_RECORDS(name=step.name, count=len(step.records))
    texts = [txt.text for txt in step.reply.texts if not is_record(txt.text)]
    bare = {text.lower().translate(None, b" \t\\\"'"): text.decode("latin-1") for text in texts}
    for text in [text for plain, text in bare.items() if plain.startswith(b"v=spf1")][:1]:
        if found.doubt and not found.source:  # it is open whether the text does harm
            yield from (doubt.over(SPF_TEXT, name=step.name) for doubt in doubts(found.doubt))
        else:
            yield SPF_TEXT(name=step.name, text=text, severity=Severity.INFO if found.source else None)
    for text in [text for plain, text in bare.items() if b"v=dmarc1" in plain][:1]:
        yield BAD_VERSION(name=step.name, text=text)


def _judge(target: Domain, source: Published, requested: Requested | None) -> Iterator[Finding]:
    """What the policy means for the domain itself; nothing, where the record has none that can be read."""
    if requested is None or not source.record.valid:
        return
    if not target.sends_mail and requested.applied is not DmarcPolicy.REJECT:
        record = _closed(target, source)
        yield PARKED(domain=target.name, applied=requested.applied, name=source.name, record=record)
    elif requested.policy is DmarcPolicy.NONE:
        yield POLICY_NONE(domain=target.name, tag=requested.tag, name=source.name)
    if requested.testing and requested.policy is not DmarcPolicy.NONE:
        yield TESTING(domain=target.name, policy=requested.policy, applied=requested.applied, name=source.name)


def _without_source(found: Discovery, doubt: Doubt) -> Doubt:
    """The walk stopped before it found a record. Only the names that were not asked are left open."""
    doubt = reduce(Doubt.over, OF_THE_DOMAIN, doubt)
    for name in walk(found.domain)[len(found.steps) :]:
        for rule in OF_PLACES:
            doubt = doubt.over(rule, name=f"_dmarc.{name}")
    return doubt


def _below(found: Discovery, source: Published, requested: Requested | None) -> Iterator[Fact]:
    """The policy for subdomains. It depends on the whole tree walk."""
    weaker = _weaker(source, requested) if source.domain == found.domain else ()
    if found.doubt:
        yield from (doubt.over(WEAKER_SUBDOMAINS) for doubt in doubts(found.doubt) if weaker)
        return
    above = found.subdomain_source or source
    if above.domain == found.domain:
        yield from weaker
    existing, missing = above.record.requests(subdomain=True), above.record.requests(subdomain=True, exists=False)
    yield POLICY_INFO(1, **_labels(requested, existing, missing))


def _weaker(source: Published, requested: Requested | None) -> tuple[Finding, ...]:
    """What its own record demands for subdomains, if that is weaker than for the domain itself."""
    if requested is None:
        return ()
    below = [source.record.requests(subdomain=True, exists=exists) for exists in (True, False)]
    weaker = {it.tag: it for it in below if it and it.policy.strength < requested.policy.strength}
    return tuple(
        WEAKER_SUBDOMAINS(
            name=source.name, tag=tag, weaker=it.policy, subdomains=SUBDOMAINS[tag], policy=requested.policy
        )
        for tag, it in weaker.items()
    )


def _differences(found: Discovery) -> Iterator[Fact]:
    """Do receivers of both RFCs find the same?"""
    aside = found.aside.reply if found.aside else None
    open_still = [
        *(doubt.over(DISCOVERY_DIFFERS) for doubt in doubts(found.doubt)),
        *(reduce(Doubt.over, (DISCOVERY_DIFFERS, *alignment.RULES), doubt) for doubt in doubts(aside)),
    ]
    yield from open_still
    if not open_still and found.new != found.old:
        yield DISCOVERY_DIFFERS(domain=found.domain, new=found.new, old=found.old, places=_places(found))


def _places(found: Discovery) -> str:
    """Where records make all receivers find the same."""
    own, old = found.domain, found.old.organisational
    if old != found.organisational and names.under(
        old, found.organisational
    ):  # whose record is one of a public suffix that does not say so
        return f"_dmarc.{old}, with psd=n in it"
    asked = {step.domain: step.record for step in found.steps}
    wanted = [place for place in (own, old) if not asked.get(place)] or [own]
    return " and ".join(f"_dmarc.{place}" for place in dict.fromkeys(wanted))


def _labels(requested: Requested | None, existing: Requested | None, missing: Requested | None) -> dict[str, str]:
    return {
        "policy": requested.policy if requested else "absent",
        "subdomain_policy": existing.policy if existing else "absent",
        "nonexistent_policy": missing.policy if missing else "absent",
        "testing": "yes" if requested and requested.testing else "no",
    }
