"""Findings about the names and addresses of a zone's servers, whatever they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from exporter.checks.zone import nameservers
from exporter.checks.zone.nameservers import MOST_SERVERS, ZoneAnswers
from exporter.checks.zone.rules import (
    ALIAS,
    DATA_DIFFER,
    DELEGATION_DIFFERS,
    DOCUMENTATION_ADDRESS,
    NAMESERVERS,
    NO_ADDRESS,
    NO_IPV4,
    NO_IPV6,
    NOT_PUBLIC,
    OF_A_SERVER,
    OF_NOBODY,
    OF_THE_ADDRESSES,
    OF_THE_DATA,
    SAME_ADDRESS,
    SAME_NETWORK,
    SINGLE,
    TOO_MANY,
)
from exporter.facts import IP, Severity
from exporter.mail import names
from exporter.mail.zone import ItemKind, ServerHost
from exporter.model import Fact
from exporter.text import commas

FAMILIES = {4: ("IPv4", 24), 6: ("IPv6", 48)}  # name and prefix length; one such network counts as one place


def judge(answers: ZoneAnswers) -> Iterator[Fact]:
    apex, hosts, named = answers.zone, answers.hosts, answers.named
    yield NAMESERVERS(len(named))
    if len(named) > MOST_SERVERS:
        yield TOO_MANY(zone=apex, count=len(named), limit=MOST_SERVERS)
    if len(named) == 1:
        yield SINGLE(zone=apex, server=hosts[0].name)
    private = [h for h in hosts if h.addresses and all(names.not_public(ip) for ip in h.addresses)]
    for rule, some in (
        (NO_ADDRESS, [host for host in hosts if host.without_address]),
        (ALIAS, [host for host in hosts if host.alias]),
        (NOT_PUBLIC, private),
    ):
        if some:
            yield rule(zone=apex, servers=commas(host.name for host in some))
    fictitious = [f"{h.name} ({ip})" for h in hosts for ip in h.addresses if nameservers.fictitious(apex, h.name, ip)]
    if fictitious:
        yield DOCUMENTATION_ADDRESS(zone=apex, addresses=commas(fictitious))
    if not any(host.doubt for host in hosts):
        yield from _together(apex, hosts)
    yield from _compared(answers)
    for host in hosts:
        if host.doubt:
            doubt = nameservers.doubt(host.doubt).over(*OF_A_SERVER, server=host.name)
            yield doubt.over(*OF_THE_ADDRESSES, *OF_THE_DATA, *(() if answers.good else OF_NOBODY))


def _together(apex: str, hosts: Sequence[ServerHost]) -> Iterator[Fact]:
    """What can be said only if all addresses are known."""
    machines = _machines(hosts)
    for some in machines:
        if len(some) > 1:
            severity = Severity.WARNING if len(machines) == 1 else Severity.INFO
            servers, shared = commas(host.name for host in some), commas(_shared(some))
            yield SAME_ADDRESS(zone=apex, servers=servers, addresses=shared, severity=severity)
    if len(machines) > 1:
        yield from _network(apex, hosts)
    versions = {ip.version for host in hosts for ip in host.addresses if not names.not_public(ip)}
    if versions == {6}:
        yield NO_IPV4(zone=apex)
    if versions == {4}:
        yield NO_IPV6(zone=apex)


def _machines(hosts: Sequence[ServerHost]) -> list[list[ServerHost]]:
    """Group the servers by machine: those that share an address are one machine."""
    found: list[list[ServerHost]] = []
    for host in hosts:
        if host.addresses:
            same = [some for some in found if any(set(host.addresses) & set(other.addresses) for other in some)]
            found = [some for some in found if some not in same]
            found.append([*(other for some in same for other in some), host])
    return found


def _shared(some: Sequence[ServerHost]) -> list[IP]:
    counted = Counter(ip for host in some for ip in set(host.addresses))
    return sorted((ip for ip, times in counted.items() if times > 1), key=names.order)


def _network(apex: str, hosts: Sequence[ServerHost]) -> Iterator[Fact]:
    """Compare networks for each IP family: a resolver with one family depends on the servers that it can reach."""
    found: dict[str, tuple[int, str]] = {}
    for version, (family, size) in FAMILIES.items():
        some = [[ip for ip in host.addresses if ip.version == version] for host in hosts]
        there = [ips for ips in some if ips]
        networks = {ip_network((ip, size), strict=False) for ips in there for ip in ips}
        if len(there) > 1 and len(networks) == 1:
            found[family] = len(there), str(networks.pop())
    if found:
        count = max(count for count, _ in found.values())
        network = commas(network for _, network in found.values())
        yield SAME_NETWORK(zone=apex, count=count, family=commas(found), network=network)


def _compared(answers: ZoneAnswers) -> Iterator[Fact]:
    """Compare the names in the delegation with those in the zone. It is harmless if one set holds the other."""
    if answers.parent and answers.child and answers.parent != answers.child:
        parent, child = commas(sorted(answers.parent)), commas(sorted(answers.child))
        contained = answers.parent < answers.child or answers.child < answers.parent
        severity = Severity.INFO if contained else None
        yield DELEGATION_DIFFERS(zone=answers.zone, parent=parent, child=child, severity=severity)
    for reply in answers.ns_by_ip.values():
        if not reply.status.conclusive:
            doubt = nameservers.doubt(reply).over(DELEGATION_DIFFERS)
            yield doubt.over(DATA_DIFFER, kind=ItemKind.NS, name=answers.zone)
