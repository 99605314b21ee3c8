"""One connection to an SMTP server: sends commands, reads replies, and starts TLS.

The problem: between STARTTLS and the handshake, somebody can inject plain text that a client then takes for a reply
under TLS (nostarttls.secvuln.info). With asyncio's own TLS, a program cannot see which octets
came before the handshake.

The idea: TLS runs in memory here, beside the connection. So we see each octet, and know on which side of the handshake
it came. This also gives the same behaviour to plain connections, hand-made hellos and all Python versions.

Nothing here has a deadline; the caller sets one.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakSet

from exporter.mail import smtp, tls
from exporter.mail.tls import Version

if sys.version_info < (3, 13):
    import _ssl

_MORE_THAN_EVER_BUFFERED = 2**20  # a StreamReader stops at twice its limit of 64 KiB and one reception
_MOST_READS = 64  # for one answer to a hello
_PIECE = 1024  # bytes of TLS in one turn of the loop: records may be tiny, and each costs time
_MOST_TLS = 2**20  # bytes of TLS on one connection; certificates and replies take a tenth of it
_VERSIONS = {
    "TLSv1": Version.TLS_1_0,
    "TLSv1.1": Version.TLS_1_1,
    "TLSv1.2": Version.TLS_1_2,
    "TLSv1.3": Version.TLS_1_3,
}
# Words of OpenSSL for a server that breaks TLS off (it names the alert) or does not speak it. All its other errors may
# be our own inability or taste, and are nobody's fault.
_THEIR_FAULT = ("ALERT", "WRONG_VERSION_NUMBER", "HTTP_REQUEST")
_FIRST_IN = re.compile(r"(?:SSLV3|TLSV1[0-9]?)_(?=ALERT_)")  # the standard an alert is from, not the version spoken


class HungUp(ConnectionError):  # noqa: N818 (a fact about the server, not an error of ours)
    """The server closed the connection when a reply was expected."""


class SpokeInClear(Exception):  # noqa: N818 (likewise)
    """Octets in clear behind the answer to STARTTLS, before our hello."""

    def __init__(self, octets: bytes) -> None:
        super().__init__(octets[:80])
        self.octets = octets[:80]


class TLSRefused(Exception):  # noqa: N818 (likewise)
    """The server ended TLS, with an alert or by not speaking it."""


class TLSNotPossibleHere(Exception):  # noqa: N818 (likewise)
    """Our own TLS library gave up: that says nothing about the server."""


@dataclass(frozen=True, slots=True)
class Secured:
    """What was agreed in the handshake. `chain` are the certificates that the server sent, in DER, unverified.

    `asks_for_certificate`: it asked for one of ours, and got none.
    """

    version: Version
    cipher: str
    chain: tuple[bytes, ...]
    asks_for_certificate: bool = False


def reading_context() -> ssl.SSLContext:
    """A context for inspection only: all versions and ciphers, and any certificate. It is judged elsewhere.

    Anonymous ciphers are left out: with them a server shows no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:!aNULL:@SECLEVEL=0")  # at any other level OpenSSL 3 has no TLS 1.0 and 1.1
    context.options |= getattr(
        ssl, "OP_LEGACY_SERVER_CONNECT", 0x4
    )  # servers without RFC 5746; named since Python 3.12
    # Under TLS 1.3 the request is encrypted, and the library shows it nowhere else.
    context._msg_callback = _note_certificate_request  # type: ignore[attr-defined]  # noqa: SLF001  (there is no public name for it)
    return context


