"""The DMARC policy of a domain: is there one, do all receivers find the same, and does the domain's own mail pass?

RFC 9989 and RFC 7489 find the policy in different ways. Receivers use one or the other, so both are followed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.checks.dmarc import alignment, reports
from exporter.facts import Finding, Metric, Record, Rule, Severity
from exporter.mail import names, receiver_replies
from exporter.mail.cname import dangling
from exporter.mail.dmarc.alignment import align
from exporter.mail.dmarc.record import DmarcPolicy, Requested, is_record, meant
from exporter.mail.dmarc.reports import destination
from exporter.mail.dmarc.tree_walk import Discovery, Published, WalkStep, climb, discover
from exporter.mail.dns import doubts
from exporter.model import Fact, Facts, check
from exporter.net import Net
from exporter.targets import Domain


@check(over=Domain)
async def dmarc(target: Domain, net: Net) -> Facts:
    """Is there a DMARC policy that every receiver finds, does it protect the domain, and can its own mail pass?"""
    found = await net.drive(discover(target.name))
    yield _records(found)
    for step in _looked_at(found):
        alias, unsure = await net.drive(dangling(step.reply))
        yield doubts(unsure)
        yield _strays(step, alias, harmless=bool(found.source or found.doubt))
    source = found.source
    if source is None:
        if found.doubt:
            yield doubts(found.doubt)
            return
        yield MISSING(domain=target.name, record=_suggested(target))
        yield POLICY_INFO(1, **_labels(None, None, None))
        yield doubts(found.apex)
        if found.apex and any(is_record(txt.text) for txt in found.apex.texts):
            yield AT_APEX(domain=target.name)
        return
    if names.under(source.domain, names.registrable(target.name)):  # else it is the registry's, who will not ask us
        yield (*_complaints(source), *reports.judge_list(source, wanted=target.sends_mail))
        uris = source.record.rua[: reports.MOST]
        above = await net.drive(climb(source.domain)) if uris and source.domain != target.name else found
        for uri in uris:
            end = await net.drive(destination(above, uri))
            yield doubts(end.doubt)
            yield reports.judge(source, end)
    inherited = source.domain != target.name
    if inherited and source.record.np and found.apex and found.apex.doubt:
        yield doubts(found.apex)  # sp= or np=: that hangs on whether the name exists
        return
    requested = source.record.requests(subdomain=inherited, exists=found.exists)
    yield _judge(target, source, requested)
    if requested and target.sends_mail:
        spf = [await net.drive(align(found, name, "aspf")) for name in dict.fromkeys(target.mail_from)]
        dkim = [await net.drive(align(found, name, "adkim")) for name in dict.fromkeys(target.signers)]
        yield doubts(*(identifier.doubt for identifier in (*spf, *dkim)))
        yield alignment.judge(target, found, requested, spf, dkim)
    open_still = [*doubts(found.doubt, found.aside.reply if found.aside else None)]
    yield open_still or _rest(found, source, requested)


UNPROTECTED = (
    "Large receivers want a DMARC policy from everyone who sends in bulk, and without one anybody may use the name."
)

MISSING = Rule(
    "dmarc.missing",
    Severity.WARNING,
    says="{domain} has no DMARC policy, neither of its own nor from a parent domain",
    why=UNPROTECTED,
    fix='Publish at _dmarc.{domain} the TXT record "{record}".',
    ref="RFC 9989 section 4.10.1",
    refusals=receiver_replies.NO_DMARC_POLICY,
)
AT_APEX = Rule(
    "dmarc.at-apex",
    Severity.WARNING,
    says="a DMARC record stands at {domain} itself, where nobody looks for it",
    why=UNPROTECTED,
    fix="Move the TXT record that begins with v=DMARC1 from {domain} to _dmarc.{domain}.",
    ref="RFC 9989 section 4.5",
    refusals=receiver_replies.NO_DMARC_POLICY,
)
DANGLING_CNAME = Rule(
    "dmarc.dangling-cname",
    Severity.WARNING,
    says="{name} is a CNAME to {target}, which has no TXT record",
    why="The policy that somebody meant to publish there does not exist for receivers.",
    fix="Ask whoever runs {target} to publish the record there, or replace the CNAME at {name} by a TXT record.",
    ref="RFC 9989 section 4.10; RFC 1034 section 3.6.2",
)
MULTIPLE_RECORDS = Rule(
    "dmarc.multiple-records",
    Severity.WARNING,
    says="{name} holds {count} DMARC records, so none of them counts",
    why=UNPROTECTED,
    fix="Leave a single TXT record that begins with v=DMARC1 at {name}.",
    ref="RFC 9989 section 4.10; RFC 7489 section 6.6.3",
    refusals=receiver_replies.NO_DMARC_POLICY,
)
BAD_VERSION = Rule(
    "dmarc.bad-version",
    Severity.WARNING,
    says="{name} holds a text that is meant as a DMARC record, but does not begin with v=DMARC1: {text}",
    why="Receivers ignore a text that does not begin with v=DMARC1, in these letters and without anything before it.",
    fix="Begin the TXT record at {name} with v=DMARC1 and a semicolon.",
    ref="RFC 9989 section 4.7",
)
SPF_TEXT = Rule(
    "dmarc.spf-text",
    Severity.WARNING,
    says="{name} answers with an SPF record: {text}",
    why="An SPF record means nothing there; mostly a wildcard answers because there is no DMARC record.",
    fix="Publish the DMARC record at {name}, which takes the wildcard's place, or remove the SPF record there.",
    ref="RFC 9989 section 4.10",
)
NO_POLICY = Rule(
    "dmarc.no-policy",
    Severity.WARNING,
    says="the record at {name} has no p= tag and counts as {meaning}",
    why="Receivers that live by RFC 7489 refuse the whole record, and the others take it as p=none at best.",
    fix="Put p=none, p=quarantine or p=reject right behind v=DMARC1 in the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.10.1; RFC 7489 section 6.3",
    refusals=receiver_replies.NO_DMARC_POLICY,
)
BAD_POLICY = Rule(
    "dmarc.bad-policy",
    Severity.WARNING,
    says="the record at {name} says {tag}={value}, which is no policy, and counts as {meaning}",
    why="One policy that cannot be read spoils all of them.",
    fix="Set {tag}= to none, quarantine or reject in the TXT record at {name}.",
    ref="RFC 9989 sections 4.8, 4.10.1",
    refusals=receiver_replies.NO_DMARC_POLICY,
)
SYNTAX = Rule(
    "dmarc.syntax",
    Severity.WARNING,
    says='the record at {name} holds "{term}", which is no tag=value',
    why="Most receivers skip such a term, some the whole record; what it was meant to say is lost in any case.",
    fix='Correct or remove "{term}" in the TXT record at {name}.',
    ref="RFC 9989 sections 4.7, 4.8",
)
REPEATED_TAG = Rule(
    "dmarc.repeated-tag",
    Severity.WARNING,
    says="the record at {name} has the tag {tag}= more than once",
    why="A tag list that repeats a tag is invalid; receivers take the first, the last or nothing at all.",
    fix="Leave one {tag}= in the TXT record at {name}.",
    ref="RFC 6376 section 3.2; RFC 9989 section 4.7",
)
IGNORED_VALUE = Rule(
    "dmarc.ignored-value",
    Severity.INFO,
    says="the record at {name} says {tag}={value}, which receivers ignore",
    why="The tag falls back to its default, which may not be what was meant.",
    fix="Correct or remove {value} behind {tag}= in the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.8",
)
REMOVED_TAG = Rule(
    "dmarc.removed-tag",
    Severity.INFO,
    says="the record at {name} says {tag}={value}; RFC 9989 has no such tag",
    why="Newer receivers ignore it, and older ones may still obey it.",
    fix="Remove {tag}= from the TXT record at {name}.",
    ref="RFC 9989 appendix C",
)
NOT_A_SUFFIX = Rule(
    "dmarc.not-a-suffix",
    Severity.WARNING,
    says="the record at {name} says psd=y, but {domain} is no public suffix",
    why="By psd=y each name right below belongs to an organisation of its own, so what is sent or signed as one of "
    "them is not aligned with the domain any more.",
    fix="Remove psd=y from the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.10.2, 5.2",
)
PARTIAL = Rule(
    "dmarc.partial",
    Severity.WARNING,
    says="the record at {name} says pct={value}: a sample, for receivers that still know the tag",
    why="Older receivers apply the policy to a part of the mail only, newer ones to all of it.",
    fix="Remove pct= from the TXT record at {name}, or say t=y instead if the policy is still on trial.",
    ref="RFC 9989 appendices A.6, C; RFC 7489 section 6.3",
)
POLICY_NONE = Rule(
    "dmarc.policy-none",
    Severity.WARNING,
    says="the policy for {domain} is {tag}=none at {name}: forged mail is delivered",
    why="Nothing keeps others from sending as this domain, and its reputation is theirs to spend.",
    fix="Change {tag}=none at {name} to {tag}=quarantine, and later to {tag}=reject, once the reports show that all "
    "legitimate mail passes.",
    ref="RFC 9989 sections 4.7, 5.1",
)
TESTING = Rule(
    "dmarc.testing",
    Severity.WARNING,
    says="the policy {policy} for {domain} is on trial (t=y at {name}): receivers apply {applied}",
    why="While t=y stands, receivers are asked to go one level below the policy.",
    fix="Remove t=y from the TXT record at {name} once the reports show that all legitimate mail passes.",
    ref="RFC 9989 section 4.7, appendix A.6",
)
WEAKER_SUBDOMAINS = Rule(
    "dmarc.weaker-subdomains",
    Severity.WARNING,
    says="the record at {name} says {tag}={weaker} for {subdomains}, less than p={policy}",
    why="Forgers use any name below the domain as gladly as the domain itself.",
    fix="Set {tag}={policy} in the TXT record at {name}, or remove {tag}=.",
    ref="RFC 9989 section 4.7",
)
PARKED = Rule(
    "dmarc.parked",
    Severity.WARNING,
    says="{domain} sends no mail, but receivers apply {applied} to mail in its name ({name})",
    why="Every mail in the name of a domain that sends none is forged, so nothing is lost by refusing all of it.",
    fix='Publish at _dmarc.{domain} the TXT record "v=DMARC1; p=reject".',
    ref="RFC 9989 section 4.7",
)
DISCOVERY_DIFFERS = Rule(
    "dmarc.discovery-differs",
    Severity.WARNING,
    says="receivers disagree about {domain}: by RFC 9989 they find {new}, by RFC 7489 {old}",
    why="The same mail meets another policy, or is aligned here and not there, as each receiver follows this or that.",
    fix="Use just {domain} as DKIM d= and in MAIL FROM, and publish a single DMARC record at {places}.",
    ref="RFC 9989 sections 4.10.1, 4.10.2; RFC 7489 sections 3.2, 6.6.3",
)
POLICY_INFO = Metric(
    "deliverability_dmarc_policy_info",
    "Always 1; the DMARC policies in force for the domain, for its subdomains and for subdomains that do not exist. "
    "Where testing is yes, receivers apply one level less.",
    ("policy", "subdomain_policy", "nonexistent_policy", "testing"),
)

SUBDOMAINS = {"sp": "subdomains", "np": "subdomains that do not exist"}


def _suggested(target: Domain) -> str:
    if not target.sends_mail:
        return "v=DMARC1; p=reject"
    return f"v=DMARC1; p=none; rua=mailto:dmarc-reports@{target.name}"


def _records(found: Discovery) -> Iterator[Record]:
    """What stands at the domain itself, and at that of its organisation from which it inherits."""
    places = {found.domain, *([found.source.domain] if found.source else [])}
    for step in found.steps:
        if step.domain in places and names.under(step.domain, names.registrable(found.domain)):
            yield Record.of(f"{step.name} TXT", (txt.text for txt in step.reply.texts if meant(txt.text)))


def _looked_at(found: Discovery) -> tuple[WalkStep, ...]:
    """The _dmarc names of the organisation, as far as receivers look for a policy."""
    enough = 1 if found.steps and found.steps[0].record else None
    return tuple(step for step in found.steps[:enough] if names.under(step.domain, names.registrable(found.domain)))


def _strays(step: WalkStep, end: str, *, harmless: bool) -> Iterator[Finding]:
    """What stands at one of them and is no policy. `end`: of an alias to nothing; `harmless`: there may be a policy."""
    if end:
        yield DANGLING_CNAME(name=step.name, target=end)
    if len(step.records) > 1:
        yield MULTIPLE_RECORDS(name=step.name, count=len(step.records))
    texts = [txt.text for txt in step.reply.texts if not is_record(txt.text)]
    bare = {text.lower().translate(None, b" \t\\\"'"): text.decode("latin-1") for text in texts}
    for text in [text for plain, text in bare.items() if plain.startswith(b"v=spf1")][:1]:
        yield SPF_TEXT(name=step.name, text=text, severity=Severity.INFO if harmless else None)
    for text in [text for plain, text in bare.items() if b"v=dmarc1" in plain][:1]:
        yield BAD_VERSION(name=step.name, text=text)


def _complaints(source: Published) -> Iterator[Finding]:
    """What is wrong with the text of the record, whatever its policy."""
    name, record = source.name, source.record
    meaning = "p=none" if record.wants_reports else "no DMARC record at all"
    for tag, value in record.bad_policies:
        yield BAD_POLICY(name=name, tag=tag, value=value, meaning=meaning)
    if record.p is None and not record.bad_policies:
        yield NO_POLICY(name=name, meaning=meaning)
    if record.bad_terms:
        yield SYNTAX(name=name, term="; ".join(record.bad_terms))
    for tag in record.repeated:
        yield REPEATED_TAG(name=name, tag=tag)
    for tag, value in record.bad_values:
        yield IGNORED_VALUE(name=name, tag=tag, value=value)
    for tag, value in record.removed:
        if tag == "pct" and value != "100":
            yield PARTIAL(name=name, value=value)
        else:
            yield REMOVED_TAG(name=name, tag=tag, value=value)
    if record.psd == "y" and names.registrable(f"any.{source.domain}") != f"any.{source.domain}":
        yield NOT_A_SUFFIX(name=name, domain=source.domain)


def _judge(target: Domain, source: Published, requested: Requested | None) -> Iterator[Finding]:
    """What the policy means for the domain itself; nothing, where the record has none that can be read."""
    if requested is None or not source.record.valid:
        return
    if not target.sends_mail and requested.applied is not DmarcPolicy.REJECT:
        yield PARKED(domain=target.name, applied=requested.applied, name=source.name)
    elif requested.policy is DmarcPolicy.NONE:
        yield POLICY_NONE(domain=target.name, tag=requested.tag, name=source.name)
    if requested.testing and requested.policy is not DmarcPolicy.NONE:
        yield TESTING(domain=target.name, policy=requested.policy, applied=requested.applied, name=source.name)


def _rest(found: Discovery, source: Published, requested: Requested | None) -> Iterator[Fact]:
    """What can be said only after the whole tree walk."""
    if found.new != found.old:
        yield DISCOVERY_DIFFERS(domain=found.domain, new=found.new, old=found.old, places=_places(found))
    above = found.subdomain_source or source
    existing = above.record.requests(subdomain=True)
    missing = above.record.requests(subdomain=True, exists=False)
    if requested and above.domain == found.domain:
        weaker = {r.tag: r for r in (existing, missing) if r and r.policy.strength < requested.policy.strength}
        for tag, request in weaker.items():
            yield WEAKER_SUBDOMAINS(
                name=above.name, tag=tag, weaker=request.policy, subdomains=SUBDOMAINS[tag], policy=requested.policy
            )
    yield POLICY_INFO(1, **_labels(requested, existing, missing))


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
