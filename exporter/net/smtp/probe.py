"""One conversation with one address of a mail host, from the connection to QUIT, and what we learn from it.

The conversation may end at any point. Whatever was learnt before counts: `SmtpProbe.found` grows step by step, and its
`doubt` says why the conversation ended early.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ssl import SSLContext
from typing import TypeVar

from exporter.clock import Clock
from exporter.facts import IP, Doubt, Reason
from exporter.mail import smtp
from exporter.mail.certificate import CertificateSyntaxError, Roots, Shown
from exporter.mail.smtp import Extensions, ReplySyntaxError, SmtpReply
from exporter.mail.tls import Version, VersionAnswer
from exporter.net.interfaces import Dial
from exporter.net.shortage import no_route, shortage
from exporter.net.silence import Silence
from exporter.net.smtp.connection import (
    Secured,
    SmtpConnection,
    SpokeInClear,
    TLSNotPossibleHere,
    TLSRefused,
    current_context,
)
from exporter.targets import MailHost

T = TypeVar("T")

IMPLICIT_TLS_PORT = 465  # TLS from the first octet: RFC 8314 section 3.3

_BEHIND = "NOOP"  # the command that a server must forget if it comes as plaintext after STARTTLS
_NO_COMMON = ("handshake failure", "insufficient security")  # alerts for a hello that offers nothing suitable


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds. RFC 5321 section 4.5.3.2 asks for minutes, but a monitor cannot wait so long."""

    slot: float = 20.0  # until the address is free
    session: float = 30.0  # a whole conversation
    connect: float = 10.0
    reply: float = 15.0  # the greeting alone may take all of the session
    handshake: float = 10.0
    quit: float = 2.0
    versions: float = 50.0  # all further connections


DEADLINES = Deadlines()


