"""Everything that is configured or named, evaluated once; then what was found on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from exporter.checks.mta_sts import mta_sts
from exporter.engine import discovery
from exporter.engine.catalogue import Catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.plan import Pair, pairs
from exporter.engine.store import Store
from exporter.model import Check, Clock, Target
from exporter.net import Net
from exporter.net.interfaces import HeldStates
from exporter.targets import (
    Delivery,
    MailHost,
)

AT_ONCE = 32
CONCERNED = frozenset({discovery.CHECK, mta_sts.id})  # checks of domains that rest on what was met at mail hosts


async def run(
    catalogue: Catalogue,
    targets: Sequence[Target],
    enabled: Callable[[str], bool],
    net: Callable[[HeldStates], Net],
    clock: Clock,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Evaluate everything once; `progress(done, total)` is called as runs end.

    Mail hosts that were found come second, then their domains once more, what is concluded from the others last.
    """
    store = Store()
    todo = pairs(catalogue, targets, enabled)
    for pair in todo:
        store.want(*pair)
    done = 0

    async def sweep(some: Sequence[Pair]) -> None:
        nonlocal done
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(check: Check, target: Target) -> None:
            nonlocal done
            async with slots:
                store.record(await evaluate(check, target, partial(net, store), clock))
            done += 1
            if progress:
                progress(done, len(todo))

        await asyncio.gather(*(one(*pair) for pair in some))

    last = [pair for pair in todo if isinstance(pair[1], Delivery)]
    await sweep([pair for pair in todo if not isinstance(pair[1], Delivery)])
    hosts = discovery.MailHosts(t for t in targets if isinstance(t, MailHost))
    for held in store:
        if held.check.id == discovery.CHECK:
            hosts.learn(held)
    late = [pair for pair in pairs(catalogue, hosts.all, enabled) if store.want(*pair)]
    todo = [*todo, *late]
    await sweep(late)
    # What was met at a mail host is news for the domains that lead to it.
    faulty = {(h.target.host, h.target.port) for h in store if isinstance(h.target, MailHost) and h.findings}
    domains = hosts.leading_to(faulty)
    again = [(check, target) for check, target in todo if check.id in CONCERNED and target.key in domains]
    todo = [*todo, *again]
    await sweep(again)
    await sweep(last)
    return store
