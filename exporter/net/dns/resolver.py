"""Asks the configured nameservers: the DNS client of all checks.

One question has one deadline. The attempts at the nameservers overlap, and the first conclusive answer counts:
attempts.py has the rules. What is added here:

- Equal questions at the same time share one answer, and answers are cached. Those of zones with a rate limit of their
  own, the blocklists, have places of their own, so that they displace nothing else.
- A rate limit applies to all questions together, and to each zone that has a limit of its own. MOST_IN_FLIGHT limits
  how many questions wait for an answer at the same time.
- Nearly every question is answered conclusively at once. So the first datagram is sent without a task, and one timer
  serves all. Attempts go on where there is no such answer within a share of the time.
- If a nameserver gives no answer to anybody for QUIET seconds, while QUIET_QUESTIONS wait for it for as long, all of
  them go on with the next nameserver at once. Else a dead one would hold all places in flight.
- SERVFAIL can mean that DNSSEC validation failed. The question is then asked again without validation; if that is
  answered, the status is `bogus`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from itertools import takewhile
from pathlib import Path
from typing import Any

from exporter.clock import Clock, Turns
from exporter.files import Files
from exporter.mail.dns import Question, Reply, Status
from exporter.net.dns import wire
from exporter.net.dns.attempts import Attempts, Response, UpstreamState, attempts_at
from exporter.net.dns.cache import Cache
from exporter.net.dns.flight import Flight
from exporter.net.dns.sweep import Settles, Sweeps
from exporter.net.dns.upstream import Upstream, UpstreamStats
from exporter.net.dns.window import Window
from exporter.net.rate_limit import RateLimiter, TokenBucket
from exporter.text import printable

LARGEST = 64 * 1024  # bytes of resolv.conf that are read
MOST_OF_ZONES = 2_000  # cached answers of zones with a rate limit of their own
QUIET = 0.25  # seconds
QUIET_QUESTIONS = 8
MOST_IN_FLIGHT = 128  # a server's socket buffer, of 208 KiB by default, holds fewer than 200 small datagrams


def system_nameservers(
    path: Path = Path("/etc/resolv.conf"), files: Files | None = None
) -> tuple[tuple[str, int], ...]:
    """The system's nameservers, or this host if none is named (resolv.conf(5)). Search lists are not used for mail.

    Raise OSError if the file cannot be read.
    """
    lines = (line.split() for line in (files or Files()).read(path, LARGEST).decode("utf-8", "replace").splitlines())
    named = (words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    found = tuple((host, 53) for host in named if _is_address(host))
    return found or (("127.0.0.1", 53),)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class ResolverStats:
    """What the resolver has done since it was made."""

    nameservers: dict[str, UpstreamStats] = field(default_factory=dict)
    cache_hits: int = 0


class Resolver:
    """The DnsClient of the daemon. Use it from one loop only, between `start` and `close`."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]],
        clock: Clock,
        *,
        timeout: float = 5.0,
        queries_per_second: float = 500.0,
        zones: Mapping[str, float] | None = None,
        queue_timeout: float = 30.0,
    ) -> None:
        """`queue_timeout`: seconds that a question may wait; `timeout`: seconds for it from then on.

        `zones`: questions a second for each zone. Raise ValueError if there is no nameserver, if one is not an IP
        address, or if a rate is not above zero.
        """
        if not nameservers:
            raise ValueError("at least one nameserver is needed")
        self._clock = clock
        self._timeout = timeout
        self._queue_timeout = queue_timeout
        self._limiter = RateLimiter(clock, queries_per_second, zones)
        self._turns = Turns(clock)
        self._caches = self._new_caches()
        self._slots = Window(MOST_IN_FLIGHT)
        self._servers = [UpstreamState(Upstream(host, port)) for host, port in dict.fromkeys(nameservers)]
        self._sweeps = Sweeps(
            self._servers, self._limiter, self._slots, clock, timeout=timeout, queue_timeout=queue_timeout
        )
        self._share = timeout / attempts_at(len(self._servers))
        self._asking: dict[Question, Flight] = {}
        self._flights: set[Flight] = set()
        self._unanswered: dict[Flight, None] = {}  # the first datagram has left; in that order
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.stats = ResolverStats({server.upstream.name: server.upstream.stats for server in self._servers})

    async def start(self) -> None:
        """Sockets are opened when they are needed, so the exporter can start before the network is up."""
        self._closed = False

    async def close(self) -> None:
        """Cancel all questions. Those who wait get a reply that says so."""
        self._closed = True
        for flight in [*self._flights]:
            self._end(flight, _closed(flight.question))
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sweeps.close()
        for server in self._servers:
            server.upstream.close()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        """Ask. Equal questions at the same time get the same answer. Never raises.

        `fresh` does not use the cache or a question that is under way. `tcp` asks over TCP only.
        """
        if self._closed:
            return _closed(question)
        flight = None
        if not (fresh or tcp):
            for cache in self._caches:
                if kept := cache.get(question):
                    self.stats.cache_hits += 1
                    return kept
            flight = self._asking.get(question)
        if flight is None:
            try:
                query = wire.query(question)
            except ValueError as wrong:
                return Reply(question, Status.MALFORMED, detail=f"cannot be asked: {printable(wrong, 120)}")
            flight = Flight(question, query, self._clock.monotonic() + self._queue_timeout, tcp=tcp)
            self._flights.add(flight)
            if not tcp:
                self._asking[question] = flight
            self._step(flight, self._wait_for_zone)
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        flight.waiting.append(waiting)
        if flight.outcome is not None:  # it never left
            flight.tell()
        reply = await waiting
        await self._turns.wait()
        return reply

    async def sweep(self, queries: Sequence[wire.Query], settles: Settles, zones: Sequence[str] = ()) -> list[int]:
        """Ask many questions past the cache, and return the places of those that `ask` must answer: sweep.py."""
        if self._closed:
            return [*range(len(queries))]
        left = await self._sweeps.sweep(queries, settles, zones)
        await self._turns.wait()
        return left

    def forget_answers(self) -> None:
        """Ask everything anew: what was answered so far cannot be believed, nor what is asked just now."""
        self._caches = self._new_caches()
        self._asking.clear()

    def change_rates(self, queries_per_second: float, zones: Mapping[str, float]) -> None:
        """Other rate limits from now on. Nothing that waits or is cached is lost."""
        self._limiter.change(queries_per_second, zones)

    def _new_caches(self) -> tuple[Cache, Cache]:
        """For zones without a rate limit of their own, and for those with one."""
        return Cache(self._clock), Cache(self._clock, MOST_OF_ZONES)

    def _step(self, flight: Flight, step: Callable[..., None], *given: object) -> None:
        """Move a question on. Whoever asked gets what is raised, because nobody else would end the question."""
        try:
            step(flight, *given)
        except Exception as bug:  # noqa: BLE001  # see above
            self._end(flight, bug)

    def _wait_for_zone(self, flight: Flight) -> None:
        flight.zone = self._limiter.zone(flight.question.name)
        if flight.zone is None:
            self._wait_for_all(flight)
        else:
            self._wait(flight, flight.zone, self._wait_for_all)

    def _wait_for_all(self, flight: Flight) -> None:
        self._wait(flight, self._limiter.everything, self._wait_for_place)

    def _wait(self, flight: Flight, bucket: TokenBucket, then: Callable[[Flight], None]) -> None:
        """Go on at the question's moment, unless that is too late."""
        if flight.outcome is not None:
            return
        now = self._clock.monotonic()
        moment = bucket.take(now, flight.latest)
        if moment is None:
            self._end(flight, self._late(flight.question))
        elif moment > now:
            asyncio.get_running_loop().call_later(moment - now, self._step, flight, then)
        else:
            then(flight)

    def _wait_for_place(self, flight: Flight) -> None:
        if flight.outcome is not None:
            return
        if self._slots.take():
            self._send(flight)
        else:
            self._in_task(flight, self._send_in_turn(flight))

    async def _send_in_turn(self, flight: Flight) -> None:
        try:
            async with asyncio.timeout(max(0.0, flight.latest - self._clock.monotonic())):
                await self._slots.acquire()
        except TimeoutError:
            self._end(flight, self._late(flight.question))
        else:
            self._send(flight)

    def _late(self, question: Question) -> Reply:
        return Reply(
            question,
            Status.RATE_LIMITED,
            detail=f"our own rate limit has no room for it within {self._queue_timeout:g} s",
        )

    def _send(self, flight: Flight) -> None:
        """Send the first datagram. The question has a place in flight from now on."""
        flight.placed, flight.cache = True, self._caches[flight.zone is not None]
        loop = asyncio.get_running_loop()
        flight.sent = now = loop.time()
        flight.servers = self._ordered(now)
        upstream = flight.servers[0].upstream
        if flight.tcp or self._timeout <= 0 or upstream.suspects(now):
            self._go_on(flight)
            return
        try:
            flight.withdraw = upstream.send(flight.query, partial(self._step, flight, self._arrived))
        except OSError:  # Attempts will see it, too
            self._go_on(flight)
            return
        self._unanswered[flight] = None
        if self._timer is None:
            self._timer = loop.call_at(now + min(QUIET, self._share), self._look)

    def _arrived(self, flight: Flight, what: bytes | OSError) -> None:
        if flight.deliver:
            flight.deliver(what)
            return
        if flight not in self._unanswered:  # it has ended meanwhile
            return
        del self._unanswered[flight]
        if isinstance(what, bytes) and (said := wire.decode(what, flight.query)).status.conclusive:
            server, now = flight.servers[0], asyncio.get_running_loop().time()
            server.spoke(now, now - flight.sent)
            server.upstream.stats.responses[said.status] += 1
            self._end(flight, self._kept(flight, Response(server, "udp", said)))
        else:
            self._go_on(flight, what)

    def _look(self) -> None:
        """Let go on as Attempts whose share of the time is over, or whose nameserver has fallen silent."""
        loop = asyncio.get_running_loop()
        now, self._timer = loop.time(), None
        if len(self._servers) > 1:
            self._look_for_the_dead(now)
        for flight in [*self._unanswered]:
            if flight.sent + self._share <= now or flight.servers[0].silent_since(flight.sent):
                del self._unanswered[flight]
                self._step(flight, self._go_on)
        first = next(iter(self._unanswered), None)
        if first:
            self._timer = loop.call_at(min(first.sent + self._share, now + QUIET), self._look)

    def _look_for_the_dead(self, now: float) -> None:
        for_long = takewhile(lambda flight: flight.sent <= now - QUIET, self._unanswered)
        for server, questions in Counter(flight.servers[0] for flight in for_long).items():
            others = [it for it in self._servers if it is not server and not it.silent]
            if others and questions >= QUIET_QUESTIONS and server.heard <= now - QUIET:
                server.fell_silent(now)

    def _go_on(self, flight: Flight, what: bytes | OSError | None = None) -> None:
        """Ask on in a task, with what has arrived for the first datagram, if it was sent."""
        attempts = self._attempts(flight.query, flight.servers, flight.sent + self._timeout, tcp=flight.tcp)
        if flight.withdraw:
            flight.deliver = attempts.go_on(flight.sent, flight.withdraw)
            if what is not None:
                flight.deliver(what)
        self._in_task(flight, self._ask_on(flight, attempts))

    async def _ask_on(self, flight: Flight, attempts: Attempts) -> None:
        response = await self._response(attempts)
        if response.said.servfail:
            response = await self._why(flight.query, response, flight.sent + self._timeout, tcp=flight.tcp)
        self._end(flight, self._kept(flight, response))

    def _in_task(self, flight: Flight, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (bug := task.exception()):
                self._end(flight, bug)

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    def _kept(self, flight: Flight, response: Response) -> Reply:
        said = response.said
        reply = Reply(
            question=flight.question,
            status=said.status,
            records=said.records,
            chain=said.chain,
            ttl=said.ttl,
            authenticated=said.authenticated,
            extended_errors=said.extended_errors,
            server=response.server.upstream.name,
            transport=response.transport,
            seconds=asyncio.get_running_loop().time() - flight.sent,
            detail=said.detail,
        )
        if flight.cache is not None and (reply.status.conclusive or not flight.tcp):
            flight.cache.put(reply)
        return reply

    def _end(self, flight: Flight, outcome: Reply | BaseException) -> None:
        """Tell all who wait. Only the first outcome counts."""
        if flight.outcome is not None:
            return
        flight.outcome = outcome
        self._flights.discard(flight)
        self._unanswered.pop(flight, None)
        if self._asking.get(flight.question) is flight:
            del self._asking[flight.question]
        if flight.placed:
            self._slots.release()
        flight.tell()

    async def _why(self, query: wire.Query, response: Response, deadline: float, *, tcp: bool) -> Response:
        """Find the cause of a SERVFAIL. If the question is answered with checking disabled, it is DNSSEC: bogus.

        (RFC 4035 section 5.5.) A failure that is over meanwhile looks the same. So unless the resolver itself blames
        DNSSEC (RFC 8914), the plain question must fail once more.
        """
        if asyncio.get_running_loop().time() >= deadline:
            return response
        unchecked = wire.query(query.question, checking_disabled=True)
        self._limiter.charge(query.question)
        without = await self._attempt(unchecked, [response.server], deadline, tcp=tcp)
        if not without.said.status.conclusive:
            return response
        if not response.said.blames_dnssec:
            self._limiter.charge(query.question)
            again = await self._attempt(query, [response.server], deadline, tcp=tcp)
            if again.said.status is not Status.SERVFAIL:
                return again if again.said.status.conclusive else response
        detail = f"{response.server.upstream.name} answers only without its check of DNSSEC signatures"
        return response._replace(said=response.said._replace(status=Status.BOGUS, detail=detail))

    async def _attempt(
        self, query: wire.Query, servers: Sequence[UpstreamState], deadline: float, *, tcp: bool
    ) -> Response:
        return await self._response(self._attempts(query, servers, deadline, tcp=tcp))

    def _attempts(self, query: wire.Query, servers: Sequence[UpstreamState], deadline: float, *, tcp: bool) -> Attempts:
        return Attempts(query, servers, deadline, tcp=tcp, charge=partial(self._limiter.charge, query.question))

    async def _response(self, attempts: Attempts) -> Response:
        try:
            return await attempts.run()
        finally:
            attempts.end()

    def _ordered(self, now: float) -> list[UpstreamState]:
        """The nameservers as configured, but silent ones last. Now and then a silent one is asked first again."""
        first = [server for server in self._servers if server.takes(now)]
        return first + [server for server in self._servers if server not in first]


def _closed(question: Question) -> Reply:
    return Reply(question, Status.NETWORK, detail="the exporter is going down")
