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
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from exporter.clock import Clock
from exporter.facts import IP
from exporter.mail import names
from exporter.net.interfaces import Dial

K = TypeVar("K")
V = TypeVar("V")

PROOF_SECONDS = 3600.0  # at most client.SILENT_SECONDS: its docstring says why


class SlotTimeout(Exception):  # noqa: N818 (our own queue_timeout, nobody's error)
    """The slot of an address did not become free in time, because other runs of ours use it."""


@dataclass(slots=True)
class _Proof:
    """The two latest addresses that greeted us: one of them is always another address."""

    latest: tuple[IP, float] | None = None
    other: tuple[IP, float] | None = None


class EgressPaths:
    """One per daemon. `dial` maps an address to the place to connect to."""

    def __init__(self, clock: Clock, dial: Dial, *, at_once: int) -> None:
        self._clock = clock
        self._dial = dial
        self._at_once = asyncio.Semaphore(at_once)
        self._slots: WeakValueDictionary[tuple[IP, int], asyncio.Lock] = WeakValueDictionary()
        self._proofs: dict[tuple[int, int, bool], _Proof] = {}

    @asynccontextmanager
    async def slot(self, ip: IP, port: int, queue_timeout: float) -> AsyncIterator[None]:
        """Hold the slot of an address: no other run talks to it meanwhile. Raise SlotTimeout after `queue_timeout`.

        The wait for a place among all conversations is not counted, because it says nothing about the address.
        """
        lock = self._slots.setdefault((ip, port), asyncio.Lock())
        async with self._at_once, AsyncExitStack() as held:
            try:
                async with asyncio.timeout(queue_timeout):
                    await held.enter_async_context(lock)
            except TimeoutError:
                raise SlotTimeout(f"{ip} was busy with other questions of ours for {queue_timeout:g} s") from None
            yield

    async def closed(self, host: str, ip: IP, port: int, *, configured: bool) -> str:
        """Why we must not connect to this address of a host; empty if we may. A configured host may be private.

        Nobody is at an address for documentation, so a connection could only fail. Hosts of examples have such
        addresses rightly where `dial` leads elsewhere, as in the demonstration.
        """
        if names.documentation(ip):
            meaning: str | None = f"{ip} is an address for documentation, where nobody is"
        else:
            meaning = None if configured else names.not_public(ip)
            meaning = meaning and f"{ip} is no public address ({meaning}) and not one that the configuration names"
        if meaning and names.documentation(ip) and not names.is_example(host):
            return meaning
        if meaning:
            with suppress(OSError):  # connecting will tell it
                if await self._dial(ip, port) == (str(ip), port):
                    return meaning
        return ""

    def banner_seen(self, ip: IP, port: int) -> None:
        """Note that an address has greeted us: our way out to such addresses is open."""
        proof = self._proof(ip, port)
        if proof.latest and proof.latest[0] != ip:
            proof.other = proof.latest
        proof.latest = (ip, self._clock.monotonic())

    def proven(self, ip: IP, port: int) -> bool:
        """Has another address of the same kind greeted us lately?"""
        proof = self._proof(ip, port)
        seen = proof.other if proof.latest and proof.latest[0] == ip else proof.latest
        return seen is not None and self._clock.monotonic() - seen[1] <= PROOF_SECONDS

    def _proof(self, ip: IP, port: int) -> _Proof:
        return self._proofs.setdefault((ip.version, port, names.not_public(ip) is None), _Proof())


def nothing_answers(ip: IP, port: int) -> str:
    """What is known where nobody proves our way out: in the same words for every address, since the cause is one."""
    place, v = ("gmail-smtp-in.l.google.com" if port == 25 else "smtp.gmail.com"), ip.version
    return (
        f"nothing answers on port {port} from here over IPv{v}. Test it on this machine with "
        f"`nc -{v} -zvw 10 {place} {port}`. If that fails, the hoster or a firewall blocks the port"
    )


def forget(remembered: dict[K, V], old: Callable[[V], bool]) -> None:
    """Remove the old values. The oldest must come first."""
    while remembered and old(remembered[first := next(iter(remembered))]):
        del remembered[first]
