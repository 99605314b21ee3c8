"""Who is in the fleet: its domains and sending addresses, and who sends for whom. It changes seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.check_state import CheckState, Key
from exporter.engine.problems import Affected
from exporter.facts import Labels
from exporter.targets import Address, Authorisation, Delivery, Domain, Greeting, KeyNamespace, Zone

BREATH = 1000  # states or addresses looked at before the loop may do other work


class SendingAddress(NamedTuple):
    """An address, the senders that use it, and the names that they say in HELO/EHLO from it."""

    senders: tuple[str, ...]
    names: tuple[str, ...]
    labels: Labels
    domains: frozenset[str]  # that it sends for


@dataclass(slots=True)
class _Gathered:
    senders: dict[str, None] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    labels: dict[tuple[str, str], None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Census:
    """`domains` are those of the configuration, with the labels of their owners."""

    affected: Affected
    domains: dict[str, Labels]
    addresses: dict[str, SendingAddress]
    deliveries: list[Key]  # the pairs that tell what receivers will say


async def take(states: Sequence[CheckState]) -> Census:
    """Look at all states, and let the loop do other work meanwhile."""
    made, gathered = Census(Affected(), {}, {}, []), dict[str, _Gathered]()
    for begin in range(0, len(states), BREATH):
        for state in states[begin : begin + BREATH]:
            _note(made, gathered, state)
        await asyncio.sleep(0)
    for count, (ip, it) in enumerate(gathered.items(), 1):
        domains = made.affected.sent_from(ip)
        made.addresses[ip] = SendingAddress(tuple(it.senders), tuple(it.names), tuple(it.labels), domains)
        if count % BREATH == 0:
            await asyncio.sleep(0)
    return made


def _note(made: Census, gathered: dict[str, _Gathered], state: CheckState) -> None:
    target = state.target
    if isinstance(target, Domain):  # first, because there are most of them
        made.domains[target.name] = target.labels
        if state.found:
            made.affected.add(state)
    elif isinstance(target, Authorisation):
        made.affected.add(state)
    elif isinstance(target, Greeting | Address):
        it = gathered.setdefault(str(target.ip), _Gathered())
        it.labels.update(dict.fromkeys(target.labels))
        if isinstance(target, Greeting):
            made.affected.add(state)
            it.senders[target.sender] = it.names[target.helo] = None
        else:
            it.names.update(dict.fromkeys(target.helo))
    elif isinstance(target, Zone):
        made.domains[target.name] = target.labels
    elif isinstance(target, KeyNamespace | Delivery):
        made.domains[target.domain] = target.labels
        if isinstance(target, Delivery):
            made.deliveries.append(state.key)
