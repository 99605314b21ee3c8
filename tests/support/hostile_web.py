"""Web servers that do what no server should, in a process of their own: `python -m tests.support.hostile_web`.

It has no part in the event loop that the tests measure.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exporter.demo.ca import Authority, Identity
from exporter.demo.website import server_context
from tests.support.hostile_server import Peer, started, stay
from tests.support.web import NAME

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TLS_RECORD = b"\x16\x03\x03\x40\x00"


def saying(octets: bytes) -> Peer:
    def peer(client: socket.socket) -> None:
        asked(client)
        client.sendall(octets)

    return peer


def endless(begin: bytes, more: bytes, pause: float = 0.0) -> Peer:
    """`more` again and again, at full speed unless there is a pause."""
    again = more if pause else more * (65536 // len(more))

    def peer(client: socket.socket) -> None:
        asked(client)
        client.sendall(begin)
        while True:
            client.sendall(again)
            time.sleep(pause)

    return peer


def saying_first(octets: bytes) -> Peer:
    def peer(client: socket.socket) -> None:
        client.sendall(octets)
        silent(client)

    return peer


def silent(client: socket.socket) -> None:
    while client.recv(65536):
        pass


def resets(client: socket.socket) -> None:
    asked(client)
    client.sendall(OK + b"Content-Length: 100\r\n\r\nhalf")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def speaks_first(client: socket.socket) -> None:
    client.sendall(OK + b"Content-Length: 5\r\n\r\nearly" + OK + b"Content-Length: 5\r\n\r\nagain")
    asked(client)


def drips_tls(client: socket.socket) -> None:
    client.recv(1)
    client.sendall(TLS_RECORD)
    while True:
        client.sendall(b"\x02")
        time.sleep(0.01)


def floods_tls(client: socket.socket) -> None:
    """Records without end, each of the size that TLS allows, in place of the rest of a hello."""
    client.recv(1)
    while True:
        client.sendall(TLS_RECORD + b"\x02\x00\xff\xff" + bytes(0x4000 - 4))


def alerts_before_tls(client: socket.socket) -> None:
    """user_canceled, a warning, again and again."""
    client.recv(1)
    while True:
        client.sendall(bytes.fromhex("15 0303 0002 01 5a") * 1000)


def tiny_records(client: socket.socket) -> None:
    asked(client)
    while True:
        client.sendall(b"H")


def says_goodbye(client: socket.socket) -> None:
    return


def asked(client: socket.socket) -> None:
    heard = b""
    while b"\r\n\r\n" not in heard:
        octets = client.recv(65536)
        if not octets:
            raise ConnectionResetError
        heard += octets


@dataclass(frozen=True)
class Kind:
    """What a server does, and how a GET may end besides at its deadline: a failure, or the status of an answer."""

    peer: Peer
    ends: str
    tls: bool = True
    names: int = 0  # in its certificate
    tickets: int = 2  # for later sessions


def kinds() -> dict[str, Kind]:
    leads = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
    good = saying(OK + b"Content-Length: 2\r\n\r\nok")
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    return {
        "good": Kind(good, "200"),
        "103 without end": Kind(endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), "malformed"),
        "short 103 without end": Kind(endless(b"", b"HTTP/1.1 103 \r\n\r\n"), "malformed"),
        "100 without end": Kind(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "malformed"),
        "trickled 103": Kind(endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01), "malformed"),
        "header without end": Kind(endless(OK, b"X: x\r\n"), "malformed"),
        "header line without end": Kind(endless(OK + b"X: ", b"x"), "malformed"),
        "reason without end": Kind(endless(b"HTTP/1.1 200 ", b"x"), "malformed"),
        "trickled header": Kind(endless(OK, b"X: x\r\n", 0.01), "malformed"),
        "chunk extension without end": Kind(endless(CHUNKED + b"1;", b"x"), "too-large"),
        "chunk extensions": Kind(endless(CHUNKED, b"1;" + b"x" * 4000 + b"=x\r\nx\r\n"), "too-large"),
        "chunk size without end": Kind(endless(CHUNKED, b"0"), "too-large"),
        "chunks of one octet": Kind(endless(CHUNKED, b"1\r\nx\r\n"), "too-large"),
        "trailer without end": Kind(endless(CHUNKED + b"0\r\n", b"X: x\r\n"), "connection malformed too-large"),
        "body too long": Kind(saying(OK + b"Content-Length: 2\r\n\r\nmuch more than that"), "malformed"),
        "body too short": Kind(saying(OK + b"Content-Length: 100\r\n\r\nless"), "connection"),
        "negative length": Kind(saying(OK + b"Content-Length: -1\r\n\r\nx"), "malformed"),
        "two lengths": Kind(saying(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), "malformed"),
        "huge length": Kind(saying(OK + b"Content-Length: 99999999999999999999\r\n\r\n"), "malformed"),
        "body without end": Kind(endless(OK + b"\r\n", b"x"), "too-large"),
        "trickled body": Kind(endless(OK + b"Content-Length: 1000\r\n\r\n", b"x", 0.05), ""),
        "silent after TLS": Kind(silent, ""),
        "answer before the question": Kind(speaks_first, "200"),  # by who has proven to be this host
        "HTTP 0.9": Kind(saying(b"<html>hello</html>"), "malformed"),
        "status 999": Kind(saying(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), "999"),
        "status 101": Kind(endless(switched, b"x"), "malformed"),
        "gzip": Kind(endless(OK + b"Content-Encoding: gzip\r\n\r\n", b"\x1f\x8b"), "malformed"),
        "answers without end": Kind(endless(b"", OK + b"Content-Length: 0\r\n\r\n"), "200 malformed"),
        "reset in the body": Kind(resets, "connection"),
        "goodbye at once": Kind(says_goodbye, "connection"),
        "records of one octet": Kind(tiny_records, "malformed"),
        "redirect to itself": Kind(saying(f"{leads}https://{NAME}/\r\n\r\n".encode()), "redirects"),
        "redirect to a private address": Kind(
            saying(f"{leads}https://private.example.com/\r\n\r\n".encode()), "not-public"
        ),
        "silent": Kind(silent, "", tls=False),
        "trickled handshake": Kind(drips_tls, "", tls=False),
        "flooded handshake": Kind(floods_tls, "tls connection", tls=False),
        "alerts without end": Kind(alerts_before_tls, "tls connection", tls=False),
        "garbage": Kind(saying_first(b"\xde\xad\xbe\xef" * 1000), "tls", tls=False),
        "clear text": Kind(saying_first(b"220 mx.example.com ESMTP\r\n"), "tls", tls=False),
        "certificate of 1 MiB": Kind(good, "tls connection", names=45_000),
        "certificate of 90 KiB": Kind(good, "200", names=3_500),
        "10,000 session tickets": Kind(good, "malformed tls connection", tickets=10_000),
    }


def with_names(authority: Authority, count: int) -> Identity:
    """A certificate with so many names, the last of which is the right one."""
    now = time.time()
    own = ec.generate_private_key(ec.SECP256R1())
    made = authority.issue(NAME, not_before=now - 86400, not_after=now + 86400)
    leaf = x509.load_pem_x509_certificates(made.chain)[0]
    names = [x509.DNSName(f"host-{n:06}.example.org") for n in range(count)] + [x509.DNSName(NAME)]
    builder = x509.CertificateBuilder(leaf.issuer, leaf.subject, own.public_key(), leaf.serial_number)
    builder = builder.not_valid_before(leaf.not_valid_before_utc).not_valid_after(leaf.not_valid_after_utc)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(authority._key, hashes.SHA256())
    return replace(made, key=_pem(own), chain=signed.public_bytes(Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def main() -> None:
    now = time.time()
    authority = Authority(now, "hostile")
    good = authority.issue(NAME, not_before=now - 86400, not_after=now + 86400)
    listening: dict[str, tuple[Peer, ssl.SSLContext | None]] = {}
    for name, kind in kinds().items():
        context = server_context(with_names(authority, kind.names) if kind.names else good) if kind.tls else None
        if context:
            context.num_tickets = kind.tickets
        listening[name] = (kind.peer, context)
    stay(authority.pem, listening)


def hostile_web() -> AbstractContextManager[tuple[bytes, dict[str, int]]]:
    """The authority, and the port of each kind."""
    return started(__name__)


if __name__ == "__main__":
    main()
