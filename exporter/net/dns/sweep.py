"""Asks many questions at once, and hands their answers to one judge: for those who know what they expect to hear.

The problem: 60 blocklists say "no" about nearly every address. A task, a timer and a wake-up of the loop for each
question cost ten times as much as the question.

The idea: the sweep is the unit, not the question. All sweeps share sockets that nobody watches. A tick drains them,
shows each answer to its sweep, and sends what may leave. The rest takes the present path, `Resolver.ask`: a sweep
saves work, and decides nothing that the present path would decide otherwise.

The rules:

- `settles` sees an answer only if its socket, its id and its question are right, octet by octet; if it is not
  truncated; and if it says NOERROR or NXDOMAIN. What `settles` refuses is left, and so is all that gets no such answer.
- While somebody guesses at one nameserver (upstream.py), nothing is settled there. The present path asks over TCP.
- Each question goes to the first nameserver that is not silent. Now and then one question probes a silent one. If all
  are silent, everything is left at once.
- A question is left after PATIENCE, or a third of the timeout. After SILENT of them, without any answer of that
  nameserver since the first of them left, it is silent.
- The rate limits are those of all questions. Only AHEAD questions have a reserved moment, so that others need not wait
  behind whole sweeps. SPARE places of the window of questions in flight are not for sweeps.
- A question that cannot leave within `queue_timeout` is left; the present path then says so.
- A tick handles at most AT_ONCE datagrams in each direction; then the loop breathes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from exporter.clock import Clock
from exporter.mail.dns import Status
from exporter.net.dns import wire
from exporter.net.dns.attempts import UpstreamState
from exporter.net.dns.upstream import AT_ONCE, SuspectedSpoofingError
from exporter.net.dns.window import Window
from exporter.net.rate_limit import RateLimiter
from exporter.net.shortage import shortage

TICK = 0.02  # seconds; questions that leave in longer bursts overflow the buffers of a resolver
PATIENCE = 1.5  # seconds until a question is left
SILENT = 8  # questions without an answer, until the nameserver is silent
AHEAD = 128  # questions with a reserved moment
SPARE = 32  # places in flight for others

Settles: TypeAlias = Callable[[int, bytes], bool]

_SILENCE = TimeoutError("no answer")
_CLOSED = ConnectionAbortedError("the exporter is going down")
_TRUNCATED, _RCODE, _NXDOMAIN = 0x02, 0x0F, 3


class _Sweep:
    """The questions of one caller: a bit for each, and one Future for all."""

    __slots__ = ("finished", "latest", "open", "queries", "settled", "settles")

    def __init__(
        self, queries: Sequence[wire.Query], settles: Settles, latest: float, finished: asyncio.Future[None]
    ) -> None:
        self.queries = queries
        self.settles = settles
        self.latest = latest  # in the clock's monotonic seconds
        self.finished = finished
        self.open = len(queries)
        self.settled = bytearray(len(queries))

    def close_one(self) -> None:
        self.open -= 1
        if not self.open and not self.finished.done():
            self.finished.set_result(None)

    def show(self, place: int, message: bytes) -> bool:
        """Is that question settled by the message?"""
        if self.finished.done():  # whoever asked has gone
            return False
        try:
            self.settled[place] = self.settles(place, message)
        except Exception as bug:  # noqa: BLE001  # it goes to the caller; the other sweeps go on
            self.finished.set_exception(bug)
        return bool(self.settled[place])


class Sweeps:
    """All sweeps of one resolver. Use it from one loop only. What is shared with the resolver is its caller's."""

    def __init__(
        self,
        servers: Sequence[UpstreamState],
        limiter: RateLimiter,
        window: Window,
        clock: Clock,
        *,
        timeout: float,
        queue_timeout: float,
    ) -> None:
        self._servers = servers
        self._limiter = limiter
        self._window = window
        self._clock = clock
        self._patience = min(PATIENCE, timeout / 3)
        self._queue_timeout = queue_timeout
        self._sweeps: set[_Sweep] = set()
        self._slow: list[tuple[float, int, _Sweep, int]] = []  # a heap of those that wait for their zone; loop's time
        self._order = count()
        self._ready: deque[tuple[_Sweep, int]] = deque()  # those that their zone lets out
        self._paced: deque[tuple[float, _Sweep, int]] = deque()  # those that have a moment, in order; loop's time
        self._sent: deque[tuple[float, Callable[[OSError], None]]] = deque()  # answered ones, too, until their time
        self._in_flight = 0
        self._unheard = dict.fromkeys(servers, 0)  # questions in a row
        self._heard_at = dict.fromkeys(servers, float("-inf"))
        self._now = 0.0  # of this tick, in the loop's time
        self._timer: asyncio.Handle | None = None

    async def sweep(self, queries: Sequence[wire.Query], settles: Settles, zones: Sequence[str] = ()) -> list[int]:
        """Ask all, and return the places of those that are left. `settles(place, message)` may raise: so does this.

        `zones` names for each question the zone whose rate limit applies, if the caller knows.
        """
        if not queries:
            return []
        loop, now = asyncio.get_running_loop(), self._clock.monotonic()
        sweep = _Sweep(queries, settles, now + self._queue_timeout, loop.create_future())
        for place, query in enumerate(queries):
            bucket = self._limiter.zone(zones[place] if zones else query.question.name)
            moment = now if bucket is None else bucket.take(now, sweep.latest)
            if moment is None:
                sweep.close_one()
            elif moment > now:
                heappush(self._slow, (loop.time() + moment - now, next(self._order), sweep, place))
            else:
                self._ready.append((sweep, place))
        self._sweeps.add(sweep)
        if self._timer is None:
            self._timer = loop.call_soon(self._tick)
        try:
            await sweep.finished
        finally:
            self._sweeps.discard(sweep)
        return [place for place, settled in enumerate(sweep.settled) if not settled]

    def close(self) -> None:
        """Leave all that is not settled."""
        for sweep in self._sweeps:
            if not sweep.finished.done():
                sweep.finished.set_result(None)
        while self._sent:
            self._sent.popleft()[1](_CLOSED)
        for queue in (self._slow, self._ready, self._paced):
            queue.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._now = loop.time()
        read = 0
        for server in self._servers:
            read += server.upstream.drain(AT_ONCE - read)
        if read < AT_ONCE:  # else the answer may still be in a buffer
            self._expire()
        more = self._send() or read >= AT_ONCE
        if more:
            self._timer = loop.call_soon(self._tick)
        elif self._in_flight or self._ready or self._paced or self._slow:
            self._timer = loop.call_later(TICK, self._tick)
        else:
            self._timer = None
            self._sent.clear()

    def _expire(self) -> None:
        before = self._now - self._patience
        while self._sent and self._sent[0][0] <= before:
            self._sent.popleft()[1](_SILENCE)

    def _send(self) -> bool:
        """Send what may leave, and return whether there may be more."""
        now, clock_now = self._now, self._clock.monotonic()
        while self._slow and self._slow[0][0] <= now:
            self._ready.append(heappop(self._slow)[2:])
        for _ in range(AT_ONCE):
            while self._ready and len(self._paced) < AHEAD:
                self._reserve(*self._ready.popleft(), clock_now)
            if not self._paced or self._paced[0][0] > now:
                return False
            _, sweep, place = self._paced[0]
            room = sweep.finished.done() or sweep.latest < clock_now or self._window.take(SPARE)
            if not room:
                return False
            self._paced.popleft()
            if sweep.finished.done():
                continue
            if sweep.latest < clock_now:
                sweep.close_one()
                continue
            self._post(sweep, place)
        return True

    def _reserve(self, sweep: _Sweep, place: int, clock_now: float) -> None:
        if sweep.finished.done():
            return
        moment = self._limiter.everything.take(clock_now, sweep.latest)
        if moment is None:
            sweep.close_one()
        else:
            self._paced.append((self._now + moment - clock_now, sweep, place))

    def _post(self, sweep: _Sweep, place: int) -> None:
        """Send one question, for which a place in flight was taken."""
        server = self._server()
        if server is None or server.upstream.suspects(self._now):
            self._window.release()
            sweep.close_one()
            return
        self._in_flight += 1
        query, deliver = sweep.queries[place], partial(self._arrived, sweep, place, server, self._now)
        try:
            self._sent.append((self._now, server.upstream.post(query, deliver, self._now)))
        except OSError as error:
            deliver(error)

    def _server(self) -> UpstreamState | None:
        for server in self._servers:
            if not server.silent or server.takes(self._now):
                return server
        return None

    def _arrived(self, sweep: _Sweep, place: int, server: UpstreamState, sent: float, what: bytes | OSError) -> None:
        self._in_flight -= 1
        self._window.release()
        upstream = server.upstream
        if isinstance(what, bytes):
            server.spoke(self._now, self._now - sent)
            self._unheard[server], self._heard_at[server] = 0, self._now
            upstream.stats.responses[self._judge(sweep, place, server, what)] += 1
        elif what is _SILENCE:
            upstream.stats.responses[Status.TIMEOUT] += 1
            if self._heard_at[server] <= sent:
                self._unheard[server] += 1
                if self._unheard[server] >= SILENT:
                    server.fell_silent(self._now)
        elif what is not _CLOSED and not isinstance(what, SuspectedSpoofingError):
            short = shortage(what, ipv4=upstream.version == 4)
            upstream.stats.responses[Status.LOCAL_RESOURCES if short else Status.NETWORK] += 1
            if not short:
                server.fell_silent(self._now)
        sweep.close_one()

    def _judge(self, sweep: _Sweep, place: int, server: UpstreamState, message: bytes) -> Status:
        """Show the answer to the sweep if it is whole and to be believed. What it is, as the present path counts it."""
        rcode = message[3] & _RCODE
        whole = message[4:6] == b"\0\1" and not message[2] & _TRUNCATED and rcode in (0, _NXDOMAIN)
        if whole and not server.upstream.suspects(self._now) and sweep.show(place, message):
            exists = Status.ANSWER if message[6:8] != b"\0\0" else Status.NODATA
            return Status.NXDOMAIN if rcode == _NXDOMAIN else exists
        return wire.decode(message, sweep.queries[place]).status
