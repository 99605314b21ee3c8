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
- A tick handles at most AT_ONCE datagrams in each direction; then the loop breathes. The time of an answer is that of
  its tick.
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

TICK = 0.05  # seconds; questions that leave in longer bursts overflow the buffers of a resolver
SHORT_TICK = 0.005  # while questions wait for a place in flight
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

    __slots__ = ("finished", "latest", "open", "over", "queries", "settled", "settles")

    def __init__(
        self, queries: Sequence[wire.Query], settles: Settles, latest: float, finished: asyncio.Future[None]
    ) -> None:
        self.queries = queries
        self.settles = settles
        self.latest = latest  # in the clock's monotonic seconds
        self.finished = finished
        self.open = len(queries)
        self.over = False  # nobody waits for it any more
        self.settled = bytearray(len(queries))

    def close_one(self) -> None:
        self.open -= 1
        if not self.open:
            self.end()

    def end(self) -> None:
        self.over = True
        if not self.finished.done():
            self.finished.set_result(None)


class _Server:
    """One nameserver, and what sweeps have heard of it."""

    __slots__ = ("absences", "state", "stats", "suspect", "unheard", "upstream")

    def __init__(self, state: UpstreamState) -> None:
        self.state = state
        self.upstream = state.upstream
        self.stats = state.upstream.stats
        self.unheard = 0  # questions in a row
        self.suspect = False  # does somebody guess there?
        self.absences = 0  # answers of this tick: to count one costs as much as to judge it


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
        self._servers = [_Server(server) for server in servers]
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
        self._in_flight = 0
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
        zone, latest, ready = self._limiter.zone, sweep.latest, self._ready
        for place, name in enumerate(zones or [query.question.name for query in queries]):
            bucket = zone(name)
            moment = now if bucket is None else bucket.take(now, latest)
            if moment is None:
                sweep.close_one()
            elif moment > now:
                heappush(self._slow, (loop.time() + moment - now, next(self._order), sweep, place))
            else:
                ready.append((sweep, place))
        self._sweeps.add(sweep)
        if self._timer is None:
            self._timer = loop.call_soon(self._tick)
        try:
            await sweep.finished
        finally:
            sweep.over = True
            self._sweeps.discard(sweep)
        return [place for place, settled in enumerate(sweep.settled) if not settled]

    def close(self) -> None:
        """Leave all that is not settled."""
        for sweep in self._sweeps:
            sweep.end()
        for server in self._servers:
            server.upstream.expire(float("inf"), _CLOSED)
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
            if server.absences:
                server.stats.responses[Status.NXDOMAIN] += server.absences
                server.absences = 0
        if read < AT_ONCE:  # else the answer may still be in a buffer
            for server in self._servers:
                server.upstream.expire(self._now - self._patience, _SILENCE)
        if self._send() or read >= AT_ONCE:
            self._timer = loop.call_soon(self._tick)
        elif self._in_flight or self._ready or self._paced or self._slow:
            full = self._paced and self._paced[0][0] <= self._now
            self._timer = loop.call_later(SHORT_TICK if full else TICK, self._tick)
        else:
            self._timer = None

    def _send(self) -> bool:
        """Send what may leave, and return whether there may be more."""
        now, clock_now = self._now, self._clock.monotonic()
        ready, paced, window, everything = self._ready, self._paced, self._window, self._limiter.everything
        while self._slow and self._slow[0][0] <= now:
            ready.append(heappop(self._slow)[2:])
        for server in self._servers:
            server.suspect = server.upstream.suspects(now)
        sent = 0
        while sent < AT_ONCE:
            if ready and len(paced) < AHEAD:
                sweep, place = ready.popleft()
                moment = everything.take(clock_now, sweep.latest) if not sweep.over else None
                if moment is None:
                    sweep.close_one()
                elif moment <= clock_now and not paced and window.take(SPARE):
                    self._post(sweep, place)
                    sent += 1
                else:
                    paced.append((now + moment - clock_now, sweep, place))
                continue
            if not paced or paced[0][0] > now:
                return False
            _, sweep, place = paced[0]
            if sweep.over or sweep.latest < clock_now:
                paced.popleft()
                sweep.close_one()
            elif window.take(SPARE):
                paced.popleft()
                self._post(sweep, place)
                sent += 1
            else:
                return False
        return True

    def _post(self, sweep: _Sweep, place: int) -> None:
        """Send one question, for which a place in flight was taken."""
        now, server = self._now, self._server()
        if server is None:
            self._window.release()
            sweep.close_one()
            return
        self._in_flight += 1
        deliver = partial(self._arrived, sweep, place, server, now)
        try:
            server.upstream.post(sweep.queries[place], deliver, now)
        except OSError as error:
            deliver(error)

    def _server(self) -> _Server | None:
        """Whom to ask; None if no sweep shall ask."""
        for server in self._servers:
            if not server.state.silent or server.state.takes(self._now):
                return None if server.suspect else server
        return None

    def _arrived(self, sweep: _Sweep, place: int, server: _Server, sent: float, what: bytes | OSError) -> None:
        self._in_flight -= 1
        self._window.release()
        if isinstance(what, bytes):
            server.unheard = 0
            server.state.spoke(self._now, self._now - sent)
            rcode = what[3] & _RCODE
            whole = not what[2] & _TRUNCATED and (rcode == _NXDOMAIN or not rcode)  # only failures omit the question
            if not whole or sweep.over or server.upstream.suspects(self._now) or not _show(sweep, place, what):
                server.stats.responses[wire.decode(what, sweep.queries[place]).status] += 1
            elif rcode:
                server.absences += 1
            else:  # counted by the header, as nothing else of it was read
                server.stats.responses[Status.ANSWER if what[6:8] != b"\0\0" else Status.NODATA] += 1
        else:
            self._unheard(server, sent, what)
        sweep.open -= 1
        if not sweep.open:
            sweep.end()

    def _unheard(self, server: _Server, sent: float, error: OSError) -> None:
        if error is _SILENCE:
            server.stats.responses[Status.TIMEOUT] += 1
            server.unheard += server.state.heard <= sent
            if server.unheard >= SILENT:
                server.state.fell_silent(self._now)
        elif error is not _CLOSED and not isinstance(error, SuspectedSpoofingError):
            short = shortage(error, ipv4=server.upstream.version == 4)
            server.stats.responses[Status.LOCAL_RESOURCES if short else Status.NETWORK] += 1
            if not short:
                server.state.fell_silent(self._now)


def _show(sweep: _Sweep, place: int, message: bytes) -> bool:
    """Does the message settle the question?"""
    try:
        settled = sweep.settles(place, message)
    except Exception as bug:  # noqa: BLE001  # it goes to the caller; the other sweeps go on
        sweep.over = True
        if not sweep.finished.done():
            sweep.finished.set_exception(bug)
        return False
    sweep.settled[place] = settled
    return settled
