"""Where a domain's aggregate reports go, and whether they arrive (RFC 9990 section 4, formerly RFC 7489 section 7.1).

Anybody can write a stranger's address into a rua= tag. So a receiver sends reports across organisations only if the
destination agrees: there must be a DMARC record, of which v=DMARC1 is enough, at

    <domain of the policy record>._report._dmarc.<domain of the address>

which may well be a wildcard. The domain of the policy record is where it was *found*, not the domain that inherited it.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.mail import names
from exporter.mail.dmarc import ReportURI, is_record
from exporter.mail.dns import Evaluation, Question, Reply
from exporter.mail.mx import Way, route

_NOWHERE = frozenset({Way.NULL, Way.NOWHERE, Way.NO_SUCH_DOMAIN})


@dataclass(frozen=True, slots=True)
class Destination:
    """What is proven against one destination; `doubt` is the first reply that said nothing."""

    uri: ReportURI
    authorisation: str  # where the destination would have to agree
    refused: bool
    unreachable: bool
    doubt: Reply | None


def destination(domain: str, uri: ReportURI) -> Evaluation[Destination]:
    """Of reports on the record of `domain`. Only mailto: addresses are looked at."""
    authorisation = f"{domain}._report._dmarc.{uri.host}"
    if uri.scheme != "mailto":
        return Destination(uri, authorisation, refused=False, unreachable=False, doubt=None)
    way = yield from route(uri.host)
    refused, doubt = False, way.doubt if way.way is Way.UNKNOWN else None
    # Within one organisation nobody asks. By the Public Suffix List, since who is a stranger by the tree walk only
    # is one to some receivers only.
    if names.registrable(uri.host) != names.registrable(domain):
        if len(authorisation) > names.LONGEST_NAME:
            refused = True
        else:
            reply = yield Question(authorisation, "TXT")
            refused = reply.status.conclusive and not any(is_record(txt.text) for txt in reply.texts)
            doubt = doubt or (None if reply.status.conclusive else reply)
    return Destination(uri, authorisation, refused, way.way in _NOWHERE, doubt)
