"""Names and addresses as mail uses them.

A host name on the wire is letters, digits and hyphens (RFC 1123 section 2.1, RFC 5321 section 4.1.2); a name
with other letters travels as its A-label (IDNA 2008, RFC 5890). An address is looked up backwards: its
octets, or for IPv6 its 32 nibbles, reversed under in-addr.arpa or ip6.arpa (RFC 1035 section 3.5, RFC 3596
section 2.5), and blocklists borrow the same order under their own zone (RFC 5782 sections 2.1, 2.4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from ipaddress import ip_address, ip_network

import idna
from publicsuffixlist import PublicSuffixList

from exporter.facts import IP

_HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LABEL = re.compile(_HOST_LABEL, re.ASCII)
_HOSTNAME = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*", re.ASCII)
_UNDERSCORED = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
LONGEST_NAME = 253
REMEMBERED = 1024  # names: a fleet asks about each several times within a moment


def canonical(text: str, *, underscores: bool = False) -> str:
    """The name as an A-label, lower case, without trailing dot.

    Raise ValueError, saying what is wrong, for what is no host name; `underscores` admits names of records
    such as `_dmarc` or DKIM selectors.
    """
    name = text.strip().removesuffix(".")
    if not name:
        raise ValueError("is empty")
    if len(name) > LONGEST_NAME:  # before IDNA sees it, whose work grows faster than its input
        raise ValueError(f"is longer than {LONGEST_NAME} characters")
    if not name.isascii():
        try:
            mapped = idna.uts46_remap(name, std3_rules=False).removesuffix(".")
            # Label by label, as IDNA knows no underscores and a name such as _spf.münchen.example has both.
            name = ".".join(part if part.isascii() else idna.alabel(part).decode("ascii") for part in mapped.split("."))
        except (idna.IDNAError, UnicodeError) as error:
            raise ValueError(f"is not a valid internationalised name: {error}") from None
        if len(name) > LONGEST_NAME:
            raise ValueError(f"is longer than {LONGEST_NAME} characters as A-labels")
    name = name.lower()
    pattern = _UNDERSCORED if underscores else _LABEL
    for label in name.split("."):
        if not pattern.fullmatch(label):
            raise ValueError(f"has the invalid label {label!r}")
    return name


def is_hostname(name: str) -> bool:
    """Letters, digits, hyphens, no empty or over-long label: RFC 1123 section 2.1."""
    if not name.isascii() or len(name) > LONGEST_NAME:  # lower() makes ASCII of some letters that are none
        return False
    return _HOSTNAME.fullmatch(name.lower()) is not None


def as_address(text: str) -> IP | None:
    """The address that stands where a name is expected, in brackets or without; None for anything else."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" not in inner and not inner[-1:].isdigit():
        return None  # as nearly always: to raise and catch an error takes longer
    try:
        return None if "%" in inner else ip_address(inner)
    except ValueError:
        return None


def order(ip: IP) -> tuple[int, int]:
    """By which addresses are sorted: DNS tells them in another order each time."""
    return ip.version, int(ip)


def under(name: str, parent: str) -> bool:
    """Is `name` the parent or inside it?"""
    return name == parent or name.endswith(f".{parent}")


def reverse_octets(ip: IP) -> str:
    """`2.0.0.127` or 32 nibbles: what stands before in-addr.arpa, ip6.arpa or a blocklist's zone."""
    parts = [str(octet) for octet in ip.packed] if ip.version == 4 else list(ip.packed.hex())
    return ".".join(reversed(parts))


def pointer(ip: IP) -> str:
    """The name that holds the PTR record of an address."""
    return f"{reverse_octets(ip)}.{'in-addr' if ip.version == 4 else 'ip6'}.arpa"


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=REMEMBERED)
def registrable(name: str) -> str:
    """One label below the public suffix (the organisational domain of RFC 7489 section 3.2); else the name itself."""
    return _public_suffixes().privatesuffix(name) or name


@cache
def _registries() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


@lru_cache(maxsize=REMEMBERED)
def registered(name: str) -> str:
    """The name that a registry holds: one label below a public suffix; else the name itself.

    Unlike `registrable` it passes over suffixes that are somebody's own domain: a customer of github.io has rented
    nothing from a registry, github.io has.
    """
    return _registries().privatesuffix(name) or name


