"""`deliverability-exporter check`: the daemon's engine, once, for a person or a CI job.

The same checks, store and policy as the daemon's, so the two cannot disagree. First everything that is
configured or named runs, then the mail hosts that were found on the way.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from exporter import clients, receivers
from exporter.check_state import FindingPolicy
from exporter.cli import recipients
from exporter.cli.exit_codes import exit_code
from exporter.cli.once import evaluated
from exporter.cli.run import fail, run
from exporter.clock import SystemClock
from exporter.config import ConfigError, Nameserver, Settings, defaults, load_in_time
from exporter.config.values import THEIRS, nameserver
from exporter.engine import catalogue
from exporter.engine.plan import pairs
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Target
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import (
    Address,
    Authorisation,
    Delivery,
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
from exporter.text import printable
from exporter.views import json_report, terminal

SENDER = "command-line"
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
            raise ValueError(f"--dkim-selector: {text!r} is where a key stands; give the selector alone, {selector}")
    return given


def command(arguments: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.ERROR)
    try:
        if arguments.recipients is None:
            return run(_check_once(arguments))
        standard = arguments.recipients == "-"
        with open(0 if standard else arguments.recipients, "rb", buffering=0, closefd=not standard) as file:
            return run(_check_recipients(arguments, file.fileno()))
    except BrokenPipeError:
        raise
    except (ConfigError, OSError, ValueError) as error:
        return fail(error)


async def _check_once(arguments: argparse.Namespace) -> int:
    known, clock, notes = catalogue.load(), SystemClock(), []
    flags = DomainFlags.read(arguments)
    if arguments.config is not None:
        if told := [*flags.given(), *(["--helo"] if arguments.helo is not None else [])]:
            raise ValueError(f"{told[0]} cannot stand beside --config.file, which says it")
        settings = load_in_time(arguments.config, known)
        targets = _chosen(settings, arguments.targets)
    elif arguments.targets:
        settings = defaults(known)
        targets = named(arguments.targets, arguments.helo, settings.blocklists, flags)
        if arguments.helo_name is None and all(isinstance(target, MailHost | OwnResolver) for target in targets):
            raise ValueError("to look at mail hosts alone, --smtp.helo-name NAME must say what we are called")
    else:
        raise ValueError("name a domain or an address, or give --config.file=FILE")
    settings = _asking(settings, arguments)
    if arguments.helo_name is not None:
        settings = replace(settings, helo_name=_helo_name(arguments.helo_name))
    settings = clients.resolve_system_nameservers(replace(settings, targets=tuple(targets)))
    if settings.helo_name is None:
        notes.append("no SMTP check was made: --smtp.helo-name NAME says what we are called")
    store = await evaluated(known, settings, settings.running, clock)
    policy, now = FindingPolicy(settings.severities), clock.wall()
    code = exit_code(store, policy, now)
    if arguments.format == "json":
        print(json_report.as_json(store, policy, now, notes, code))
    else:
        terminal.as_text(store, policy, now, notes)
    return code


async def _check_recipients(arguments: argparse.Namespace, descriptor: int) -> int:
    if arguments.targets:
        raise ValueError("--recipients FILE is looked at alone, without TARGET")
    said = {"--helo": arguments.helo, "--smtp.helo-name": arguments.helo_name}
    if told := [*DomainFlags.read(arguments).given(), *(flag for flag, value in said.items() if value is not None)]:
        raise ValueError(f"--recipients FILE is looked at alone, without {told[0]}")
    known, clock = catalogue.load(), SystemClock()
    settings = load_in_time(arguments.config, known) if arguments.config is not None else defaults(known)
    settings = clients.resolve_system_nameservers(_asking(settings, arguments))
    world = clients.open_clients(settings, DnsblClient(clock, patience=0.0), clock)
    try:

        def net() -> Net:
            return Net(world.dns, clock)

        eyes = [target for target in settings.targets if isinstance(target, OwnResolver)]
        doubted = await recipients.doubted(pairs(known, eyes, settings.running.__contains__), net, clock)
        judged = recipients.examine(recipients.lines_of(descriptor), net, doubted)
        name, as_json = printable(arguments.recipients), arguments.format == "json"
        return await recipients.tell(judged, name, sys.stdout.write, as_json=as_json)
    finally:
        await world.close()


def _asking(settings: Settings, arguments: argparse.Namespace) -> Settings:
    if not arguments.resolver:
        return settings
    return replace(settings, nameservers=tuple(map(_nameserver, arguments.resolver)))


def _nameserver(text: str) -> Nameserver:
    try:
        return nameserver(text)
    except ValueError:
        raise ValueError(f"--resolver: {text!r} is no nameserver: an address is wanted, or address:port") from None


def _helo_name(text: str) -> str:
    try:
        return names.canonical(text)
    except ValueError as error:
        raise ValueError(f"--smtp.helo-name: {text!r} {error}") from None


def _chosen(settings: Settings, words: Sequence[str]) -> list[Target]:
    if not words:
        return list(settings.targets)
    wanted = {word.strip().lower().removesuffix(".") for word in words}
    chosen = {t.key: t for t in settings.targets if wanted & _called(t)}
    missing = wanted - {name for t in chosen.values() for name in _called(t)}
    if missing:
        raise ValueError(f"not in the configuration: {', '.join(sorted(missing))}")
    # whether receivers take mail of a domain depends on its senders, too
    senders = {it.key for t in settings.targets if isinstance(t, Delivery) and t.key in chosen for it in t.rests_on}
    return [t for t in settings.targets if t.key in chosen or t.key in senders]


def _called(target: Target) -> set[str]:
    """By which words a target is chosen."""
    host = {f"{target.host}:{target.port}"} if isinstance(target, MailHost) else set()
    return {value for _, value in target.identity} | host
