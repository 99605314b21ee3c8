"""Keys that a provider changes by itself: several selectors, of which one is in use at a time.

A provider that keeps a domain's keys wants to change them without asking the domain's owner. So the owner publishes
several aliases once, and the provider decides what they lead to. One of them leads to the key in use. The
others lead to the next key, to none yet, or to one that has been revoked (RFC 6376 section 3.6.1):

    selector1._domainkey.example.com.  CNAME  selector1-example-com._domainkey.tenant.onmicrosoft.com.
    selector2._domainkey.example.com.  CNAME  selector2-example-com._domainkey.tenant.onmicrosoft.com.

Microsoft 365 has two of them, Proton, Fastmail and Amazon SES have three. Such selectors belong together. If one of
them has a key that verifies, the others may be without.

From outside, we recognise them by their names at the provider: only the first label differs. If a provider builds its
names in another way, this module says how. Some providers give all customers the same selectors. We know these even if
the owner has named only one of them.
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
    """The name of another selector for which the same provider has a key that verifies; empty if there is none.

    `own` is the reply about this selector, which has no such key, and `siblings` are the signer's other selectors. If
    there is no such name, the second value is the first inconclusive reply, if there was one.
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
    """Do two chains of CNAMEs lead from the signer's zone to two keys of one customer at one provider?"""
    pairs = product(_abroad(own, signer), _abroad(other, signer))
    return any(a != b and _keeper(a) == _keeper(b) != "" for a, b in pairs)


def _in_turns(selector: str, chain: Sequence[str]) -> tuple[str, ...]:
    """The provider's other selectors, if they are the same for all customers."""
    for zones, selectors in _IN_TURNS.items():
        if selector in selectors and any(names.under(name, zone) for name in chain for zone in zones):
            return tuple(other for other in selectors if other != selector)
    return ()


def _abroad(chain: Sequence[str], signer: str) -> list[str]:
    return [name for name in chain if not names.under(name, names.registrable(signer))]


def _keeper(name: str) -> str:
    """The provider and customer of the key at this name, as one text; empty if they cannot be seen."""
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
