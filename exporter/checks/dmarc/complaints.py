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
    says="the record at {name} has no p= tag and counts as {meaning}",
    why="Receivers take it as p=none if it has a valid rua= tag. Else they ignore the record.",
    fix="Put p=none, p=quarantine or p=reject right behind v=DMARC1 in the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.10.1; RFC 7489 sections 6.3, 6.6.3",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.correct,
)
BAD_POLICY = Rule(
    "dmarc.bad-policy",
    Severity.WARNING,
    says="the record at {name} says {tag}={value}, which is no policy, and counts as {meaning}",
    why="One policy that cannot be read spoils all of them.",
    fix="Set {tag}= to none, quarantine or reject in the TXT record at {name}.",
    ref="RFC 9989 sections 4.8, 4.10.1",
    refusals=receiver_replies.NO_DMARC_POLICY,
    remedy=remedies.correct,
)
SYNTAX = Rule(
    "dmarc.syntax",
    Severity.WARNING,
    says='the record at {name} holds "{term}", which is no tag=value',
    why="Most receivers skip such a term, some the whole record; what it was meant to say is lost in any case.",
    fix='Correct or remove "{term}" in the TXT record at {name}.',
    ref="RFC 9989 sections 4.7, 4.8",
    remedy=remedies.correct,
)
REPEATED_TAG = Rule(
    "dmarc.repeated-tag",
    Severity.WARNING,
    says="the record at {name} has the tag {tag}= more than once",
    why="A tag list that repeats a tag is invalid; receivers take the first, the last or nothing at all.",
    fix="Leave one {tag}= in the TXT record at {name}.",
    ref="RFC 6376 section 3.2; RFC 9989 section 4.7",
    remedy=remedies.correct,
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
UNKNOWN_TAG = Rule(
    "dmarc.unknown-tag",
    Severity.INFO,
    says="the record at {name} has the tag {tag}=, which does not exist",
    why="Receivers ignore it, so what it was meant to say is lost.",
    fix="Correct the name {tag} in the TXT record at {name}, or remove {tag}= and its value.",
    ref="RFC 9989 section 4.7",
)
EMPTY_TAG = Rule(
    "dmarc.empty-tag",
    Severity.INFO,
    says="the record at {name} has a semicolon too many, and nothing before it",
    why="The grammar has no empty tag, so a strict receiver may take the record for none.",
    fix="Remove the semicolon that follows another one from the TXT record at {name}.",
    ref="RFC 9989 section 4.8; RFC 6376 section 3.2",
)
POLICY_NOT_FIRST = Rule(
    "dmarc.policy-not-first",
    Severity.INFO,
    says="the record at {name} has other tags between v=DMARC1 and p=",
    why="RFC 9989 takes it anywhere. RFC 7489 wants it right behind v=DMARC1, so a strict receiver of old may take the "
    "record for none.",
    fix="Move p= and its value right behind v=DMARC1 in the TXT record at {name}.",
    ref="RFC 7489 section 6.3; RFC 9989 section 4.8",
)
NOT_A_SUFFIX = Rule(
    "dmarc.not-a-suffix",
    Severity.WARNING,
    says="the record at {name} says psd=y, but {domain} is no public suffix",
    why="The tag psd=y says that each name right below belongs to another organisation. So mail that is sent or "
    "signed as such a name does not align with the domain.",
    fix="Remove psd=y from the TXT record at {name}.",
    ref="RFC 9989 sections 4.7, 4.10.2, 5.2",
    remedy=remedies.correct,
)
PARTIAL = Rule(
    "dmarc.partial",
    Severity.WARNING,
    says="the record at {name} says pct={value}: a sample, for receivers that still know the tag",
    why="Older receivers apply the policy to a part of the mail only, newer ones to all of it. A part is a step of a "
    "rollout, and information. With pct=0 newer ones do the contrary of what it says.",
    fix="Remove pct= from the TXT record at {name}, or say t=y instead if the policy is still on trial.",
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
