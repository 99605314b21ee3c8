"""DKIM public keys: do they exist, can receivers verify with them, and are old keys gone (RFC 6376)?

- A key in use is judged by what verifiers do with it (RFC 6376 section 6.1.2, RFC 8301, RFC 8463).
- For a key that is retired, only one thing matters: nobody may be able to sign with it any more.
- Of several keys that a provider changes by itself, one is in use, and the others may be without (rotation.py).
- If we do not know a domain's selectors, DNS can still show whether there is any key at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.facts import Doubt, Finding, Measured, Metric, Record, Rule, Severity
from exporter.mail import names, receiver_replies
from exporter.mail.cname import dangling
from exporter.mail.dkim import remedies
from exporter.mail.dkim.key_record import SHORTEST, DkimSyntaxError, KeyRecord, attempt, namespaces
from exporter.mail.dkim.rotation import other_with_key
from exporter.mail.dns import Reply, Status, doubts
from exporter.model import Fact, Facts, Light, check
from exporter.net import Net
from exporter.targets import KeyNamespace, Selector
from exporter.text import day


@check(over=(Selector, KeyNamespace), light=Light.DKIM, questions=1)
async def dkim(target: Selector | KeyNamespace, net: Net) -> Facts:
    """Are all DKIM keys in use published and valid, and are old keys removed?"""
    if isinstance(target, KeyNamespace):
        places = namespaces(target.domain)
        yield _any(target.domain, [await net.query(place, "TXT") for place in places])
        return
    name = f"{target.selector}._domainkey.{target.signer}"
    reply = await net.resolve(name, "TXT")
    way = (name, *reply.chain)
    place, holder = " -> ".join(way), way[-1]
    texts = [it.text for it in reply.texts]
    records = [attempt(text) for text in texts]
    read = [record for record in records if isinstance(record, KeyRecord)]
    # The key by itself: a tag that changes beside it does not make it another one.
    now = Record.of(f"{name} key", (record.key.title for record in read if record.key))
    yield Record.of(f"{name} TXT", texts)
    yield now
    if reply.chain:
        yield Record.of(f"{name} CNAME", (" -> ".join(reply.chain),))

    if target.retired:
        if any(record.key and record.for_email for record in read):
            yield RETIRED_STILL_PUBLISHED(selector=target.selector, place=place, name=name)
        return
    if not reply.exists or any(record.revoked for record in read[: len(records) == 1]):
        other, unsure = await net.drive(other_with_key(target.selector, target.signer, target.siblings, reply))
        if other or unsure:
            yield _to_come(target.selector, reply, other) if other else ()
            yield [_over_absence(doubt) for doubt in doubts(unsure)]
            return
    if not reply.exists:
        end, unsure = await net.drive(dangling(reply))
        yield _absent(name, target.selector, reply, alias=bool(end or unsure))
        return
    if len(records) > 1:
        yield SEVERAL_RECORDS(place=place, holder=holder, count=len(records))
        return
    record = records[0]
    if isinstance(record, DkimSyntaxError):
        yield SYNTAX(place=place, holder=holder, error=record, record=texts[0].decode("latin-1"))
        return
    kept, unsure = not names.under(holder, names.registrable(target.signer)), None
    if not kept and record.key and SHORTEST <= record.key.bits < RECOMMENDED:
        kept, unsure = await _delegated(target.signer, net)
    told = _judge(record, place, holder, kept=kept)
    yield [finding for finding in told if not (unsure and finding.id == WEAK.id)]
    yield [doubt.over(WEAK, place=place) for doubt in doubts(unsure)]
    if record.key:
        since = net.unchanged_since(target, now)
        days = net.days_since(since)
        if days > OLD:
            yield OLD_KEY(place=place, holder=holder, days=days, since=day(since))
        yield (Measured(metric) for metric in (KEY_SIZE, KEY_INFO, FIRST_SEEN))
        yield KEY_SIZE(record.key.bits / 8)
        if record.key.algorithm != USUAL:
            yield KEY_INFO(1, key_type=record.key.algorithm)
        yield FIRST_SEEN(since)


UNVERIFIABLE = (
    "DKIM signatures made with this key cannot be verified: the mail counts as unsigned, and only SPF is left for "
    "DMARC."
)

MISSING = Rule(
    "dkim.missing",
    Severity.CRITICAL,
    says="{name} has no TXT record, so selector {selector} has no key ({answer})",
    why=UNVERIFIABLE,
    fix="Publish the whole public key at {name} as one TXT record, in strings of at most 255 characters. Copy it from "
    "the signing software or the provider.",
    ref="RFC 6376 sections 3.6.2.1, 6.1.2",
    refusals=receiver_replies.DKIM_FAILS,
    remedy=remedies.publish_key,
)
DANGLING_CNAME = Rule(
    "dkim.dangling-cname",
    Severity.CRITICAL,
    says="{name} is a CNAME to {target}, which has no TXT record ({answer})",
    why=UNVERIFIABLE,
    fix="Ask the operator of {target} to publish the key there, or correct the CNAME at {name}.",
    ref="RFC 6376 section 3.6.2.1; RFC 1034 section 3.6.2",
    cause=("target",),
    refusals=receiver_replies.DKIM_FAILS,
)
KEY_TO_COME = Rule(
    "dkim.key-to-come",
    Severity.INFO,
    says="{name} refers to {target}, which has no key now ({answer}); {other} refers to the same provider and has one",
    why="Providers that rotate keys have several names, and sign with one key at a time. Only mail that is signed "
    "with this one now would count as unsigned.",
    fix="Look for s= in the DKIM-Signature headers of the domain's mail. If it is {selector}, ask the provider for a "
    "new key. Otherwise leave the CNAME at {name}.",
    ref="Microsoft, Set up DKIM to sign mail from your cloud domain; Proton, Problems with configuring CNAME records; "
    "Fastmail, DKIM configuration; AWS, Easy DKIM in Amazon SES; RFC 6376 section 3.1",
)
SEVERAL_RECORDS = Rule(
    "dkim.several-records",
    Severity.WARNING,
    says="{place} has {count} TXT records, but only one is allowed",
    why="The result is undefined: some verifiers take the first record, some try each, some give up.",
    fix="Leave one TXT record at {holder}, and publish other keys under their own selectors.",
    ref="RFC 6376 section 3.6.2.2",
)
SYNTAX = Rule(
    "dkim.syntax",
    Severity.CRITICAL,
    says="{place} has no valid key record: {error}; the record is {record}",
    why=UNVERIFIABLE,
    fix="Publish the whole TXT record at {holder} again, in strings of at most 255 characters. Copy it from the "
    "signing software or the provider.",
    ref="RFC 6376 sections 3.2, 3.6.1, 6.1.2",
    refusals=receiver_replies.DKIM_FAILS,
    remedy=remedies.publish_key,
)
VERSION_NOT_FIRST = Rule(
    "dkim.version-not-first",
    Severity.WARNING,
    says="v=DKIM1 is not the first tag at {place}",
    why="The version must be the first tag of a key record. Strict verifiers reject the key.",
    fix="Move v=DKIM1 to the beginning of the TXT record at {holder}.",
    ref="RFC 6376 section 3.6.1",
    remedy=remedies.correct,
)
EMPTY_TAG = Rule(
    "dkim.empty-tag",
    Severity.INFO,
    says="{place} has an extra semicolon with nothing before it",
    why="The grammar does not allow an empty tag. Some verifiers ignore it. Others, such as OpenDKIM, treat the key "
    "as invalid.",
    fix="Remove the extra semicolon from the TXT record at {holder}: the one after another semicolon or at the "
    "beginning.",
    ref="RFC 6376 section 3.2",
    remedy=remedies.correct,
)
UNKNOWN_KEY_TYPE = Rule(
    "dkim.unknown-key-type",
    Severity.CRITICAL,
    says="{place} has the key type k={key_type}, which does not exist",
    why="Verifiers ignore key types that they do not know. DKIM signatures made with this key cannot be verified: the "
    "mail counts as unsigned, and only SPF is left for DMARC.",
    fix="Set k=rsa in the TXT record at {holder}, or k=ed25519 if it is such a key.",
    ref="RFC 6376 section 3.6.1; RFC 8463 section 3",
    refusals=receiver_replies.DKIM_FAILS,
)
REVOKED = Rule(
    "dkim.revoked",
    Severity.CRITICAL,
    says="the key at {place} has been revoked: its p= is empty",
    why=UNVERIFIABLE,
    fix="Sign with a selector whose key is published, and remove this one from the configuration. Or publish its key "
    "at {holder}.",
    ref="RFC 6376 section 3.6.1",
    refusals=receiver_replies.DKIM_FAILS,
    remedy=remedies.publish_key,
)
RETIRED_STILL_PUBLISHED = Rule(
    "dkim.retired-still-published",
    Severity.WARNING,
    says="the selector {selector} is retired, but {place} still has its key",
    why="Anyone who has the old private key, from a backup or an old machine, can still sign as the domain.",
    fix='Replace the TXT record at {name} with "v=DKIM1; p=", or remove it. Wait about a week until mail signed '
    "with the key is delivered.",
    ref="RFC 6376 sections 3.1, 3.6.1",
    remedy=remedies.revoke,
)
NO_KEYS = Rule(
    "dkim.no-keys",
    Severity.WARNING,
    says="{domain} has no DKIM key: nothing exists in DNS at or below {namespaces}",
    why="No signature for the domain verifies, so DMARC depends on SPF alone, which breaks when mail is forwarded. If "
    "there are keys, the name servers wrongly deny a name that has others below it.",
    fix="Sign with a key that is published at SELECTOR._domainkey.{domain}, and list its selector in dkim_selectors. "
    "List a selector of another domain with that domain.",
    ref="RFC 6376 section 3.6.2.1; RFC 8020 section 2",
    refusals=receiver_replies.DKIM_FAILS,
)
SELECTORS_UNKNOWN = Rule(
    "dkim.selectors-unknown",
    Severity.INFO,
    says="{namespace} exists in DNS, so {domain} may have DKIM keys, but no selector is configured",
    why="DNS does not list the names below another one. These keys are not checked.",
    fix="List in dkim_selectors of {domain} each s= of the DKIM-Signature headers of its mail. Add the d= if it is "
    "another domain.",
    ref="RFC 6376 sections 3.1, 3.6.2.1",
)
NO_SHA256 = Rule(
    "dkim.no-sha256",
    Severity.CRITICAL,
    says="{place} allows only the hashes h={hashes}, without sha256",
    why="SHA-1 signatures must no longer be verified, and this tag forbids SHA-256. DKIM signatures made with this "
    "key cannot be verified: the mail counts as unsigned, and only SPF is left for DMARC.",
    fix="Remove the h= tag from the TXT record at {holder}, or set h=sha256.",
    ref="RFC 8301 section 3.1; RFC 6376 section 3.6.1",
    refusals=receiver_replies.DKIM_FAILS,
    remedy=remedies.correct,
)
NOT_FOR_EMAIL = Rule(
    "dkim.not-for-email",
    Severity.CRITICAL,
    says="{place} is only for s={services}, not for email",
    why="Verifiers must not use a key that was published for other services. DKIM signatures made with this key "
    "cannot be verified: the mail counts as unsigned, and only SPF is left for DMARC.",
    fix="Remove the s= tag from the TXT record at {holder}, or set s=email.",
    ref="RFC 6376 section 3.6.1",
    refusals=receiver_replies.DKIM_FAILS,
    remedy=remedies.correct,
)
TESTING = Rule(
    "dkim.testing",
    Severity.INFO,
    says="{place} has the flag t=y: the domain only tests DKIM",
    why="Verifiers must not treat such mail differently from unsigned mail. Some ignore its signature.",
    fix="Remove y from the t= tag of the TXT record at {holder} once signatures verify.",
    ref="RFC 6376 section 3.6.1",
)
TOO_SHORT = Rule(
    "dkim.too-short",
    Severity.CRITICAL,
    says="the RSA key at {place} has {bits} bits; verifiers must reject keys under 1024",
    why=UNVERIFIABLE,
    fix="Create an RSA key of 2048 bits under a new selector, publish it, and sign with it.",
    ref="RFC 8301 section 3.2",
    refusals=receiver_replies.DKIM_FAILS,
)
WEAK = Rule(
    "dkim.weak",
    Severity.WARNING,
    says="the RSA key at {place} has {bits} bits; signers should use 2048",
    why="An attacker can break a key this short, and receivers have begun to distrust it.",
    fix="Create an RSA key of 2048 bits under a new selector, publish it, and sign with it. If a provider keeps the "
    "key, change its length there.",
    ref="RFC 8301 section 3.2",
)
VERY_LONG = Rule(
    "dkim.very-long",
    Severity.WARNING,
    says="the RSA key at {place} has {bits} bits; verifiers need not support more than 4096",
    why="A verifier that does not support such a key treats the mail as unsigned.",
    fix="Create an RSA key of 2048 bits under a new selector, publish it, and sign with it.",
    ref="RFC 8301 section 3.2",
)
ED25519 = Rule(
    "dkim.ed25519",
    Severity.INFO,
    says="the key at {place} is an Ed25519 key, which many receivers do not verify yet",
    why="A receiver that does not know the algorithm ignores the signature. It needs an RSA signature as well.",
    fix="Sign each message with an RSA-2048 key under another selector as well.",
    ref="RFC 8463 sections 3, 6",
)
OLD_KEY = Rule(
    "dkim.old-key",
    Severity.INFO,
    says="the key at {place} has not changed for at least {days} days, since {since}",
    why="The longer a key is used, the more copies exist: in backups, on old machines, with people who left. M3AAWG "
    "recommends a new key every six months.",
    fix="Publish a new key under a new selector, and sign with it. Revoke the one at {holder} about a week later.",
    ref="M3AAWG, DKIM Key Rotation Best Common Practices (2019); RFC 6376 section 3.1",
)
KEY_SIZE = Metric(
    "deliverability_dkim_key_size_bytes",
    "Size of the DKIM public key: of the RSA modulus (2048 bits are 256), or 32 for Ed25519.",
)
KEY_INFO = Metric(
    "deliverability_dkim_key_info",
    "Always 1; the type of the DKIM public key where it is not RSA: ed25519.",
    ("key_type",),
)
FIRST_SEEN = Metric(
    "deliverability_dkim_key_first_seen_timestamp_seconds",
    "When the DKIM public key that is published now was first seen, in unix seconds.",
)

USUAL = "rsa"  # nearly all keys: a series for each would tell nothing
RECOMMENDED, LONGEST = 2048, 4096  # bits of an RSA key (RFC 8301 section 3.2)
OLD = 365  # days; twice what M3AAWG advises


def _any(domain: str, replies: Sequence[Reply]) -> Iterator[Fact]:
    """Is there anything where keys would be? An alias is: what is asked for is then denied of its target alone."""
    for reply in replies:
        if reply.status.conclusive and (reply.chain or reply.status is not Status.NXDOMAIN):
            yield SELECTORS_UNKNOWN(domain=domain, namespace=reply.question.name)
            return
    in_doubt = [*doubts(*replies)]
    yield from in_doubt
    if not in_doubt:
        yield NO_KEYS(domain=domain, namespaces=", ".join(reply.question.name for reply in replies))


def _to_come(selector: str, reply: Reply, other: str) -> Finding:
    answer = "its p= is empty" if reply.exists else _answer(reply)
    return KEY_TO_COME(name=reply.question.name, target=reply.chain[-1], selector=selector, answer=answer, other=other)


def _over_absence(doubt: Doubt) -> Doubt:
    """It is open whether a key is needed here. Earlier findings about the text of a key have ended."""
    return doubt.over(MISSING).over(DANGLING_CNAME).over(REVOKED).over(KEY_TO_COME)


def _answer(reply: Reply) -> str:
    return "there is no such name" if reply.status is Status.NXDOMAIN else "the name exists"


def _absent(name: str, selector: str, reply: Reply, *, alias: bool) -> Finding:
    """`alias`: there is a CNAME that is no wildcard's, as far as is known."""
    if alias:
        return DANGLING_CNAME(name=name, target=reply.chain[-1], answer=_answer(reply))
    return MISSING(name=name, selector=selector, answer=_answer(reply))


