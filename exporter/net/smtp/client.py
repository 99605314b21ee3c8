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
- A reply of 4xx to STARTTLS counts in the same way, as a fault of TLS. Here the host itself proves our way out.
- An address has one conversation at a time, and all together have at most AT_ONCE. We give our configured name in
  EHLO, send one command at a time, and end with QUIT.
- To learn which versions of TLS a server speaks, we need more connections. So that is asked once a day, and when the
  version of the ordinary handshake has changed. So is whether a current OpenSSL can agree on TLS with it.
- Only configured hosts are asked whether they execute commands that came in clear before TLS. To find out, we must send
  a command behind STARTTLS, which is impolite at somebody else's host.
- The last offer of STARTTLS is remembered for OFFER_REMEMBERED, so that we notice when the offer ends.

`ehlo` asks another question, what a peer says to a sender's name: ehlo.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

from exporter.clock import Clock, began_at
from exporter.facts import IP, Doubt, Reason
from exporter.mail.certificate import Roots
from exporter.mail.tls import Version
from exporter.net.interfaces import Dial, dial_direct
from exporter.net.silence import Silences
from exporter.net.smtp.connection import Secured, reading_context, surely_current
from exporter.net.smtp.egress import EgressPaths, SlotTimeout, forget, nothing_answers
from exporter.net.smtp.ehlo import EVERY, PAUSE, EhloClient, EhloResult
from exporter.net.smtp.probe import DEADLINES, Deadlines, SmtpContext, SmtpProbe, SmtpResult
from exporter.net.smtp.unreachable import UnreachableHosts
from exporter.net.tls import system_authorities
from exporter.targets import MailHost, Peer
from exporter.text import minute

AT_ONCE = 100  # conversations: the queues of three checks start runs, and a run has one for each address
DAY = 86400.0
OFFER_REMEMBERED = 7 * DAY  # seconds for which an earlier offer of STARTTLS counts

_UNHELPFUL = frozenset({Reason.NETWORK, Reason.EGRESS, Reason.TEMPFAIL})


@dataclass(slots=True)
class _Known:
    """What is asked once a day, on connections of its own. None: not known."""

    began: float  # monotonic
    spoken: Version  # agreed in the ordinary handshake
    cipher: str  # likewise
    answers: dict[Version, bool | None]
    outdated: str | None = None
    obeys_clear_text: bool | None = None
    before: tuple[str, bool] = "", False  # the values of these two fields a day ago, until a new answer comes

    @property
    def latest(self) -> tuple[str, bool]:
        outdated, obeys = self.before
        return (
            outdated if self.outdated is None else self.outdated,
            obeys if self.obeys_clear_text is None else self.obeys_clear_text,
        )


@dataclass(frozen=True, slots=True)
class _Offer:
    """When STARTTLS was last offered."""

    seen: float  # monotonic


