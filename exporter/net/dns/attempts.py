"""Asks one question of one or more nameservers, again and again, until one answers or the time is over.

The problem: datagrams get lost, and a nameserver may be slow, broken or down. To wait for one nameserver until its
timeout would use up the time that the next one needs.

The idea: the attempts overlap. Each gets a share of the time; when the share is over, the next attempt begins, and the
earlier ones may still be answered. If no attempt is open any more, the next begins at once.

The rules:

- The first conclusive answer counts, whoever gives it.
- A truncated answer over UDP is asked for again over TCP.
- If a nameserver does not understand EDNS, it is asked again without (RFC 6891 section 7).
- A nameserver that has given an inconclusive answer is not asked again. One that could not be reached is.
- If there is no conclusive answer, the result is the failure that says most (`_TELLING`). Its detail names them all.
- A question that this machine could not send, for lack of files or ports, says nothing about the nameserver.
- A nameserver that was silent for a share of the time is asked last for PENALTY seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from exporter.mail.dns import Status
from exporter.net.dns import wire
from exporter.net.dns.upstream import SuspectedSpoofingError, Upstream
from exporter.net.shortage import shortage

LEAST_ATTEMPTS = 3
PENALTY = 30.0  # seconds a silent nameserver is asked last
# Of several failures the one that says most is returned; silence says least.
_TELLING = (
    Status.LOCAL_RESOURCES,
    Status.TRUNCATED,
    Status.MALFORMED,
    Status.SERVFAIL,
    Status.REFUSED,
    Status.TIMEOUT,
    Status.NETWORK,
)
_NOT_REACHED = frozenset({Status.NETWORK, Status.LOCAL_RESOURCES})


class UpstreamState:
    """An upstream, and whether it was silent lately. Times are the loop's."""

    __slots__ = ("_since", "heard", "silent", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.silent = False
        self.heard = float("-inf")  # when it last answered
        self._since = 0.0  # when it fell silent, or was last tried since then

    def takes(self, now: float) -> bool:
        """May it be asked first? A silent one is tried with one question each PENALTY seconds."""
        if not self.silent:
            return True
        if now < self._since + PENALTY:
            return False
        self._since = now
        return True

    def fell_silent(self, now: float) -> None:
        self.silent = True
        self._since = now

    def silent_since(self, sent: float) -> bool:
        """Has it fallen silent after that time?"""
        return self.silent and sent < self._since

    def spoke(self, now: float, seconds: float) -> None:
        """It has answered, after so many seconds."""
        self.silent = False
        self.heard = now
        self.upstream.stats.seconds.observe(seconds)


def attempts_at(servers: int) -> int:
    """How many attempts one question has at so many nameservers. Each has an equal share of the time."""
    return servers + max(1, LEAST_ATTEMPTS - servers)


class Response(NamedTuple):
    """The answer of one nameserver, or why there is none."""

    server: UpstreamState
    transport: str
    said: wire.Decoded


@dataclass(slots=True, eq=False)
class _Attempt:
    server: UpstreamState
    transport: str
    sent: float
    truncated: bool = False  # the answer over UDP was
    edns: bool = True
    withdraw: Callable[[], None] = lambda: None


class Attempts:
    """One question, asked of several nameservers in turn until one of them answers."""

    def __init__(
        self,
        query: wire.Query,
        servers: Sequence[UpstreamState],
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
        self._upcoming = deque([*servers, *[servers[0]] * (attempts_at(len(servers)) - len(servers))])
        self._share = (deadline - self._loop.time()) / len(self._upcoming)
        self._next_at = self._loop.time()
        self._open: set[_Attempt] = set()
        self._responses: dict[UpstreamState, Response] = {}
        self._answered: set[UpstreamState] = set()
        self._arrived: deque[tuple[_Attempt, bytes | OSError | EOFError]] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._sent = 0

    def go_on(self, sent: float, withdraw: Callable[[], None]) -> Callable[[bytes | OSError], None]:
        """The first datagram was sent at that time by another. Return what takes its answer.

        If its nameserver is known to be silent, the next attempt begins at once.
        """
        server = self._upcoming.popleft()
        attempt = _Attempt(server, "udp", sent, withdraw=withdraw)
        self._share = (self._deadline - sent) / (1 + len(self._upcoming))
        self._next_at = sent if server.silent_since(sent) else sent + self._share
        self._sent = 1
        self._open.add(attempt)
        return partial(self._deliver, attempt)

    async def run(self) -> Response:
        while True:
            now = self._loop.time()
            if self._arrived:
                response = self._handle(*self._arrived.popleft(), now)
                if response:
                    return response
            elif now >= self._deadline or not (self._open or self._upcoming):
                return self._give_up(now)
            elif self._upcoming and (now >= self._next_at or not self._open):
                server = self._upcoming.popleft()
                if server not in self._responses or self._responses[server].said.status in _NOT_REACHED:
                    self._begin(server, now)
                    self._next_at = now + self._share
            else:
                await self._news(min(self._next_at, self._deadline) if self._upcoming else self._deadline)

    def end(self) -> None:
        """Withdraw the open attempts. A nameserver that was silent for a whole share is asked last for a while."""
        now = self._loop.time()
        for attempt in self._open:
            attempt.withdraw()
            if now - attempt.sent >= self._share or now >= self._deadline:
                attempt.server.upstream.stats.responses[Status.TIMEOUT] += 1
                if attempt.server not in self._answered:
                    attempt.server.fell_silent(now)
        self._open.clear()

    def _begin(self, server: UpstreamState, now: float, *, truncated: bool = False, edns: bool = True) -> None:
        if self._sent:
            self._charge()
        self._sent += 1
        upstream = server.upstream
        over_tcp = truncated or self._tcp or upstream.suspects_spoofing
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

    def _handle(self, attempt: _Attempt, what: bytes | OSError | EOFError, now: float) -> Response | None:
        """Handle what has arrived. Return it if it is conclusive."""
        self._open.discard(attempt)
        server, stats = attempt.server, attempt.server.upstream.stats
        if isinstance(what, SuspectedSpoofingError):
            self._begin(server, now, edns=attempt.edns)
            return None
        if isinstance(what, bytes):
            said = wire.decode(what, self._query)
            server.spoke(now, now - attempt.sent)
            self._answered.add(server)
        else:
            said = _unheard(attempt, what)
            if said.status is not Status.LOCAL_RESOURCES:
                server.fell_silent(now)
        stats.responses[said.status] += 1
        response = Response(server, attempt.transport, said)
        if said.status.conclusive:
            return response
        if said.status is Status.TRUNCATED and attempt.transport == "udp":
            self._begin(server, now, truncated=True, edns=attempt.edns)
        elif said.dislikes_edns and attempt.edns:
            self._begin(server, now, truncated=attempt.truncated, edns=False)
        else:
            self._responses[server] = response
        return None

    def _give_up(self, now: float) -> Response:
        for attempt in sorted(self._open, key=lambda attempt: attempt.sent):
            status = Status.TRUNCATED if attempt.truncated else Status.TIMEOUT
            what = "no whole answer" if attempt.truncated else "no answer"
            said = wire.Decoded(status, detail=f"gives {what} in {now - attempt.sent:.2g} s")
            known = self._responses.get(attempt.server)
            if known is None or known.said.status in _NOT_REACHED:
                self._responses[attempt.server] = Response(attempt.server, attempt.transport, said)
        if not self._responses:  # the loop was late, and the time was over before any question could leave
            return Response(self._upcoming[0], "udp", wire.Decoded(Status.TIMEOUT, detail="was not asked in time"))
        responses = sorted(self._responses.values(), key=lambda response: _TELLING.index(response.said.status))
        details = "; ".join(f"{response.server.upstream.name} {response.said.detail}" for response in responses)
        return responses[0]._replace(said=responses[0].said._replace(detail=details))


def _unheard(attempt: _Attempt, error: OSError | EOFError) -> wire.Decoded:
    if short := shortage(error, ipv4=attempt.server.upstream.version == 4):
        return wire.Decoded(Status.LOCAL_RESOURCES, detail=f"cannot be asked: {short}")
    said = "the connection ended early" if isinstance(error, EOFError) else (error.strerror or str(error))
    if attempt.truncated:
        return wire.Decoded(Status.TRUNCATED, detail=f"sends a truncated answer, and over TCP: {said}")
    return wire.Decoded(Status.NETWORK, detail=f"cannot be reached: {said}")
