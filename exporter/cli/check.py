"""`deliverability-exporter check`: the daemon's engine, once, for a person or a CI job.

The same checks, store and policy as the daemon's, so the two cannot disagree. First everything that is
configured or named runs, then the mail hosts that were found on the way.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from exporter import clients, receivers
from exporter.check_state import FindingPolicy
from exporter.cli import recipients
from exporter.cli.exit_codes import exit_code
from exporter.cli.once import evaluated
from exporter.cli.run import fail, run
from exporter.clock import SystemClock
from exporter.config import ConfigError, Nameserver, Settings, defaults, load
from exporter.config.values import nameserver
from exporter.engine import catalogue
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
    OwnResolver,
    Registration,
    Reputation,
    Zone,
    deliveries,
)
from exporter.text import printable
from exporter.views import json_report, terminal

SENDER = "command-line"


def named(words: Sequence[str], helo: str | None, lists: Iterable[Blocklist]) -> list[Target]:
    """Targets for the domains and addresses of a command line; each address is asked to send for each domain.

    Raise ValueError for a word that is neither.
    """
    addresses: list[IPv4Address | IPv6Address] = []
    domains: list[str] = []
    for word in words:
        try:
            addresses.append(ip_address(word))
        except ValueError:
            try:
                domains.append(names.canonical(word))
            except ValueError as error:
                raise ValueError(f"{word!r} is neither an address nor a domain: it {error}") from None
    of = {kind: tuple(b for b in lists if b.lists is kind) for kind in Lists}
    made: list[Target] = [OwnResolver(uses_blocklists=any(of.values()))]
    for ip in dict.fromkeys(addresses):
        made.append(Address(ip=ip, helo=(helo,) if helo is not None else ("the name this server says in HELO",)))
        if helo is not None:
            made.append(Greeting(sender=SENDER, ip=ip, helo=helo))
        if of[Lists.IPS]:
            made.append(Reputation(subject=ip, lists=of[Lists.IPS]))
    for name in dict.fromkeys(domains):
        made.append(Domain(name=name, mail_from=(name,)))
        made.append(KeyNamespace(domain=name))
        made.append(Zone(name=name, mail_from=(name,)))
        if addresses:
            egress = tuple(Egress(ip, helo or name) for ip in dict.fromkeys(addresses))
            made.append(Authorisation(domain=name, sender=SENDER, mail_from=(name,), egress=egress))
        if of[Lists.DOMAINS]:
            made.append(Reputation(subject=name, lists=of[Lists.DOMAINS]))
    made += [Registration(domain=name) for name in dict.fromkeys(map(names.registered, domains))]
    return [*made, *deliveries(made, lambda _: receivers.DEFAULT)]


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
    if arguments.config is not None:
        settings = load(arguments.config, known)
        targets = _chosen(settings, arguments.targets)
    elif arguments.targets:
        settings = defaults(known)
        targets = named(arguments.targets, arguments.helo, settings.blocklists)
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
    known, clock = catalogue.load(), SystemClock()
    settings = load(arguments.config, known) if arguments.config is not None else defaults(known)
    settings = clients.resolve_system_nameservers(_asking(settings, arguments))
    world = clients.open_clients(settings, DnsblClient(clock), clock)
    try:
        judged = recipients.examine(recipients.lines_of(descriptor), lambda: Net(world.dns, clock))
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
    chosen = {t.key: t for t in settings.targets if wanted & {value for _, value in t.identity}}
    missing = wanted - {value for t in chosen.values() for _, value in t.identity}
    if missing:
        raise ValueError(f"not in the configuration: {', '.join(sorted(missing))}")
    # whether receivers take mail of a domain depends on its senders, too
    senders = {it.key for t in settings.targets if isinstance(t, Delivery) and t.key in chosen for it in t.rests_on}
    return [t for t in settings.targets if t.key in chosen or t.key in senders]
