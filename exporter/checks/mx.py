"""How mail reaches a domain, and how bounces and replies come back to it (RFC 5321 section 5.1, RFC 7505)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exporter.facts import Dead, Metric, Record, Rule, Severity
from exporter.mail import names
from exporter.mail.dns import doubts
from exporter.mail.mx import NULL, Host, HostState, Route, Way, look_up, route
from exporter.model import Fact, Facts, check
from exporter.net import Net
from exporter.targets import Domain, MailHost
from exporter.text import commas, minute


@check(over=Domain, finds={MailHost}, after={"smtp_tls"})
async def mx(target: Domain, net: Net) -> Facts:
    """Can mail, bounces and replies to the domain reach a server?"""
    own = await net.drive(route(target.name))
    yield doubts(own.doubt)
    if own.way is not Way.UNKNOWN:
        yield HOSTS(len(own.hosts))
        yield _record(own)
    yield _purpose(target, own)
    for domain in dict.fromkeys(target.mail_from if target.sends_mail else ()):
        envelope = own if domain == target.name else await net.drive(route(domain))
        yield doubts(envelope.doubt)
        if envelope.way is not Way.UNKNOWN:
            yield _record(envelope)
        yield _sender(target, envelope)
    if target.receives_mail and own.implicit:
        host = own.implicit
        yield (*_address_facts(own.domain, host), *_unreachable(own, [host], net), *_usable([host]))
    if target.receives_mail and own.hosts:
        hosts = [await net.drive(look_up(name)) for name in own.hosts[:MOST_HOSTS]]
        yield doubts(*(host.doubt for host in hosts))
        yield (*_each(own, hosts), *_together(own, hosts), *_unreachable(own, hosts, net), *_usable(hosts))


POSTFIX = "Postfix: 450 4.1.8 Sender address rejected: Domain not found"

NO_SUCH_DOMAIN = Rule(
    "mx.no-such-domain",
    Severity.CRITICAL,
    says="the domain {domain} does not exist in DNS",
    why="Nobody can write to it, and receivers refuse senders whose domain does not exist.",
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
    why="Bounces are lost, and receivers refuse senders whose domain does not exist.",
    fix="Register or renew {domain} or correct its delegation, or use a MAIL FROM domain that exists.",
    ref="RFC 5321 sections 2.3.5 and 5.1",
    refusals=(POSTFIX,),
)
NOWHERE = Rule(
    "mx.nowhere",
    Severity.CRITICAL,
    says="{domain} has neither an MX nor an address record",
    why="No bounce and no reply can reach it, so receivers refuse it as a sender.",
    fix="Publish the record {domain} MX 10 with the name of the host that takes its mail.",
    ref="RFC 5321 section 5.1",
    refusals=(POSTFIX,),
)
IMPLICIT = Rule(
    "mx.implicit",
    Severity.WARNING,
    says="{domain} has no MX record; senders fall back to its address {addresses}",
    why="Mail goes to whatever answers at that address, often a web server, and filters distrust such domains.",
    fix="Publish the record {domain} MX 10 with the name of the host that takes its mail.",
    ref="RFC 5321 section 5.1",
)
NULL_MX = Rule(
    "mx.null",
    Severity.CRITICAL,
    says="{domain} takes mail, but publishes a null MX",
    why="A null MX tells every sender to give up at once: all mail to the domain bounces.",
    fix='Replace the record {domain} MX "0 ." by the hosts that take its mail, or set receives_mail to false.',
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
    why="It declares that no bounce can be delivered, and receivers refuse mail from such a sender.",
    fix='Use a MAIL FROM domain that takes bounces, or replace the record {domain} MX "0 ." by a host that does.',
    ref="RFC 7505 section 4.2",
    refusals=(
        "RFC 7505: 550 5.7.27 Sender address has null MX",
        "Postfix: 550 5.7.27 Sender address rejected: Domain ... does not accept mail (nullMX)",
    ),
)
NULL_BESIDE_OTHERS = Rule(
    "mx.null-beside-others",
    Severity.WARNING,
    says="{domain} publishes a null MX beside other MX records",
    why="A null MX has no meaning beside others; some senders stop at it and give up.",
    fix='Remove the record {domain} MX "{preference} ." or all the others.',
    ref="RFC 7505 section 3",
)
NULL_PREFERENCE = Rule(
    "mx.null-preference",
    Severity.INFO,
    says="the null MX of {domain} has preference {preference}",
    why="The preference of a null MX must be 0; a strict sender may not recognise it.",
    fix='Publish it as {domain} MX "0 .".',
    ref="RFC 7505 section 3",
)
UNWANTED = Rule(
    "mx.unwanted",
    Severity.WARNING,
    says="{domain} takes no mail, but has MX records: {hosts}",
    why="Senders keep delivering or retrying to hosts that nobody looks after.",
    fix='Replace the MX records of {domain} by the null MX "0 .", or remove them, or set receives_mail to true.',
    ref="RFC 7505 section 1",
)
IS_ADDRESS = Rule(
    "mx.is-address",
    Severity.WARNING,
    says="an MX of {domain} is the address {host} instead of a name",
    why="An MX names a host; an address is looked up as a name and found nowhere.",
    fix="Give the host a name with an address record and publish that name as the MX of {domain}.",
    ref="RFC 5321 section 5.1; RFC 1035 section 3.3.9",
)
BAD_NAME = Rule(
    "mx.bad-name",
    Severity.WARNING,
    says='an MX of {domain} is "{host}", which is no valid host name',
    why="Host names are letters, digits and hyphens; many senders refuse to connect to anything else.",
    fix="Publish the MX of {domain} with a valid host name.",
    ref="RFC 1123 section 2.1; RFC 5321 section 4.1.2",
)
DANGLING = Rule(
    "mx.dangling",
    Severity.WARNING,
    says="the MX host {mail_host} of {domain} does not exist in DNS",
    why="Mail is delayed or bounces there; if the name can be registered, a stranger can take the mail over.",
    fix="Remove the MX {mail_host} from {domain}, or restore the name's address records.",
    ref="RFC 5321 section 5.1",
    subjects=("mail_host",),
)
VERIFICATION_LEFTOVER = Rule(
    "mx.verification-leftover",
    Severity.WARNING,
    says="{domain} still has the MX {mail_host}, which once proved its ownership to Microsoft 365",
    why="The name exists nowhere; senders that try it lose time, and it means nothing any more.",
    fix="Remove the MX {mail_host} from {domain}.",
    ref="RFC 5321 section 5.1; RFC 6761 section 6.4",
    subjects=("mail_host",),
)
NO_ADDRESS = Rule(
    "mx.no-address",
    Severity.WARNING,
    says="the MX host {mail_host} of {domain} has no address",
    why="Mail is delayed or bounces there.",
    fix="Publish an A or AAAA record for {mail_host}, or remove it from the MX records of {domain}.",
    ref="RFC 5321 section 5.1",
    subjects=("mail_host",),
)
NOT_PUBLIC = Rule(
    "mx.not-public",
    Severity.WARNING,
    says="the mail host {mail_host} of {domain} has no public address: {addresses}",
    why="Nobody outside can connect to it.",
    fix="Publish the public address of {mail_host}; if the exporter's resolver shows an internal view of DNS, "
    "give it one that sees what the Internet sees.",
    ref="RFC 6890",
    subjects=("mail_host",),
)
HOST_UNREACHABLE = Rule(
    "mx.host-unreachable",
    Severity.WARNING,
    says="the mail host {mail_host} of {domain} has not been reachable since {since}: {how}",
    why="Senders lose time there before they try the next host; if there is none, mail waits, and bounces after days.",
    fix="Start the mail server of {mail_host}, or open port 25 in the firewall before it, or remove the host from the "
    "MX records of {domain}.",
    ref="RFC 5321 sections 4.5.4.1 and 5.1",
    subjects=("mail_host",),
)
ALL_UNREACHABLE = Rule(
    "mx.all-unreachable",
    Severity.CRITICAL,
    says="no mail host of {domain} has been reachable since {since}: {hosts}",
    why="All mail to the domain waits in the senders' queues, and comes back as undeliverable after days.",
    fix="Start a mail server of {domain} or open port 25 in the firewall before it: {hosts}.",
    ref="RFC 5321 sections 4.5.4.1 and 5.1",
)
ALIAS = Rule(
    "mx.alias",
    Severity.WARNING,
    says="the MX host {mail_host} of {domain} is an alias (CNAME) of {canonical}",
    why="An MX must not point at an alias; some senders refuse it and others fail to see that they are the host.",
    fix="Publish the MX of {domain} with {canonical}, or give {mail_host} address records in place of the CNAME.",
    ref="RFC 2181 section 10.3; RFC 5321 section 5.1",
    subjects=("mail_host",),
)
TOO_MANY = Rule(
    "mx.too-many",
    Severity.WARNING,
    says="{domain} names {count} MX hosts; only the first {limit} are looked at",
    why="No sender tries so many, and large answers fail where DNS over TCP is blocked.",
    fix="Reduce the MX records of {domain} to a few hosts.",
    ref="RFC 5321 section 5.1",
)
DUPLICATE = Rule(
    "mx.duplicate",
    Severity.INFO,
    says="{domain} names the same MX host more than once: {hosts}",
    why="The repetition adds nothing and often stands where a second host was meant.",
    fix="Remove the repeated MX records of {domain}.",
    ref="RFC 5321 section 5.1",
)
SINGLE = Rule(
    "mx.single",
    Severity.INFO,
    says="{domain} has a single MX host, {host}",
    why="While it is down, mail waits at the senders, who retry for some days.",
    fix="Consider a second MX host for {domain}.",
    ref="RFC 5321 sections 4.5.4.1 and 5.1",
)
SAME_ADDRESS = Rule(
    "mx.same-address",
    Severity.INFO,
    says="all {count} MX hosts of {domain} have the same addresses: {addresses}",
    why="Several names of one machine are no redundancy.",
    fix="Give {domain} MX hosts on different machines, or just one MX record.",
    ref="RFC 5321 section 5.1",
)
NO_IPV6 = Rule(
    "mx.no-ipv6",
    Severity.INFO,
    says="no MX host of {domain} has an IPv6 address",
    why="Senders that have only IPv6 cannot deliver.",
    fix="Publish an AAAA record for an MX host of {domain}.",
    ref="RFC 5321 section 5.2",
)
HOSTS = Metric("deliverability_mx_hosts", "Hosts that the domain's MX records name; a null MX counts for none.")
MAIL_HOST = Metric(
    "deliverability_domain_mail_host_info",
    "Always 1: the host takes mail for the domain.",
    MailHost.LABELS,
)

PORT = 25
MOST_HOSTS = 30  # a bound on our own questions; real domains name fewer than ten
VERIFICATION = "msv1.invalid"


def _purpose(target: Domain, own: Route) -> Iterator[Fact]:
    """Does the route fit what the domain is for?"""
    domain = own.domain
    match own.way:
        case Way.NO_SUCH_DOMAIN:
            parked = not target.receives_mail and not target.sends_mail
            yield NO_SUCH_DOMAIN(domain=domain, severity=Severity.INFO if parked else None)
        case Way.NOWHERE if target.receives_mail:
            yield NOWHERE(domain=domain)
        case Way.NOWHERE if target.sends_mail and domain not in target.mail_from:
            # Replies are lost, and few receivers look at the From: domain; refusal hangs on MAIL FROM.
            yield NOWHERE(domain=domain, severity=Severity.WARNING)
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
        case Way.NO_SUCH_DOMAIN if envelope.domain != target.name:  # else it is said of the domain itself
            yield NO_SUCH_SENDER(domain=envelope.domain)
        case Way.NOWHERE:
            yield NOWHERE(domain=envelope.domain)
        case Way.NULL:
            yield NULL_SENDER(domain=envelope.domain)


def _each(own: Route, hosts: list[Host]) -> Iterator[Fact]:
    """What is wrong with a single host. That none is left is what makes it critical."""
    lost = all(host.state.broken for host in hosts) and len(own.hosts) <= MOST_HOSTS
    severity = Severity.CRITICAL if lost else None
    for host in hosts:
        match host.state:
            case HostState.IS_ADDRESS:
                yield IS_ADDRESS(domain=own.domain, host=host.name, severity=severity)
            case HostState.BAD_NAME:
                yield BAD_NAME(domain=own.domain, host=host.name, severity=severity)
            case HostState.NO_SUCH_NAME:
                rule = VERIFICATION_LEFTOVER if names.under(host.name, VERIFICATION) else DANGLING
                yield rule(domain=own.domain, mail_host=host.name, severity=severity)
            case HostState.NO_ADDRESS:
                yield NO_ADDRESS(domain=own.domain, mail_host=host.name, severity=severity)
            case _:
                yield from _address_facts(own.domain, host)
        if host.alias:
            yield ALIAS(domain=own.domain, mail_host=host.name, canonical=host.alias[-1])


def _address_facts(domain: str, host: Host) -> Iterator[Fact]:
    if host.state is HostState.NOT_PUBLIC:
        yield NOT_PUBLIC(domain=domain, mail_host=host.name, addresses=commas(host.addresses))


def _together(own: Route, hosts: list[Host]) -> Iterator[Fact]:
    """What can be said of all hosts of a domain at once."""
    domain = own.domain
    if len(own.hosts) > MOST_HOSTS:
        yield TOO_MANY(domain=domain, count=len(own.hosts), limit=MOST_HOSTS)
    repeated = Counter(record.exchange for record in own.records if record.exchange != NULL)
    if repeated.total() > len(own.hosts):
        yield DUPLICATE(domain=domain, hosts=commas(name for name, times in repeated.items() if times > 1))
    usable = [host for host in hosts if host.state is HostState.USABLE]
    if len(own.hosts) == 1:
        yield SINGLE(domain=domain, host=own.hosts[0])
    elif all(host in usable and host.complete and set(host.addresses) == set(usable[0].addresses) for host in hosts):
        yield SAME_ADDRESS(domain=domain, count=len(own.hosts), addresses=commas(usable[0].addresses))
    if usable and all(host.without_ipv6 or host.state.broken for host in hosts):
        yield NO_IPV6(domain=domain)


def _unreachable(own: Route, hosts: list[Host], net: Net) -> Iterator[Fact]:
    """Hosts of which every public address was proven unreachable when `smtp_tls` last connected to it."""
    since: dict[str, float] = {}
    how: dict[str, str] = {}
    for host in hosts:
        public = [ip for ip in host.addresses if not names.not_public(ip)]
        met = {ip: known for ip in public if (known := net.unreachable(ip, PORT))}
        if not host.complete or not met or len(met) < len(public):
            continue  # another address may be reachable
        since[host.name] = max(known.since for known in met.values())
        how[host.name] = commas(f"{ip} {known.how}" for ip, known in met.items())
        yield HOST_UNREACHABLE(
            domain=own.domain, mail_host=host.name, since=minute(since[host.name]), how=how[host.name]
        )
    if since and len(own.hosts) <= MOST_HOSTS and all(host.name in since or host.state.broken for host in hosts):
        shown = "; ".join(f"{host.name} ({how.get(host.name, host.state)})" for host in hosts)
        yield ALL_UNREACHABLE(domain=own.domain, since=minute(max(since.values())), hosts=shown)


def _usable(hosts: list[Host]) -> Iterator[Fact]:
    for host in hosts:
        if host.state is HostState.USABLE:
            yield MAIL_HOST(1, mail_host=host.name, mail_port=str(PORT))
            yield MailHost(host=host.name, port=PORT)


def _record(found: Route) -> Record:
    return Record.of(f"{found.domain} MX", (f"{it.preference} {it.exchange}" for it in found.records))
