"""The resolver behind Net: asks the configured nameservers over UDP and TCP and tells apart what they say.

One question has one deadline. Its attempts at the nameservers overlap: the next one is made after a share of the
time, or at once when one says that it cannot answer, and the first conclusive answer counts, whoever gives it.
Only when all have spoken, or time is up, is the question given up, with the reason that tells most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from exporter.mail.dns import Question, Reply, Status
from exporter.model import Clock, printable
from exporter.net import wire
from exporter.net.cache import Cache
from exporter.net.pace import Pace
from exporter.net.upstream import MistrustError, Traffic, Upstream

MOST_IN_FLIGHT = 128  # a server's socket buffer, of 208 KiB by default, holds fewer than 200 small datagrams
LEAST_ATTEMPTS = 3
PENALTY = 30.0  # seconds a silent nameserver is asked last
# Of several failures the one that says most is told; silence says least.
_TELLING = (Status.TRUNCATED, Status.MALFORMED, Status.SERVFAIL, Status.REFUSED, Status.TIMEOUT, Status.NETWORK)


def system_nameservers(path: Path = Path("/etc/resolv.conf")) -> tuple[tuple[str, int], ...]:
    """The system's nameservers; this host if none are named (resolv.conf(5)). Search lists never apply to mail.

    Raise OSError if the file cannot be read.
    """
    lines = (line.split() for line in path.read_text("utf-8", "replace").splitlines())
    found = tuple((words[1], 53) for words in lines if len(words) > 1 and words[0] == "nameserver")
    return found or (("127.0.0.1", 53),)


@dataclass(slots=True)
class Stats:
    """What the resolver did since it began."""

    nameservers: dict[str, Traffic] = field(default_factory=dict)
    cache_hits: int = 0


class Resolver:
    """Implements exporter.net.Asks. Use from one loop only, between `start` and `close`."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]],
        clock: Clock,
        *,
        timeout: float = 5.0,
        queries_per_second: float = 500.0,
        zones: Mapping[str, float] | None = None,
        patience: float = 30.0,
    ) -> None:
        """`timeout`: seconds for one question once it may leave; `patience`: seconds it waits for that.

        `zones`: questions a second under each zone. Raise ValueError for a nameserver that is no IP address,
        for none at all, and for a pace that is not above zero.
        """
        if not nameservers:
            raise ValueError("at least one nameserver is needed")
        self._clock = clock
        self._timeout = timeout
        self._patience = patience
        self._pace = Pace(clock, queries_per_second, zones)
        self._cache = Cache(clock)
        self._slots = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._servers = [_Server(Upstream(host, port)) for host, port in dict.fromkeys(nameservers)]
        self._asking: dict[Question, asyncio.Task[Reply]] = {}
        self._tasks: set[asyncio.Task[Reply]] = set()
        self._closed = False
        self.stats = Stats({server.upstream.name: server.upstream.traffic for server in self._servers})

    async def start(self) -> None:
        """Sockets are opened as they are needed: a network that is not there yet is no reason not to start."""
        self._closed = False

    async def close(self) -> None:
        """Give up what is being asked; whoever waits for it hears so."""
        self._closed = True
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            server.upstream.close()

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        """One answer for all who ask the same at the same time.

        `fresh` passes the cache by and shares with nobody who asked before; `tcp` asks over TCP alone. Never raises.
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

    def _forget(self, question: Question, task: asyncio.Task[Reply]) -> None:
        self._tasks.discard(task)
        if self._asking.get(question) is task:
            del self._asking[question]

    async def _resolve(self, question: Question, *, tcp: bool) -> Reply:
        try:
            query = wire.query(question)
        except ValueError as wrong:
            return Reply(question, Status.MALFORMED, detail=f"cannot be asked: {printable(wrong, 120)}")
        latest = self._clock.monotonic() + self._patience
        if not await self._pace.acquire(question, latest):
            return self._late(question)
        try:
            async with asyncio.timeout(max(0.0, latest - self._clock.monotonic()) if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError:
            return self._late(question)
        try:
            reply = await self._exchange(query, tcp=tcp)
        finally:
            self._slots.release()
        if reply.status.conclusive or not tcp:
            self._cache.put(reply)
        return reply

    def _late(self, question: Question) -> Reply:
        return Reply(
            question, Status.RATE_LIMITED, detail=f"our own pace has no room for it within {self._patience:g} s"
        )

    async def _exchange(self, query: wire.Query, *, tcp: bool) -> Reply:
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + self._timeout
        word = await self._race(query, self._ordered(started), deadline, tcp=tcp)
        if word.said.servfail:
            word = await self._why(query, word, deadline, tcp=tcp)
        said = word.said
        return Reply(
            question=query.question,
            status=said.status,
            records=said.records,
            chain=said.chain,
            ttl=said.ttl,
            authenticated=said.authenticated,
            extended_errors=said.extended_errors,
            server=word.server.upstream.name,
            transport=word.transport,
            seconds=loop.time() - started,
            detail=said.detail,
        )

    async def _why(self, query: wire.Query, word: _Word, deadline: float, *, tcp: bool) -> _Word:
        """A SERVFAIL that ends when checking is disabled is DNSSEC's (RFC 4035 section 5.5): bogus.

        Trouble that has passed in the meantime looks the same, so that without the resolver's own word for it
        (RFC 8914) the plain question must fail once more.
        """
        if asyncio.get_running_loop().time() >= deadline:
            return word
        unchecked = wire.query(query.question, checking_disabled=True)
        self._pace.charge(query.question)
        without = await self._race(unchecked, [word.server], deadline, tcp=tcp)
        if not without.said.status.conclusive:
            return word
        if not word.said.blames_dnssec:
            self._pace.charge(query.question)
            again = await self._race(query, [word.server], deadline, tcp=tcp)
            if again.said.status is not Status.SERVFAIL:
                return again if again.said.status.conclusive else word
        detail = f"{word.server.upstream.name} answers only when told not to check DNSSEC signatures"
        return word._replace(said=word.said._replace(status=Status.BOGUS, detail=detail))

    async def _race(self, query: wire.Query, servers: Sequence[_Server], deadline: float, *, tcp: bool) -> _Word:
        race = _Race(query, servers, deadline, tcp=tcp, charge=partial(self._pace.charge, query.question))
        try:
            return await race.run()
        finally:
            race.end()

    def _ordered(self, now: float) -> list[_Server]:
        """As configured, the silent ones last; each is given one question now and then to show that it is back."""
        first = [server for server in self._servers if server.takes(now)]
        return first + [server for server in self._servers if server not in first]


def _closed(question: Question) -> Reply:
    return Reply(question, Status.NETWORK, detail="the exporter is going down")


class _Server:
    """An upstream, and whether it has been silent of late."""

    __slots__ = ("_retry", "silent", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.silent = False
        self._retry = 0.0

    def takes(self, now: float) -> bool:
        if not self.silent:
            return True
        if now < self._retry:
            return False
        self._retry = now + PENALTY
        return True

    def fell_silent(self, now: float) -> None:
        self.silent = True
        self._retry = now + PENALTY


class _Word(NamedTuple):
    """What one nameserver said, or that it said nothing."""

    server: _Server
    transport: str
    said: wire.Decoded


@dataclass(slots=True, eq=False)
class _Attempt:
    server: _Server
    transport: str
    sent: float
    truncated: bool = False  # the answer over UDP was
    edns: bool = True
    withdraw: Callable[[], None] = lambda: None


class _Race:
    """One question, asked of several nameservers in turn until one of them answers."""

    def __init__(
        self,
        query: wire.Query,
        servers: Sequence[_Server],
        deadline: float,
        *,
        tcp: bool,
        charge: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._query = query
        self._deadline = deadline
        self._tcp = tcp
        self._charge = charge
        self._upcoming = deque([*servers, *[servers[0]] * max(1, LEAST_ATTEMPTS - len(servers))])
        self._share = (deadline - self._loop.time()) / len(self._upcoming)
        self._open: set[_Attempt] = set()
        self._words: dict[_Server, _Word] = {}
        self._heard: set[_Server] = set()
        self._arrived: deque[tuple[_Attempt, bytes | OSError | EOFError]] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._sent = 0

    async def run(self) -> _Word:
        following = self._loop.time()
        while True:
            now = self._loop.time()
            if self._arrived:
                word = self._hear(*self._arrived.popleft(), now)
                if word:
                    return word
            elif now >= self._deadline or not (self._open or self._upcoming):
                return self._last_word(now)
            elif self._upcoming and (now >= following or not self._open):
                server = self._upcoming.popleft()
                if server not in self._words or self._words[server].said.status is Status.NETWORK:
                    self._begin(server, now)
                    following = now + self._share
            else:
                await self._news(min(following, self._deadline) if self._upcoming else self._deadline)

    def end(self) -> None:
        """Withdraw what is still open. Who was silent for a share of the time is asked last for a while."""
        now = self._loop.time()
        for attempt in self._open:
            attempt.withdraw()
            if now - attempt.sent >= self._share or now >= self._deadline:
                attempt.server.upstream.traffic.responses[Status.TIMEOUT] += 1
                if attempt.server not in self._heard:
                    attempt.server.fell_silent(now)
        self._open.clear()

    def _begin(self, server: _Server, now: float, *, truncated: bool = False, edns: bool = True) -> None:
        if self._sent:
            self._charge()
        self._sent += 1
        upstream = server.upstream
        over_tcp = truncated or self._tcp or upstream.mistrusted
        attempt = _Attempt(server, "tcp" if over_tcp else "udp", now, truncated, edns)
        query = self._query if edns else wire.without_edns(self._query)
        self._open.add(attempt)
        if over_tcp:
            task = self._loop.create_task(self._stream(attempt, query))
            attempt.withdraw = task.cancel  # type: ignore[assignment]  # its result is of no interest
            return
        try:
            attempt.withdraw = upstream.send(query, partial(self._deliver, attempt))
        except OSError as error:
            self._deliver(attempt, error)

    async def _stream(self, attempt: _Attempt, query: wire.Query) -> None:
        try:
            self._deliver(attempt, await attempt.server.upstream.stream(query))
        except (OSError, EOFError) as error:
            self._deliver(attempt, error)

    def _deliver(self, attempt: _Attempt, what: bytes | OSError | EOFError) -> None:
        self._arrived.append((attempt, what))
        self._wake()

    def _wake(self) -> None:
        if self._waker and not self._waker.done():
            self._waker.set_result(None)

    async def _news(self, until: float) -> None:
        self._waker = self._loop.create_future()
        timer = self._loop.call_at(until, self._wake)
        try:
            await self._waker
        finally:
            timer.cancel()

    def _hear(self, attempt: _Attempt, what: bytes | OSError | EOFError, now: float) -> _Word | None:
        """The last word, if this is a conclusive one."""
        self._open.discard(attempt)
        server, traffic = attempt.server, attempt.server.upstream.traffic
        if isinstance(what, MistrustError):
            self._begin(server, now, edns=attempt.edns)
            return None
        if isinstance(what, bytes):
            said = wire.decode(what, self._query)
            server.silent = False
            self._heard.add(server)
            traffic.seconds.observe(now - attempt.sent)
        else:
            said = _unheard(attempt, what)
            server.fell_silent(now)
        traffic.responses[said.status] += 1
        word = _Word(server, attempt.transport, said)
        if said.status.conclusive:
            return word
        if said.status is Status.TRUNCATED and attempt.transport == "udp":
            self._begin(server, now, truncated=True, edns=attempt.edns)
        elif said.dislikes_edns and attempt.edns:
            self._begin(server, now, truncated=attempt.truncated, edns=False)
        else:
            self._words[server] = word
        return None

    def _last_word(self, now: float) -> _Word:
        for attempt in sorted(self._open, key=lambda attempt: attempt.sent):
            status = Status.TRUNCATED if attempt.truncated else Status.TIMEOUT
            what = "no whole answer" if attempt.truncated else "no answer"
            said = wire.Decoded(status, detail=f"gives {what} in {now - attempt.sent:.2g} s")
            known = self._words.get(attempt.server)
            if known is None or known.said.status is Status.NETWORK:
                self._words[attempt.server] = _Word(attempt.server, attempt.transport, said)
        words = sorted(self._words.values(), key=lambda word: _TELLING.index(word.said.status))
        told = "; ".join(f"{word.server.upstream.name} {word.said.detail}" for word in words)
        return words[0]._replace(said=words[0].said._replace(detail=told))


def _unheard(attempt: _Attempt, error: OSError | EOFError) -> wire.Decoded:
    said = "the connection ended early" if isinstance(error, EOFError) else (error.strerror or str(error))
    if attempt.truncated:
        return wire.Decoded(Status.TRUNCATED, detail=f"sends a truncated answer, and over TCP: {said}")
    return wire.Decoded(Status.NETWORK, detail=f"cannot be reached: {said}")
