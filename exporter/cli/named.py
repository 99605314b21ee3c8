"""Targets that are named on the command line: domains, addresses and mail hosts, and what flags say of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from exporter import receivers
from exporter.config.values import THEIRS
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Target
from exporter.targets import (
    Address,
    Authorisation,
    Domain,
    Egress,
    Greeting,
    KeyNamespace,
    MailHost,
    OwnResolver,
    Registration,
    Reputation,
    Selector,
    Zone,
    deliveries,
    lists_of_name,
)

SENDER = ""  # whose addresses they are: a command line has no name for it
HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class DomainFlags:
    """What the flags say of the domains that are named."""

    mail_from: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    spf_includes: tuple[str, ...] = ()

    @classmethod
    def read(cls, arguments: argparse.Namespace) -> DomainFlags:
        """Raise ValueError for what is no name, with the flag."""
        return cls(
            mail_from=_envelopes(_record_names("--mail-from", arguments.mail_from)),
            selectors=_selectors(_record_names("--dkim-selector", arguments.selectors)),
            spf_includes=_record_names("--spf-include", arguments.spf_includes),
        )

    def given(self) -> list[str]:
        """Those that were given."""
        given = {
            "--mail-from": self.mail_from,
            "--dkim-selector": self.selectors,
            "--spf-include": self.spf_includes,
        }
        return [flag for flag, names_given in given.items() if names_given]


NO_FLAGS = DomainFlags()


@dataclass(slots=True)
class Words:
    """The words of a command line, each once, by what they are."""

    addresses: dict[IPv4Address | IPv6Address, None]
    domains: dict[str, None]
    hosts: dict[tuple[str, int], None]

    @classmethod
    def read(cls, words: Sequence[str]) -> Words:
        """Raise ValueError for a word that is none of these."""
        read = cls({}, {}, {})
        for word in words:
            word = _inside(word)
            if (address := _address(word)) is not None:
                read.addresses[address] = None
            elif ":" in word:
                read.hosts[_host_and_port(word)] = None
            else:
                read.domains[_domain(word)] = None
        return read


def named(
    words: Sequence[str], helo: str | None, lists: Iterable[Blocklist], flags: DomainFlags = NO_FLAGS
) -> list[Target]:
    """Targets for the domains, addresses and mail hosts of a command line; each address sends for each domain.

    Raise ValueError for a word that is none of these, and for flags that tell of a domain where there is none.
    """
    read = Words.read(words)
    addresses, domains = list(read.addresses), list(read.domains)
    if flags.given() and not domains:
        raise ValueError(f"{flags.given()[0]} needs a domain; name one")
    if helo is not None and not addresses:
        raise ValueError("--helo needs an address; name one")
    if flags.mail_from and len(domains) > 1:
        raise ValueError("--mail-from needs one domain alone; look at the others in a run of their own")
    lists = tuple(lists)
    of = {kind: tuple(b for b in lists if b.lists is kind) for kind in Lists}
    made: list[Target] = [OwnResolver(uses_blocklists=any(of.values()))]
    for ip in addresses:
        made.append(Address(ip=ip, helo=(helo,) if helo is not None else ()))
        if helo is not None:
            made.append(Greeting(sender=SENDER, ip=ip, helo=helo, lists=lists_of_name(helo, lists)))
        if of[Lists.IPS]:
            made.append(Reputation(subject=ip, lists=of[Lists.IPS]))
    for name in domains:
        made += _of_domain(name, tuple(Egress(ip, helo or name) for ip in addresses), flags)
        if of[Lists.DOMAINS]:
            made.append(Reputation(subject=name, lists=of[Lists.DOMAINS]))
    made += [MailHost(host=host, port=port, configured=True) for host, port in read.hosts]
    made += [Registration(domain=name) for name in dict.fromkeys(map(names.registered, domains))]
    return [*made, *deliveries(made, lambda _: receivers.DEFAULT)]


def _of_domain(name: str, egress: tuple[Egress, ...], flags: DomainFlags) -> Iterator[Target]:
    mail_from = flags.mail_from or (name,)
    keys = tuple(f"{selector}._domainkey.{name}" for selector in flags.selectors)
    yield Domain(name=name, mail_from=mail_from, signers=(name,) if keys else (), own_machines=bool(egress))
    for selector in flags.selectors:
        others = tuple(it for it in flags.selectors if it != selector)
        yield Selector(domain=name, selector=selector, signer=name, siblings=others)
    if not keys:
        yield KeyNamespace(domain=name)
    yield Zone(name=name, mail_from=mail_from, keys=keys)
    if egress:
        yield Authorisation(domain=name, sender=SENDER, mail_from=mail_from, egress=egress)
    for include in flags.spf_includes:
        yield Authorisation(domain=name, sender=include, mail_from=mail_from, spf_include=include)


def _inside(word: str) -> str:
    """The domain of a mail address or the host of a URL: people paste both."""
    if "://" in word:
        return urlsplit(word).hostname or word
    return word.rpartition("@")[2]


def _address(word: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(word)
    except ValueError:
        return None


def _host_and_port(word: str) -> tuple[str, int]:
    host, _, port = word.rpartition(":")
    if names.as_address(host):
        raise ValueError(f"{word!r}: a mail host is named, as its certificate is for a name; HOST:PORT is wanted")
    try:
        name = names.canonical(host)
    except ValueError as error:
        raise ValueError(f"{word!r} is no HOST:PORT: its host {error}") from None
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= HIGHEST_PORT):
        raise ValueError(f"{word!r} is no HOST:PORT: its port is no number from 1 to {HIGHEST_PORT}")
    return name, int(port)


def _domain(word: str) -> str:
    try:
        return names.canonical(word)
    except ValueError as error:
        raise ValueError(f"{word!r} is neither an address nor a domain: it {error}") from None


def _record_names(flag: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """Names of records: they may have underscores, as _spf.google.com has."""
    read = []
    for text in given or ():
        try:
            read.append(names.canonical(text, underscores=True))
        except ValueError as error:
            raise ValueError(f"{flag}: {text!r} is no name: it {error}") from None
    return tuple(dict.fromkeys(read))


def _envelopes(given: tuple[str, ...]) -> tuple[str, ...]:
    if THEIRS in given:
        raise ValueError(f"--mail-from: {THEIRS} is a word of the configuration; name an envelope domain of your own")
    return given


def _selectors(given: tuple[str, ...]) -> tuple[str, ...]:
    for text in given:
        selector, marker, _ = text.partition("._domainkey")
        if marker:
            raise ValueError(f"--dkim-selector: {text!r} is the name of a key; give only the selector, {selector}")
    return given