# Names of this kind mean something at home only: special-use (RFC 6761, RFC 6762, RFC 8375), never delegated
# by promise ("internal"), or invented by routers and distributions.
_LOCAL = (
    "example",
    "home",
    "home.arpa",
    "internal",
    "intra",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "priv",
    "test",
    "user",
)
_BELOW_LOCAL = tuple(f".{suffix}" for suffix in _LOCAL)


def local_suffix(name: str) -> str | None:
    """The suffix that says nothing to the Internet under which a name lies, or None."""
    if not f".{name}".endswith(_BELOW_LOCAL):
        return None
    return next(suffix for suffix in _LOCAL if under(name, suffix))


class _Blocks:
    """Networks and what each is for, by the first octet of their addresses: most addresses share it with none."""

    def __init__(self, uses: Mapping[str, str]) -> None:
        self._at: dict[tuple[int, int], list[tuple[int, int, str]]] = {}
        for network, use in ((ip_network(text), use) for text, use in uses.items()):
            begins, mask = int(network.network_address), int(network.netmask)
            for octet in range(network.network_address.packed[0], network.broadcast_address.packed[0] + 1):
                self._at.setdefault((network.version, octet), []).append((mask, begins, use))

    def use(self, ip: IP) -> str | None:
        """Of the first of the networks that the address is in, or None."""
        number = int(ip)
        near = self._at.get((ip.version, number >> (24 if ip.version == 4 else 120)))
        return next((use for mask, begins, use in near if number & mask == begins), None) if near else None


# Documentation ranges are left out on purpose: examples live there, the real DNS is empty there anyway.
_NOT_PUBLIC = _Blocks(
    {
        "0.0.0.0/8": "this network",
        "10.0.0.0/8": "private use",
        "100.64.0.0/10": "shared address space (carrier-grade NAT)",
        "127.0.0.0/8": "loopback",
        "169.254.0.0/16": "link local",
        "172.16.0.0/12": "private use",
        "192.0.0.0/24": "protocol assignments",
        "192.88.99.0/24": "6to4",
        "192.168.0.0/16": "private use",
        "198.18.0.0/15": "benchmarking",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        "::/128": "unspecified",
        "::1/128": "loopback",
        "::/96": "IPv4-compatible",
        "::ffff:0:0/96": "IPv4-mapped",
        "::ffff:0:0:0/96": "IPv4-translated",
        "64:ff9b::/96": "NAT64",
        "64:ff9b:1::/48": "NAT64",
        "100::/64": "discard only",
        "100:0:0:1::/64": "dummy",
        "2001::/32": "Teredo",
        "2001:2::/48": "benchmarking",
        "2001:10::/28": "ORCHID",
        "2001:20::/28": "ORCHID",
        "2002::/16": "6to4",
        "5f00::/16": "segment routing",
        "fc00::/7": "unique local",
        "fe80::/10": "link local",
        "fec0::/10": "site local",
        "ff00::/8": "multicast",
    }
)


_DOCUMENTATION = _Blocks(
    dict.fromkeys(("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"), "documentation")
)
_EXAMPLES = ("example", "example.com", "example.net", "example.org", "invalid", "localhost", "test")
_BELOW_EXAMPLES = tuple(f".{name}" for name in _EXAMPLES)


def documentation(ip: IP) -> bool:
    """Is it an address of examples (RFC 5737, RFC 3849, RFC 9637), which nobody can have?"""
    return _DOCUMENTATION.use(ip) is not None


def is_example(name: str) -> bool:
    """Is it a name of examples or tests (RFC 2606, RFC 6761)? Such a name rightly has addresses of examples."""
    return f".{name}".endswith(_BELOW_EXAMPLES)


def not_public(ip: IP) -> str | None:
    """The special-purpose block an address lies in (RFC 6890), or None: no receiver can ever see it."""
    return _NOT_PUBLIC.use(ip)


def never_dialled(ip: IP) -> str | None:
    """Why nobody is ever to be found at an address that somebody else's DNS names, or None."""
    return not_public(ip) or _DOCUMENTATION.use(ip)
