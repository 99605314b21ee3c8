"""What the TXT records of an envelope domain prove by themselves, before any term is followed (RFC 7208)."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.facts import Doubt, Finding, Record, Rule, Severity
from exporter.mail import receiver_replies
from exporter.mail.spf import remedies
from exporter.mail.spf.record import MECHANISMS, SpfPolicy, SpfRecord
from exporter.model import Fact, Facts
from exporter.net import Net
from exporter.targets import Domain

MISSING = Rule(
    "spf.missing",
    Severity.WARNING,
    says="{name} sends mail but has no SPF record",
    why="Gmail, Yahoo and Microsoft require an SPF pass or a DKIM signature from everybody, and both from bulk "
    "senders.",
    fix='Publish at {name} one TXT record "v=spf1 ip4:ADDRESS -all", with ip4:, ip6: or include: for everything '
    "that sends for the domain.",
    ref="RFC 7208 section 4.5",
    refusals=receiver_replies.SPF_DOES_NOT_PASS,
    remedy=remedies.first_record,
)
LOOKALIKE = Rule(
    "spf.lookalike",
    Severity.WARNING,
    says="a TXT record of {name} looks like SPF, but is not valid SPF: {text}",
    why="Receivers ignore it: an SPF record begins with exactly v=spf1 and a space.",
    fix='Rewrite that TXT record of {name} so that it begins with exactly "v=spf1 ".',
    ref="RFC 7208 section 4.5",
)
MULTIPLE_RECORDS = Rule(
    "spf.multiple-records",
    Severity.CRITICAL,
    says="{name} has {count} SPF records: {records}",
    why="Receivers use none of them: every evaluation ends in permerror.",
    fix="Merge the SPF records of {name} into one TXT record and remove the others.",
    ref="RFC 7208 sections 3.2 and 4.5",
    refusals=receiver_replies.SPF_FAILS,
    remedy=remedies.merge,
)
SYNTAX_ERROR = Rule(
    "spf.syntax-error",
    Severity.CRITICAL,
    says="{error}",
    why="One error makes the whole record invalid: every evaluation ends in permerror.",
    fix="Correct this part of the SPF record of {name}, which is now: {record}",
    ref="RFC 7208 section 4.6",
    refusals=receiver_replies.SPF_FAILS,
)
PTR = Rule(
    "spf.ptr",
    Severity.WARNING,
    says="the SPF record of {name} uses {term}",
    why="The ptr mechanism is slow and unreliable. It must not be published, and some receivers skip it.",
    fix="Replace {term} in the SPF record of {name} with ip4:, ip6: or a: mechanisms.",
    ref="RFC 7208 section 5.5",
)
TERMS_AFTER_ALL = Rule(
    "spf.terms-after-all",
    Severity.WARNING,
    says="the SPF record of {name} has mechanisms after {all}, which are never evaluated: {terms}",
    why="What they name is not authorised.",
    fix="In the SPF record of {name}, move {terms} before {all}, or remove {terms}.",
    ref="RFC 7208 section 5.1",
)
REDIRECT_IGNORED = Rule(
    "spf.redirect-ignored",
    Severity.WARNING,
    says="the SPF record of {name} has {redirect}, which receivers ignore because of {all}",
    why="The policy that it names is never used.",
    fix="Remove either {all} or {redirect} from the SPF record of {name}.",
    ref="RFC 7208 section 6.1",
)
MISTAKEN_MODIFIER = Rule(
    "spf.mistaken-modifier",
    Severity.WARNING,
    says="{term} in the SPF record of {name} is ignored: a mechanism needs ':' instead of '='",
    why="With '=' it is an unknown modifier. Receivers skip it silently, and it authorises nobody.",
    fix="Write {right} instead of {term} in the SPF record of {name}.",
    ref="RFC 7208 sections 4.6.1 and 6",
    remedy=remedies.correct,
)
UNKNOWN_MODIFIER = Rule(
    "spf.unknown-modifier",
    Severity.INFO,
    says="{term} in the SPF record of {name} has no meaning",
    why="Receivers skip unknown modifiers. It may be a misspelt mechanism.",
    fix="Remove {term} from the SPF record of {name}.",
    ref="RFC 7208 section 6",
)
TOO_LONG = Rule(
    "spf.too-long",
    Severity.INFO,
    says="the SPF record of {name} is {bytes} bytes long, more than {limit}",
    why="Some networks block large UDP answers and DNS over TCP. Receivers there do not see the record.",
    fix="Shorten the SPF record of {name} to {limit} bytes, for example by moving addresses into an include.",
    ref="RFC 7208 section 3.4",
)
ANSWER_TOO_LONG = Rule(
    "spf.answer-too-long",
    Severity.INFO,
    says="the {count} TXT records of {name} have {bytes} bytes together, more than {limit}",
    why="They come in one answer. Where large UDP answers or DNS over TCP fail, SPF is lost with the others.",
    fix="Remove TXT records of {name} that are no longer needed, such as old proofs of ownership.",
    ref="RFC 7208 section 3.4",
)
OBSOLETE_TYPE = Rule(
    "spf.obsolete-type",
    Severity.WARNING,
    says="{name} publishes a record of the withdrawn type SPF (99): {records}",
    why="Receivers ask for TXT only. Old software asks for this type first, and may use outdated data.",
    fix="Remove the records of type SPF from {name}, and keep the TXT record.",
    ref="RFC 7208 sections 3.1 and 14.1",
    remedy=remedies.remove_obsolete,
)
SENDER_ID = Rule(
    "spf.sender-id",
    Severity.INFO,
    says="{name} still publishes a Sender ID record: {text}",
    why="Sender ID (spf2.0) is historic. Nobody evaluates it.",
    fix="Remove the TXT record that begins with spf2.0 from {name}.",
    ref="RFC 6686 section 6",
)
PARKED_WITHOUT_RECORD = Rule(
    "spf.parked-without-record",
    Severity.WARNING,
    says="{name} sends no mail, but has no SPF record that says so",
    why="Forgers like such domains. Nothing shows receivers that all mail from it is forged.",
    fix='Publish at {name} the TXT record "v=spf1 -all", or set sends_mail to true.',
    ref="RFC 7208 section 10.1.2",
    remedy=remedies.close,
)

LONGEST = 450  # bytes, section 3.4
_OF_THE_ANSWER = (
    MISSING,
    LOOKALIKE,
    MULTIPLE_RECORDS,
    SYNTAX_ERROR,
    PTR,
    TERMS_AFTER_ALL,
    REDIRECT_IGNORED,
    MISTAKEN_MODIFIER,
    UNKNOWN_MODIFIER,
    TOO_LONG,
    ANSWER_TOO_LONG,
    SENDER_ID,
    PARKED_WITHOUT_RECORD,
)


def unread(policy: SpfPolicy, doubt: Doubt) -> Doubt:
    """Without an answer to the first question, nothing of this name is known."""
    for rule in _OF_THE_ANSWER:
        doubt = doubt.over(rule, name=policy.name)
    return doubt


def published(policy: SpfPolicy, target: Domain) -> Iterator[Fact]:
    """What the TXT records alone prove."""
    name = policy.name
    severity = None if target.sends_mail else Severity.WARNING  # no mail is refused where none is sent
    if policy.reply.status.conclusive:
        yield Record.of(f"{name} TXT v=spf1", policy.texts)
    if policy.reply.chain:
        yield Record.of(f"{name} CNAME", (" -> ".join(policy.reply.chain),))
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


def _text(record: SpfRecord, policy: SpfPolicy) -> Iterator[Finding]:
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


async def obsolete(name: str, target: Domain, net: Net) -> Facts:
    """Records of the type that no receiver asks for any more, so that a server without an answer to it harms nobody.

    A finding about them stays until an answer shows that they are gone.
    """
    reply = await net.query(name, "SPF")
    where = f"{name} SPF"
    before = net.remembered(target, where)
    if not (before or reply.texts):
        return
    record = Record.of(where, (txt.text for txt in reply.texts))
    if before and not reply.status.conclusive:
        record = before.record
    yield record
    if record.texts:
        yield OBSOLETE_TYPE(name=name, records=" | ".join(record.texts))


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
