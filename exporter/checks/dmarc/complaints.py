"""Part of the check `dmarc`: what is wrong with the text of the record, whatever its policy?"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.facts import Finding, Rule, Severity
from exporter.mail import names, receiver_replies
from exporter.mail.dmarc import remedies
from exporter.mail.dmarc.tree_walk import Published

NO_POLICY = Rule(
    "dmarc.no-policy",
    Severity.WARNING,
    says="the record at {name} has no p= tag, and counts as {meaning}",
    why="Receivers treat it as p=none if it has a valid rua= tag. Otherwise they ignore the record.",
    fix="Add p=none, p=quarantine or p=reject right after v=DMARC1 in the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.10.1; RFC 7489 sections 6.3, 6.6.3",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.correct,
)
BAD_POLICY = Rule(
    "dmarc.bad-policy",
    Severity.WARNING,
    says="{tag}={value} in the record at {name} is not a valid policy; the record counts as {meaning}",
    why="One policy that receivers cannot read makes all of them invalid.",
    fix="Set {tag}= to none, quarantine or reject in the TXT record at {name}.",
    ref="RFC 9989 sections 4.8, 4.10.1",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.correct,
)
SYNTAX = Rule(
    "dmarc.syntax",
    Severity.WARNING,
    says='the record at {name} has "{term}", which is not tag=value',
    why="Most receivers skip such a part, some the whole record. Its intended meaning is lost.",
    fix='Correct or remove "{term}" in the TXT record at {name}.',
    ref="RFC 9989 sections 4.7, 4.8",
    remedy=remedies.correct,
)
REPEATED_TAG = Rule(
    "dmarc.repeated-tag",
    Severity.WARNING,
    says="the record at {name} has the tag {tag}= more than once",
    why="A repeated tag makes the record invalid. Receivers take the first, the last or none.",
    fix="Leave one {tag}= in the TXT record at {name}.",
    ref="RFC 6376 section 3.2; RFC 9989 section 4.7",
    remedy=remedies.correct,
)
IGNORED_VALUE = Rule(
    "dmarc.ignored-value",
    Severity.INFO,
    says="receivers ignore {tag}={value} in the record at {name}",
    why="Receivers use the default of the tag, which may not be what you want.",
    fix="Correct or remove the value {value} of {tag}= in the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.8",
)
REMOVED_TAG = Rule(
    "dmarc.removed-tag",
    Severity.INFO,
    says="the record at {name} has {tag}={value}; RFC 9989 removed this tag",
    why="Newer receivers ignore it. Older ones may still use it.",
    fix="Remove {tag}= from the TXT record at {name}.",
    ref="RFC 9989 appendix C",
)
UNKNOWN_TAG = Rule(
    "dmarc.unknown-tag",
    Severity.INFO,
    says="the record at {name} has the tag {tag}=, which does not exist",
    why="Receivers ignore it, so its intended meaning is lost.",
    fix="Correct the tag {tag}= in the TXT record at {name}, or remove it with its value.",
    ref="RFC 9989 section 4.7",
)
EMPTY_TAG = Rule(
    "dmarc.empty-tag",
    Severity.INFO,
    says="the record at {name} has an extra semicolon with nothing before it",
    why="The grammar does not allow an empty tag. A strict receiver may ignore the whole record.",
    fix="Remove the extra semicolon from the TXT record at {name}.",
    ref="RFC 9989 section 4.8; RFC 6376 section 3.2",
)
POLICY_NOT_FIRST = Rule(
    "dmarc.policy-not-first",
    Severity.INFO,
    says="the record at {name} has other tags between v=DMARC1 and p=",
    why="RFC 9989 allows it anywhere. RFC 7489 requires it right after v=DMARC1, so an older strict receiver may "
    "ignore the record.",
    fix="Move p= and its value right after v=DMARC1 in the TXT record at {name}.",
    ref="RFC 7489 section 6.3; RFC 9989 section 4.8",
)
NOT_A_SUFFIX = Rule(
    "dmarc.not-a-suffix",
    Severity.WARNING,
    says="the record at {name} has psd=y, but {domain} is not a public suffix",
    why="The tag psd=y says that each name right below belongs to another organisation. So mail from or signed by such "
    "a name does not align with the domain.",
    fix="Remove psd=y from the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.10.2, 5.2",
    remedy=remedies.correct,
)
PARTIAL = Rule(
    "dmarc.partial",
    Severity.WARNING,
    says="the record at {name} has pct={value}: older receivers apply the policy to a part of the mail",
    why="Older receivers apply the policy to a part of the mail, newer ones to all of it. As a step of a rollout it "
    "is information. With pct=0 newer ones do the opposite.",
    fix="Remove pct= from the TXT record at {name}, or use t=y instead while you test the policy.",
    ref="RFC 9989 appendices A.6, C; RFC 7489 section 6.3",
)
RULES = (
    NO_POLICY,
    BAD_POLICY,
    SYNTAX,
    REPEATED_TAG,
    IGNORED_VALUE,
    REMOVED_TAG,
    UNKNOWN_TAG,
    EMPTY_TAG,
    POLICY_NOT_FIRST,
    NOT_A_SUFFIX,
    PARTIAL,
)
MOST = 10  # unknown tags that are shown, because the record is remote text
ALL = 100  # percent


def judge(source: Published) -> Iterator[Finding]:
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
        if tag == "pct" and record.percentage < ALL:
            yield PARTIAL(name=name, value=value, severity=Severity.INFO if record.percentage else None)
        else:
            yield REMOVED_TAG(name=name, tag=tag, value=value)
    for tag in record.unknown[:MOST]:
        yield UNKNOWN_TAG(name=name, tag=tag)
    if record.empty_tags:
        yield EMPTY_TAG(name=name)
    if record.policy_late:
        yield POLICY_NOT_FIRST(name=name)
    if record.psd == "y" and names.registrable(f"any.{source.domain}") != f"any.{source.domain}":
        yield NOT_A_SUFFIX(name=name, domain=source.domain)