def current_context() -> ssl.SSLContext:
    """What a current OpenSSL speaks by default (3.2 and newer: security level 2), with any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CURRENT)
    return context


_CURRENT = "DEFAULT:@SECLEVEL=2"
_CURRENT_CIPHERS = frozenset(cipher["name"] for cipher in current_context().get_ciphers())


def surely_current(cipher: str) -> bool:
    """Does a current OpenSSL accept the cipher with any parameters? Those of DHE may be too short."""
    return cipher in _CURRENT_CIPHERS and not cipher.startswith("DHE-")


_asked: WeakSet[object] = WeakSet()  # the tunnels whose server asked for our certificate
_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13


def _note_certificate_request(tunnel: object, direction: str, _: object, content: int, message: int, __: bytes) -> None:
    if direction == "read" and content == _HANDSHAKE and message == _CERTIFICATE_REQUEST:
        _asked.add(tunnel)


class SmtpConnection:
    """`say` gets every line that passes, for the transcript."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, say: Callable[[str], None]) -> None:
        self._reader = reader
        self._writer = writer
        self._say = say
        self._replies = smtp.Incoming()
        self._encrypted = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._left = _MOST_TLS

    async def reply(self) -> smtp.SmtpReply:
        """Raise HungUp, ReplySyntaxError, TLSRefused, TLSNotPossibleHere, OSError."""
        while (reply := self._replies.take()) is None:
            self._replies.feed(await self._receive())
        for line in reply.shown:
            self._say(f"S: {line}")
        return reply

    async def command(self, line: str) -> smtp.SmtpReply:
        """Send a line and wait for the whole reply. Raise as `reply`, and ValueError for more than one line."""
        if not line.isprintable():
            raise ValueError(f"no SMTP command: {line!r}")
        return await self.octets(line.encode())

    async def octets(self, line: bytes) -> smtp.SmtpReply:
        """Like `command`, but the line is sent exactly as it is, even if it is wrong."""
        if any(octet in line for octet in b"\r\n\0"):
            raise ValueError(f"more than one line: {line!r}")
        self._say(f"C: {line.decode('utf-8', 'backslashreplace')}")
        octets = line + b"\r\n"
        if self._tls:
            self._tls.write(octets)
            octets = self._to_send.read()
        await self._send(octets)
        return await self.reply()

    async def start_tls(self) -> smtp.SmtpReply:
        """Ask for TLS. Raise SpokeInClear if anything stands before or behind the answer (RFC 3207 section 4)."""
        await self._nothing_in_clear()
        reply = await self.command("STARTTLS")
        await self._nothing_in_clear()
        return reply

    async def start_tls_and_more(self, line: str) -> smtp.SmtpReply:
        """Send STARTTLS and a line in clear behind it, in one segment. Return the reply to STARTTLS.

        A server must discard the line (RFC 3207 section 4.2). Use it only for the operator's own servers: a client must
        send nothing there (RFC 2920 section 3.1).
        """
        self._say(f"C: STARTTLS, and unencrypted after it: {line}")
        await self._send(f"STARTTLS\r\n{line}\r\n".encode())
        return await self.reply()

    async def _nothing_in_clear(self) -> None:
        if not self._replies.rest:
            self._replies.feed(await self._already_here())
        if self._replies.rest:
            raise SpokeInClear(bytes(self._replies.rest[:80]))

    async def _already_here(self) -> bytes:
        """What has arrived by now, without waiting for more; two looks, since the first may come before the octets."""
        for _ in range(2):
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    return await self._reader.read(_MORE_THAN_EVER_BUFFERED)
        return b""

    async def secure(self, context: ssl.SSLContext, host: str) -> Secured:
        """The handshake. Raise HungUp, TLSRefused, TLSNotPossibleHere, ReplySyntaxError, OSError."""
        tunnel = context.wrap_bio(self._encrypted, self._to_send, server_hostname=host)
        received = b""
        while True:
            try:
                tunnel.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._send(self._to_send.read())
                octets = await self._receive_encrypted()
                if not received and not tls.is_tls(octets):  # an answer to our hello, as of a server that knows no TLS
                    text = octets[:80].decode("utf-8", "backslashreplace")
                    raise TLSRefused(f"it sends plaintext: {text}") from None
                received = octets
                self._encrypted.write(octets)
            except ssl.SSLError as error:
                await self._send(self._to_send.read())  # our alert: the server's log should say why we left
                raise _whose_fault(error) from None
        await self._send(self._to_send.read())
        self._tls = tunnel
        cipher = tunnel.cipher()
        version = _VERSIONS[tunnel.version() or ""]
        secured = Secured(version, cipher[0] if cipher else "", _chain(tunnel), tunnel in _asked)
        self._say(f"-- TLS {secured.version} {secured.cipher}, certificates sent: {len(secured.chain)}")
        return secured

    async def hello(self, version: Version, host: str, random: bytes) -> tls.VersionAnswer:
        """Offer one version of TLS, and read the answer. The connection cannot be used afterwards. Raise OSError."""
        await self._send(tls.client_hello(version, host, random))
        received = b""
        for _ in range(_MOST_READS):
            octets = await self._reader.read(_MORE_THAN_EVER_BUFFERED)
            if not octets:
                return tls.VersionAnswer(None, "closed the connection")
            received += octets
            answer = tls.judge(version, received)
            if answer:
                return answer
        return tls.VersionAnswer(None, "an answer in too many pieces")

    async def _receive(self) -> bytes:
        if self._tls is None:
            return await self._receive_raw()
        while True:
            try:
                octets = self._tls.read(_MORE_THAN_EVER_BUFFERED)
            except ssl.SSLWantReadError:
                await self._send(self._to_send.read())  # TLS itself may have something to say
                self._encrypted.write(await self._receive_encrypted())
            except ssl.SSLZeroReturnError:
                raise HungUp("the server closed the connection") from None
            except ssl.SSLError as error:
                raise _whose_fault(error) from None
            else:
                if not octets:
                    raise HungUp("the server closed the connection")
                return octets

    async def _receive_encrypted(self) -> bytes:
        """A piece, and a turn for everybody else before it. Raise ReplySyntaxError for TLS without end."""
        await asyncio.sleep(0)
        octets = await self._receive_raw(_PIECE)
        self._left -= len(octets)
        if self._left < 0:
            raise smtp.ReplySyntaxError(f"more than {_MOST_TLS} bytes of TLS")
        return octets

    async def _receive_raw(self, most: int = _MORE_THAN_EVER_BUFFERED) -> bytes:
        octets = await self._reader.read(most)
        if not octets:
            raise HungUp("the server closed the connection")
        return octets

    async def _send(self, octets: bytes) -> None:
        if octets:
            self._writer.write(octets)
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


def _whose_fault(error: ssl.SSLError) -> Exception:
    said = _FIRST_IN.sub("", error.reason or str(error)).replace("_", " ").lower()
    if any(word in (error.reason or "") for word in _THEIR_FAULT):
        return TLSRefused(said)
    return TLSNotPossibleHere(said)


def _chain(tunnel: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates as they came; public in Python since 3.13."""
    if sys.version_info >= (3, 13):
        return tuple(tunnel.get_unverified_chain())
    chain = tunnel._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001  (there is no other way before 3.13)
    return tuple(certificate.public_bytes(_ssl.ENCODING_DER) for certificate in chain or ())
