"""The SMTP door: one conversation with one address of a mail host, with the manners that we ask of others.

One connection at a time to an address, a bounded number overall, our configured name in EHLO, one command at a
time, QUIT at the end. Which versions of TLS a server speaks takes further connections, so that is asked once a day
and when the version of the ordinary handshake has changed.

Who is to blame for silence? A connection that is refused is an answer, one that times out is not: perhaps our
own way out is closed. Once it is known to be open (egress.py), silent runs count, and four of them over an hour are a
fact about the host. The proof may be no older than that hour, or else an outage of our own, in its first hour, would
be charged to others.

What peers say to the names of our senders is asked behind the same door: ehlo.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from exporter.clock import Clock
from exporter.facts import IP, Doubt, Reason
from exporter.mail.certificate import Roots
from exporter.mail.tls import Version
from exporter.net.interfaces import Dial, dial_direct
from exporter.net.smtp.connection import reading_context
from exporter.net.smtp.egress import EgressPaths, SlotTimeout, forget
from exporter.net.smtp.ehlo import EVERY, PAUSE, EhloClient, EhloResult
from exporter.net.smtp.probe import DEADLINES, Deadlines, Silence, SmtpContext, SmtpProbe, SmtpResult
from exporter.net.smtp.unreachable import UnreachableHosts
from exporter.net.tls import system_authorities
from exporter.targets import MailHost, Peer

AT_ONCE = 100  # conversations; each run has some, one for each address, and lanes of three checks hold them
SILENT_RUNS = 4
SILENT_SECONDS = 3600.0
DAY = 86400.0

_UNHELPFUL = frozenset({Reason.NETWORK, Reason.EGRESS, Reason.TEMPFAIL})


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


class SmtpClient:
    """The door, one for the whole daemon, for it remembers who was silent and which versions are spoken.

    `dial` says where an address is really to be reached, `authorities` are PEM certificates to trust besides
    the system's; CertificateSyntaxError is raised for what are none. Without a `helo_name` no result can be held.
    `every` and `pause` are those of exporter.net.smtp.ehlo.Introductions.
    """

    def __init__(
        self,
        helo_name: str | None,
        clock: Clock,
        *,
        dial: Dial = dial_direct,
        authorities: bytes = b"",
        deadlines: Deadlines = DEADLINES,
        at_once: int = AT_ONCE,
        interval: float = EVERY,
        pause: float = PAUSE,
    ) -> None:
        self._clock = clock
        roots = Roots([authorities] if authorities else [], system_authorities())
        self._context = SmtpContext(helo_name or "", clock, dial, deadlines, reading_context(), roots)
        self._egress = EgressPaths(clock, dial, at_once=at_once)
        self._ehlo = EhloClient(self._context, self._egress, interval=interval, pause=pause)
        self.unreachable = UnreachableHosts(clock)
        self._quiet: dict[tuple[str, IP, int], _Quiet] = {}
        self._known: dict[tuple[str, IP, int], _Known] = {}

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        """Talk with one address of a host; what cannot be told is in `doubt`. Raises only for faults of our own."""
        if not self._context.helo_name:
            raise RuntimeError("no smtp.helo_name was given, so checks of mail hosts must be switched off")
        why = "" if target.configured else await self._egress.closed(ip, target.port)
        if why:
            return SmtpResult(ip, passed_over=why, lines=(f"-- {why}",))
        try:
            async with self._egress.slot(ip, target.port, self._context.deadlines.slot):
                call = SmtpProbe(self._context, target, ip, routed=self._egress.proven(ip, target.port))
                await call.converse()
                if call.found.secured and not call.found.doubt:
                    await self._versions(call, call.found.secured.version)
        except SlotTimeout as late:
            return SmtpResult(ip, doubt=Doubt(Reason.RATE_LIMITED, str(late)), lines=(f"-- {late}",))
        found = self._weigh(target, replace(call.found, lines=tuple(call.lines)))
        self.unreachable.learn(target.port, found)
        return found

    async def ehlo(self, server: Peer, ips: Sequence[IP], name: str) -> EhloResult:
        """What a server says to this name of a sender; what cannot be told is in `doubt`."""
        return await self._ehlo.ask(server, ips, name)

    async def _versions(self, call: SmtpProbe, spoken: Version) -> None:
        """Ask for those that are not known yet; what a connection in trouble left open is asked again next time."""
        key, now = (call.target.host, call.ip, call.target.port), self._clock.monotonic()
        known = self._known.get(key)
        if known is None or known.spoken != spoken or now - known.began >= DAY:
            self._known.pop(key, None)  # so that it goes in at the end: they are in order of age
            known = self._known[key] = _Known(now, spoken, {spoken: True})
            forget(self._known, lambda old: now - old.began > DAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._context.deadlines.versions):
                for version in Version:
                    if version not in known.answers:
                        answer = await call.ask(version)
                        if answer:
                            known.answers[version] = answer.spoken
        call.found = replace(call.found, versions=dict(known.answers))

    def _weigh(self, target: MailHost, found: SmtpResult) -> SmtpResult:
        """Set this run beside earlier ones and other hosts: whose fault is silence?"""
        key, now = (target.host, found.ip, target.port), self._clock.monotonic()
        if found.greeting:
            self._egress.banner_seen(found.ip, target.port)
        doubt = found.doubt
        if doubt is None:
            if not found.passed_over:
                self._quiet.pop(key, None)
            return found
        if doubt.reason not in _UNHELPFUL or not self._egress.proven(found.ip, target.port):
            return found
        before = self._quiet.pop(key, None)
        began, silence = (before.began, before.silence) if before else (now, Silence(self._clock.wall(), 0))
        silence = replace(silence, runs=silence.runs + 1)
        self._quiet[key] = _Quiet(began, now, silence)
        forget(self._quiet, lambda old: now - old.seen > DAY)
        if silence.runs >= SILENT_RUNS and now - began >= SILENT_SECONDS:
            return replace(found, doubt=None, silence=silence, last_words=doubt.detail)
        if doubt.reason is Reason.EGRESS:
            return replace(found, doubt=Doubt(Reason.NETWORK, doubt.detail))
        return found
