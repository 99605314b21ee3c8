"""The command line: the daemon, `check`, `explain`, `publish`, `demo`. `python -m exporter` is the same command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from exporter import __version__, app, publish
from exporter.app import Daemon
from exporter.cli import check as once
from exporter.cli import logs, recipients
from exporter.cli.arguments import PORT, parser
from exporter.cli.check import Exit
from exporter.config import SPEAKING, ConfigError, Nameserver, Settings, defaults, load
from exporter.config.values import nameserver
from exporter.engine import catalogue, discovery
from exporter.engine.catalogue import Catalogue
from exporter.engine.store import FindingPolicy, Store
from exporter.explain import diagnosis
from exporter.explain.refusals import Refusals
from exporter.explain.smtp_status import LONGEST
from exporter.mail import names
from exporter.model import Clock, SystemClock, printable
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.publish.thresholds import Thresholds
from exporter.targets import Delivery
from exporter.views import cards

_FINDING = re.compile(r"[a-z_]{1,40}\.[a-z0-9-]{1,80}")

T = TypeVar("T")
SELDOM = 10_000  # collections of the young to one of everything


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    if arguments.command != "check":
        logs.configure(arguments.log_level, arguments.log_format)
    try:
        code: int = _COMMANDS[arguments.command](arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read us had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def _fail(message: object) -> int:
    print(message, file=sys.stderr)
    return Exit.USAGE


def _publish(arguments: argparse.Namespace) -> int:
    try:
        given = Thresholds.read(arguments.thresholds) if arguments.thresholds else Thresholds()
        for path in publish.write(arguments.directory, catalogue.load(), given):
            print(path)
    except (OSError, ValueError) as error:
        return _fail(error)
    return Exit.OK


def _daemon(arguments: argparse.Namespace) -> int:
    if arguments.config is None:
        return _fail("--config.file=FILE is needed (or one of the commands: check, explain, demo); see --help")
    known = catalogue.load()
    read = partial(load, arguments.config, known)
    if arguments.check:
        try:
            settings = read()
        except ConfigError as error:
            return _fail(error)
        for warning in settings.warnings:
            print(f"warning: {warning}")
        print(f"{arguments.config}: good, {len(settings.targets)} targets")
        return Exit.OK
    daemon = Daemon(
        read, app.open_clients, known, SystemClock(), state_path=arguments.storage, lifecycle=arguments.lifecycle
    )
    return _run(_serve(daemon, arguments.listen or [(None, PORT)]))


def seldom_collect_all() -> None:
    """A collection of everything walks all that is held, and the loop stands still meanwhile: a second, in a fleet.

    What is held is made of no cycles, and those of a run die young: the smaller collections find them. What is left
    for this one, connections that asyncio has closed, is so little that hours of it may wait.
    """
    gc.set_threshold(*gc.get_threshold()[:2], SELDOM)


async def _serve(
    daemon: Daemon, addresses: list[tuple[str | None, int]], ready: Callable[[], None] = lambda: None
) -> int:
    log = logging.getLogger("exporter")
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    seldom_collect_all()
    reloads: set[asyncio.Task[Any]] = set()

    def reload() -> None:
        task = loop.create_task(daemon.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await daemon.start(addresses)
    except (ConfigError, OSError) as error:
        await daemon.stop()
        return _fail(error)
    gc.freeze()  # what the start made stays
    log.info("deliverability-exporter %s listens on %s", __version__, " ".join(daemon.web.addresses))
    ready()
    await ended.wait()
    log.info("stopping")
    await daemon.stop()
    return Exit.OK


def _run(main_: Coroutine[Any, Any, T]) -> T:
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415  (optional: faster where it installs)

        return uvloop.run(main_)
    return asyncio.run(main_)


def _check(arguments: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.ERROR)
    try:
        if arguments.recipients is None:
            return _run(_check_once(arguments))
        standard = arguments.recipients == "-"
        with open(0 if standard else arguments.recipients, "rb", buffering=0, closefd=not standard) as file:
            return _run(_check_recipients(arguments, file.fileno()))
    except BrokenPipeError:
        raise
    except (ConfigError, OSError, ValueError) as error:
        return _fail(error)


async def _check_once(arguments: argparse.Namespace) -> int:
    known, clock, notes = catalogue.load(), SystemClock(), []
    if arguments.config is not None:
        settings = load(arguments.config, known)
        targets = _chosen(settings, arguments.targets)
    elif arguments.targets:
        settings = defaults(known)
        targets = once.named(arguments.targets, arguments.helo, settings.blocklists)
    else:
        raise ValueError("name a domain or an address, or give --config.file=FILE")
    settings = _asking(settings, arguments)
    if arguments.helo_name is not None:
        settings = replace(settings, helo_name=_helo_name(arguments.helo_name))
    settings = app.resolve_system_nameservers(replace(settings, targets=tuple(targets)))
    if settings.helo_name is None:
        notes.append("no SMTP check was made: --smtp.helo-name NAME says what we are called")
    store = await _evaluated(known, settings, settings.running, clock)
    policy, now = FindingPolicy(settings.severities), clock.wall()
    if arguments.format == "json":
        print(once.as_json(store, policy, now, notes))
    else:
        once.as_text(store, policy, now, notes)
    return once.exit_code(store, policy, now)


async def _evaluated(known: Catalogue, settings: Settings, enabled: frozenset[str], clock: Clock) -> Store:
    """These checks of everything that is configured, once."""
    world = app.open_clients(settings, DnsblClient(clock), clock)
    bar = once.progress_bar(sys.stderr)
    row = bar.add_task("", total=None)
    try:
        with bar:
            return await once.run(
                known,
                settings.targets,
                enabled.__contains__,
                world.net,
                clock,
                progress=lambda done, total: bar.update(row, completed=done, total=total),
            )
    finally:
        await world.close()


async def _check_recipients(arguments: argparse.Namespace, descriptor: int) -> int:
    if arguments.targets:
        raise ValueError("--recipients FILE is looked at alone, without TARGET")
    known, clock = catalogue.load(), SystemClock()
    settings = load(arguments.config, known) if arguments.config is not None else defaults(known)
    settings = app.resolve_system_nameservers(_asking(settings, arguments))
    world = app.open_clients(settings, DnsblClient(clock), clock)
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


def _chosen(settings: Settings, words: Sequence[str]) -> list[Any]:
    if not words:
        return list(settings.targets)
    wanted = {word.strip().lower().removesuffix(".") for word in words}
    chosen = {t.key: t for t in settings.targets if wanted & {value for _, value in t.identity}}
    missing = wanted - {value for t in chosen.values() for _, value in t.identity}
    if missing:
        raise ValueError(f"not in the configuration: {', '.join(sorted(missing))}")
    # whether receivers take mail of a domain depends on its senders, too
    senders = {key for t in settings.targets if isinstance(t, Delivery) and t.key in chosen for key in t.rests_on}
    return [t for t in settings.targets if t.key in chosen or t.key in senders]


def _explain(arguments: argparse.Namespace) -> int:
    known = catalogue.load()
    standard = arguments.text == ["-"]
    text = sys.stdin.buffer.read(LONGEST).decode(errors="replace") if standard else " ".join(arguments.text)
    declared = known.rules.get(text)
    if declared is None and _FINDING.fullmatch(text):
        near = cards.nearest(text, known)
        if near or text.partition(".")[0] in known.checks:
            return _fail(f"no finding {text!r}{near and f'; did you mean {near}?'}")
    answer = Refusals(known).find(text)
    findings = (text,) if declared else answer.findings
    here: list[str] = []
    if arguments.config is not None and findings:
        try:
            here = _run(_here(known, load(arguments.config, known), findings, alone=not declared))
        except (ConfigError, OSError) as error:
            return _fail(error)
    if declared:
        print("\n".join([cards.runbook(declared), *(["", "Here and now:"] if here else []), *here]))
        return Exit.OK
    print(diagnosis.as_text(answer, here))
    return Exit.OK if answer.matches else Exit.WARNING


async def _here(known: Catalogue, settings: Settings, findings: Sequence[str], *, alone: bool) -> list[str]:
    """Whether one of the findings stands now; `alone`: by the checks that look for them, without all the others."""
    settings = app.resolve_system_nameservers(settings)
    wanted = settings.running
    if alone:
        wanted &= {finding.partition(".")[0] for finding in findings}
    if wanted & SPEAKING:
        wanted |= settings.enabled & {discovery.CHECK}  # it finds the mail hosts
    return diagnosis.verdicts(await _evaluated(known, settings, wanted, SystemClock()), findings)


def _demo(arguments: argparse.Namespace) -> int:
    return _run(_demo_served(arguments))


async def _demo_served(arguments: argparse.Namespace) -> int:
    from exporter.demo.world import PAUSE, DemoWorld  # noqa: PLC0415  (production never loads the demo)

    known, clock = catalogue.load(), SystemClock()
    async with DemoWorld(clock) as world:
        daemon = Daemon(
            lambda: world.settings(known),
            partial(app.open_clients, dial=world.dial, authorities=world.authorities, pause=PAUSE),
            known,
            clock,
            lifecycle=arguments.lifecycle,
        )
        addresses = arguments.listen or [("127.0.0.1", PORT)]
        return await _serve(daemon, addresses, ready=lambda: print(world.told(daemon.web.addresses[0]), flush=True))


_COMMANDS = {None: _daemon, "check": _check, "explain": _explain, "publish": _publish, "demo": _demo}

if __name__ == "__main__":
    sys.exit(main())
