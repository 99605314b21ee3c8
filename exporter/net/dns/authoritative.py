"""Asks one given server of a zone. resolver.py asks a resolver instead, which chooses the servers itself.

The problem: the addresses that we ask come from zones, and a zone may contain anything. It could send our questions
into our own network. And many zones share a server, which must not be asked too fast.

The rules:

- An address that is not public is not asked, and neither is one to which this machine has no route. Such a reply says
  why in `passed_over`; it says nothing about the server.
- A question asks for no recursion and for DNSSEC signatures (DO, RFC 4035 section 3.2.1). It leaves from a socket of
  its own, over UDP or TCP.
- PER_SERVER limits the questions a second to one address, PER_SECOND those to all servers together.
- A server that left SILENT questions in a row unanswered is waited for only a third of the time, until it answers. One
  question each PENALTY seconds waits for it as long as ever. Else a dead server of many zones holds up all other zones.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import partial

from exporter.clock import Clock
from exporter.facts import IP
from exporter.mail import names
from exporter.mail.dns import Question, ServerReply, Status
from exporter.mail.zone import serial_lt
from exporter.net.dns import wire
from exporter.net.dns.attempts import PENALTY, Attempts, UpstreamState
from exporter.net.dns.silence import ZoneSilences
from exporter.net.dns.upstream import Upstream
from exporter.net.interfaces import Dial, dial_direct
from exporter.net.rate_limit import TokenBucket
from exporter.net.shortage import no_route, shortage
from exporter.text import printable

PORT = 53
PER_SECOND = 500.0  # questions to all servers together
PER_SERVER = 100.0  # questions to one address: large hosters have tens of thousands of zones on each
PATIENCE = 30.0  # seconds a question waits until it may leave
SILENT = 8  # questions in a row
MOST_IN_FLIGHT = 128
MOST_KEPT = 10_000  # servers whose pace, and zones whose lag is remembered


class NoRouteError(OSError):
    """The address is not public, or this machine has no route to it. This says nothing about the server."""


@dataclass(frozen=True, slots=True)
class _Behind:
    serial: int  # that some server had and some other had not
    since: float  # monotonic


class Unanswered:
    """How many questions in a row a server has left unanswered over one transport."""

    __slots__ = ("_asked", "_unanswered")

    def __init__(self) -> None:
        self._unanswered = 0
        self._asked = float("-inf")  # when a question last got the whole time

    def patience(self, now: float, timeout: float) -> float:
        """The seconds that the next question may take."""
        if self._unanswered >= SILENT and now - self._asked < PENALTY:
            return timeout / 3
        self._asked = now
        return timeout

    def take(self, reply: ServerReply) -> None:
        """Only an answer ends it. What could not be sent, and a refused connection, say nothing."""
        if reply.status is Status.TIMEOUT:
            self._unanswered += 1
        elif reply.status not in (Status.NETWORK, Status.LOCAL_RESOURCES):
            self._unanswered = 0


class AuthoritativeClient:
    """One per daemon, because it limits the rate of all questions. Use it from one loop only.

    `dial` maps an address to the place to connect to. `timeout` is in seconds for one question, with all repetitions.
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
        self._quiet: dict[tuple[IP, bool], Unanswered] = {}  # by address, and whether over TCP
        self._slots = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._behind: dict[str, _Behind] = {}
        self.silences = ZoneSilences(clock)

    async def ask(self, server: IP, question: Question, *, tcp: bool = False) -> ServerReply:
        """The answer of this server. Whatever happens in DNS is in the result; nothing is raised for it."""
        try:
            query = wire.iterative_query(question)
        except ValueError as wrong:
            return ServerReply(question, Status.MALFORMED, detail=f"cannot be asked: {printable(wrong, 120)}")
        try:
            host, port = await self._way(server)
        except NoRouteError as wrong:
            return passed_over(question, str(wrong))
        except OSError as wrong:
            if short := shortage(wrong):
                return ServerReply(question, Status.LOCAL_RESOURCES, detail=f"{server} cannot be asked: {short}")
            return ServerReply(
                question, Status.NETWORK, detail=f"{server} cannot be reached: {wrong.strerror or wrong}"
            )
        latest = self._clock.monotonic() + PATIENCE
        if not await self._wait_for_slot(server, latest):
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

    def lag(self, who: str, serials: set[int], *, complete: bool = True) -> float:
        """For how many seconds a server of `who` has been behind the serial of another; 0 at first.

        Only if the serials are `complete`, equal ones prove that none is behind any more.
        """
        now = self._clock.monotonic()
        newest = next((s for s in serials if not any(serial_lt(s, other) for other in serials)), None)
        if (newest is None or len(serials) < 2) and not complete:
            return 0.0
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
        """Where to ask. Raise NoRouteError if the address must not be asked, OSError if it cannot be."""
        try:
            place = await self._dial(server, PORT)
            meaning = names.not_public(server)
            if meaning and place == (str(server), PORT):
                raise NoRouteError(f"{server} is no public address ({meaning}): not asked")
            family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(place)  # sends nothing
        except OSError as error:
            if no_route(error):
                raise NoRouteError(f"this machine has no route to {server}: not asked") from None
            raise
        return place

    async def _wait_for_slot(self, server: IP, latest: float) -> bool:
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
        """Count a repetition. It cannot wait, so later questions wait longer."""
        now = self._clock.monotonic()
        self._all.take(now)
        self._each.setdefault(server, TokenBucket(self._per_server)).take(now)

    async def _exchange(self, query: wire.Query, host: str, port: int, server: IP, *, tcp: bool) -> ServerReply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        upstream = Upstream(host, port)
        deadline = started + self._silence(server, tcp=tcp).patience(self._clock.monotonic(), self._timeout)
        attempts = Attempts(query, [UpstreamState(upstream)], deadline, tcp=tcp, charge=partial(self._charge, server))
        try:
            response = await attempts.run()
        finally:
            attempts.end()
            upstream.close()
        said = response.said
        detail = f"{server} {said.detail.removeprefix(f'{upstream.name} ')}" if said.detail else ""
        reply = ServerReply(
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
        self._silence(server, tcp=tcp).take(reply)
        return reply

    def _silence(self, server: IP, *, tcp: bool) -> Unanswered:
        known = self._quiet.pop((server, tcp), None) or Unanswered()
        self._quiet[server, tcp] = known
        if len(self._quiet) > MOST_KEPT:
            del self._quiet[next(iter(self._quiet))]
        return known


def _late(question: Question) -> ServerReply:
    return ServerReply(
        question, Status.RATE_LIMITED, detail=f"our own rate limit has no room for it within {PATIENCE:g} s"
    )


def passed_over(question: Question, why: str) -> ServerReply:
    """The reply of a server that is not asked."""
    return ServerReply(question, Status.NETWORK, detail=why, passed_over=why)
