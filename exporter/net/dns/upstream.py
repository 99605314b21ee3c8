"""One nameserver: sends questions to it, over UDP and TCP, and accepts only the answers to these questions.

The problem: anybody can send us a datagram that looks like the nameserver's answer (RFC 5452). A forged answer would
become a false verdict.

The idea: an attacker has to guess the id of a question and the port that it left from. We choose both at random, and
notice when somebody guesses.

The rules:

- A question leaves from one of PORTS connected sockets, whose ports the system chooses at random. A socket is replaced
  after USES questions or AGE seconds.
- Questions of a sweep (sweep.py) leave from PORTS sockets of their own, by the same rules. No loop watches these: they
  are drained, because a wake-up for each of many answers costs more than the answer.
- A question has a random id, which is never used twice on the same socket.
- An answer comes from the nameserver's address, has the id of a question that waits, and repeats that question octet
  by octet. Any other datagram is counted and ignored.
- After UNEXPECTED wrong datagrams on one socket, the socket is closed, and `suspects_spoofing` is true for SUSPICION
  seconds. Meanwhile attempts.py asks over TCP, where guessing does not work. A late answer is not a wrong datagram.
- We do not vary the case of letters (0x20) against forgery. Some home-made blocklist servers compare names octet by
  octet, and would answer "no such name".
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import TypeAlias

from exporter.mail.dns import Status
from exporter.net.dns.wire import LARGEST_UDP, PAYLOAD, Query, answers
from exporter.stats import Histogram

PORTS = 4  # sockets in use at a time
USES = 500  # questions asked from one socket
AGE = 60.0  # seconds a socket is used
UNEXPECTED = 5  # datagrams nobody waits for on one socket, until the nameserver is asked over TCP
SUSPICION = 60.0  # seconds of that
AT_ONCE = 64  # datagrams read before the loop breathes
TURN = 0.01  # seconds of one turn of the loop for reading; a single hostile message may take longer
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Deliver: TypeAlias = Callable[[bytes | OSError], None]


class SuspectedSpoofingError(OSError):
    """Somebody tries to forge answers to our questions."""


@dataclass(slots=True)
class UpstreamStats:
    """Counts questions and answers of one nameserver. `ignored` counts datagrams that answer no question."""

    queries: int = 0
    responses: Counter[Status] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=lambda: Histogram(BOUNDS))
    ignored: int = 0


class Upstream:
    """Use it from one loop only. `name` is shown to people."""

    def __init__(self, host: str, port: int) -> None:
        """Raise ValueError if the host is not an IP address, because nameservers are never looked up."""
        ip = ip_address(host)
        self.name = f"[{host}]:{port}" if ip.version == 6 else f"{host}:{port}"
        self.version = ip.version
        self.stats = UpstreamStats()
        self._host, self._port = host, port
        self._family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
        self._scope = ip.scope_id if isinstance(ip, IPv6Address) else None
        self._watched = _Pool(partial(self._open, watched=True))
        self._drained = _Pool(partial(self._open, watched=False))
        self._suspicious_until = float("-inf")
        self._breath = _Breath()

    @property
    def suspects_spoofing(self) -> bool:
        return self.suspects(asyncio.get_running_loop().time())

    def suspects(self, now: float) -> bool:
        """Is somebody guessing? `now` is the loop's time."""
        return now < self._suspicious_until

    def send(self, query: Query, deliver: Deliver) -> Callable[[], None]:
        """Send one datagram, and return a function that gives it up. `deliver` gets the answer or the error.

        Raise OSError if it cannot be sent at all.
        """
        port, number = self._send(self._watched, query, deliver, asyncio.get_running_loop().time())
        return partial(port.give_up, number)

    def post(self, query: Query, deliver: Deliver, now: float) -> None:
        """Like `send`, but nothing arrives until `drain` or `expire`."""
        self._send(self._drained, query, deliver, now)

    def expire(self, before: float, error: OSError) -> None:
        """Give the error to the questions that were posted at `before` (the loop's time) or earlier."""
        for port in self._drained.waiting():
            port.expire(before, error)

    def drain(self, most: int) -> int:
        """Deliver at most so many datagrams to questions that were posted, and return how many were read."""
        read = 0
        for port in self._drained.waiting():
            read += port.drain(most - read)
            if read >= most:
                break
        return read

    async def stream(self, query: Query) -> bytes:
        """Ask over TCP and return the answer; raise OSError or EOFError when there is none."""
        self.stats.queries += 1
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            message = os.urandom(2) + query.tail
            writer.write(len(message).to_bytes(2) + message)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            if answer[:2] != message[:2] or not answers(answer, query):
                raise ConnectionError("an answer to something else")
            return answer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def close(self) -> None:
        self._watched.close()
        self._drained.close()

    def _send(self, pool: _Pool, query: Query, deliver: Deliver, now: float) -> tuple[_Port, bytes]:
        self.stats.queries += 1
        port = pool.pick(now)
        try:
            return port, port.send(query, deliver, now)
        except ConnectionError as error:  # an ICMP message about an earlier datagram
            self._broken(port, error)
            port = pool.pick(now)
            return port, port.send(query, deliver, now)

    def _open(self, now: float, *, watched: bool) -> _Port:
        sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            place: tuple[str, int] | tuple[str, int, int, int] = (self._host, self._port)
            if self._scope:
                place = (self._host, self._port, 0, socket.if_nametoindex(self._scope))
            sock.connect(place)
        except OSError:
            sock.close()
            raise
        emptied = self._watched.emptied if watched else self._drained.emptied
        return _Port(sock, now, self.stats, self._broken, self._attacked, emptied, self._breath, watched=watched)

    def _attacked(self, port: _Port) -> None:
        self._suspicious_until = asyncio.get_running_loop().time() + SUSPICION
        self._broken(port, SuspectedSpoofingError("forged answers are coming in"))

    def _broken(self, port: _Port, error: OSError) -> None:
        """Close the socket: after an error, libuv (and so uvloop) does not watch it any more."""
        self._watched.remove(port)
        self._drained.remove(port)
        port.fail(error)
        port.close()


