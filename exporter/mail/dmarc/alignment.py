"""Alignment: is what SPF or DKIM proves the domain that the reader sees (RFC 9989 section 4.4)?

A signature with d=newsletters.example.net proves that example.net had a hand in a message, and nothing about the
domain in its From: header. DMARC counts such a proof only if the two domains are aligned:

    strict (adkim=s, aspf=s)   they are the same name
    relaxed (the default)      they have the same organisational domain (section 4.10.2)

    From: example.com          bounce.example.com is aligned if relaxed, example.net never
    From: news.example.com     mail.example.com is aligned if relaxed: both belong to example.com

One aligned pass is enough. SPF proves the domain of MAIL FROM (section 4.4.2; a HELO name only of mail that has no
MAIL FROM, such as bounces), DKIM the d= of each signature that verifies (section 4.4.1). What is known before a message
is sent are the names that are configured. That one is aligned proves nothing yet, since SPF or DKIM must pass as well;
that one is not proves that it is of no use to DMARC.

The organisational domain of either side is found by the tree walk (tree_walk.py), by RFC 7489 in the
Public Suffix List. It is the name itself or a parent, so a name outside the organisational domain of the From: domain
cannot share it, whatever its own walk would say.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.mail import names
from exporter.mail.dmarc.tree_walk import Discovery, climb
from exporter.mail.dns import Evaluation, Reply


@dataclass(frozen=True, slots=True)
class Identifier:
    """A domain that SPF or DKIM may prove, and whether it is aligned by RFC 9989 (`new`) and by RFC 7489 (`old`).

    None: it cannot be told, and `doubt` may say why; or DMARC does not apply by that RFC.
    """

    domain: str
    new: bool | None
    old: bool | None
    doubt: Reply | None = None

    @property
    def never(self) -> bool:
        """It is proven to be of no use to DMARC, wherever DMARC applies."""
        return self.new is False and not self.old

    @property
    def always(self) -> bool:
        return self.new is True and self.old is not False

    @property
    def differs(self) -> bool:
        """Receivers disagree, each by its RFC."""
        return (self.new, self.old) in ((True, False), (False, True))


def align(found: Discovery, domain: str, tag: str) -> Evaluation[Identifier]:
    """Is `domain` aligned with the one that was looked at? `tag` is adkim or aspf; a record must be in force."""
    source, old_source = found.source, found.old_source
    if source is None:
        raise ValueError(f"no DMARC record is known to be in force for {found.domain}")
    old = None
    if old_source:
        near = tag not in old_source.record.strict
        old = domain == found.domain or (near and names.registrable(domain) == names.registrable(found.domain))
    if domain == found.domain or tag in source.record.strict:
        return Identifier(domain, domain == found.domain, old)
    if found.doubt:
        return Identifier(domain, None, old, found.doubt)
    if not names.under(domain, found.organisational):
        return Identifier(domain, False, old)
    theirs = yield from climb(domain)
    if theirs.doubt:
        return Identifier(domain, None, old, theirs.doubt)
    return Identifier(domain, theirs.organisational == found.organisational, old)
