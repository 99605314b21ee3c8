"""How mail reaches a domain, and how bounces and replies come back to it (RFC 5321 section 5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from exporter.checks.mx import hosts
from exporter.checks.mx.hosts import MOST_HOSTS, PORT
from exporter.facts import Dead, Doubt, Measured, Metric, Record, Rule, Severity
from exporter.mail.mx import Host, HostState, Route, Way, look_up, route
from exporter.model import Fact, Facts, check
from exporter.net import Net
from exporter.targets import Domain, MailHost
from exporter.text import commas


@check(over=Domain, finds={MailHost}, after={"smtp_tls"}, questions=5)
async def mx(target: Domain, net: Net) -> Facts:
    """Can mail, bounces and replies to the domain reach a server?"""
    own = await net.drive(route(target.name))
    yield _left_open(own)
    if own.way is not Way.UNKNOWN:
        yield Measured(HOSTS), HOSTS(len(own.hosts))
        yield _record(own)
    yield _purpose(target, own)
    for domain in dict.fromkeys(target.mail_from if target.sends_mail else ()):
        envelope = own if domain == target.name else await net.drive(route(domain))
        yield _left_open_of_sender(envelope)
        if envelope.way is not Way.UNKNOWN:
            yield _record(envelope)
        yield _sender(target, envelope)
    if target.receives_mail and own.implicit:
        yield (*hosts.implicit(own, own.implicit, net), *_usable(own, [own.implicit]))
    if target.receives_mail and own.hosts:
        named = [await net.drive(look_up(name)) for name in own.hosts[:MOST_HOSTS]]
        yield (*hosts.judge(own, named, net), *_usable(own, named))


POSTFIX = "Postfix: 450 4.1.8 Sender address rejected: Domain not found"

NO_SUCH_DOMAIN = Rule(
    "mx.no-such-domain",
    Severity.CRITICAL,
    says="the domain {domain} does not exist in DNS",
    why="Nobody can write to it, and receivers reject senders whose domain does not exist.",
    fix="Register or renew {domain}, or correct its delegation or the name in the configuration.",
    ref="RFC 5321 sections 2.3.5 and 5.1",
    refusals=(
        POSTFIX,
        "Office 365: 550 5.4.310 DNS domain ... does not exist",
        "Exchange: 550 5.4.4 SMTPSEND.DNS.NonExistentDomain; nonexistent domain",
    ),
    implies=Dead.DOMAIN,
)
NO_SUCH_SENDER = Rule(
    "mx.no-such-sender",
    Severity.CRITICAL,
    says="{domain} is used in MAIL FROM, but does not exist in DNS",
    why="Bounces are lost, and receivers reject senders whose domain does not exist.",
    fix="Register or renew {domain} or correct its delegation, or use a MAIL FROM domain that exists.",
    ref="RFC 5321 sections 2.3.5 and 5.1",
    refusals=(POSTFIX,),
)
NOWHERE = Rule(
    "mx.nowhere",
    Severity.CRITICAL,
    says="{domain} has neither an MX nor an address record",
    why="Bounces and replies cannot reach it. Receivers reject a MAIL FROM domain for that.",
    fix="Publish the record {domain} MX 10 with the name of the host that accepts its mail.",
    ref="RFC 5321 section 5.1",
    refusals=(POSTFIX,),
)
IMPLICIT = Rule(
    "mx.implicit",
    Severity.WARNING,
    says="{domain} has no MX record; senders use its address {addresses}",
    why="Mail goes to any server at that address, often a web server. Filters distrust such domains.",
    fix="Publish the record {domain} MX 10 with the name of the host that accepts its mail.",
    ref="RFC 5321 section 5.1",
)
NULL_MX = Rule(
    "mx.null",
    Severity.CRITICAL,
    says="{domain} is configured to receive mail, but publishes a null MX",
    why="With a null MX every sender gives up at once: all mail to the domain bounces.",
    fix='Replace the record {domain} MX "0 ." with the hosts that accept its mail, or set receives_mail to false.',
    ref="RFC 7505 section 3",
    refusals=(
        "RFC 7505: 556 5.1.10 Recipient address has null MX",
        "Postfix: 556 5.1.10 Recipient address rejected: Domain ... does not accept mail (nullMX)",
    ),
)
NULL_SENDER = Rule(
    "mx.null-sender",
    Severity.CRITICAL,
    says="{domain} is used in MAIL FROM, but publishes a null MX",
    why="It says that no bounce can be delivered. Receivers reject mail from such a sender.",
    fix='Use a MAIL FROM domain that accepts bounces, or replace the record {domain} MX "0 ." with a host that does.',
    ref="RFC 7505 section 4.2",
    refusals=(
        "RFC 7505: 550 5.7.27 Sender address has null MX",
        "Postfix: 550 5.7.27 Sender address rejected: Domain ... does not accept mail (nullMX)",
    ),
)
NULL_BESIDE_OTHERS = Rule(
    "mx.null-beside-others",
    Severity.WARNING,
    says="{domain} publishes a null MX together with other MX records",
    why="A null MX is invalid together with others. Some senders stop there and give up.",
    fix='Remove the record {domain} MX "{preference} ." or all the others.',
    ref="RFC 7505 section 3",
)
NULL_PREFERENCE = Rule(
    "mx.null-preference",
    Severity.INFO,
    says="the null MX of {domain} has preference {preference}",
    why="The preference of a null MX must be 0. A strict sender may not recognise it.",
    fix='Publish it as {domain} MX "0 .".',
    ref="RFC 7505 section 3",
)
UNWANTED = Rule(
    "mx.unwanted",
    Severity.WARNING,
    says="{domain} is configured to receive no mail, but has MX records: {hosts}",
    why="Senders still deliver or retry to hosts that nobody maintains.",
    fix='Replace the MX records of {domain} with the null MX "0 .", or remove them, or set receives_mail to true.',
    ref="RFC 7505 section 1",
)
HOSTS = Metric("deliverability_mx_hosts", "Hosts in the domain's MX records; a null MX does not count.")
MAIL_HOST = Metric(
    "deliverability_domain_mail_host_info",
    "Always 1: the host accepts mail for the domain.",
    MailHost.LABELS,
)

OF_THE_ROUTE = (NO_SUCH_DOMAIN, NOWHERE, IMPLICIT, NULL_MX, NULL_BESIDE_OTHERS, NULL_PREFERENCE, UNWANTED)
OF_A_SENDER = (NO_SUCH_SENDER, NOWHERE, NULL_SENDER)


def _left_open(own: Route) -> Iterator[Doubt]:
    """Without an answer for MX, everything is open. Without one for addresses, only findings about these are."""
    if own.doubt and own.doubt.question.rdtype == "MX":
        yield from _over(own, (*OF_THE_ROUTE, *hosts.OF_THE_HOSTS))
    else:
        yield from _over(own, (NOWHERE, IMPLICIT, *hosts.OF_AN_ADDRESS))


def _left_open_of_sender(envelope: Route) -> Iterator[Doubt]:
    by_mx = envelope.doubt and envelope.doubt.question.rdtype == "MX"
    yield from _over(envelope, OF_A_SENDER if by_mx else (NOWHERE,))


def _over(found: Route, rules: Sequence[Rule]) -> Iterator[Doubt]:
    doubt = found.doubt.doubt if found.doubt else None
    if doubt:
        yield doubt.over(*rules, domain=found.domain)


def _purpose(target: Domain, own: Route) -> Iterator[Fact]:
    """Does the route fit `receives_mail` and `sends_mail`?"""
    domain = own.domain
    match own.way:
        case Way.NO_SUCH_DOMAIN:
            parked = not target.receives_mail and not target.sends_mail
            yield NO_SUCH_DOMAIN(domain=domain, severity=Severity.INFO if parked else None)
        case Way.NOWHERE if target.receives_mail:
            yield NOWHERE(domain=domain)
        case Way.NOWHERE if target.sends_mail and domain not in target.mail_from:
            # It is configured to take no mail. Receivers refuse by MAIL FROM; few look at the From: domain.
            yield NOWHERE(domain=domain, severity=Severity.INFO)
        case Way.IMPLICIT if target.receives_mail and own.implicit:
            yield IMPLICIT(domain=domain, addresses=commas(own.implicit.addresses))
        case Way.NULL if target.receives_mail:
            yield NULL_MX(domain=domain)
        case Way.HOSTS if not target.receives_mail and not (target.sends_mail and domain in target.mail_from):
            yield UNWANTED(domain=domain, hosts=commas(own.hosts))
    for null in own.nulls:
        if own.way is Way.HOSTS:
            yield NULL_BESIDE_OTHERS(domain=domain, preference=null.preference)
        elif null.preference:
            yield NULL_PREFERENCE(domain=domain, preference=null.preference)


def _sender(target: Domain, envelope: Route) -> Iterator[Fact]:
    """May the domain stand in MAIL FROM?"""
    match envelope.way:
        case Way.NO_SUCH_DOMAIN if envelope.domain != target.name:  # otherwise no-such-domain says so
            yield NO_SUCH_SENDER(domain=envelope.domain)
        case Way.NOWHERE:
            yield NOWHERE(domain=envelope.domain)
        case Way.NULL:
            yield NULL_SENDER(domain=envelope.domain)


def _usable(own: Route, named: Sequence[Host]) -> Iterator[Fact]:
    """The hosts that can be talked with."""
    for host in named:
        if host.state is HostState.USABLE and hosts.real_addresses(own.domain, host):
            yield from _of_all(host.name)


@lru_cache(maxsize=1024)  # many domains share a host, and each takes up memory
def _of_all(host: str) -> tuple[Fact, ...]:
    """What is said of a mail host for each domain that it takes mail for."""
    return MAIL_HOST(1, mail_host=host, mail_port=str(PORT)), MailHost(host=host, port=PORT)


def _record(found: Route) -> Record:
    return Record.of(f"{found.domain} MX", (f"{it.preference} {it.exchange}" for it in found.records))
