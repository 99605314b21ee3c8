"""The hosts that take the mail of a domain: what is wrong with each, and with all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from exporter.facts import IP, Doubt, Finding, Rule, Severity
from exporter.mail import names
from exporter.mail.mx import NULL, Host, HostState, Route
from exporter.model import Fact
from exporter.net import Net
from exporter.text import commas, minute

PORT = 25
MOST_HOSTS = 30  # a bound on our own questions; real domains name fewer than ten
GOOGLE = "Google"
# Below these are MX hosts that never existed: by them a domain shows who owns it.
VERIFIED_BY = {"msv1.invalid": "Microsoft 365", "mx-verification.google.com": GOOGLE}

IS_ADDRESS = Rule(
    "mx.is-address",
    Severity.WARNING,
    says="an MX of {domain} is the address {host} instead of a name",
    why="An MX must name a host. Senders look up an address as a name and find nothing.",
    fix="Give the host a name with an address record and publish that name as the MX of {domain}.",
    ref="RFC 5321 section 5.1; RFC 1035 section 3.3.9",
    cause=("domain",),
)
BAD_NAME = Rule(
    "mx.bad-name",
    Severity.WARNING,
    says='an MX of {domain} is "{host}", which is not a valid host name',
    why="Host names have letters, digits and hyphens. Many senders do not connect to anything else.",
    fix="Publish the MX of {domain} with a valid host name.",
    ref="RFC 1123 section 2.1; RFC 5321 section 4.1.2",
    cause=("domain",),
)
DANGLING = Rule(
    "mx.dangling",
    Severity.WARNING,
    says="the MX host {mail_host} of {domain} does not exist in DNS",
    why="Mail there is delayed or bounces. If the name can be registered, a stranger can receive the mail.",
    fix="Remove the MX {mail_host} from {domain}, or restore the name's address records.",
    ref="RFC 5321 section 5.1",
    subjects=("mail_host",),
)
VERIFICATION_LEFTOVER = Rule(
    "mx.verification-leftover",
    Severity.WARNING,
    says="{domain} still has the MX {mail_host}, an old proof of ownership for {verifier}",
    why="The name does not exist, so senders that try it lose time. For Google it is only information, because "
    "senders try its own hosts first.",
    fix="Remove the MX {mail_host} from {domain}.",
    ref="RFC 5321 section 5.1; RFC 6761 section 6.4",
    cause=("domain",),
    subjects=("mail_host",),
)
NO_ADDRESS = Rule(
    "mx.no-address",
    Severity.WARNING,
    says="the MX host {mail_host} of {domain} has no address",
    why="Mail there is delayed or bounces.",
    fix="Publish an A or AAAA record for {mail_host}, or remove it from the MX records of {domain}.",
    ref="RFC 5321 section 5.1",
    subjects=("mail_host",),
)
NOT_PUBLIC = Rule(
    "mx.not-public",
    Severity.WARNING,
    says="the mail host {mail_host} of {domain} has no public address: {addresses}",
    why="Nobody outside can connect to it.",
    fix="Publish the public address of {mail_host}. If the exporter's resolver shows internal DNS, configure one that "
    "sees public DNS.",
    ref="RFC 6890",
    subjects=("mail_host",),
)
DOCUMENTATION_ADDRESS = Rule(
    "mx.documentation-address",
    Severity.WARNING,
    says="the mail host {mail_host} of {domain} has addresses that are reserved for documentation: {addresses}",
    why="No packet reaches such an address. Senders that try it lose time or give up.",
    fix="Publish the real addresses of {mail_host}, and remove {addresses}.",
    ref="RFC 5737; RFC 3849; RFC 9637",
    subjects=("mail_host",),
)
HOST_UNREACHABLE = Rule(
    "mx.host-unreachable",
    Severity.WARNING,
    says="the mail host {mail_host} of {domain} has not been reachable since {since}: {how}",
    why="Senders lose time there before they try the next host. Without another host, mail is queued, then bounces.",
    fix="Start the mail server of {mail_host}, or open port 25 in its firewall. Or remove the host from the MX "
    "records of {domain}.",
    ref="RFC 5321 sections 4.5.4.1 and 5.1",
    certain=True,
    subjects=("mail_host",),
)
ALL_UNREACHABLE = Rule(
    "mx.all-unreachable",
    Severity.CRITICAL,
    says="no mail host of {domain} has been reachable since {since}: {hosts}",
    why="All mail to the domain is queued at the senders, and bounces after days.",
    fix="Start a mail server of {domain}, or open port 25 in its firewall: {hosts}.",
    ref="RFC 5321 sections 4.5.4.1 and 5.1",
    certain=True,
)
ALIAS = Rule(
    "mx.alias",
    Severity.WARNING,
    says="the MX host {mail_host} of {domain} is an alias (CNAME) of {canonical}",
    why="An MX must not point to an alias. Some senders reject it, and others do not recognise themselves.",
    fix="Publish the MX of {domain} with {canonical}, or replace the CNAME of {mail_host} with address records.",
    ref="RFC 2181 section 10.3; RFC 5321 section 5.1",
    subjects=("mail_host",),
)
TOO_MANY = Rule(
    "mx.too-many",
    Severity.WARNING,
    says="{domain} has {count} MX hosts; only the first {limit} are checked",
    why="No sender tries so many. Large answers fail where DNS over TCP is blocked.",
    fix="Reduce the MX records of {domain} to a few hosts.",
    ref="RFC 5321 section 5.1",
)
DUPLICATE = Rule(
    "mx.duplicate",
    Severity.INFO,
    says="{domain} lists the same MX host more than once: {hosts}",
    why="The repetition has no effect. Often a second host was meant.",
    fix="Remove the repeated MX records of {domain}.",
    ref="RFC 5321 section 5.1",
)
SINGLE = Rule(
    "mx.single",
    Severity.INFO,
    says="{domain} has a single MX host, {host}",
    why="While it is down, mail is queued at the senders, who retry for some days.",
    fix="Consider a second MX host for {domain}.",
    ref="RFC 5321 sections 4.5.4.1 and 5.1",
    cause=("domain",),
)
SAME_ADDRESS = Rule(
    "mx.same-address",
    Severity.INFO,
    says="all {count} MX hosts of {domain} have the same addresses: {addresses}",
    why="Several names of one machine give no redundancy.",
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
OF_AN_ADDRESS = (NOT_PUBLIC, DOCUMENTATION_ADDRESS, HOST_UNREACHABLE, ALL_UNREACHABLE)
OF_A_HOST = (DANGLING, VERIFICATION_LEFTOVER, NO_ADDRESS, NOT_PUBLIC, DOCUMENTATION_ADDRESS, HOST_UNREACHABLE, ALIAS)
OF_ALL = (ALL_UNREACHABLE, SAME_ADDRESS, NO_IPV6)
OF_THE_HOSTS = (IS_ADDRESS, BAD_NAME, TOO_MANY, DUPLICATE, SINGLE, *OF_A_HOST, *OF_ALL)


def judge(own: Route, hosts: Sequence[Host], net: Net) -> Iterator[Fact]:
    """All findings about the hosts of the MX records, and what their doubts leave open."""
    yield from _each(own, hosts)
    yield from _together(own, hosts)
    yield from _unreachable(own, hosts, net)
    for host in hosts:
        yield from _left_open(host)


def implicit(own: Route, host: Host, net: Net) -> Iterator[Fact]:
    """The same for the domain itself, if its own address takes the place of MX records (RFC 5321 section 5.1)."""
    yield from _address_facts(own.domain, host, severity=Severity.CRITICAL)
    yield from _unreachable(own, [host], net)
    yield from _left_open(host)


def _left_open(host: Host) -> Iterator[Doubt]:
    """What a missing answer leaves open about this host, and about all hosts together."""
    doubt = host.doubt.doubt if host.doubt else None
    if doubt and host.state is HostState.UNKNOWN:
        yield doubt.over(*OF_A_HOST, mail_host=host.name).over(*OF_ALL)


def _each(own: Route, hosts: Sequence[Host]) -> Iterator[Fact]:
    """Findings about each single host. They are critical if no usable host is left."""
    lost = all(host.state.broken or _fictitious(own.domain, host) for host in hosts) and len(own.hosts) <= MOST_HOSTS
    severity = Severity.CRITICAL if lost else None
    for host in hosts:
        match host.state:
            case HostState.IS_ADDRESS:
                yield IS_ADDRESS(domain=own.domain, host=host.name, severity=severity)
            case HostState.BAD_NAME:
                yield BAD_NAME(domain=own.domain, host=host.name, severity=severity)
            case HostState.NO_SUCH_NAME:
                yield _nowhere(own, hosts, host, severity)
            case HostState.NO_ADDRESS:
                yield NO_ADDRESS(domain=own.domain, mail_host=host.name, severity=severity)
            case _:
                yield from _address_facts(own.domain, host, severity=severity)
        if host.alias:
            yield ALIAS(domain=own.domain, mail_host=host.name, canonical=host.alias[-1])


def _nowhere(own: Route, hosts: Sequence[Host], host: Host, severity: Severity | None) -> Finding:
    verifier = next((by for zone, by in VERIFIED_BY.items() if names.under(host.name, zone)), "")
    if not verifier:
        return DANGLING(domain=own.domain, mail_host=host.name, severity=severity)
    first = {record.exchange: record.preference for record in reversed(own.records)}  # the best of each
    behind = verifier == GOOGLE and any(
        it.state is HostState.USABLE and first[it.name] < first[host.name] for it in hosts
    )
    return VERIFICATION_LEFTOVER(
        domain=own.domain, mail_host=host.name, verifier=verifier, severity=Severity.INFO if behind else severity
    )


def _address_facts(domain: str, host: Host, *, severity: Severity | None) -> Iterator[Fact]:
    if host.state is HostState.NOT_PUBLIC:
        yield NOT_PUBLIC(domain=domain, mail_host=host.name, addresses=commas(host.addresses))
    if host.documentation and not _of_examples(domain, host):
        shown = commas(host.documentation)
        lost = severity if _fictitious(domain, host) else None
        yield DOCUMENTATION_ADDRESS(domain=domain, mail_host=host.name, addresses=shown, severity=lost)


def real_addresses(domain: str, host: Host) -> list[IP]:
    """The addresses at which somebody can be: public, and not for documentation."""
    copied = () if _of_examples(domain, host) else host.documentation
    return [ip for ip in host.addresses if not names.not_public(ip) and ip not in copied]


def _of_examples(domain: str, host: Host) -> bool:
    """Is the domain or the host itself an example? Then its addresses may be for documentation."""
    return names.is_example(domain) or names.is_example(host.name)


def _fictitious(domain: str, host: Host) -> bool:
    """Are all its addresses for documentation, although neither name is an example?"""
    return (
        host.complete
        and bool(host.addresses)
        and not _of_examples(domain, host)
        and host.documentation == host.addresses
    )


def _together(own: Route, hosts: Sequence[Host]) -> Iterator[Fact]:
    """Findings about all hosts of a domain together."""
    domain = own.domain
    if len(own.hosts) > MOST_HOSTS:
        yield TOO_MANY(domain=domain, count=len(own.hosts), limit=MOST_HOSTS)
    named = [record.exchange for record in own.records if record.exchange != NULL]
    if len(named) > len(own.hosts):
        repeated = Counter(named)
        yield DUPLICATE(domain=domain, hosts=commas(name for name, times in repeated.items() if times > 1))
    usable = [host for host in hosts if host.state is HostState.USABLE]
    if len(own.hosts) == 1:
        yield SINGLE(domain=domain, host=own.hosts[0])
    elif len(usable) == len(hosts) and all(host.complete for host in hosts) and _one_place(hosts):
        yield SAME_ADDRESS(domain=domain, count=len(own.hosts), addresses=commas(usable[0].addresses))
    if usable and all(host.without_ipv6 or host.state.broken for host in hosts):
        yield NO_IPV6(domain=domain)


def _one_place(hosts: Sequence[Host]) -> bool:
    """Do all of them have the same addresses?"""
    return len({frozenset(host.addresses) for host in hosts}) == 1


def _unreachable(own: Route, hosts: Sequence[Host], net: Net) -> Iterator[Fact]:
    """Hosts of which every public address was proven unreachable when they were last connected to."""
    since: dict[str, float] = {}
    how: dict[str, str] = {}
    for host in hosts:
        public = real_addresses(own.domain, host)
        met = {ip: known for ip in public if (known := net.unreachable(ip, PORT))}
        if not met or len(met) < len(public):
            continue  # another address may be reachable
        if not host.complete:  # there may be another address, which could not be looked up
            if host.state is HostState.USABLE and host.doubt and host.doubt.doubt:
                yield host.doubt.doubt.over(HOST_UNREACHABLE, mail_host=host.name).over(ALL_UNREACHABLE)
            continue
        since[host.name] = max(known.since for known in met.values())
        how[host.name] = commas(f"{ip} {known.how}" for ip, known in met.items())
        yield HOST_UNREACHABLE(
            domain=own.domain, mail_host=host.name, since=minute(since[host.name]), how=how[host.name]
        )
    if since and len(own.hosts) <= MOST_HOSTS and all(host.name in since or host.state.broken for host in hosts):
        shown = "; ".join(f"{host.name} ({how.get(host.name, host.state)})" for host in hosts)
        yield ALL_UNREACHABLE(domain=own.domain, since=minute(max(since.values())), hosts=shown)
