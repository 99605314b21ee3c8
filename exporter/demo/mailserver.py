"""Small real SMTP servers on loopback, each with its own behaviour, and the dial that leads to them.

They answer EHLO, HELO, STARTTLS, NOOP, RSET and QUIT, and take no mail. Like Exchange Online, they refuse a name in
EHLO that RFC 5321 does not allow, with `501 5.5.4 Invalid domain name`.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from exporter.demo.ca import Identity
from exporter.demo.certificates import CertificateKind, Signers
from exporter.facts import IP
from exporter.mail import helo
from exporter.mail.tls import Version

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_IMPLICIT_TLS_PORT = 465
_VERSIONS = {
    Version.TLS_1_0: ssl.TLSVersion.TLSv1,
    Version.TLS_1_1: ssl.TLSVersion.TLSv1_1,
    Version.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    Version.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}
_HANDSHAKE_FAILURE = bytes.fromhex("15 0301 0002 02 28")  # an alert record
_PIECE = 65536
_LONGEST = 120.0  # seconds of a session
_MOST_LINES = 1000  # of a session
_MOST_OPEN = 200  # sessions of one server at the same time
_MOST_KEPT = 10_000  # sessions
_OAKLEY_2 = b"""-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""  # the group of 1024 bits of RFC 2409 section 6.2


