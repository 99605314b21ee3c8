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
from functools import partial
from typing import TYPE_CHECKING

from exporter import clients
from exporter.check_state import FindingPolicy
from exporter.cli import watch
from exporter.cli.asking import asking, own_name
from exporter.cli.discovery.checked import DomainSearch
from exporter.cli.exit_codes import Exit, FailOn
from exporter.cli.judging import exit_code, exit_code_of_change
from exporter.cli.named import DomainFlags, named
from exporter.cli.once import Looker, ResolverFailsError
from exporter.cli.progress import ProgressLines
from exporter.cli.run import fail, run
from exporter.cli.stop import STOPPED, finished
from exporter.cli.telling import Telling
from exporter.clock import SystemClock
from exporter.config import ConfigError, Settings, defaults, load_in_time
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from exporter.engine.difference import difference
from exporter.engine.plan import pairs
from exporter.engine.store import Store
from exporter.late import Late
from exporter.model import Door, Target
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import Address, Delivery, Domain, MailHost, OwnResolver
from exporter.text import counted, printable

if TYPE_CHECKING:
    from exporter.cli import planned, recipients
    from exporter.net.planned.records import PlannedRecords
else:
    planned = Late("exporter.cli.planned")
    recipients = Late("exporter.cli.recipients")

MOST_NAMED = 3  # words that the first line repeats


def command(arguments: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.ERROR)
    try:
        if arguments.recipients is None:
            return run(check_once(arguments))
        standard = arguments.recipients == "-"
        with open(0 if standard else arguments.recipients, "rb", buffering=0, closefd=not standard) as file:
            return run(_check_recipients(arguments, file.fileno()))
    except BrokenPipeError:
        raise
    except (ConfigError, OSError, ValueError) as error:
        return fail(error)


async def check_once(arguments: argparse.Namespace, open_clients: clients.OpenClients = clients.open_clients) -> int:
    """Look at what the flags say, and print what was found. Return the exit code. Raise ValueError or OSError."""
    known, clock = catalogue.load(), SystemClock()
    every = _watch_interval(arguments)
    plan = planned.read(arguments.planned, arguments.without) if arguments.planned or arguments.without else None
    _agree(arguments, plan)
    flags = DomainFlags.read(arguments)
    if arguments.config is not None:
        if told := [*flags.given(), *(["--helo"] if arguments.helo is not None else [])]:
            raise ValueError(f"{told[0]} cannot stand beside --config.file, which says it")
        settings = load_in_time(arguments.config, known)
        targets, discovery = _chosen(settings, arguments.targets), None
    elif arguments.targets:
        settings = defaults(known)
        targets = named(arguments.targets, arguments.helo, settings.blocklists, flags)
        discovery = DomainSearch(settings.blocklists, flags)
        if arguments.helo_name is None and all(isinstance(target, MailHost | OwnResolver) for target in targets):
            raise ValueError("a check of mail hosts needs --smtp.helo-name NAME, the host name of this machine")
    else:
        raise ValueError("name a domain or an address, or give --config.file=FILE")
    settings = asking(settings, arguments.resolver)
    if arguments.helo_name is not None:
        settings = replace(settings, helo_name=own_name(arguments.helo_name))
    settings = clients.resolve_system_nameservers(replace(settings, targets=tuple(targets)))
    running = _running(known, settings.running, arguments)
    enabled = planned.checks(known, running) if plan else running
    telling = Telling(
        style=arguments.format,
        detail=arguments.detail,
        subject=_subject(arguments.targets, targets),
        resolver=" ".join(it.text for it in settings.nameservers),
        policy=FindingPolicy(settings.severities),
        clock=clock,
        began=clock.monotonic(),
        looks_at=lambda kind: not running.isdisjoint(known.looking_at(kind)),
        excluded=_excluded(settings.running - running, arguments),
        says_helo=settings.helo_name is not None or not _visits(known, arguments),
        discovery=discovery,
        plan=plan,
        unpublished=running - enabled,
    )
    progress = ProgressLines(sys.stderr, clock, telling.policy, telling.result)
    looker = Looker(known, settings, enabled, clock, progress, discovery.targets if discovery else None, open_clients)

    try:
        return await _looked(looker, telling, progress, FailOn(arguments.fail_on), every)
    except ResolverFailsError as fails:
        return telling.resolver_fails(fails)
    finally:
        await looker.close()


