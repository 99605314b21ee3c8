"""Gives out the slots for conversations with mail hosts, and remembers whether our own way out is open.

The problem: a connection that times out may be the host's fault or ours. Many networks block port 25, or have no IPv6.

The idea: if another address has greeted us lately over the same IP version and port, our way out is open. Public and
private addresses are told apart, because they may go different ways.

The rules:

- A proof is good for PROOF_SECONDS. An address cannot prove its own way out, so the two latest addresses are kept.
- An address has one slot. The number of conversations at the same time is limited too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from exporter.clock import Clock
from exporter.facts import IP
from exporter.mail import names
from exporter.net.interfaces import Dial

K = TypeVar("K")
V = TypeVar("V")

PROOF_SECONDS = 3600.0  # never more than smtp.SILENT_SECONDS: the docstring there says why


class SlotTimeout(Exception):  # noqa: N818 (our own queue_timeout, nobody's error)
    """An address was busy with other questions of ours for too long."""


@dataclass(slots=True)
class _Proof:
    """The two latest addresses that greeted us, so that there is one besides any other."""

    latest: tuple[IP, float] | None = None
    other: tuple[IP, float] | None = None


class EgressPaths:
    """One for the daemon. `dial` says where an address is really to be reached."""

    def __init__(self, clock: Clock, dial: Dial, *, at_once: int) -> None:
        self._clock = clock
        self._dial = dial
        self._at_once = asyncio.Semaphore(at_once)
        self._slots: WeakValueDictionary[tuple[IP, int], asyncio.Lock] = WeakValueDictionary()
        self._proofs: dict[tuple[int, int, bool], _Proof] = {}

    @asynccontextmanager
    async def slot(self, ip: IP, port: int, queue_timeout: float) -> AsyncIterator[None]:
        """While it lasts nobody else of us talks to the address. Raise TurnNeverCame after so many seconds with it.

        The wait for a place among all of our conversations is not counted: it says nothing of the address.
        """
        lock = self._slots.setdefault((ip, port), asyncio.Lock())
        async with self._at_once, AsyncExitStack() as held:
            try:
                async with asyncio.timeout(queue_timeout):
                    await held.enter_async_context(lock)
            except TimeoutError:
                raise SlotTimeout(f"{ip} was busy with other questions of ours for {queue_timeout:g} s") from None
            yield

    async def closed(self, ip: IP, port: int) -> str:
        """Why an address that somebody else's DNS names is not one to connect to; empty if it is."""
        meaning = names.not_public(ip)
        if meaning and await self._dial(ip, port) == (str(ip), port):
            return f"{ip} is no public address ({meaning}) and not one that the configuration names"
        return ""

    def banner_seen(self, ip: IP, port: int) -> None:
        """Note that an address has said something: the way to its like is open."""
        proof = self._proof(ip, port)
        if proof.latest and proof.latest[0] != ip:
            proof.other = proof.latest
        proof.latest = (ip, self._clock.monotonic())

    def proven(self, ip: IP, port: int) -> bool:
        """Has another address like this one greeted us lately?"""
        proof = self._proof(ip, port)
        seen = proof.other if proof.latest and proof.latest[0] == ip else proof.latest
        return seen is not None and self._clock.monotonic() - seen[1] <= PROOF_SECONDS

    def _proof(self, ip: IP, port: int) -> _Proof:
        return self._proofs.setdefault((ip.version, port, names.not_public(ip) is None), _Proof())


def forget(remembered: dict[K, V], old: Callable[[V], bool]) -> None:
    """Drop the old ones from the front, where the oldest are."""
    while remembered and old(remembered[first := next(iter(remembered))]):
        del remembered[first]
