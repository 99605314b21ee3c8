"""The SMTP door: one conversation with one address of a mail host, with the manners that we ask of others.

One connection at a time to an address, a bounded number overall, our configured name in EHLO, one command at a
time, QUIT at the end. Which versions of TLS a server speaks takes further connections, so that is asked once a day
and when the version of the ordinary handshake has changed.

Who is to blame for silence? A connection that is refused is an answer, one that times out is not: perhaps our
own way out is closed. It is known to be open when another address has greeted us lately, over the same IP
version and port (port 25 alone is closed in many networks). From then on silent runs count, and four of them over an
hour are a fact about the host. The proof may be no older than that hour, or else an outage of our own, in its
first hour, would be charged to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import WeakValueDictionary

from exporter.mail import names
from exporter.mail.certificate import Roots
from exporter.mail.tls import Version
from exporter.model import Clock, Doubt, Reason
from exporter.net.conversation import DEADLINES, IP, Call, Deadlines, Dial, Dialogue, Means, Silence
from exporter.net.session import reading_context, system_authorities
from exporter.net.shut import ShutDoors
from exporter.targets import MailHost

K = TypeVar("K")
V = TypeVar("V")

SILENT_RUNS = 4
SILENT_SECONDS = 3600.0
PROOF_SECONDS = 3600.0  # never more than SILENT_SECONDS: the module's docstring says why
DAY = 86400.0

_UNHELPFUL = frozenset({Reason.NETWORK, Reason.EGRESS, Reason.TEMPFAIL})


@dataclass(slots=True)
class _Proof:
    """The two latest addresses that greeted us, so that there is one besides any other."""

    latest: tuple[IP, float] | None = None
    other: tuple[IP, float] | None = None

    def greeted(self, ip: IP, now: float) -> None:
        if self.latest and self.latest[0] != ip:
            self.other = self.latest
        self.latest = (ip, now)

    def besides(self, ip: IP, now: float) -> bool:
        seen = self.other if self.latest and self.latest[0] == ip else self.latest
        return seen is not None and now - seen[1] <= PROOF_SECONDS


@dataclass(frozen=True, slots=True)
class _Quiet:
    began: float  # monotonic
    seen: float
    silence: Silence


@dataclass(frozen=True, slots=True)
class _Known:
    began: float  # monotonic
    spoken: Version  # by the ordinary handshake
    answers: dict[Version, bool | None]


async def straight(ip: IP, port: int) -> tuple[str, int]:
    """The dial that leads where it says."""
    return str(ip), port


class Mail:
    """The door, one for the whole daemon, for it remembers who was silent and which versions are spoken.

    `dial` says where an address is really to be reached, `authorities` are PEM certificates to trust besides
    the system's; CertificateSyntaxError is raised for what are none.
    """

    def __init__(
        self,
        helo_name: str,
        clock: Clock,
        *,
        dial: Dial = straight,
        authorities: bytes = b"",
        deadlines: Deadlines = DEADLINES,
        at_once: int = 50,
    ) -> None:
        self._clock = clock
        roots = Roots([authorities] if authorities else [], system_authorities())
        self._means = Means(helo_name, clock, dial, deadlines, reading_context(), roots)
        self._at_once = asyncio.Semaphore(at_once)
        self._turns: WeakValueDictionary[tuple[IP, int], asyncio.Lock] = WeakValueDictionary()
        self._proofs: dict[tuple[int, int, bool], _Proof] = {}
        self.shut = ShutDoors(clock)
        self._quiet: dict[tuple[str, IP, int], _Quiet] = {}
        self._known: dict[tuple[str, IP, int], _Known] = {}

    async def dialogue(self, target: MailHost, ip: IP) -> Dialogue:
        """Talk with one address of a host; what cannot be told is in `doubt`. Raises only for faults of our own."""
        meaning = names.not_public(ip)
        if meaning and not target.configured and await self._means.dial(ip, target.port) == (str(ip), target.port):
            why = f"{ip} is no public address ({meaning}) and not one that the configuration names"
            return Dialogue(ip, passed_over=why, lines=(f"-- {why}",))
        turn = self._turns.setdefault((ip, target.port), asyncio.Lock())
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._means.deadlines.turn):
                    await held.enter_async_context(turn)
                    await held.enter_async_context(self._at_once)
            except TimeoutError:
                why = f"{ip} was busy with other questions of ours for {self._means.deadlines.turn:g} s"
                return Dialogue(ip, doubt=Doubt(Reason.RATE_LIMITED, why), lines=(f"-- {why}",))
            call = Call(self._means, target, ip, routed=self._proof(target, ip).besides(ip, self._clock.monotonic()))
            await call.converse()
            if call.found.secured and not call.found.doubt:
                await self._versions(call, call.found.secured.version)
        found = self._weigh(target, replace(call.found, lines=tuple(call.lines)))
        self.shut.learn(target.port, found)
        return found

    async def _versions(self, call: Call, spoken: Version) -> None:
        """Ask for those that are not known yet; what a connection in trouble left open is asked again next time."""
        key, now = (call.target.host, call.ip, call.target.port), self._clock.monotonic()
        known = self._known.get(key)
        if known is None or known.spoken != spoken or now - known.began >= DAY:
            self._known.pop(key, None)  # so that it goes in at the end: they are in order of age
            known = self._known[key] = _Known(now, spoken, {spoken: True})
            _forget(self._known, lambda old: now - old.began > DAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._means.deadlines.versions):
                for version in Version:
                    if version not in known.answers:
                        answer = await call.ask(version)
                        if answer:
                            known.answers[version] = answer.spoken
        call.found = replace(call.found, versions=dict(known.answers))

    def _proof(self, target: MailHost, ip: IP) -> _Proof:
        return self._proofs.setdefault((ip.version, target.port, names.not_public(ip) is None), _Proof())

    def _weigh(self, target: MailHost, found: Dialogue) -> Dialogue:
        """Set this run beside earlier ones and other hosts: whose fault is silence?"""
        key, now = (target.host, found.ip, target.port), self._clock.monotonic()
        proof = self._proof(target, found.ip)
        if found.greeting:
            proof.greeted(found.ip, now)
        doubt = found.doubt
        if doubt is None:
            if not found.passed_over:
                self._quiet.pop(key, None)
            return found
        if doubt.reason not in _UNHELPFUL or not proof.besides(found.ip, now):
            return found
        before = self._quiet.pop(key, None)
        began, silence = (before.began, before.silence) if before else (now, Silence(self._clock.wall(), 0))
        silence = replace(silence, runs=silence.runs + 1)
        self._quiet[key] = _Quiet(began, now, silence)
        _forget(self._quiet, lambda old: now - old.seen > DAY)
        if silence.runs >= SILENT_RUNS and now - began >= SILENT_SECONDS:
            return replace(found, doubt=None, silence=silence, last_words=doubt.detail)
        if doubt.reason is Reason.EGRESS:
            return replace(found, doubt=Doubt(Reason.NETWORK, doubt.detail))
        return found


def _forget(remembered: dict[K, V], old: Callable[[V], bool]) -> None:
    """Drop the old ones from the front, where the oldest are."""
    while remembered and old(remembered[first := next(iter(remembered))]):
        del remembered[first]
