"""The daemon in a small world, on a clock that jumps: `live` lets hours pass, and notes what was said meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from exporter import clients
from exporter.app import Daemon
from exporter.config import Nameserver, Settings, load
from exporter.demo.registry import Name
from exporter.demo.small_world import SmallWorld
from exporter.demo.website import WebServers
from exporter.facts import Severity
from exporter.files import Files
from exporter.mail import names
from exporter.model import Target
from exporter.publish.thresholds import Thresholds, seconds
from exporter.targets import ListHealth, OwnResolver
from tests.support.clock import FakeClock
from tests.support.weather import Weather, come_again, resolvers, way
from tests.support.web import answering
from tests.worlds.world import CATALOGUE, World

POLICY_HOST, POLICY_NAME = ip_address("185.12.42.80"), "mta-sts.acme-lab.com"  # of tests/worlds/sick
_ALERTS = Thresholds()
HOLD = {  # age of a confirmed finding at which its alert fires
    Severity.CRITICAL: seconds(_ALERTS.critical_after),
    Severity.WARNING: seconds(_ALERTS.warning_after),
}
STEP = 5.0  # seconds between two looks of the schedule, and of us
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

Found = tuple[str, str]  # a rule, and the first label of its target


def who(target: Target) -> str:
    return next((value for _, value in target.identity), "exporter")


@dataclass
class Diary:
    """What the daemon has said: how long each finding stood at most, and how often each doubt was the latest."""

    targets: dict[Found, float] = field(default_factory=dict)  # findings that fail, but for those in `ours`
    ours: dict[Found, float] = field(default_factory=dict)  # about the resolver and the lists
    pages: set[Found] = field(default_factory=set)  # of `targets`: confirmed, and old enough for an alert
    doubts: Counter[tuple[str, str]] = field(default_factory=Counter)  # check and reason


class Household:
    """Use it between `async with`. `weather` is between the daemon and the world; `daemon` is the one that runs.

    Two servers can stand in for others: `failing` answers 500 for the MTA-STS policy, `greylister` 450 to every EHLO.
    """

    def __init__(
        self, world: World, clock: FakeClock, seed: str, state: Path | None = None, *, cycle: float = DAY
    ) -> None:
        """`cycle` is the longest interval of any check, in seconds."""
        self.clock = clock
        self.weather = Weather(random.Random(seed))
        self.diary = Diary()
        self._world = world
        self._state = state
        self._cycle = timedelta(seconds=cycle)
        self._open = AsyncExitStack()
        self.settings: Settings | None = None
        self.daemon: Daemon | None = None

    async def __aenter__(self) -> Self:
        world, others = self._world, self._world.others
        registered = {names.registered(name): Name() for name in world.hosted}
        async with AsyncExitStack() as opening:
            small = SmallWorld(
                world.zone,
                others.mail_servers,
                registered | others.registrations,
                others.pages_at(self.clock.wall()),
                self.clock,
            )
            self.small = await opening.enter_async_context(small)
            self.failing = WebServers({POLICY_HOST: (POLICY_NAME, answering(500))}, self.clock.wall())
            opening.push_async_callback(self.failing.stop)
            await self.failing.start()
            self.greylister = await asyncio.start_server(come_again, "127.0.0.1", 0)
            opening.callback(self.greylister.close)
            stormy = await opening.enter_async_context(resolvers(small.zone, self.weather))
            self._dial = await opening.enter_async_context(way(self.small, self.weather))
            settings = load(world.config, CATALOGUE)
            self.settings = replace(
                settings,
                nameservers=tuple(Nameserver(*server.address) for server in stormy),
                intervals={check: min(every, self._cycle) for check, every in settings.intervals.items()},
            )
            self._open = opening.pop_all()
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()
        await self._open.aclose()

    async def begin(self) -> None:
        """Start the daemon. The test ticks its schedule: APScheduler knows no other clock than the machine's."""
        assert self.daemon is None
        assert self.settings
        opening = partial(
            clients.open_clients, dial=self._dial, authorities=self.small.authorities + self.failing.pem, pause=0.0
        )
        self.daemon = Daemon(self._load, opening, CATALOGUE, self.clock, state_path=self._state)
        await self.daemon.start([])
        self.daemon.schedule._scheduler.pause()

    async def end(self) -> None:
        if self.daemon:
            await self.daemon.stop()
            self.daemon = None

    def _load(self, _files: Files) -> Settings:
        assert self.settings
        return self.settings

    async def live(self, span: float, script: Callable[[float], Awaitable[None]] | None = None) -> Diary:
        """Let so much time pass. The script is told each few seconds how much has passed."""
        begin = self.clock.monotonic()
        looked = begin
        while (passed := self.clock.monotonic() - begin) < span:
            if script:
                await script(passed)
            assert self.daemon
            for check in {state.check.id for state in self.daemon.store}:
                self.daemon.schedule.tick(check)
            await asyncio.sleep(STEP)
            if self.clock.monotonic() - looked >= MINUTE:
                looked = self.clock.monotonic()
                self._note()
        return self.diary

    def _note(self) -> None:
        assert self.daemon
        now = self.clock.wall()
        for state in self.daemon.store:
            ours = isinstance(state.target, ListHealth | OwnResolver)
            for it in state.effective(self.daemon.exposition.policy, now):
                if it.fails:
                    key, age = (it.finding.id, who(state.target)), now - it.active.since
                    mine = self.diary.ours if ours else self.diary.targets
                    mine[key] = max(mine.get(key, 0.0), age)
                    told = it.active.confirmed and age >= HOLD[it.severity]
                    if told and not ours and not state.check.concludes:
                        self.diary.pages.add(key)
            if state.doubt:
                self.diary.doubts[state.check.id, state.doubt.reason] += 1

    def standing(self) -> set[str]:
        """All findings of whatever severity, as `RULE WHO`."""
        assert self.daemon
        return {f"{it.finding.id} {who(state.target)}" for state in self.daemon.store for it in state.findings}

    def unknown(self) -> set[str]:
        assert self.daemon
        return {f"{state.key[0]} {who(state.target)}: {state.doubt}" for state in self.daemon.store if state.doubt}