class SmtpClient:
    """One per daemon, because it remembers which hosts were silent and which versions of TLS they speak.

    `dial` maps an address to the place to connect to. `authorities` are PEM certificates to trust besides the system's.
    Without a `helo_name`, `probe` cannot be used. `interval` and `pause` are those of EhloClient.
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

        @cache
        def roots() -> Roots:
            """Read when the first server shows a certificate. Raise OSError if no file can be opened now."""
            return Roots([authorities] if authorities else [], system_authorities())

        self._context = SmtpContext(helo_name or "", clock, dial, deadlines, reading_context(), roots)
        self._egress = EgressPaths(clock, dial, at_once=at_once)
        self._ehlo = EhloClient(self._context, self._egress, interval=interval, pause=pause)
        self.unreachable = UnreachableHosts(clock)
        self._quiet = Silences[tuple[str, IP, int]](clock)
        self._later = Silences[tuple[str, IP, int]](clock)  # who puts TLS off until later
        self._known: dict[tuple[str, IP, int], _Known] = {}
        self._offers: dict[tuple[str, IP, int], _Offer] = {}

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        """Talk with one address of a host. A doubt is in the result; only faults of our own raise."""
        if not self._context.helo_name:
            raise RuntimeError("no smtp.helo_name was given, so checks of mail hosts must be switched off")
        why = await self._egress.closed(target.host, ip, target.port, configured=target.configured)
        if why:
            return SmtpResult(ip, passed_over=why, lines=(f"-- {why}",))
        try:
            async with self._egress.slot(ip, target.port, self._context.deadlines.slot):
                call = SmtpProbe(self._context, target, ip, routed=self._egress.proven(ip, target.port))
                await call.converse()
                if call.found.secured and not call.found.doubt:
                    await self._details(call, call.found.secured)
        except SlotTimeout as late:
            return SmtpResult(ip, doubt=Doubt(Reason.RATE_LIMITED, str(late)), lines=(f"-- {late}",))
        found = self._weigh(target, replace(call.found, lines=tuple(call.lines)))
        self.unreachable.learn(target.port, found)
        return found

    async def ehlo(self, server: Peer, ips: Sequence[IP], name: str) -> EhloResult:
        """What a server says to this name of a sender. A doubt is in the result."""
        return await self._ehlo.ask(server, ips, name)

    async def _details(self, call: SmtpProbe, secured: Secured) -> None:
        """Ask for what is not known yet. If a connection fails, its question is asked again next time."""
        key, now = (call.target.host, call.ip, call.target.port), self._clock.monotonic()
        spoken, cipher = secured.version, secured.cipher
        known = self._known.get(key)
        if known is None or known.spoken != spoken or now - known.began >= DAY:
            old = self._known.pop(key, None)  # so that it goes in at the end: they are in order of age
            known = _Known(now, spoken, cipher, {spoken: True}, before=old.latest if old else ("", False))
            self._known[key] = known
            forget(self._known, lambda old: now - old.began > DAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._context.deadlines.versions):
                for version in Version:
                    if version not in known.answers:
                        answer = await call.ask(version)
                        if answer:
                            known.answers[version] = answer.spoken
                if known.outdated is None or known.cipher != cipher:
                    known.cipher = cipher
                    # TLS 1.3 has no outdated ciphers. TLS 1.1 and older have no others.
                    doubtful = spoken is Version.TLS_1_2 and not surely_current(cipher)
                    known.outdated = await call.outdated() if doubtful else ""
                if known.obeys_clear_text is None and call.target.configured and call.found.starttls:
                    known.obeys_clear_text = await call.obeys_clear_text()
        outdated, obeys = known.latest
        call.found = replace(call.found, versions=dict(known.answers), outdated=outdated, obeys_clear_text=obeys)

    def _recall_offer(self, key: tuple[str, IP, int], found: SmtpResult) -> SmtpResult:
        """Remember an offer of STARTTLS. If there is none now, add when the last one was."""
        now = self._clock.monotonic()
        forget(self._offers, lambda old: now - old.seen > OFFER_REMEMBERED)
        if found.starttls:
            self._offers.pop(key, None)
            self._offers[key] = _Offer(now)
        last = self._offers.get(key)
        gone = last is not None and found.starttls is False
        return replace(found, starttls_last=began_at(self._clock, last.seen)) if last and gone else found

    def _weigh(self, target: MailHost, found: SmtpResult) -> SmtpResult:
        """Decide whose fault a silence is, from earlier runs and from what other hosts did."""
        key = target.host, found.ip, target.port
        if found.greeting or found.other_protocol:
            self._egress.banner_seen(found.ip, target.port)
        found = self._recall_offer(key, found)
        doubt = found.doubt
        if doubt is None:
            if not found.passed_over:
                self._quiet.spoke(key)
                self._later.spoke(key)
            return found
        if doubt.reason not in _UNHELPFUL:
            return found
        if not found.tls_later and not self._egress.proven(found.ip, target.port):
            if doubt.reason is Reason.EGRESS:
                return replace(found, doubt=Doubt(Reason.EGRESS, nothing_answers(found.ip, target.port)))
            return found
        if silence := (self._later if found.tls_later else self._quiet).silent(key):
            if found.tls_later:
                how = f"{found.tls_later}, in {silence.runs} runs since {minute(silence.since)}"
                return replace(found, doubt=None, tls_failure=how)
            return replace(found, doubt=None, silence=silence, last_words=doubt.detail)
        if doubt.reason is Reason.EGRESS:
            return replace(found, doubt=Doubt(Reason.NETWORK, doubt.detail))
        return found
