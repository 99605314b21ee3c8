"""What the parts of exporter/net expect of each other, so that none of them has to know the other's kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from exporter.mail.dns import Question, Reply
from exporter.model import IP, CannotTell, Known

Dial: TypeAlias = Callable[[IP, int], Awaitable[tuple[str, int]]]  # where an address is really to be reached


async def dial_direct(ip: IP, port: int) -> tuple[str, int]:
    """The dial that leads where it says."""
    return str(ip), port


class DnsClient(Protocol):
    """A DNS resolver, or a zone in memory. It never raises for what happens in DNS.

    `fresh` passes the cache by, `tcp` asks over TCP alone.
    """

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply: ...


class HeldStates(Protocol):
    """What the other checks hold, to be read only."""

    def known(self, check: str, target: str) -> Known | None: ...


def believe(reply: Reply) -> Reply:
    """The reply, when it is conclusive; else raise CannotTell."""
    if not reply.status.conclusive:
        raise CannotTell(reply.status.reason, f"{reply.question}: {reply.detail or reply.status}")
    return reply
