"""The interfaces between the parts of exporter/net, so that none of them has to import another's class."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from exporter.check_state import CheckState
from exporter.facts import IP, CannotTell
from exporter.mail.dns import Question, Reply
from exporter.net.transcript import Transcript

if TYPE_CHECKING:  # who only asks one question at a time needs no wire format
    from exporter.net.dns.wire import Query

Dial: TypeAlias = Callable[[IP, int], Awaitable[tuple[str, int]]]  # where an address is really to be reached


async def dial_direct(ip: IP, port: int) -> tuple[str, int]:
    """Connect to the address itself."""
    return str(ip), port


class DnsClient(Protocol):
    """A DNS resolver, or a zone in memory. It never raises for what happens in DNS.

    `fresh` does not use the cache, `tcp` asks over TCP only.
    """

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply: ...


class Sweeper(Protocol):
    """Asks many questions at once. The places of those are returned that `settles` did not settle: ask them singly."""

    async def sweep(
        self, queries: Sequence[Query], settles: Callable[[int, bytes], bool], zones: Sequence[str] = ()
    ) -> list[int]: ...


class Asker(Protocol):
    """Asks DNS for one run, and writes down each question. What is swept, the asker writes down by itself."""

    @property
    def transcript(self) -> Transcript: ...

    @property
    def sweeper(self) -> Sweeper | None: ...

    async def query(
        self,
        name: str,
        rdtype: str,
        *,
        fresh: bool = False,
        tcp: bool = False,
        hide: Callable[[str], str] | None = None,
    ) -> Reply: ...


class CheckStates(Protocol):
    """The results of all checks, read only."""

    def get(self, check: str, target: str) -> CheckState | None: ...


def believe(reply: Reply) -> Reply:
    """The reply, if it is conclusive; else raise CannotTell."""
    if reply.doubt:
        raise CannotTell(reply.doubt.reason, reply.doubt.detail)
    return reply
