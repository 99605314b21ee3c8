"""One look at everything that is configured: the clients that it needs, the resolver's test, and the sweep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from exporter import clients
from exporter.check_state import CheckState
from exporter.clients import OpenClients
from exporter.clock import Clock
from exporter.config import Settings
from exporter.engine.catalogue import Catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.facts import Doubt, Reason
from exporter.model import Target
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.interfaces import CheckStates, DnsClient
from exporter.targets import OwnResolver

SILENT = (Reason.NETWORK, Reason.DNS_TIMEOUT, Reason.DNS_REFUSED)  # what a resolver that is of no use says

Discover: TypeAlias = Callable[[Sequence[Target], DnsClient], Awaitable[list[Target]]]
Ended: TypeAlias = Callable[[CheckState, Net], None]


class ResolverFailsError(Exception):
    """The resolver answers nothing, not even its own test."""

    def __init__(self, doubt: Doubt) -> None:
        super().__init__(doubt.detail)


class Watcher(Protocol):
    """Is told how far a look is, and what it finds."""

    def begin(self, what: str) -> None: ...
    def show(self, done: int, total: int) -> None: ...
    def ended(self, state: CheckState, net: Net) -> None: ...


class Nobody:
    """A Watcher that tells nobody."""

    def begin(self, what: str) -> None:
        pass

    def show(self, done: int, total: int) -> None:
        pass

    def ended(self, state: CheckState, net: Net) -> None:
        pass


NOBODY = Nobody()


class Looker:
    """Looks at these targets with these checks. It opens clients, and `close` closes them.

    `discover` gets the targets once the resolver has passed its test, and returns those that are looked at.
    """

    def __init__(
        self,
        known: Catalogue,
        settings: Settings,
        enabled: frozenset[str],
        clock: Clock,
        watcher: Watcher = NOBODY,
        discover: Discover | None = None,
        open_clients: OpenClients = clients.open_clients,
    ) -> None:
        self.clients = open_clients(settings, DnsblClient(clock, patience=0.0), clock)
        self.settings = settings
        self.enabled = enabled
        self.clock = clock
        self._known = known
        self.watcher = watcher
        self._discover = discover
        self._eyes = [target for target in settings.targets if isinstance(target, OwnResolver)]

    async def close(self) -> None:
        await self.clients.close()

    async def test_resolver(self, store: Store) -> None:
        """Raise ResolverFailsError if the resolver answers nothing: then nothing can be told of anybody."""
        first = store if self.enabled.issuperset(self._known.looking_at(OwnResolver)) else Store()
        plan = Plan(self._known, self._eyes, self.settings.running.__contains__, first)
        for check, target in plan.configured():
            first.remove((check.id, target.key))  # looks of before prove nothing now
        ended = self.watcher.ended if first is store else NOBODY.ended
        await Sweep(plan, first, self.clients.net, self.clock, self.watcher.show, ended=ended).run()
        for state in first:
            if isinstance(state.target, OwnResolver) and state.doubt and state.doubt.reason in SILENT:
                raise ResolverFailsError(state.doubt)

    async def targets(self, dns: DnsClient | None = None) -> list[Target]:
        """What is looked at, apart from the resolver. `dns` is asked for what nobody has named."""
        others = [target for target in self.settings.targets if not isinstance(target, OwnResolver)]
        return await self._discover(others, dns or self.clients.dns) if self._discover else others

    async def sweep(
        self,
        store: Store,
        targets: Iterable[Target],
        *,
        net: Callable[[CheckStates], Net] | None = None,
        due: Callable[[CheckState], bool] = lambda _: True,
        ended: Ended | None = None,
    ) -> None:
        """Look. `due` says whether a check runs that the store has a result of. What is not found any more goes."""

        def both(state: CheckState, used: Net) -> None:
            if ended:
                ended(state, used)
            self.watcher.ended(state, used)

        plan = Plan(self._known, targets, self.enabled.__contains__, store)
        sweep = Sweep(plan, store, net or self.clients.net, self.clock, self.watcher.show, due=due, ended=both)
        await sweep.run()
        for key in [state.key for state in store if not isinstance(state.target, OwnResolver)]:
            if key not in sweep.reached:
                store.remove(key)


async def evaluated(
    known: Catalogue, settings: Settings, enabled: frozenset[str], clock: Clock, watcher: Watcher = NOBODY
) -> Store:
    """These checks of everything that is configured, once. The resolver comes first.

    Raise ResolverFailsError if it answers nothing.
    """
    looker, store = Looker(known, settings, enabled, clock, watcher), Store()
    try:
        await looker.test_resolver(store)
        await looker.sweep(store, await looker.targets())
        return store
    finally:
        await looker.close()
