"""Where a domain's aggregate reports go, and whether they arrive (RFC 9990, formerly RFC 7489 section 7).

Once a day receivers count what came in a domain's name, from which addresses and whether it passed DMARC, and send that
as XML to each address of the rua= tag (RFC 9990 section 3). It is how an owner learns of senders that everybody had
forgotten, before p=reject stops them.

Anybody can write a stranger's address into a rua= tag. So a receiver sends reports to another organisation only if
that agrees (RFC 9990 section 4): there must be a text that begins like a DMARC record, of which v=DMARC1 is enough, at

    <domain of the policy record>._report._dmarc.<domain of the address>

which may well be a wildcard. The domain of the policy record is where it was *found*, not the domain that inherited it.
If the text has a rua= tag of its own, reports go there instead, but only within the same domain: one that names
another stops all of them. Who is another organisation RFC 9990 finds by the tree walk (tree_walk.py),
RFC 7489 (section 7.1) in the Public Suffix List.

Every receiver that sends reports can send mail; other URIs, though allowed, are ignored by who cannot serve them (RFC
9989 section 4.7).
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.mail import names
from exporter.mail.dmarc.record import ReportURI, is_record, parse
from exporter.mail.dmarc.tree_walk import Discovery, climb
from exporter.mail.dns import Evaluation, Question, Reply
from exporter.mail.mx import Way, route

_NOWHERE = frozenset({Way.NULL, Way.NOWHERE, Way.NO_SUCH_DOMAIN})


@dataclass(frozen=True, slots=True)
class Destination:
    """What is known of one destination; `doubt` is the first reply that leaves open whether it agrees."""

    uri: ReportURI
    authorisation: str  # where the destination would have to agree
    foreign: bool | None = False  # another organisation by RFC 9990; None: it cannot be told
    foreign_once: bool = False  # the same by RFC 7489
    agrees: bool | None = None  # None: it cannot be told, or nobody asks
    elsewhere: str = ""  # a URI at another host that it wants reports sent to, which stops them
    unreachable: bool = False
    doubt: Reply | None = None
    no_route: Reply | None = None  # the reply that leaves open whether mail gets there


def destination(ours: Discovery, uri: ReportURI) -> Evaluation[Destination]:
    """Of reports on the record that stands at the domain of this walk. Only mailto: addresses are looked at."""
    authorisation = f"{ours.domain}._report._dmarc.{uri.host}"
    if uri.scheme != "mailto":
        return Destination(uri, authorisation)
    way = yield from route(uri.host)
    unreachable, no_route = way.way in _NOWHERE, way.doubt if way.way is Way.UNKNOWN else None
    foreign, unsure = yield from _foreign(ours, uri.host)
    once = names.registrable(uri.host) != names.registrable(ours.domain)
    if foreign is False and not once:
        return Destination(uri, authorisation, unreachable=unreachable, no_route=no_route)
    if len(authorisation) > names.LONGEST_NAME:
        return Destination(uri, authorisation, foreign, once, False, "", unreachable, unsure, no_route)
    reply = yield Question(authorisation, "TXT")
    if not reply.status.conclusive:
        return Destination(uri, authorisation, foreign, once, None, "", unreachable, reply, no_route)
    agreements = [parse(txt.text) for txt in reply.texts if is_record(txt.text)]
    overrides = [override for agreement in agreements for override in agreement.rua]
    elsewhere = next((override.text for override in overrides if override.host != uri.host), "")
    return Destination(
        uri,
        authorisation,
        foreign,
        once,
        agrees=bool(agreements),
        elsewhere=elsewhere,
        unreachable=unreachable,
        doubt=unsure if not agreements or (elsewhere and not once) else None,
        no_route=no_route,
    )


def _foreign(ours: Discovery, host: str) -> Evaluation[tuple[bool | None, Reply | None]]:
    """Are they two organisations by the tree walk? Without an answer, the reply that gave none."""
    if host == ours.domain:
        return False, None
    if ours.doubt:
        return None, ours.doubt
    if not names.under(host, ours.organisational):  # which is the host itself or a parent of it, if they are one
        return True, None
    theirs = yield from climb(host)
    return (None, theirs.doubt) if theirs.doubt else (ours.organisational != theirs.organisational, None)
