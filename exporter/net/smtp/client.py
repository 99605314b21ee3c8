"""Talks with mail hosts over SMTP, and decides what it means when a host does not answer.

The problem: when a connection times out, the host may be down, or our own network may block port 25. A connection that
is refused, in contrast, is an answer.

The idea: silence of a host counts only while our own way out is proven. It is proven if another address has greeted us
within the last hour (egress.py).

The rules:

- A silent run counts if the way out is proven. SILENT_RUNS such runs over SILENT_SECONDS make silence a fact about the
  host; fewer are a doubt.
- The proof must not be older than SILENT_SECONDS. Otherwise, in the first hour of an outage of our own, the silence of
  every host would count.
- An address has one conversation at a time, and all together have at most AT_ONCE. We give our configured name in
  EHLO, send one command at a time, and end with QUIT.
- To learn which versions of TLS a server speaks, we need more connections. So that is asked once a day, and when the
  version of the ordinary handshake has changed.

`ehlo` asks another question, what a peer says to a sender's name: ehlo.py.
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

AT_ONCE = 100  # conversations: the queues of three checks start runs, and a run has one for each address
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
    """One per daemon, because it remembers which hosts were silent and which versions of TLS they speak.

    `dial` maps an address to the place to connect to. `authorities` are PEM certificates to trust besides the system's;
    other octets raise CertificateSyntaxError. Without a `helo_name`, `probe` cannot be used. `interval` and `pause` are
    those of EhloClient.
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
        """Talk with one address of a host. A doubt is in the result; only faults of our own raise."""
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
        """What a server says to this name of a sender. A doubt is in the result."""
        return await self._ehlo.ask(server, ips, name)

    async def _versions(self, call: SmtpProbe, spoken: Version) -> None:
        """Ask for the versions that are not known yet. If a connection fails, its version is asked for next time."""
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
        """Decide whose fault a silence is, from earlier runs and from what other hosts did."""
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
