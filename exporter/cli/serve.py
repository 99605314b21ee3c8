"""The daemon, and the demonstration."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import logging
import os
import resource
import signal
from collections.abc import Callable, Sequence
from functools import partial

from exporter import __version__, clients
from exporter.app import MEMORY_ONLY, Daemon
from exporter.cli.arguments import PORT
from exporter.cli.exit_codes import Exit
from exporter.cli.garbage import no_collections, short_collections
from exporter.cli.run import NO_CONFIG, fail, run
from exporter.clock import Clock, SystemClock
from exporter.config import ConfigError, load
from exporter.engine import catalogue
from exporter.engine.confirmations import quick_looks
from exporter.late import load_all
from exporter.systemd import STDERR, Heart, ServiceManager
from exporter.views.public import PublicAddress
from exporter.views.security import WebSecurity
from exporter.views.sockets import Place, from_systemd


def daemon(arguments: argparse.Namespace) -> int:
    if arguments.config is None:
        return fail(NO_CONFIG)
    known = catalogue.load()
    try:
        places = _places(arguments, [(None, PORT)])
    except OSError as error:
        return fail(error)
    if arguments.actions and arguments.storage is None:
        return fail("--web.enable-actions needs --storage.path=FILE: what people acknowledge must outlive a restart")
    if arguments.storage is None:
        logging.getLogger("exporter").warning("%s", MEMORY_ONLY)
    manager, clock = ServiceManager(os.environ), SystemClock()
    daemon = Daemon(
        lambda files: load(arguments.config, known, files),
        clients.open_clients,
        known,
        clock,
        state_path=arguments.storage,
        lifecycle=arguments.lifecycle,
        actions=arguments.actions,
        told=manager.tell,
        security=_security(arguments, clock),
        public=PublicAddress.of(arguments.external_url, arguments.route_prefix),
    )
    load_all()
    return run(_serve(daemon, manager, places))


def _places(arguments: argparse.Namespace, otherwise: list[Place]) -> list[Place]:
    """Where to listen. Raise OSError."""
    if not arguments.systemd:
        return arguments.listen or otherwise
    if arguments.listen:
        raise OSError("--web.systemd-socket and --web.listen-address exclude each other; give one")
    return from_systemd(os.environ, os.getpid())


def _security(arguments: argparse.Namespace, clock: Clock) -> WebSecurity:
    return WebSecurity(clock, arguments.web_config, health_without_auth=arguments.open_health)


def raise_file_limit() -> None:
    """As many files as the hard limit allows. The soft one is low for programs with select(2), which we do not use.

    Go's runtime does the same at each start, for the same reason.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some kernels refuse what they call unlimited
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(
    daemon: Daemon,
    manager: ServiceManager,
    places: Sequence[Place],
    ready: Callable[[], None] = lambda: None,
) -> int:
    log = logging.getLogger("exporter")
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    raise_file_limit()
    reloads: set[asyncio.Task[list[str]]] = set()

    def reload() -> None:
        task = loop.create_task(daemon.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    faulthandler.enable(STDERR)  # when the watchdog ends it with SIGABRT, the log says where it stood
    heart = loop.create_task(_beat(Heart(manager, lambda: daemon.schedule.alive)))
    try:
        with no_collections():
            started = await _started(daemon, places, ended)
        if started:
            log.info("deliverability-exporter %s listens on %s", __version__, " ".join(daemon.web.addresses))
            for warning in daemon.web.warnings:
                log.warning("%s", warning)
            manager.tell("READY=1", daemon.status)
            ready()
            with short_collections(lambda: daemon.web.rendering):
                await ended.wait()
    except (ConfigError, OSError) as error:
        await daemon.stop()
        return fail(error)
    else:
        log.info("stopping")
        manager.tell("STOPPING=1", "STATUS=Stopping")
        await daemon.stop()
        return Exit.OK
    finally:
        heart.cancel()


async def _started(daemon: Daemon, places: Sequence[Place], ended: asyncio.Event) -> bool:
    """Start. False if it was told to end before it was ready: a file may hang."""
    start = asyncio.ensure_future(daemon.start(places))
    end = asyncio.ensure_future(ended.wait())
    await asyncio.wait({start, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not start.done():
        start.cancel()
        await asyncio.wait({start})
        return False
    await start
    return True


async def _beat(heart: Heart) -> None:
    try:
        while True:
            heart.beat()
            await asyncio.sleep(heart.interval)
    finally:
        heart.stop()


def demo(arguments: argparse.Namespace) -> int:
    try:
        places = _places(arguments, [("127.0.0.1", PORT)])
    except OSError as error:
        return fail(error)
    load_all()
    return run(_demo_served(arguments, places))


async def _demo_served(arguments: argparse.Namespace, places: Sequence[Place]) -> int:
    from exporter.demo.world import PAUSE, DemoWorld  # noqa: PLC0415  (production never loads the demo)

    known, clock = catalogue.load(), SystemClock()
    public = PublicAddress.of(arguments.external_url, arguments.route_prefix, for_itself=True)
    async with DemoWorld(clock) as world:
        daemon = Daemon(
            lambda _files: world.settings(known),
            partial(clients.open_clients, dial=world.dial, authorities=world.authorities, pause=PAUSE),
            known,
            clock,
            lifecycle=arguments.lifecycle,
            looks=quick_looks,
            forgets="This is a demonstration. It keeps nothing when it ends.",
            security=_security(arguments, clock),
            public=public,
        )
        manager = ServiceManager(os.environ)
        return await _serve(
            daemon, manager, places, ready=lambda: print(world.told(public.url or daemon.web.addresses[0]), flush=True)
        )
