"""The second DNS door: asks a *given* server of a zone, where resolver.py asks a resolver for whatever is true.

Questions go out without recursion, with DO (RFC 4035 section 3.2.1), from a socket of their own, over UDP or TCP. Who
is asked is what a zone says, and a zone can say anything: an address that is not public is never contacted, nor one
to which this machine has no route. No server and nobody at all is asked faster than a pace allows.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import dataclass
from functools import partial

from exporter.clock import Clock
from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dns import Question, ServerReply, Status
from exporter.mail.zone import serial_lt
from exporter.net.dns import wire
from exporter.net.dns.attempts import Attempts, UpstreamState
from exporter.net.dns.upstream import Upstream
from exporter.net.interfaces import Dial, dial_direct
from exporter.net.rate_limit import TokenBucket
from exporter.text import printable

PORT = 53
PER_SECOND = 500.0  # questions to all servers together
PER_SERVER = 100.0  # questions to one address: large hosters have tens of thousands of zones on each
PATIENCE = 30.0  # seconds a question waits until it may leave
MOST_IN_FLIGHT = 128
MOST_KEPT = 10_000  # servers whose pace, and zones whose lag is remembered

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})


class NoRouteError(OSError):
    """Nobody is to be asked at the address, or this machine knows no way to it: nothing is said about the server."""


@dataclass(frozen=True, slots=True)
class _Behind:
    serial: int  # that some server had and some other had not
    since: float  # monotonic


class AuthoritativeClient:
    """The door, one for the whole daemon, for it keeps the pace. `dial` says where an address really is to be reached.

    `timeout` are seconds for one question, all repetitions included. Use from one loop only.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        dial: Dial = dial_direct,
        timeout: float = 5.0,
        per_second: float = PER_SECOND,
        per_server: float = PER_SERVER,
    ) -> None:
        self._clock = clock
        self._dial = dial
        self._timeout = timeout
        self._per_server = per_server
        self._all = TokenBucket(per_second)
        self._each: dict[IP, TokenBucket] = {}
        self._slots = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._behind: dict[str, _Behind] = {}

    async def ask(self, server: IP, question: Question, *, tcp: bool = False) -> ServerReply:
        """What the server itself says. Never raises for what happens in DNS."""
        try:
            query = wire.iterative_query(question)
        except ValueError as wrong:
            return ServerReply(question, Status.MALFORMED, detail=f"cannot be asked: {printable(wrong, 120)}")
        try:
            host, port = await self._way(server)
        except NoRouteError as wrong:
            return passed_over(question, str(wrong))
        except OSError as wrong:
            ours = wrong.errno in _NO_FILES
            detail = f"{server} cannot be reached: {wrong.strerror or wrong}"
            return ServerReply(question, Status.RATE_LIMITED if ours else Status.NETWORK, detail=detail)
        latest = self._clock.monotonic() + PATIENCE
        if not await self._turn(server, latest):
            return _late(question)
        try:
            async with asyncio.timeout(PATIENCE if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError:
            return _late(question)
        try:
            return await self._exchange(query, host, port, server, tcp=tcp)
        finally:
            self._slots.release()

    def lag(self, who: str, serials: set[int]) -> float:
        """Seconds for which some server of `who` has been behind a serial that another one had; 0 at first sight."""
        now = self._clock.monotonic()
        newest = next((s for s in serials if not any(serial_lt(s, other) for other in serials)), None)
        known = self._behind.pop(who, None)
        if newest is None or len(serials) < 2:
            return 0.0
        if known is None or not any(serial_lt(serial, known.serial) for serial in serials):
            known = _Behind(newest, now)
        self._behind[who] = known
        if len(self._behind) > MOST_KEPT:
            del self._behind[next(iter(self._behind))]
        return now - known.since

    async def _way(self, server: IP) -> tuple[str, int]:
        """Where to ask; raise NoRouteError where nobody is to be asked, OSError where nobody can be."""
        try:
            place = await self._dial(server, PORT)
            meaning = names.not_public(server)
            if meaning and place == (str(server), PORT):
                raise NoRouteError(f"{server} is no public address ({meaning}): not asked")
            family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(place)  # sends nothing
        except OSError as error:
            if error.errno in _NO_ROUTE:
                raise NoRouteError(f"this machine has no route to {server}: not asked") from None
            raise
        return place

    async def _turn(self, server: IP, latest: float) -> bool:
        bucket = self._each.pop(server, None) or TokenBucket(self._per_server)
        self._each[server] = bucket
        if len(self._each) > MOST_KEPT:
            del self._each[next(iter(self._each))]
        for pace in (bucket, self._all):
            now = self._clock.monotonic()
            moment = pace.take(now, latest)
            if moment is None:
                return False
            if moment > now:
                await asyncio.sleep(moment - now)
        return True

    def _charge(self, server: IP) -> None:
        """Count a repetition, which cannot wait: later questions wait for it."""
        now = self._clock.monotonic()
        self._all.take(now)
        self._each.setdefault(server, TokenBucket(self._per_server)).take(now)

    async def _exchange(self, query: wire.Query, host: str, port: int, server: IP, *, tcp: bool) -> ServerReply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        upstream = Upstream(host, port)
        attempts = Attempts(
            query, [UpstreamState(upstream)], started + self._timeout, tcp=tcp, charge=partial(self._charge, server)
        )
        try:
            response = await attempts.run()
        finally:
            attempts.end()
            upstream.close()
        said = response.said
        detail = f"{server} {said.detail.removeprefix(f'{upstream.name} ')}" if said.detail else ""
        return ServerReply(
            question=query.question,
            status=said.status,
            records=said.records,
            chain=said.chain,
            ttl=said.ttl,
            extended_errors=said.extended_errors,
            server=str(server),
            transport=response.transport,
            seconds=loop.time() - started,
            detail=detail,
            authoritative=said.authoritative,
            referral=said.referral,
            signature=said.signature,
        )


def _late(question: Question) -> ServerReply:
    return ServerReply(question, Status.RATE_LIMITED, detail=f"our own pace has no room for it within {PATIENCE:g} s")


def passed_over(question: Question, why: str) -> ServerReply:
    """The reply of a server that is not asked."""
    return ServerReply(question, Status.NETWORK, detail=why, passed_over=why)
