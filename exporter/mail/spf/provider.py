"""Does a policy let a provider send? We try addresses from the provider's own policy (RFC 7208 section 4.1).

Providers name a policy to include: `include:_spf.provider.example`. But there are other ways to let them send. A
service may flatten the record, which then lists the addresses. A domain may include parts of the provider's policy. A
policy with macros may decide for each message. So we do not look for the name: a few of the addresses have to pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from exporter.facts import IP
from exporter.mail.names import registrable, under
from exporter.mail.spf.worst_case import Allowed, Cost

MOST_TRIED = {4: 5, 6: 3}  # addresses of each version: many policies name dozens of networks
_OF_THE_CLIENT = frozenset("ivcdo")  # macros whose values follow from an address and an envelope domain


def sample(allowed: Iterable[Allowed]) -> tuple[IP, ...]:
    """A few addresses from different networks and both IP versions. They are the same every time."""
    inside = tuple(dict.fromkeys(map(_inside, allowed)))
    return tuple(
        address
        for version, most in MOST_TRIED.items()
        for address in _spread([ip for ip in inside if ip.version == version], most)
    )


def _spread(addresses: Sequence[IP], most: int) -> list[IP]:
    """At most `most` addresses, among them the first and the last."""
    if len(addresses) <= most:
        return list(addresses)
    return [addresses[number * (len(addresses) - 1) // (most - 1)] for number in range(most)]


def _inside(it: Allowed) -> IP:
    """An address in the network: the second one, because the first is no host."""
    rest = it.address.max_prefixlen - it.bits
    first = int(it.address) >> rest << rest
    return ip_address((first + (rest > 1)).to_bytes(it.address.max_prefixlen // 8, "big")) if rest else it.address


def single(it: Allowed) -> bool:
    return it.bits == it.address.max_prefixlen


def unforeseeable(cost: Cost) -> tuple[str, ...]:
    """The terms that may pass a sender, but that can be seen only by sending a message.

    They contain macros for the HELO name or the mailbox. In a policy made for this domain alone, macros for the address
    count too, because its service may answer only for machines that really send.
    """
    return tuple(
        str(macro)
        for macro in cost.passing_macros
        if macro.letters - _OF_THE_CLIENT or made_for(macro.domain, cost.policy.name)
    )


def made_for(domain: str, name: str) -> bool:
    """Is it a record for this domain only: in its organisation, or with its name inside a provider's name?"""
    domain = domain.lower()
    return under(domain, registrable(name)) or f".{name}." in f".{domain}."


def is_alias(cost: Cost, include: str) -> bool:
    """Is the name a CNAME to the provider, so that the provider writes the whole policy?"""
    home = registrable(include)
    return cost.policy.record is not None and any(under(name, home) for name in cost.policy.reply.chain)