async def _delegated(signer: str, net: Net) -> tuple[bool, Reply | None]:
    """Is the signer, below a domain of the owner's, a zone on name servers of somebody else? Some providers want that.

    The reply leaves it open.
    """
    apex = names.registrable(signer)
    name = signer
    while name != apex and names.under(name, apex):
        cut = await net.query(name, "NS")
        if cut.exists:
            own = await net.query(apex, "NS")
            foreign = not set(cut.names) & set(own.names) and not any(names.under(it, apex) for it in cut.names)
            return foreign and own.status.conclusive, None if own.status.conclusive else own
        if not cut.status.conclusive:
            return False, cut
        name = name.partition(".")[2]
    return False, None


def _judge(record: KeyRecord, place: str, holder: str, *, kept: bool) -> Iterator[Finding]:
    """`kept`: by a provider, in a zone that is not the signer's."""
    if record.empty_tags:
        yield EMPTY_TAG(place=place, holder=holder)
    if not record.version_first:
        yield VERSION_NOT_FIRST(place=place, holder=holder)
    if record.hashes is not None and not record.allows_sha256:
        yield NO_SHA256(place=place, holder=holder, hashes=":".join(record.hashes))
    if not record.for_email:
        yield NOT_FOR_EMAIL(place=place, holder=holder, services=":".join(record.services))
    if record.testing:
        yield TESTING(place=place, holder=holder)
    if record.revoked:
        yield REVOKED(place=place, holder=holder)
    elif record.key is None:
        yield UNKNOWN_KEY_TYPE(place=place, holder=holder, key_type=record.key_type)
    elif record.key.algorithm == "ed25519":
        yield ED25519(place=place)
    elif record.key.bits < SHORTEST:
        yield TOO_SHORT(place=place, bits=record.key.bits)
    elif record.key.bits < RECOMMENDED:
        yield WEAK(place=place, bits=record.key.bits, severity=Severity.INFO if kept else None)
    elif record.key.bits > LONGEST:
        yield VERY_LONG(place=place, bits=record.key.bits)
