"""The daemon: builds all parts from one configuration, connects them, reloads them, and stops them in order.

This is the only module that knows all parts. The rules:

- A reload first reads the whole configuration and then puts it in force. If the configuration has a fault, nothing
  changes, and the old one stays in force.
- A reload keeps what is known of targets that stay. What is known of the others is put aside (departures.py).
- A reload makes new clients only if the new configuration needs them. The old clients close when no run uses them.
- Work over all targets goes in slices, so scrapes and runs continue meanwhile.
- A stop waits DRAIN seconds for the runs, cancels the rest, and writes what is queued. A cancelled run leaves no
  result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from exporter.check_state import CheckState, Key
from exporter.clients import Clients, OpenClients, RetiredClients, resolve_system_nameservers, sees_differently
from exporter.clock import Clock
from exporter.config import ConfigError, Settings, drops
from exporter.config.coming import ComingSettings, coming
from exporter.confirmation import Looks
from exporter.engine.actions import Actions
from exporter.engine.catalogue import Catalogue
from exporter.engine.chronicle import Chronicle
from exporter.engine.clock_steps import ClockSteps
from exporter.engine.confirmations import Confirmations, usual_looks
from exporter.engine.departures import Departures
from exporter.engine.plan import Pair, Plan
from exporter.engine.relations import relations
from exporter.engine.saved_anew import SavedAnew
from exporter.engine.saved_blocklists import SavedBlocklists
from exporter.engine.schedule import Job, Schedule
from exporter.engine.slices import in_slices
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.facts import Reason
from exporter.files import PATIENCE, Files, Reader
from exporter.model import Check
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.dnsbl.snapshot import readable
from exporter.runs import Runs
from exporter.views.banners import banners
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from exporter.views.public import PublicAddress
from exporter.views.security import WebSecurity
from exporter.views.sockets import Place
from exporter.views.web import Web, WebContext

log = logging.getLogger(__name__)

MEMORY_ONLY = "History is lost on restart. Start with --storage.path to keep it."
DRAIN = 1.0  # seconds that runs may take to end; with what the disk may take, the stop is over in less than 5


class Daemon:
    """The long-running exporter. `load` reads the configuration; `open_clients` makes the clients for the network."""

    def __init__(
        self,
        load: Callable[[Files], Settings],
        open_clients: OpenClients,
        catalogue: Catalogue,
        clock: Clock,
        *,
        state_path: Path | None = None,
        lifecycle: bool = False,
        actions: bool = False,
        security: WebSecurity | None = None,
        public: PublicAddress | None = None,
        patience: float = PATIENCE,
        told: Callable[..., None] = lambda *_lines: None,
        looks: Callable[[Check, float], Looks] = usual_looks,
        forgets: str = MEMORY_ONLY,
    ) -> None:
        """`patience`: seconds that a reload may take to decide. `told` gets the lines that a service manager reads.

        `forgets` is what the overview says if there is no state file.
        """
        self._forgets, self._acts = forgets, actions
        self._load = load
        self._reader = Reader(patience)
        self._told = told
        self._looks = looks
        self._open_clients = open_clients
        self._catalogue = catalogue
        self._clock = clock
        self._state_path = state_path
        self._state_file: StateFile | None = None
        self._settings: Settings | None = None
        self._clients: Clients | None = None
        self._blocklists = DnsblClient(clock)
        self._saved_blocklists = SavedBlocklists(self._blocklists, clock)
        self._security = security or WebSecurity(clock)
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[list[str]]] = set()
        self._catching_up: asyncio.Task[None] | None = None
        self._next_reload: asyncio.Task[list[str]] | None = None  # waits for the one that goes on
        self._retired = RetiredClients()
        self._reload_problems: list[str] = []
        self._forced = False  # the next reload may drop as much as it likes
        self._dropped: str | None = None  # that a start knows much less than the state file
        self._own = OwnHealth()
        self.store = Store()
        self.exposition = Exposition(catalogue, clock, limit=0, own=self._health)
        self._departures = Departures(clock, noted=lambda key: self.history.knows(key) or self.actions.knows(key))
        self._chronicle = Chronicle(clock)
        self.history = self._chronicle.history
        self.clock_steps = ClockSteps(self.store, self._departures, self.history, clock, self._changed)
        no_plan = Plan(catalogue, (), lambda _: False, self.store)
        self._runs = Runs(self.store, no_plan, clock, self._own, self._chronicle, self._changed, self._stood)
        self.schedule = Schedule(self._runs.run, clock, on_jump=self.clock_steps.jumped, prepare=self._runs.prepare)
        self._confirmations = Confirmations(
            self.store, self.schedule, catalogue, clock, self._changed, self._forget_answers
        )
        self.actions = Actions(self.store, self.schedule, catalogue, clock, self._changed, enabled=actions)
        self._runs.lead(self.schedule, self.actions, self._confirmations)
        self._keepers = (self._departures, self.history, self.actions)  # what else stands in the state file
        self._anew = SavedAnew(self.store, self._keepers, self._blocklists)
        self.web = Web(
            WebContext(
                store=self.store,
                exposition=self.exposition,
                catalogue=catalogue,
                clock=clock,
                alive=lambda: self.schedule.alive,
                notices=self._notices,
                reload=self.reload if lifecycle else None,
                security=self._security,
                public=public or PublicAddress(),
                history=self.history,
                actions=self.actions if actions else None,
            )
        )

    async def start(self, places: Sequence[Place]) -> None:
        """Load, restore, serve, schedule. If one of these fails, raise ConfigError or OSError that says what to do."""
        self._security.open()
        new = await self._read(thorough=True)
        if self._state_path:
            self._state_file = await StateFile.open(
                self._state_path,
                self._catalogue,
                sift=readable,
                save_all=lambda: self._anew.begin(self._state_file),
                wall=self._clock.wall,
            )
            for keeper in self._keepers:
                keeper.open(self._state_file)
        await self._swap(new)
        await self.web.start(places)
        self.schedule.start(after=self._catching_up)

    async def stop(self) -> None:
        """Wait DRAIN seconds for the runs, cancel the rest, and write what is queued."""
        await self.web.stop()
        await self.schedule.drain(DRAIN)
        more = [self._catching_up] if self._catching_up else []
        rest = (*self._retired.tasks, *self.clock_steps.tasks, *self._reloads, *more)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if self._clients:
            await self._clients.close()
        if self._state_file:
            await self._anew.ended()
            self._saved_blocklists.save(self._state_file, now=True)
            await self._state_file.close()

    async def reload(self, *, force: bool = False) -> list[str]:
        """Load a new configuration. If it has problems, return them and keep the old one; else return none.

        Whoever asks while one reload goes on shares the next one, which reads the files anew. `force`: it may drop
        more than `limits.reload_drop` says.
        """
        self._forced = self._forced or force
        if self._next_reload is None:
            self._next_reload = asyncio.get_running_loop().create_task(self._reload())
            self._reloads.add(self._next_reload)
            self._next_reload.add_done_callback(self._reloads.discard)
        return await asyncio.shield(self._next_reload)

    async def _reload(self) -> list[str]:
        async with self._reloading:
            self._next_reload, forced, self._forced = None, self._forced, False
            self._told("RELOADING=1", f"MONOTONIC_USEC={self._clock.monotonic() * 1e6:.0f}")
            if self._state_file:
                self._state_file.retry()  # whoever has made room says so with a reload
            try:
                new = await self._read()
            except (ConfigError, OSError) as error:
                self._refuse(str(error).splitlines())
                return self._reload_problems
            except Exception as error:
                log.exception("the configuration could not be read")
                self._refuse([f"a bug in the exporter: {type(error).__name__}; its log has the trace"])
                return self._reload_problems
            if not forced and new.refusal:
                self._refuse([new.refusal])
                return self._reload_problems
            await self._swap(new)
            log.info("configuration reloaded from %s", ", ".join(new.settings.files[:10]))
            self._told("READY=1", self.status)
            return []

    def _refuse(self, problems: list[str]) -> None:
        self._own.reload_ok = False
        self._reload_problems = problems
        for problem in problems:
            log.error("configuration not reloaded: %s", problem)
        self._told("READY=1", self.status)

    @property
    def status(self) -> str:
        """One line for the service manager."""
        if self._reload_problems:
            return f"STATUS=The configuration is wrong, and the old one is in force: {self._reload_problems[0]}"
        return f"STATUS=Looks at {len(self._current.targets)} targets, serves at {' '.join(self.web.addresses)}"

    @property
    def reading(self) -> bool:
        """Whether a thread still reads the configuration, wanted or not."""
        return self._reader.busy

    async def _read(self, *, thorough: bool = False) -> ComingSettings:
        """Read the configuration in a thread, because a large file takes seconds, and another one never comes."""

        def work(files: Files) -> ComingSettings:
            settings = resolve_system_nameservers(self._load(files), files)
            return coming(settings, self._settings, self._catalogue, self.store)

        return await self._reader.read(work, thorough=thorough)

    async def _swap(self, new: ComingSettings) -> None:
        """Put the new configuration in force. Nothing here can fail."""
        await self.exposition.catch_up()  # what it says now is shown meanwhile
        settings, clients, before = new.settings, self._clients, self._settings
        if clients is None or before is None or sees_differently(before, settings):
            if clients is not None:
                self._retired.add(clients, max(it.timeout for it in self._catalogue.checks.values()))
            clients = self._clients = self._open_clients(settings, self._blocklists, self._clock)
            self._runs.clients = clients
            self._runs.unchanged.forget_all()
        clients.adapt(settings)
        self._settings = settings
        anew = self.exposition.configure(settings)
        self._confirmations.policy = self.exposition.policy
        self._own.begin(settings.running)
        if before is None and self._state_file and (saved := self._state_file.recall_blocklists()) is not None:
            self._blocklists.restore(saved)
        await self._apply(new, anew=anew)
        async for _ in in_slices(self._blocklists.keep_only(settings.blocklists, new.subjects), 1):
            pass
        self.exposition.totals.release()
        self._catching_up = asyncio.get_running_loop().create_task(self.exposition.catch_up())
        self._own.config_hash = settings.digest
        self._own.reload_ok, self._own.reload_time = True, self._clock.wall()
        self._reload_problems = []
        for warning in settings.warnings:
            log.warning("%s", warning)

    async def _apply(self, new: ComingSettings, *, anew: bool) -> None:
        """Schedule exactly these targets and those that their runs have found. `anew`: write all their series again.

        It works in slices, so that scrapes and runs continue meanwhile.
        """
        left, gone = self.store.keys(), self.exposition.relations()
        stay = frozenset[int]() if anew else new.unchanged
        plan = self._runs.plan = new.plan  # in place first, because runs that end meanwhile must use it
        async for target in in_slices(new.settings.targets):
            for family, about, more in relations(target):
                if id(target) not in stay:
                    self.exposition.relate(family, about, *more)
                gone.discard((family, about.key))
            for pair in plan.configured([target]):
                key = pair[0].id, target.key
                if id(target) not in stay or not self.store.get(*key):
                    self._add(pair, anew=anew)
                left.discard(key)
                plan.learn(self.store[key])
        async for found in in_slices(plan.found):
            for pair in plan.found_pairs(found):
                left.discard(self._add(pair, anew=anew))
        async for key in in_slices(left):
            if not any(check.id == key[0] for check, _ in plan.found_pairs(key[1])):  # a run may have found it again
                if state := self.store.get(*key):  # or, before it leaves, others
                    self._learn(replace(state, found=()))
                self._remove(key)
        present = self.store.keys()
        self._dropped = drops.warning(*self._departures.settle(present), new.settings.reload_drop)
        known = present.union(self._departures)
        self.history.settle(known)
        self.actions.settle(known)
        if self._dropped:
            log.warning("%s", self._dropped)
        for key in gone:
            self.exposition.remove(key)

    def _add(self, pair: Pair, *, anew: bool = False) -> Key:
        check, target = pair
        interval, now = self._current.intervals[check.id].total_seconds(), self._clock.wall()
        news = self.store.hold(
            check, self.actions.applied(target), self._departures.recall, self._looks(check, interval)
        )
        state = self.store[check.id, target.key]
        pending = state.doubt is not None and state.doubt.reason is Reason.PENDING and not state.again
        fresh = now - state.last_run < interval and not state.ahead and not pending
        self.schedule.add(Job(check, target, interval, at_once=not fresh))
        self._confirmations.hold(state)
        if news or anew:
            self._chronicle.hold(state, self.exposition.policy)
        if news and (wait := state.next_look(self.exposition.policy)) is not None:
            self.schedule.look_again(state.key, state.last_run + wait - now)
        if news and state.again:  # a second look that was due before the restart
            self.schedule.look_again(state.key, state.again - now)
        if news or anew:
            self.exposition.owe(state)
        return state.key

    def _remove(self, key: Key) -> None:
        if state := self.store.get(*key):
            self._departures.leave(state)
        self.store.remove(key)
        self.schedule.remove(key)
        self.exposition.remove(key)
        self._chronicle.forget(key)
        self._confirmations.forget(key)
        self._runs.unchanged.forget(key)

    def _learn(self, state: CheckState) -> None:
        changes = self._runs.plan.learn(state)
        for pair in changes.added:
            self._add(pair)
        for pair in changes.removed:
            self._remove((pair[0].id, pair[1].key))

    def _forget_answers(self) -> None:
        if self._clients:
            self._clients.dns.forget_answers()
        self._runs.unchanged.forget_all()
        self._blocklists.test_again()

    def _changed(self, state: CheckState, before: CheckState | None = None) -> None:
        """Log, expose and save what is new of a pair, and take up the targets that it has found.

        If it says the same as `before`, only times are saved.
        """
        self._chronicle.take(state, self.exposition.policy)
        same = before is not None and state.tells_as(before)
        if same:
            self.exposition.ran(state)
        else:
            self.exposition.put(state)
        if self._state_file:
            self._state_file.save(state)
        if not same:
            self._learn(state)
        self._saved_blocklists.save(self._state_file)

    def _stood(self, state: CheckState, took: float) -> None:
        """Take in that a run of so many seconds has changed nothing of a pair but times."""
        self._chronicle.stood(state, self.exposition.policy, took)
        self.exposition.ran(state)
        if self._state_file:
            self._state_file.save(state, moved=True)

    @property
    def _current(self) -> Settings:
        if self._settings is None:
            raise RuntimeError("not started")
        return self._settings

    def _notices(self) -> list[str]:
        warnings = [*([self._dropped] if self._dropped else ()), *self.web.warnings]
        file, problems = self._state_file, self._security.problems
        return banners(self._reload_problems, problems, warnings, file, self._forgets, self._settings)

    def _health(self) -> OwnHealth:
        own = self._own
        own.state_configured = self._state_path is not None
        if file := self._state_file:
            own.state_writable, own.state_size, own.state_saved = file.writable, file.size, file.saved_at
        own.skipped, own.queued = self.schedule.skipped, self.schedule.queued
        own.loop_lag = self.schedule.lag.take()
        own.web_file_ok = not self._security.problems if self._security.configured else None
        own.web_refused, own.password_checks = self._security.refused, self._security.passwords.checks
        own.budgets = self._blocklists.budgets()
        own.dns = self._clients.dns.stats if self._clients else None
        own.http = self.web.stats
        own.actions = self.actions.done if self._acts else None
        return own