class _Breath:
    """Whether the sockets of one nameserver have used up this turn of the loop."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = False

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        self.taken = True
        loop.call_soon(self._end)

    def _end(self) -> None:
        self.taken = False


class _Pool:
    """PORTS sockets in turn, and those that were replaced while somebody still waits there."""

    __slots__ = ("_open", "_ports", "_retired", "_slot")

    def __init__(self, open_one: Callable[[float], _Port]) -> None:
        self._open = open_one
        self._ports: list[_Port] = []
        self._retired: set[_Port] = set()
        self._slot = 0

    def pick(self, now: float) -> _Port:
        """The socket whose turn it is; a new one if that is worn out. Raise OSError if there can be none."""
        if len(self._ports) < PORTS:
            self._ports.append(self._open(now))
            return self._ports[-1]
        self._slot = (self._slot + 1) % PORTS
        port = self._ports[self._slot]
        if port.uses < USES and now - port.born <= AGE:
            return port
        self._ports[self._slot] = new = self._open(now)
        if port.waiting:
            self._retired.add(port)  # those who still wait there may yet be answered
        else:
            port.close()
        return new

    def waiting(self) -> list[_Port]:
        """Those on which somebody waits."""
        return [port for port in (*self._ports, *self._retired) if port.waiting]

    def emptied(self, port: _Port) -> None:
        if port in self._retired:
            self._retired.discard(port)
            port.close()

    def remove(self, port: _Port) -> None:
        if port in self._ports:
            self._ports.remove(port)
        self._retired.discard(port)

    def close(self) -> None:
        for port in (*self._ports, *self._retired):
            port.close()
        self._ports.clear()
        self._retired.clear()


class _Port:
    """One connected UDP socket, and the questions that wait for an answer on it."""

    __slots__ = (
        "_attacked",
        "_breath",
        "_broken",
        "_emptied",
        "_ids",
        "_late",
        "_loop",
        "_sock",
        "_traffic",
        "_unexpected",
        "_watched",
        "born",
        "uses",
        "waiting",
    )

    def __init__(
        self,
        sock: socket.socket,
        now: float,
        stats: UpstreamStats,
        broken: Callable[[_Port, OSError], None],
        attacked: Callable[[_Port], None],
        emptied: Callable[[_Port], None],
        breath: _Breath,
        *,
        watched: bool,
    ) -> None:
        self.born = now
        self.uses = 0
        self.waiting: dict[bytes, tuple[Query, Deliver, float]] = {}  # by id, the earliest first
        self._late: dict[bytes, Query] = {}  # ids once used here: never used twice, and a late answer is no stranger
        self._unexpected = 0
        self._sock = sock
        self._traffic = stats
        self._broken = broken
        self._attacked = attacked
        self._emptied = emptied
        self._breath = breath
        self._loop = asyncio.get_running_loop()
        chance = os.urandom(2 * USES)
        self._ids = list({chance[at : at + 2] for at in range(0, 2 * USES, 2)})  # each once
        self._watched = watched
        if watched:
            self._loop.add_reader(sock, self._readable)

    def send(self, query: Query, deliver: Deliver, now: float) -> bytes:
        """Send one datagram, and return its id."""
        number = self._ids.pop() if self._ids else self._another_id()
        self.uses += 1
        try:  # noqa: SIM105  # a context manager costs half as much as the system call
            self._sock.send(number + query.tail)
        except BlockingIOError:  # a full buffer is a lost datagram
            pass
        self.waiting[number] = (query, deliver, now)
        return number

    def _another_id(self) -> bytes:
        number = os.urandom(2)
        while number in self._late or number in self.waiting:
            number = os.urandom(2)
        return number

    def drain(self, most: int) -> int:
        """Read and deliver at most so many datagrams. How many were read; as many as that if there may be more."""
        receive, waiting, late = self._sock.recv, self.waiting, self._late
        if self._breath.taken:
            return most
        until = self._loop.time() + TURN
        for read in range(most):
            try:
                message = receive(LARGEST_UDP)
            except BlockingIOError:
                return read
            except OSError as error:  # an ICMP message; whose question it was about is not told
                self._broken(self, error)
                return read
            number = message[:2]
            found = waiting.get(number)
            if found and answers(message, found[0]):
                del waiting[number]
                late[number] = found[0]
                found[1](message)
                if not waiting:
                    self._emptied(self)
            else:
                self._unexpected_one(message, number)
            if self._sock.fileno() < 0:
                return read
            if len(message) > PAYLOAD // 4 and self._loop.time() > until:  # small ones take no time
                self._breath.take(self._loop)
                return most
        return most

    def give_up(self, number: bytes) -> None:
        """Nobody waits for the answer to that question any more."""
        found = self.waiting.pop(number, None)
        if found:
            self._late[number] = found[0]
            if not self.waiting:
                self._emptied(self)

    def expire(self, before: float, error: OSError) -> None:
        """Give the error to the questions that were sent at `before` or earlier."""
        late = []
        for number, (_, _, sent) in self.waiting.items():
            if sent > before:
                break
            late.append(number)
        for number in late:
            _, deliver, _ = self.waiting[number]
            self.give_up(number)
            deliver(error)

    def fail(self, error: OSError) -> None:
        """Give the error to all questions that wait here."""
        waiting = dict(self.waiting)
        self.waiting.clear()
        self._late.update((number, query) for number, (query, _, _) in waiting.items())
        for _, deliver, _ in waiting.values():
            deliver(error)

    def close(self) -> None:
        if self._watched:
            self._loop.remove_reader(self._sock)
        self._sock.close()

    def _readable(self) -> None:
        self.drain(AT_ONCE)

    def _unexpected_one(self, message: bytes, number: bytes) -> None:
        self._traffic.ignored += 1
        late = self._late.get(number)
        if late is None or not answers(message, late):
            self._unexpected += 1
            if self._unexpected >= UNEXPECTED:
                self._attacked(self)
