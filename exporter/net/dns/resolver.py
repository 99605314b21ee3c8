"""Asks the configured nameservers: the DNS client of all checks.

One question has one deadline. The attempts at the nameservers overlap, and the first conclusive answer counts:
attempts.py has the rules. What is added here:

- Equal questions at the same time share one answer, and answers are cached.
- A rate limit applies to all questions together, and to each zone that has a limit of its own. MOST_IN_FLIGHT limits
  how many questions wait for an answer at the same time.
- SERVFAIL can mean that DNSSEC validation failed. The question is then asked again without validation; if that is
  answered, the status is `bogus`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from exporter.clock import Clock
from exporter.files import Files
from exporter.mail.dns import Question, Reply, Status
from exporter.net.dns import wire
from exporter.net.dns.attempts import Attempts, Response, UpstreamState
from exporter.net.dns.cache import Cache
from exporter.net.dns.sweep import Settles, Sweeps
from exporter.net.dns.upstream import Upstream, UpstreamStats
from exporter.net.dns.window import Window
from exporter.net.rate_limit import RateLimiter
from exporter.text import printable

LARGEST = 64 * 1024  # bytes of resolv.conf that are read
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
        self._cache = Cache(clock)
        self._slots = Window(MOST_IN_FLIGHT)
        self._servers = [UpstreamState(Upstream(host, port)) for host, port in dict.fromkeys(nameservers)]
        self._sweeps = Sweeps(
            self._servers, self._limiter, self._slots, clock, timeout=timeout, queue_timeout=queue_timeout
        )
        self._asking: dict[Question, asyncio.Task[Reply]] = {}
        self._tasks: set[asyncio.Task[Reply]] = set()
        self._closed = False
        self.stats = ResolverStats({server.upstream.name: server.upstream.stats for server in self._servers})

    async def start(self) -> None:
        """Sockets are opened when they are needed, so the exporter can start before the network is up."""
        self._closed = False

    async def close(self) -> None:
        """Cancel all questions. Those who wait get a reply that says so."""
        self._closed = True
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sweeps.close()
        for server in self._servers:
            server.upstream.close()

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        """Ask. Equal questions at the same time get the same answer. Never raises.

        `fresh` does not use the cache or a question that is under way. `tcp` asks over TCP only.
        """
        if self._closed:
            return _closed(question)
        task = None
        if not (fresh or tcp):
            kept = self._cache.get(question)
            if kept is not None:
                self.stats.cache_hits += 1
                return kept
            task = self._asking.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._resolve(question, tcp=tcp))
            self._tasks.add(task)
            if not tcp:
                self._asking[question] = task
            task.add_done_callback(partial(self._forget, question))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if task.cancelled() and not (me and me.cancelling()):
                return _closed(question)
            raise

    async def sweep(self, queries: Sequence[wire.Query], settles: Settles, zones: Sequence[str] = ()) -> list[int]:
        """Ask many questions past the cache, and return the places of those that `ask` must answer: sweep.py."""
        return [*range(len(queries))] if self._closed else await self._sweeps.sweep(queries, settles, zones)

    def forget_answers(self) -> None:
        """Ask everything anew: what was answered so far cannot be believed, nor what is asked just now."""
        self._cache = Cache(self._clock)
        self._asking.clear()

    def _forget(self, question: Question, task: asyncio.Task[Reply]) -> None:
        self._tasks.discard(task)
        if self._asking.get(question) is task:
            del self._asking[question]

    async def _resolve(self, question: Question, *, tcp: bool) -> Reply:
        try:
            query = wire.query(question)
        except ValueError as wrong:
            return Reply(question, Status.MALFORMED, detail=f"cannot be asked: {printable(wrong, 120)}")
        latest = self._clock.monotonic() + self._queue_timeout
        if not await self._limiter.acquire(question, latest):
            return self._late(question)
        try:
            async with asyncio.timeout(max(0.0, latest - self._clock.monotonic()) if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError:
            return self._late(question)
        cache = self._cache
        try:
            reply = await self._exchange(query, tcp=tcp)
        finally:
            self._slots.release()
        if reply.status.conclusive or not tcp:
            cache.put(reply)
        return reply

    def _late(self, question: Question) -> Reply:
        return Reply(
            question,
            Status.RATE_LIMITED,
            detail=f"our own rate limit has no room for it within {self._queue_timeout:g} s",
        )

    async def _exchange(self, query: wire.Query, *, tcp: bool) -> Reply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + self._timeout
        response = await self._attempt(query, self._ordered(started), deadline, tcp=tcp)
        if response.said.servfail:
            response = await self._why(query, response, deadline, tcp=tcp)
        said = response.said
        return Reply(
            question=query.question,
            status=said.status,
            records=said.records,
            chain=said.chain,
            ttl=said.ttl,
            authenticated=said.authenticated,
            extended_errors=said.extended_errors,
            server=response.server.upstream.name,
            transport=response.transport,
            seconds=loop.time() - started,
            detail=said.detail,
        )

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
        attempts = Attempts(query, servers, deadline, tcp=tcp, charge=partial(self._limiter.charge, query.question))
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
