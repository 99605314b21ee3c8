"""Part of the check `dmarc`: can the aggregate reports arrive that the record asks for?"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.facts import Doubt, Finding, Rule, Severity
from exporter.mail.dmarc import remedies
from exporter.mail.dmarc.reports import Destination
from exporter.mail.dmarc.tree_walk import Published
from exporter.mail.dns import doubts

NO_RUA = Rule(
    "dmarc.no-rua",
    Severity.INFO,
    says="the record at {name} does not request aggregate reports",
    why="Without reports nobody sees who sends mail as the domain, or which legitimate mail would fail.",
    fix="Add rua=mailto:ADDRESS to the TXT record at {name}.",
    ref="RFC 9989 section 4.7",
)
MANY_RUA = Rule(
    "dmarc.many-rua",
    Severity.INFO,
    says="the record at {name} lists {count} addresses for aggregate reports",
    why="Receivers need not send reports to more than two addresses.",
    fix="Leave at most two addresses in the rua= tag of the TXT record at {name}.",
    ref="RFC 7489 section 6.2",
)
RUA_NOT_MAIL = Rule(
    "dmarc.rua-not-mail",
    Severity.INFO,
    says="the record at {name} requests reports to {uri}, which is not a mailto: address",
    why="Receivers must support reports by mail, and ignore other addresses that they do not support.",
    fix="Add a mailto: address to the rua= tag of the TXT record at {name}, or replace {uri} with one.",
    ref="RFC 9989 section 4.7",
)
RUA_SIZE = Rule(
    "dmarc.rua-size",
    Severity.INFO,
    says="the record at {name} limits the size of reports to {uri}",
    why="RFC 9989 removed this limit, and newer receivers ignore it.",
    fix="Remove the exclamation mark and the size after it from {uri} in the TXT record at {name}.",
    ref="RFC 9989 section 4.8; RFC 7489 section 6.2",
)
RUA_UNAUTHORISED = Rule(
    "dmarc.rua-unauthorised",
    Severity.WARNING,
    says="{name} requests reports to {uri}, but {destination} has not authorised them: {authorisation} has no DMARC "
    "record",
    why="Receivers silently drop reports to another organisation that has not authorised them.",
    fix='Ask {destination} to publish the TXT record "v=DMARC1" at {authorisation}, or change rua= at {name}.',
    ref="RFC 9990 section 4; RFC 7489 section 7.1",
    cause=("destination",),
    remedy=remedies.consent,
)
RUA_AUTHORISATION_DIFFERS = Rule(
    "dmarc.rua-authorisation-differs",
    Severity.WARNING,
    says="{name} requests reports to {uri}, which {by} treats as another organisation, and {authorisation} has no "
    "DMARC record",
    why="Receivers that implement this RFC silently drop reports to another organisation that has not authorised them.",
    fix='Publish the TXT record "v=DMARC1" at {authorisation}.',
    ref="RFC 9990 section 4; RFC 7489 section 7.1",
    remedy=remedies.consent,
)
RUA_REDIRECTED = Rule(
    "dmarc.rua-redirected",
    Severity.WARNING,
    says="{name} requests reports to {uri}, and {authorisation} redirects them to {elsewhere}, which is not at "
    "{destination}",
    why="A destination may choose another address at its own domain only. Otherwise it gets no reports.",
    fix="Ask {destination} to remove rua= from the record at {authorisation}, or set rua= at {name} to {elsewhere}.",
    ref="RFC 9990 section 4; RFC 7489 section 7.1",
    cause=("destination",),
)
RUA_UNDELIVERABLE = Rule(
    "dmarc.rua-undeliverable",
    Severity.WARNING,
    says="{name} requests reports to {uri}, but {destination} cannot receive mail",
    why="The reports are lost, so nobody sees who sends mail as the domain.",
    fix="Change rua= at {name} to an address that receives mail.",
    ref="RFC 9989 section 4.7; RFC 5321 section 5.1",
    cause=("destination",),
)

OF_CONSENT = (RUA_UNAUTHORISED, RUA_AUTHORISATION_DIFFERS, RUA_REDIRECTED)
RULES = (NO_RUA, MANY_RUA, RUA_NOT_MAIL, RUA_SIZE, RUA_UNDELIVERABLE, *OF_CONSENT)
ENOUGH = 2  # URIs that every receiver serves (RFC 7489 section 6.2)
MOST = 10  # that we look at: the list is remote text


def judge_list(source: Published, *, wanted: bool) -> Iterator[Finding]:
    """What the rua= tag itself says; `wanted`: a domain that sends mail ought to have one."""
    name, record = source.name, source.record
    if not record.rua and wanted:
        yield NO_RUA(name=name)
    if len(record.rua) > ENOUGH:
        yield MANY_RUA(name=name, count=len(record.rua))
    for uri in record.rua[:MOST]:
        if uri.scheme != "mailto":
            yield RUA_NOT_MAIL(name=name, uri=uri.text)
    for text in record.sized[:MOST]:
        yield RUA_SIZE(name=name, uri=text)


def judge(source: Published, end: Destination) -> Iterator[Finding]:
    """One destination of it."""
    name, uri, destination = source.name, end.uri.text, end.uri.host
    if end.agrees is False and end.foreign_once and end.foreign is not False:
        yield RUA_UNAUTHORISED(name=name, uri=uri, destination=destination, authorisation=end.authorisation)
    elif end.agrees is False and end.foreign is not None:
        by = "RFC 9990" if end.foreign else "RFC 7489"
        yield RUA_AUTHORISATION_DIFFERS(name=name, uri=uri, by=by, authorisation=end.authorisation)
    if end.elsewhere and (end.foreign or end.foreign_once):
        yield RUA_REDIRECTED(
            name=name, uri=uri, destination=destination, authorisation=end.authorisation, elsewhere=end.elsewhere
        )
    if end.unreachable:
        yield RUA_UNDELIVERABLE(name=name, uri=uri, destination=destination)


def open_questions(end: Destination) -> Iterator[Doubt]:
    """What is not known of this destination."""
    for doubt in doubts(end.no_route):
        yield doubt.over(RUA_UNDELIVERABLE, uri=end.uri.text)
    for doubt in doubts(end.doubt):
        for rule in OF_CONSENT:
            doubt = doubt.over(rule, uri=end.uri.text)
        yield doubt
