"""The daemon, and the demonstration."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from functools import partial

from exporter import __version__, clients
from exporter.app import Daemon
from exporter.cli.arguments import PORT
from exporter.cli.exit_codes import Exit
from exporter.cli.run import fail, run
from exporter.clock import SystemClock
from exporter.config import ConfigError, load
from exporter.engine import catalogue

SELDOM = 10_000  # collections of the young to one of everything


def daemon(arguments: argparse.Namespace) -> int:
    if arguments.config is None:
        return fail("--config.file=FILE is needed (or one of the commands: check, explain, demo); see --help")
    known = catalogue.load()
    read = partial(load, arguments.config, known)
    if arguments.check:
        try:
            settings = read()
        except ConfigError as error:
            return fail(error)
        for warning in settings.warnings:
            print(f"warning: {warning}")
        print(f"{arguments.config}: good, {len(settings.targets)} targets")
        return Exit.OK
    daemon = Daemon(
        read, clients.open_clients, known, SystemClock(), state_path=arguments.storage, lifecycle=arguments.lifecycle
    )
    return run(_serve(daemon, arguments.listen or [(None, PORT)]))


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
    reloads: set[asyncio.Task[list[str]]] = set()

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
        return fail(error)
    gc.freeze()  # what the start made stays
    log.info("deliverability-exporter %s listens on %s", __version__, " ".join(daemon.web.addresses))
    ready()
    await ended.wait()
    log.info("stopping")
    await daemon.stop()
    return Exit.OK


def demo(arguments: argparse.Namespace) -> int:
    return run(_demo_served(arguments))


async def _demo_served(arguments: argparse.Namespace) -> int:
    from exporter.demo.world import PAUSE, DemoWorld  # noqa: PLC0415  (production never loads the demo)

    known, clock = catalogue.load(), SystemClock()
    async with DemoWorld(clock) as world:
        daemon = Daemon(
            lambda: world.settings(known),
            partial(clients.open_clients, dial=world.dial, authorities=world.authorities, pause=PAUSE),
            known,
            clock,
            lifecycle=arguments.lifecycle,
        )
        addresses = arguments.listen or [("127.0.0.1", PORT)]
        return await _serve(daemon, addresses, ready=lambda: print(world.told(daemon.web.addresses[0]), flush=True))