async def _looked(
    looker: Looker, telling: Telling, progress: ProgressLines, fail_on: FailOn, every: float | None
) -> int:
    """Look, and say what was found; with `every`, look again after so many seconds. Raise ResolverFailsError."""
    policy, clock, store = telling.policy, looker.clock, Store()
    looks = planned.TwoLooks(looker, telling.plan) if telling.plan else None

    async def once() -> None:
        await looker.test_resolver(store)
        await looker.sweep(store, await looker.targets())

    with progress:
        whole = await finished(looks.run() if looks else once(), progress.tick)
    if not whole:
        made = looks.now if looks else store
        for key in [state.key for state in made if not state.last_run or state.check.concludes]:
            made.remove(key)  # what has not run, and what combines results of which some are missing
        telling.report(made, STOPPED, stopped=(progress.done, progress.total))
        return STOPPED
    if looks:
        change = difference(looks.now, looks.then, policy, clock.wall())
        code = exit_code_of_change(change) if fail_on is FailOn.NEW else None
        code = exit_code(looks.then, policy, clock.wall(), fail_on) if code is None else code
        telling.report(looks.then, code, change=change, unasked=looks.unasked())
        return code
    code = exit_code(store, policy, clock.wall(), fail_on)
    telling.report(store, code)
    if every is None or code is Exit.OK:
        return code
    say = partial(print, flush=True)
    whole = await finished(watch.until_well(looker, store, every, policy, fail_on, say))
    if not whole:
        telling.report(store, STOPPED)
    return Exit.OK if whole else STOPPED


def _watch_interval(arguments: argparse.Namespace) -> float | None:
    """Seconds; None without --watch. What stands behind the flag may be a target, which is put where it belongs."""
    if arguments.watch is None:
        return None
    every = watch.interval(arguments.watch)
    if every is None and not {".", ":"} & set(arguments.watch):
        raise ValueError(f"--watch: {printable(arguments.watch)!r} is no duration from 5s to 1d, such as 30s")
    if every is None:
        arguments.targets.insert(0, arguments.watch)
    return every or watch.USUAL


def _agree(arguments: argparse.Namespace, plan: PlannedRecords | None) -> None:
    """Raise ValueError for flags that contradict each other."""
    if arguments.watch is not None and plan:
        raise ValueError("--watch looks at DNS as it is, without --with and --without")
    if arguments.watch is not None and arguments.format != "text":
        raise ValueError(f"--watch prints text, not {arguments.format}")
    if plan and arguments.format == "ndjson":
        raise ValueError("--with and --without print text, json, junit or sarif, not ndjson")
    if arguments.fail_on == FailOn.NEW and not plan:
        raise ValueError("--fail-on new needs planned records: give --with FILE or --without NAME")


def _running(known: Catalogue, running: frozenset[str], arguments: argparse.Namespace) -> frozenset[str]:
    """The checks that run and that the flags choose. Raise ValueError for a name that is none."""
    only, skip = (_check_names(known, flag, getattr(arguments, flag)) for flag in ("only", "skip"))
    return (running & only if only else running) - skip


def _visits(known: Catalogue, arguments: argparse.Namespace) -> bool:
    """Do the flags leave a check that speaks to mail hosts?"""
    chosen = _running(known, frozenset(known.checks), arguments)
    return any(Door.SMTP in known.checks[it].doors for it in chosen)


def _excluded(checks: frozenset[str], arguments: argparse.Namespace) -> str:
    """How many checks the flags leave out; nothing if they leave out none."""
    flags = " and ".join(f"--{flag}" for flag in ("only", "skip") if getattr(arguments, flag))
    return f"{counted(len(checks), 'check')}, left out by {flags}." if checks and flags else ""


def _check_names(known: Catalogue, flag: str, given: Sequence[str]) -> frozenset[str]:
    wanted = [name for text in given for name in text.split(",")]
    for name in wanted:
        if name not in known.checks:
            raise ValueError(f"--{flag}: no check is called {printable(name)!r}; there are {', '.join(known.checks)}")
    return frozenset(wanted)


def _subject(words: Sequence[str], targets: Sequence[Target]) -> str:
    if 0 < len(words) <= MOST_NAMED:
        return " ".join(map(printable, words))
    kinds = (("domain", Domain), ("address", Address), ("mail host", MailHost))
    counts = ((name, sum(isinstance(it, kind) for it in targets)) for name, kind in kinds)
    return ", ".join(counted(count, name) for name, count in counts if count)


async def _check_recipients(arguments: argparse.Namespace, descriptor: int) -> int:
    if arguments.targets:
        raise ValueError("--recipients FILE cannot be combined with TARGET")
    said = {"--helo": arguments.helo, "--smtp.helo-name": arguments.helo_name}
    if told := [*DomainFlags.read(arguments).given(), *(flag for flag, value in said.items() if value is not None)]:
        raise ValueError(f"--recipients FILE cannot be combined with {told[0]}")
    if arguments.planned or arguments.without or arguments.watch is not None:
        raise ValueError("--recipients FILE cannot be combined with --with, --without and --watch")
    if arguments.format not in ("text", "json"):
        raise ValueError(f"--recipients prints text or json, not {arguments.format}")
    known, clock = catalogue.load(), SystemClock()
    settings = load_in_time(arguments.config, known) if arguments.config is not None else defaults(known)
    settings = clients.resolve_system_nameservers(asking(settings, arguments.resolver))
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