@dataclass(frozen=True, slots=True)
class SmtpContext:
    """What all conversations share. `dial` maps an address to the place to connect to."""

    helo_name: str
    clock: Clock
    dial: Dial
    deadlines: Deadlines
    context: SSLContext
    roots: Callable[[], Roots]
    current: SSLContext = field(default_factory=current_context)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A permanent refusal, and what was refused: "our connection", "EHLO"."""

    to: str
    reply: SmtpReply


@dataclass(frozen=True, slots=True)
class SmtpResult:
    """What we learnt from one conversation. What we did not get to keeps its default; `doubt` says why."""

    ip: IP
    passed_over: str = ""  # why it was not tried, if it was not: no fault of the host
    refused: bool = False
    other_protocol: str = ""  # what it speaks, where that is plainly not SMTP
    greeting: SmtpReply | None = None
    inspected: str = ""  # what an inspecting firewall has overwritten in the greeting or the reply to EHLO
    rejected: Rejection | None = None
    offered: Extensions | None = None  # by the last EHLO
    starttls: bool | None = None  # is it offered? None where it does not matter
    starttls_last: float | None = None  # when it was last offered (unix seconds), if it no longer is
    in_clear: str = ""  # what came in clear after the 220 to STARTTLS
    tls_later: str = ""  # how it has put TLS off until later; no fact until that lasts
    tls_failure: str = ""  # how the server refused TLS
    secured: Secured | None = None
    shown: Shown | None = None
    versions: Mapping[Version, bool | None] = field(default_factory=dict)
    outdated: str = ""  # why a current OpenSSL cannot agree on TLS with it; empty if it can
    obeys_clear_text: bool = False  # it executes under TLS a command that came in clear before
    seconds: Mapping[str, float] = field(default_factory=dict)  # by phase: connect banner ehlo starttls tls
    silence: Silence | None = None  # long enough to be a fact
    last_words: str = ""  # of a silent host: how the latest run ended
    doubt: Doubt | None = None
    lines: tuple[str, ...] = ()


class SmtpProbe:
    """A conversation with one address. `found` grows as it goes on."""

    def __init__(self, context: SmtpContext, target: MailHost, ip: IP, *, routed: bool) -> None:
        self.target = target
        self.ip = ip
        self.found = SmtpResult(ip)
        self.lines: list[str] = []
        self._context = context
        self._routed = routed  # is our way out to addresses of this kind proven?
        self._implicit = target.port == IMPLICIT_TLS_PORT

    async def converse(self) -> None:
        """Hold the whole conversation, for at most `deadlines.session`."""
        session = await self._connect()
        if session is None:
            return
        limit = self._context.deadlines
        try:
            async with asyncio.timeout(limit.session - limit.quit):
                await self._talk(session)
            with suppress(TimeoutError, OSError, ReplySyntaxError, TLSRefused, TLSNotPossibleHere):
                async with asyncio.timeout(limit.quit):
                    await session.command("QUIT")
        except SpokeInClear as spoke:
            self._spoke_in_clear(spoke.octets)
        except TLSRefused as refused:
            self._learn_tls_failure(str(refused))
        except TLSNotPossibleHere as inability:
            self._doubt(Reason.MALFORMED, f"our TLS library cannot go on: {inability}")
        except ReplySyntaxError as nonsense:
            self._no_reply(nonsense)
        except TimeoutError as late:
            await self._give_up(session, str(late) or f"the conversation did not end within {limit.session:g} s")
        except OSError as broken:
            if not self._lacks(broken):
                self._doubt(Reason.NETWORK, str(broken) or type(broken).__name__)
        finally:
            session.close()

    async def _give_up(self, session: SmtpConnection, why: str) -> None:
        """Send QUIT to a server that has not greeted: one of another protocol, such as HTTP, answers only then."""
        if self.found.greeting is None and not self._implicit:
            with suppress(TimeoutError, OSError, SpokeInClear):
                try:
                    async with asyncio.timeout(self._context.deadlines.quit):
                        await session.command("QUIT")
                except ReplySyntaxError as nonsense:
                    if nonsense.protocol:
                        self._no_reply(nonsense)
                        return
        self._doubt(Reason.NETWORK, why)

    def _no_reply(self, nonsense: ReplySyntaxError) -> None:
        if nonsense.protocol and self.found.greeting is None:
            self.found = replace(self.found, other_protocol=nonsense.protocol)
            self.lines.append(f"-- {nonsense.protocol}, and not SMTP: {nonsense}")
        else:
            self._doubt(Reason.MALFORMED, str(nonsense))

    async def _connect(self) -> SmtpConnection | None:
        """Connect. If that fails, return None; `found` says why."""
        self.lines.append(f"-- to {self.ip} port {self.target.port}")
        try:
            async with self._phase("connect", self._context.deadlines.connect):
                return await self._open(self.lines.append)
        except ConnectionRefusedError:
            self.found = replace(self.found, refused=True)
            self.lines.append("-- connection refused")
        except OSError as broken:
            if self._lacks(broken):
                return None
            if self.ip.version == 6 and no_route(broken) and not self._routed:
                why = f"no way from here to {self.ip}: {broken}"
                self.found = replace(self.found, passed_over=why)
                self.lines.append(f"-- {why}")
            else:
                self._doubt(Reason.EGRESS, f"no connection to {self.ip} port {self.target.port}: {broken}")
        return None

    def _lacks(self, error: OSError) -> bool:
        """Is the error due to this machine alone? Then say so."""
        short = shortage(error, ipv4=self.ip.version == 4)
        if short:
            self._doubt(Reason.LOCAL_RESOURCES, f"no connection to {self.ip} port {self.target.port}: {short}")
        return short is not None

    async def _open(self, say: Callable[[str], None]) -> SmtpConnection:
        host, port = await self._context.dial(self.ip, self.target.port)
        reader, writer = await asyncio.open_connection(host, port)
        return SmtpConnection(reader, writer, say)

    async def _talk(self, session: SmtpConnection) -> None:
        if self._implicit:
            await self._secure(session)
            async with self._first_exchange():
                if await self._greeted(session):
                    await self._introduced(session)
            return
        if not await self._greeted(session) or not await self._introduced(session):
            return
        offers = "STARTTLS" in (self.found.offered or {})
        self.found = replace(self.found, starttls=offers)
        if not offers:
            self.found = replace(self.found, versions=dict.fromkeys(Version, False))
            return
        async with self._phase("starttls", self._context.deadlines.reply):
            reply = await session.start_tls()
        if reply.code == 421:  # the server closes the connection, whatever the command was: RFC 5321 section 3.8
            self._doubt(Reason.TEMPFAIL, f"to STARTTLS: {reply}")
            return
        if reply.transient:
            self.found = replace(self.found, tls_later=f"it answers STARTTLS with {reply}")
            self._doubt(Reason.TEMPFAIL, f"to STARTTLS: {reply}")
            return
        if reply.code != 220:
            self._learn_tls_failure(f"it answers STARTTLS with {reply}")
            return
        await self._secure(session)
        async with self._first_exchange():
            await self._introduced(session)  # both sides forget the first EHLO: RFC 3207 section 4.2

    @asynccontextmanager
    async def _first_exchange(self) -> AsyncIterator[None]:
        """The first exchange under TLS. A server that demands our certificate may end it here, under TLS 1.3.

        Whether its alert arrives before the connection ends is chance, so both cases get the same result.
        """
        try:
            yield
        except TimeoutError:
            raise
        except (OSError, TLSRefused):
            if not (self.found.secured and self.found.secured.asks_for_certificate):
                raise
            self._learn_tls_failure("certificate required: it ends the conversation unless the client shows one")

    async def _greeted(self, session: SmtpConnection) -> bool:
        async with self._phase("banner", self._context.deadlines.session):
            greeting = await session.reply()
        self.found = replace(self.found, greeting=greeting)
        return self._accepted(greeting, 220, "our connection")

    async def _introduced(self, session: SmtpConnection) -> bool:
        async with self._phase("ehlo", self._context.deadlines.reply):
            reply = await session.command(f"EHLO {self._context.helo_name}")
            verb = "EHLO"
            if self.found.greeting and not self.found.secured:
                self.found = replace(self.found, inspected=smtp.masked(self.found.greeting, reply))
            if reply.code in smtp.NOT_KNOWN:
                reply = await session.command(f"HELO {self._context.helo_name}")
                verb = "HELO"
        if not self._accepted(reply, 250, f"{verb} {self._context.helo_name}"):
            return False
        self.found = replace(self.found, offered=smtp.extensions(reply) if verb == "EHLO" else {})
        return True

    def _accepted(self, reply: SmtpReply, due: int, to: str) -> bool:
        if reply.permanent:
            self.found = replace(self.found, rejected=Rejection(to, reply))
        elif reply.transient:
            self._doubt(Reason.TEMPFAIL, f"to {to}: {reply}")
        elif reply.code != due:
            self._doubt(Reason.MALFORMED, f"to {to}: {reply}, where {due} is due")
        return reply.code == due

    async def _secure(self, session: SmtpConnection) -> None:
        async with self._phase("tls", self._context.deadlines.handshake):
            secured = await session.secure(self._context.context, self.target.host)
        self.found = replace(self.found, secured=secured)
        try:
            shown = self._context.roots().examine(secured.chain, self._context.clock.wall())
        except CertificateSyntaxError as unreadable:
            self._doubt(Reason.MALFORMED, str(unreadable))
            return
        self.found = replace(self.found, shown=shown)
        self.lines.append(f"-- certificate {shown.leaf.subject}, SHA-256 {shown.leaf.sha256}")

    async def ask(self, version: Version) -> VersionAnswer | None:
        """Offer one version of TLS, on a new connection. None if there is no answer."""
        limit = self._context.deadlines
        session: SmtpConnection | None = None
        try:
            async with asyncio.timeout(limit.session):
                session = await self._open(lambda _: None)  # these lines are in the transcript already
                if not self._implicit and not await self._up_to_starttls(session):
                    return None
                answer = await session.hello(version, self.target.host, os.urandom(32))
        except (OSError, ReplySyntaxError, SpokeInClear) as broken:
            self.lines.append(f"-- offered TLS {version} alone, on a new connection: {broken}")
            return None
        finally:
            if session:
                session.close()
        self.lines.append(f"-- offered TLS {version} alone, on a new connection: {answer.said}")
        return answer

    async def outdated(self) -> str | None:
        """Why a current OpenSSL cannot agree on TLS with the server; empty if it can, None if there is no answer."""
        return await self._again("a handshake as current OpenSSL does it by default", self._secure_as_current)

    async def _secure_as_current(self, session: SmtpConnection) -> str | None:
        if not self._implicit and not await self._up_to_starttls(session):
            return None
        try:
            await session.secure(self._context.current, self.target.host)
        except TLSNotPossibleHere as unwilling:
            return str(unwilling)
        except TLSRefused as refused:
            return str(refused) if any(word in str(refused) for word in _NO_COMMON) else None
        return ""

    async def obeys_clear_text(self) -> bool | None:
        """Does it execute under TLS a command that came unencrypted after STARTTLS (CVE-2011-0411)? None: no reply."""
        return await self._again(f"{_BEHIND} as plaintext after STARTTLS", self._after_clear_text)

    async def _after_clear_text(self, session: SmtpConnection) -> bool | None:
        greeting = await session.reply()
        ehlo = await session.command(f"EHLO {self._context.helo_name}") if greeting.code == 220 else greeting
        if ehlo.code != 250:
            return None
        reply = await session.start_tls_and_more(_BEHIND)
        if reply.code != 220:  # it refuses input that comes too early, as Exim does; "later" says nothing
            return None if reply.transient else False
        await session.secure(self._context.context, self.target.host)
        first = await session.command("QUIT")
        return first.code == 250 and (await session.reply()).code == 221

    async def _again(self, what: str, ask: Callable[[SmtpConnection], Awaitable[T | None]]) -> T | None:
        """Ask something on a new connection. None if that fails."""
        session: SmtpConnection | None = None
        answer: T | None = None
        try:
            async with asyncio.timeout(self._context.deadlines.session):
                session = await self._open(lambda _: None)  # these lines are in the transcript already
                answer = await ask(session)
        except (OSError, ReplySyntaxError, SpokeInClear, TLSRefused, TLSNotPossibleHere) as broken:
            self.lines.append(f"-- {what}, on a new connection: {broken}")
            return None
        finally:
            if session:
                session.close()
        self.lines.append(f"-- {what}, on a new connection: {_shown(answer)}")
        return answer

    async def _up_to_starttls(self, session: SmtpConnection) -> bool:
        """Greeting, EHLO and STARTTLS, as in the conversation. False if one of them fails."""
        greeting = await session.reply()
        ehlo = await session.command(f"EHLO {self._context.helo_name}") if greeting.code == 220 else greeting
        reply = await session.start_tls() if ehlo.code == 250 else ehlo
        if reply.code != 220 or ehlo.code != 250:
            with suppress(OSError, ReplySyntaxError):
                async with asyncio.timeout(self._context.deadlines.quit):
                    await session.command("QUIT")
            return False
        return True

    @asynccontextmanager
    async def _phase(self, name: str, limit: float) -> AsyncIterator[None]:
        """Measure a phase, and limit it. Of several with the same name, the first counts. Raise TimeoutError."""
        since = self._context.clock.monotonic()
        try:
            async with asyncio.timeout(limit):
                yield
        except TimeoutError:
            raise TimeoutError(f"no end of {name} within {limit:g} s") from None
        seconds = {name: self._context.clock.monotonic() - since, **self.found.seconds}
        self.found = replace(self.found, seconds=seconds)

    def _spoke_in_clear(self, octets: bytes) -> None:
        text = octets.decode("utf-8", "backslashreplace")
        self.lines.append(f"-- plaintext, where only TLS is allowed: {text!r}")
        self.found = replace(self.found, in_clear=text)

    def _learn_tls_failure(self, how: str) -> None:
        self.found = replace(self.found, tls_failure=how)
        self.lines.append(f"-- no TLS: {how}")

    def _doubt(self, reason: Reason, detail: str) -> None:
        self.found = replace(self.found, doubt=self.found.doubt or Doubt(reason, detail))
        self.lines.append(f"-- {detail}")


def _shown(answer: object) -> str:
    if answer is None:
        return "no answer"
    return str(answer) if isinstance(answer, str) and answer else "yes, it was obeyed" if answer else "as it should be"
