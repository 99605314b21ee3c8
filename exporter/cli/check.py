"""`deliverability-exporter check`: the daemon's engine, once, for a person or a CI job.

The same checks, store and policy as the daemon's, so the two cannot disagree. First everything that is
configured or named runs, then the mail hosts that were found on the way.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from exporter import clients
from exporter.check_state import FindingPolicy
from exporter.cli import recipients
from exporter.cli.discovery import Discovery
from exporter.cli.exit_codes import Exit, FailOn, exit_code
from exporter.cli.named import DomainFlags, named
from exporter.cli.once import ResolverFailsError, evaluated
from exporter.cli.run import fail, run
from exporter.clock import SystemClock
from exporter.config import ConfigError, Nameserver, Settings, defaults, load_in_time
from exporter.config.values import nameserver
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from exporter.engine.plan import pairs
from exporter.mail import names
from exporter.model import Target
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import Address, Delivery, Domain, MailHost, OwnResolver
from exporter.text import printable
from exporter.views import json_report, pipelines, terminal
from exporter.views.report import NOTHING_FOUND

MOST_NAMED = 3  # words that the first line repeats
_RESOLVER = "Fix: name one that answers with --resolver ADDRESS, best one of your own on this host."


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
    known, clock = catalogue.load(), SystemClock()
    flags = DomainFlags.read(arguments)
    if arguments.config is not None:
        if told := [*flags.given(), *(["--helo"] if arguments.helo is not None else [])]:
            raise ValueError(f"{told[0]} cannot stand beside --config.file, which says it")
        settings = load_in_time(arguments.config, known)
        targets, discovery = _chosen(settings, arguments.targets), None
    elif arguments.targets:
        settings = defaults(known)
        targets = named(arguments.targets, arguments.helo, settings.blocklists, flags)
        discovery = Discovery(settings.blocklists, flags)
        if arguments.helo_name is None and all(isinstance(target, MailHost | OwnResolver) for target in targets):
            raise ValueError("to look at mail hosts alone, --smtp.helo-name NAME must say what we are called")
    else:
        raise ValueError("name a domain or an address, or give --config.file=FILE")
    settings = _asking(settings, arguments)
    if arguments.helo_name is not None:
        settings = replace(settings, helo_name=_helo_name(arguments.helo_name))
    settings = clients.resolve_system_nameservers(replace(settings, targets=tuple(targets)))
    running = _running(known, settings.running, arguments)
    began, resolver = clock.monotonic(), " ".join(it.text for it in settings.nameservers)
    try:
        store = await evaluated(known, settings, running, clock, discovery.targets if discovery else None)
    except ResolverFailsError as fails:
        text = f"the resolver {resolver} does not answer, so nothing can be told: {fails}"
        if arguments.format in ("junit", "sarif"):
            return fail(text, Exit.UNKNOWN)
        print(json_report.failed(text, Exit.UNKNOWN) if arguments.format == "json" else f"{text}\n{_RESOLVER}")
        return Exit.UNKNOWN
    policy, now = FindingPolicy(settings.severities), clock.wall()
    discovered = discovery.discovered() if discovery else NOTHING_FOUND
    notes = list(discovery.left_out()) if discovery else []
    if settings.helo_name is None:
        notes.append("mail hosts. Say what we are called there with --smtp.helo-name NAME.")
    code = exit_code(store, policy, now, FailOn(arguments.fail_on))
    match arguments.format:
        case "json":
            print(json_report.as_json(store, policy, now, notes, code, discovered))
        case "junit":
            print(pipelines.as_junit(store, policy, now), end="")
        case "sarif":
            print(pipelines.as_sarif(store, policy, now))
        case _:
            subject = _subject(arguments.targets, targets)
            look = terminal.Look(subject, clock.monotonic() - began, resolver, notes, discovered)
            terminal.as_text(store, policy, now, look, detail=arguments.detail)
    return code


def _running(known: Catalogue, running: frozenset[str], arguments: argparse.Namespace) -> frozenset[str]:
    """The checks that run and that the flags choose. Raise ValueError for a name that is none."""
    only, skip = (_check_names(known, flag, getattr(arguments, flag)) for flag in ("only", "skip"))
    return (running & only if only else running) - skip


def _check_names(known: Catalogue, flag: str, given: Sequence[str]) -> frozenset[str]:
    wanted = [name for text in given for name in text.split(",")]
    for name in wanted:
        if name not in known.checks:
            raise ValueError(f"--{flag}: no check is called {printable(name)!r}; there are {', '.join(known.checks)}")
    return frozenset(wanted)


def _subject(words: Sequence[str], targets: Sequence[Target]) -> str:
    if 0 < len(words) <= MOST_NAMED:
        return " ".join(map(printable, words))
    kinds = (("domains", Domain), ("addresses", Address), ("mail hosts", MailHost))
    counts = ((name, sum(isinstance(it, kind) for it in targets)) for name, kind in kinds)
    return ", ".join(f"{count:,} {name}" for name, count in counts if count)


async def _check_recipients(arguments: argparse.Namespace, descriptor: int) -> int:
    if arguments.targets:
        raise ValueError("--recipients FILE is looked at alone, without TARGET")
    said = {"--helo": arguments.helo, "--smtp.helo-name": arguments.helo_name}
    if told := [*DomainFlags.read(arguments).given(), *(flag for flag, value in said.items() if value is not None)]:
        raise ValueError(f"--recipients FILE is looked at alone, without {told[0]}")
    if arguments.format not in ("text", "json"):
        raise ValueError(f"--recipients prints text or json, not {arguments.format}")
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