class SmtpFault(StrEnum):
    """What goes wrong besides certificates and versions; the first three before there is a connection."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    NO_ROUTE = "no-route"
    BUSY = "busy"  # 421 for a greeting
    REJECTS = "rejects"  # 554 for a greeting
    REJECTS_NAME = "rejects-name"  # 501 to EHLO
    NOT_QUALIFIED = "not-qualified"  # 504 to EHLO, as Postfix says it of names without a dot
    NO_EHLO = "no-ehlo"  # knows HELO only
    HANGS_UP = "hangs-up"  # closes without a word
    NO_SMTP = "no-smtp"  # greets in another protocol
    HTTP = "http"  # waits for a request
    INSPECTED = "inspected"  # ESMTP inspection of a Cisco ASA: what it does not know is crossed out
    INSPECTED_TLS = "inspected-tls"  # the same with allow-tls: the greeting alone is overwritten
    MASKED = "masked"  # the older fixup of a Cisco PIX: a greeting of asterisks, and no EHLO
    TLS_LATER = "tls-later"  # 454 to STARTTLS
    TLS_ALERT = "tls-alert"  # handshake_failure, whatever is offered
    TLS_HANGS_UP = "tls-hangs-up"  # closes in the middle of the handshake
    TLS_IN_CLEAR = "tls-in-clear"  # answers the hello as if it were a command
    WANTS_CERTIFICATE = "wants-certificate"  # of the client
    OLD_EXCHANGE = "old-exchange"  # TLS 1.2 with a Diffie-Hellman group of 1024 bits
    OBEYS_CLEAR_TEXT = "obeys-clear-text"  # executes under TLS what came in clear behind STARTTLS (CVE-2011-0411)
    INJECTED = "injected"  # an EHLO reply in clear behind the 220 to STARTTLS


@dataclass(frozen=True)
class Behaviour:
    """How a server answers. `slow` is the seconds before the greeting; a size of 0 states no limit, None omits SIZE.

    `offers_for`: STARTTLS is offered in so many sessions, and then no more. `fault_for` likewise.
    """

    name: str = "mx.example.com"
    slow: float = 0.0
    size: int | None = 52_428_800
    starttls: bool = True
    offers_for: int | None = None
    oldest: Version = Version.TLS_1_2
    newest: Version = Version.TLS_1_3
    certificate: CertificateKind = CertificateKind.GOOD
    certificate_name: str = ""  # the server's own unless given
    sends_root: bool = False  # the authority's own certificate along with the server's
    fault: SmtpFault | None = None
    fault_for: int | None = None


class _HungUp(Exception):  # noqa: N818 (an end of a session, good or bad)
    pass


class _Line:
    """A connection, in clear and then under TLS; a handshake that fails sends its alert, as real servers do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._encrypted, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    async def say(self, *lines: str) -> None:
        octets = "".join(f"{line}\r\n" for line in lines).encode()
        if self._tls:
            self._tls.write(octets)
            octets = self._to_send.read()
        await self.send(octets)

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def read_line(self) -> str:
        while b"\n" not in self._buffer:
            self._buffer += await self._receive()
            if len(self._buffer) > _PIECE:
                raise _HungUp
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "backslashreplace").removesuffix("\r")

    async def raw(self) -> bytes:
        octets = await self._reader.read(_PIECE)
        if not octets:
            raise _HungUp
        return octets

    async def secure(self, context: ssl.SSLContext, *, forget: bool = True) -> None:
        if forget:
            self._buffer = b""  # what came in clear does not count: RFC 3207 section 4.2
        tls = context.wrap_bio(self._encrypted, self._to_send, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.send(self._to_send.read())
                self._encrypted.write(await self.raw())
            except ssl.SSLError:
                await self.send(self._to_send.read())
                raise _HungUp from None
        await self.send(self._to_send.read())
        self._tls = tls

    async def _receive(self) -> bytes:
        while self._tls:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                self._encrypted.write(await self.raw())
            except ssl.SSLError:
                raise _HungUp from None
        return await self.raw()


class MailServer:
    """One of them. `address` is where it really listens, `sessions` what each of the latest clients said."""

    def __init__(
        self, behaviour: Behaviour, context: ssl.SSLContext, *, implicit: bool, sleep: Sleep, longest: float
    ) -> None:
        self._behaviour, self._context, self._implicit, self._sleep = behaviour, context, implicit, sleep
        self._longest = longest
        self._open: set[asyncio.Task[Any] | None] = set()
        self._count = 0
        self.address: tuple[str, int] = ("", 0)
        self.sessions: list[list[str]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Break off what is still open: somebody with telnet must not keep the world from ending."""
        self._server.close()
        tasks = [*filter(None, self._open)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _MOST_OPEN:
            writer.transport.abort()
            return
        lines: list[str] = []
        self.sessions.append(lines)
        del self.sessions[:-_MOST_KEPT]
        self._count += 1
        me = asyncio.current_task()
        self._open.add(me)
        try:
            with suppress(_HungUp, OSError):  # a timeout is an OSError
                async with asyncio.timeout(self._longest):
                    await self._session(_Line(reader, writer), lines)
            await asyncio.sleep(0)  # uvloop sends at the end of a turn
            if not writer.transport.get_write_buffer_size():
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        finally:
            self._open.discard(me)
            writer.transport.abort()  # a client that reads nothing would keep it open for ever

    async def _session(self, line: _Line, lines: list[str]) -> None:
        behaviour = self._now
        if behaviour.fault is SmtpFault.HANGS_UP:
            return
        if behaviour.fault is SmtpFault.HTTP:
            await line.read_line()
            await line.say("HTTP/1.1 400 Bad Request", "Content-Length: 0", "Connection: close", "")
            return
        if self._implicit:
            await line.secure(self._context)
        if behaviour.slow:
            await self._sleep(behaviour.slow)
        await line.say(self._greeting())
        while True:
            said = await line.read_line()
            lines.append(said)
            if len(lines) > _MOST_LINES:
                await line.say("421 4.7.0 too many commands [demo]")
                return
            verb, _, argument = said.partition(" ")
            match verb.upper():
                case "EHLO" | "HELO":
                    await line.say(*self._introduced(verb.upper(), argument))
                case "STARTTLS" if behaviour.starttls and not self._implicit:
                    await self._start_tls(line)
                case "NOOP" | "RSET":
                    await line.say("250 2.0.0 as you wish")
                case "QUIT":
                    await line.say(f"221 2.0.0 {behaviour.name} says goodbye")
                    return
                case "MAIL":
                    await line.say("550 5.7.1 this server accepts no mail [demo]")
                case _:
                    await line.say("502 5.5.1 no such command [demo]")

    @property
    def _now(self) -> Behaviour:
        """As it behaves in the latest session."""
        behaviour, sessions = self._behaviour, self._count
        faultless = behaviour.fault_for is not None and sessions > behaviour.fault_for
        silent = behaviour.offers_for is not None and sessions > behaviour.offers_for
        return replace(
            behaviour, fault=None if faultless else behaviour.fault, starttls=behaviour.starttls and not silent
        )

    def _greeting(self) -> str:
        match self._now.fault:
            case SmtpFault.MASKED | SmtpFault.INSPECTED | SmtpFault.INSPECTED_TLS:
                return f"220 {'*' * 20}02{'*' * 9}2{'*' * 20}"
            case SmtpFault.BUSY:
                return f"421 4.3.2 {self._behaviour.name} is busy, try again later [demo]"
            case SmtpFault.REJECTS:
                return f"554 5.7.1 {self._behaviour.name} takes nothing from you [demo]"
            case SmtpFault.NO_SMTP:
                return "SSH-2.0-demo"
        return f"220 {self._behaviour.name} ESMTP demo"

    def _introduced(self, verb: str, argument: str) -> list[str]:
        behaviour = self._now
        if verb == "EHLO" and behaviour.fault is SmtpFault.NO_EHLO:
            return ["502 5.5.1 no such command [demo]"]
        if verb == "EHLO" and behaviour.fault is SmtpFault.MASKED:
            return ['500 5.5.1 Command unrecognized: "XXXX"']
        if behaviour.fault is SmtpFault.NOT_QUALIFIED:
            return [f"504 5.5.2 <{argument}>: Helo command rejected: need fully-qualified hostname"]
        if behaviour.fault is SmtpFault.REJECTS_NAME or not helo.parse(argument).well_formed:
            return ["501 5.5.4 Invalid domain name [demo]"]
        offers = [behaviour.name]
        if verb == "EHLO":
            offers += (
                ["SIZE" if behaviour.size == 0 else f"SIZE {behaviour.size}"] if behaviour.size is not None else []
            )
            if behaviour.starttls and not self._implicit:
                offers += ["XXXXXXXA" if behaviour.fault is SmtpFault.INSPECTED else "STARTTLS"]
            offers += ["ENHANCEDSTATUSCODES"]
        return [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]

    async def _start_tls(self, line: _Line) -> None:
        ready = "220 2.0.0 ready to start TLS"
        fault = self._now.fault
        match fault:
            case SmtpFault.TLS_LATER:
                await line.say("454 4.7.0 TLS not available due to local problem")
                return
            case SmtpFault.TLS_ALERT:
                await line.say(ready)
                await line.raw()
                await line.send(_HANDSHAKE_FAILURE)
                raise _HungUp
            case SmtpFault.TLS_HANGS_UP:
                await line.say(ready)
                await line.raw()
                raise _HungUp
            case SmtpFault.TLS_IN_CLEAR:
                await line.say(ready)
                await line.raw()
                await line.say("500 5.5.2 unrecognized command [demo]")
                raise _HungUp
            case SmtpFault.INJECTED:
                await line.say(ready, "250-injected.example.net", "250 SIZE 1")
            case _:
                await line.say(ready)
        await line.secure(self._context, forget=fault is not SmtpFault.OBEYS_CLEAR_TEXT)


class MailServers:
    """The mail hosts of a small world: where they are said to be -> how they behave. `pem` is the root they trust.

    `dial` is for exporter.net.smtp.client; an address of nobody refuses. `sleep` lets time pass before a slow
    greeting, `now` is the unix time by which certificates are good or bad. A session takes at most `longest` seconds.
    """

    def __init__(
        self,
        hosts: Mapping[tuple[IP, int], Behaviour],
        now: float,
        *,
        sleep: Sleep = asyncio.sleep,
        longest: float = _LONGEST,
    ) -> None:
        self._hosts = dict(hosts)
        signers = Signers(now, {behaviour.certificate for behaviour in self._hosts.values()})
        self.pem = signers.pem
        self.servers: dict[tuple[IP, int], MailServer] = {}
        with TemporaryDirectory() as folder:  # OpenSSL takes keys from files only
            for (ip, port), behaviour in self._hosts.items():
                name, old = behaviour.certificate_name or behaviour.name, behaviour.fault is SmtpFault.OLD_EXCHANGE
                identity = signers.identity(
                    behaviour.certificate, name, now, with_rsa=old, with_root=behaviour.sends_root
                )
                context = _context(behaviour, identity, Path(folder))
                self.servers[ip, port] = MailServer(
                    behaviour, context, implicit=port == _IMPLICIT_TLS_PORT, sleep=sleep, longest=longest
                )

    async def start(self) -> None:
        for server in self.servers.values():
            await server.start()

    async def stop(self) -> None:
        for server in self.servers.values():
            await server.stop()

    async def dial(self, ip: IP, port: int) -> tuple[str, int]:
        """Where to connect to instead. Raise what connecting would, for hosts that cannot be connected to."""
        behaviour = self._hosts.get((ip, port))
        fault = behaviour.fault if behaviour else SmtpFault.REFUSED
        if fault is SmtpFault.REFUSED:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        if fault is SmtpFault.TIMEOUT:
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        if fault is SmtpFault.NO_ROUTE:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return self.servers[ip, port].address


def _context(behaviour: Behaviour, identity: Identity, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:!aNULL:@SECLEVEL=0")  # without which OpenSSL 3 does no TLS 1.0 and 1.1, and no weak key
    with warnings.catch_warnings():  # that old versions are deprecated is the point
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _VERSIONS[behaviour.oldest]
        context.maximum_version = _VERSIONS[behaviour.newest]
    if behaviour.fault is SmtpFault.WANTS_CERTIFICATE:
        context.verify_mode = ssl.CERT_REQUIRED
    if behaviour.fault is SmtpFault.OLD_EXCHANGE:
        (folder / "group.pem").write_bytes(_OAKLEY_2)
        context.load_dh_params(str(folder / "group.pem"))
        context.set_ciphers("DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    (folder / "key.pem").write_bytes(identity.key)
    (folder / "chain.pem").write_bytes(identity.chain)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context
