"""Where mail for a domain goes (RFC 5321 section 5.1).

A sender asks for the domain's MX records and tries the hosts they name, lowest preference first. Without any
MX record the domain's own address stands in, the *implicit* MX. If there are MX records and none of them leads
anywhere, that is an error: the implicit MX is for domains without MX only.

An MX names a host, not an address and not an alias (RFC 2181 section 10.3); an address written in its place is read
as a name and found nowhere. The single record `0 .` is the *null MX* (RFC 7505): the domain takes no mail. Beside
other MX records it means nothing (section 3), and a sender that uses such a domain in MAIL FROM may be refused
(section 4.2), since nobody could ever send it a bounce.

So much for receiving. The same lookups decide whether a domain may send: receivers refuse a MAIL FROM domain that
has neither MX nor address, as no bounce and no reply can reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dns import MX, Evaluation, Question, Reply, Status

NULL = "."


class HostState(StrEnum):
    """What a host named by an MX turns out to be."""

    USABLE = "usable"  # it has a public address
    NOT_PUBLIC = "not-public"  # it has addresses, none of them public
    NO_ADDRESS = "no-address"
    NO_SUCH_NAME = "no-such-name"
    IS_ADDRESS = "is-address"
    BAD_NAME = "bad-name"
    UNKNOWN = "unknown"

    @property
    def broken(self) -> bool:
        """Is it proven that no mail gets there?"""
        return self in _BROKEN


_BROKEN = frozenset({HostState.NO_ADDRESS, HostState.NO_SUCH_NAME, HostState.IS_ADDRESS, HostState.BAD_NAME})


@dataclass(frozen=True, slots=True)
class Host:
    """One mail host and what DNS knows of it. `doubt` is a reply that says nothing: it may have more addresses."""

    name: str
    state: HostState
    addresses: tuple[IP, ...] = ()
    alias: tuple[str, ...] = ()  # the CNAME targets behind the name
    doubt: Reply | None = None
    documentation: tuple[IP, ...] = ()  # those of its addresses that only examples have

    @property
    def complete(self) -> bool:
        """Was every question about it answered?"""
        return self.doubt is None

    @property
    def without_ipv6(self) -> bool:
        """Is it proven to have IPv4 addresses only?"""
        return self.complete and bool(self.addresses) and all(ip.version == 4 for ip in self.addresses)


class Way(StrEnum):
    """How mail for a domain is routed."""

    HOSTS = "hosts"
    IMPLICIT = "implicit"
    NULL = "null"
    NOWHERE = "nowhere"  # the name exists, but has neither MX nor address
    NO_SUCH_DOMAIN = "no-such-domain"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Route:
    """The way, the MX records as published (in order of preference), or the domain itself as implicit host.

    `doubt` is the reply that leaves the way open, when UNKNOWN.
    """

    domain: str
    way: Way
    records: tuple[MX, ...] = ()
    implicit: Host | None = None
    doubt: Reply | None = None
    hosts: tuple[str, ...] = ()  # each once, in order of preference, the null MX left out

    @property
    def nulls(self) -> tuple[MX, ...]:
        return tuple([record for record in self.records if record.exchange == NULL])


def route(domain: str) -> Evaluation[Route]:
    """How mail for the domain is routed. The hosts of its MX records are not looked at yet: see `look_up`."""
    found = yield Question(domain, "MX")
    if found.exchanges:
        records = tuple(sorted(found.exchanges))
        hosts = dict.fromkeys([record.exchange for record in records])
        hosts.pop(NULL, None)
        return Route(domain, Way.HOSTS if hosts else Way.NULL, records, hosts=tuple(hosts))
    if found.status is Status.NXDOMAIN:
        return Route(domain, Way.NO_SUCH_DOMAIN)
    if not found.void:
        return Route(domain, Way.UNKNOWN, doubt=found)
    host = yield from look_up(domain)
    if host.addresses:
        return Route(domain, Way.IMPLICIT, implicit=host)
    return Route(domain, Way.UNKNOWN if host.doubt else Way.NOWHERE, doubt=host.doubt)


def look_up(name: str) -> Evaluation[Host]:
    """What a mail host is. One public address suffices, whatever became of the other question."""
    if names.as_address(name):
        return Host(name, HostState.IS_ADDRESS)
    if not names.is_hostname(name):
        return Host(name, HostState.BAD_NAME)
    v4 = yield Question(name, "A")
    if v4.status is Status.NXDOMAIN:  # of every type (RFC 8020)
        return Host(name, HostState.NO_SUCH_NAME, alias=v4.chain)
    v6 = yield Question(name, "AAAA")
    addresses = v4.addresses + v6.addresses
    alias = v4.chain or v6.chain
    copied = tuple([ip for ip in addresses if names.documentation(ip)])
    doubt = None if v4.status.conclusive else v4
    if doubt is None and not v6.status.conclusive:
        doubt = v6
    if not all(map(names.not_public, addresses)):
        return Host(name, HostState.USABLE, addresses, alias, doubt, copied)
    if v6.status is Status.NXDOMAIN and not addresses:
        return Host(name, HostState.NO_SUCH_NAME, alias=alias)
    if doubt:
        return Host(name, HostState.UNKNOWN, addresses, alias, doubt, copied)
    return Host(name, HostState.NOT_PUBLIC if addresses else HostState.NO_ADDRESS, addresses, alias)
