"""Keys that a provider changes by itself: several selectors, of which one is in use at a time.

A provider that keeps a domain's keys wants to change them without asking the domain's owner. So the owner publishes
several aliases once, and the provider decides what stands behind them. The key in use is behind one of them. Behind the
others stands the next key, or none yet, or one that has been revoked (RFC 6376 section 3.6.1):

    selector1._domainkey.example.com.  CNAME  selector1-example-com._domainkey.tenant.onmicrosoft.com.
    selector2._domainkey.example.com.  CNAME  selector2-example-com._domainkey.tenant.onmicrosoft.com.

Microsoft 365 has two of them, Proton, Fastmail and Amazon SES have three. Such selectors belong together. If one of
them has a key that verifies, the others may be without.

From outside they are known as follows. Their names at the provider stand beside each other: only the first label
differs. Where a provider builds its names otherwise, this module says how. The selectors of some providers are the same
for everybody, so these are known even if the owner has named only one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from exporter.mail import names
from exporter.mail.dkim.key_record import KeyRecord, attempt
from exporter.mail.dns import Evaluation, Question, Reply

MICROSOFT_365 = ("onmicrosoft.com", "dkim.mail.microsoft")
_IN_TURNS = {
    MICROSOFT_365: ("selector1", "selector2"),
    ("domains.proton.ch",): ("protonmail", "protonmail2", "protonmail3"),
    ("dkim.fmhosted.com",): ("fm1", "fm2", "fm3"),  # Fastmail
}
# Each key of a customer has another name in the middle here.
_SCATTERED = ("custdkim.salesforce.com", "dkim.hubspotemail.net")


def other_with_key(
    selector: str, signer: str, siblings: Sequence[str], own: Reply
) -> Evaluation[tuple[str, Reply | None]]:
    """A name beside that of this selector where its provider keeps a key that verifies; else the empty text.

    `own` is the reply about this selector, which has no such key, and `siblings` are the signer's other selectors.
    Without a name, the reply that leaves open whether there is one, if there is any.
    """
    doubt = None
    if not _abroad(own.chain, signer):
        return "", None
    for other in _in_turns(selector, own.chain) or siblings:
        reply = yield Question(f"{other}._domainkey.{signer}", "TXT")
        if not reply.status.conclusive:
            doubt = doubt or reply
        elif together(signer, own.chain, reply.chain) and _verifies([it.text for it in reply.texts]):
            return reply.question.name, None
    return "", doubt


def together(signer: str, own: Sequence[str], other: Sequence[str]) -> bool:
    """Do two chains of CNAMEs lead from the signer's zone to one provider, who keeps both keys for one customer?"""
    pairs = product(_abroad(own, signer), _abroad(other, signer))
    return any(a != b and _keeper(a) == _keeper(b) != "" for a, b in pairs)


def _in_turns(selector: str, chain: Sequence[str]) -> tuple[str, ...]:
    """The provider's other selectors, where these are the same for everybody."""
    for zones, selectors in _IN_TURNS.items():
        if selector in selectors and any(names.under(name, zone) for name in chain for zone in zones):
            return tuple(other for other in selectors if other != selector)
    return ()


def _abroad(chain: Sequence[str], signer: str) -> list[str]:
    return [name for name in chain if not names.under(name, names.registrable(signer))]


def _keeper(name: str) -> str:
    """Who keeps the key at this name, and for whom; nothing, if that cannot be seen."""
    if any(names.under(name, zone) for zone in MICROSOFT_365):  # a tenant has keys below both for a while
        return name.partition("._domainkey.")[2].partition(".")[0]
    for zone in _SCATTERED:
        if names.under(name, zone):
            return zone
    place = name.partition(".")[2]
    return place if names.under(place, names.registrable(name)) else ""


def _verifies(texts: Sequence[bytes]) -> bool:
    records = [attempt(text) for text in texts]
    return len(records) == 1 and isinstance(records[0], KeyRecord) and records[0].verifies
