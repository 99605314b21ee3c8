"""Does a policy let a provider send? Asked with addresses out of the provider's own policy (RFC 7208 section 4.1).

Providers name a policy to include: `include:_spf.provider.example`. But there are other ways to let them send. A
service that flattens records writes their addresses, somebody includes the parts of their policy, and a policy of
macros answers for each message by itself. So not the name is looked for: a few addresses of the provider have to pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from exporter.facts import IP
from exporter.mail.names import registrable, under
from exporter.mail.spf.worst_case import Allowed, Cost

MOST_TRIED = {4: 5, 6: 3}  # addresses of each version: many policies name dozens of networks
_OF_THE_CLIENT = frozenset("ivcdo")  # macros whose values are known of an address and an envelope domain


def sample(allowed: Iterable[Allowed]) -> tuple[IP, ...]:
    """A few addresses, spread over the networks and both versions, and the same ones every time."""
    inside = tuple(dict.fromkeys(map(_inside, allowed)))
    return tuple(
        address
        for version, most in MOST_TRIED.items()
        for address in _spread([ip for ip in inside if ip.version == version], most)
    )


def _spread(addresses: Sequence[IP], most: int) -> list[IP]:
    """The first and the last are among them."""
    if len(addresses) <= most:
        return list(addresses)
    return [addresses[number * (len(addresses) - 1) // (most - 1)] for number in range(most)]


def _inside(it: Allowed) -> IP:
    """Of a network, the address behind its first, which is no host's."""
    rest = it.address.max_prefixlen - it.bits
    first = int(it.address) >> rest << rest
    return ip_address((first + (rest > 1)).to_bytes(it.address.max_prefixlen // 8, "big")) if rest else it.address


def single(it: Allowed) -> bool:
    return it.bits == it.address.max_prefixlen


def unforeseeable(cost: Cost) -> tuple[str, ...]:
    """The terms that may let somebody pass, which nobody sees who sends no message.

    Those of the HELO name or the mailbox; and, of policies made for this domain alone, those of the address as well:
    who makes the policy may answer only for machines that really send.
    """
    return tuple(
        str(macro)
        for macro in cost.passing_macros
        if macro.letters - _OF_THE_CLIENT or made_for(macro.domain, cost.policy.name)
    )


def made_for(domain: str, name: str) -> bool:
    """Is this the record of somebody of `name` itself, or one in whose name it stands?"""
    domain = domain.lower()
    return under(domain, registrable(name)) or f".{name}." in f".{domain}."


def is_alias(cost: Cost, include: str) -> bool:
    """Has the provider the policy itself, to which the name leads by CNAME?"""
    home = registrable(include)
    return cost.policy.record is not None and any(under(name, home) for name in cost.policy.reply.chain)
