"""Mail hosts that do what no server should, in a process of their own: `python -m tests.support.hostile_smtp`."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from exporter.demo.ca import Authority
from exporter.demo.website import server_context
from tests.support.hostile_server import Peer, started, stay
from tests.support.hostile_web import drips_tls, floods_tls, silent, with_names

HOST_NAME = "mx.example.com"
HELLO = b"220 mx.example.com ESMTP\r\n"
EHLO = b"250-mx.example.com\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
GO = b"220 2.0.0 go\r\n"
INJECTED = b"250-injected.example.net\r\n250-SIZE 1\r\n250 EVIL\r\n"
ALERT = bytes.fromhex("15 0303 0002 01 5a")  # user_canceled, a warning


@dataclass(frozen=True)
class Kind:
    """What a host does, and the fact that may be learnt of it. A doubt is always right."""

    peer: Peer
    fact: str = ""


def saying(*octets: bytes, pause: float = 0.0) -> Peer:
    """One text after each line of the client, the first at once; then silence."""

    def peer(client: socket.socket) -> None:
        for number, text in enumerate(octets):
            if number:
                line(client)
            client.sendall(text)
            time.sleep(pause)
        silent(client)

    return peer


def endless(more: bytes, *before: bytes, pause: float = 0.0) -> Peer:
    again = more if pause else more * (65536 // len(more))

    def peer(client: socket.socket) -> None:
        for text in before:
            client.sendall(text)
            line(client)
        while True:
            client.sendall(again)
            time.sleep(pause)

    return peer


def after_go(then: Peer) -> Peer:
    """The conversation up to our ClientHello, and then something else than TLS."""

    def peer(client: socket.socket) -> None:
        for text in (HELLO, EHLO):
            client.sendall(text)
            line(client)
        client.sendall(GO)
        client.recv(1)
        then(client)

    return peer


def hears(octets: bytes) -> Peer:
    """Says it, and hangs up."""

    def peer(client: socket.socket) -> None:
        client.sendall(octets)

    return peer


def floods(octets: bytes, pause: float = 0.0) -> Peer:
    def peer(client: socket.socket) -> None:
        while True:
            client.sendall(octets)
            time.sleep(pause)

    return peer


def resets(client: socket.socket) -> None:
    client.sendall(HELLO)
    line(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def injects(client: socket.socket) -> None:
    client.sendall(HELLO)
    line(client)
    client.sendall(EHLO)
    line(client)
    client.sendall(GO + INJECTED)
    silent(client)


def greets_only_at_the_end(client: socket.socket) -> None:
    line(client)
    client.sendall(HELLO + b"221 bye\r\n")


def in_tls(context: ssl.SSLContext, then: Peer) -> Peer:
    def peer(client: socket.socket) -> None:
        for text in (HELLO, EHLO):
            client.sendall(text)
            line(client)
        client.sendall(GO)
        with context.wrap_socket(client, server_side=True) as secured:
            then(secured)

    return peer


def converses(client: socket.socket) -> None:
    """As it should, under TLS."""
    while heard := line(client):
        client.sendall(b"221 bye\r\n" if heard.startswith(b"QUIT") else EHLO.replace(b"STARTTLS", b"HELP"))


def line(client: socket.socket) -> bytes:
    heard = b""
    while not heard.endswith(b"\n"):
        octet = client.recv(1)
        if not octet:
            raise ConnectionResetError
        heard += octet
    return heard


def kinds(context: Callable[[int, int], ssl.SSLContext]) -> dict[str, Kind]:
    """`context` is for a number of names in the certificate and of session tickets."""
    usual = context(0, 2)
    secured = "secured"
    return {
        "good": Kind(in_tls(usual, converses), secured),
        "silent": Kind(silent),
        "drips": Kind(endless(b"2", pause=0.01)),
        "drips lines": Kind(endless(b"220-wait\r\n", pause=0.02)),
        "line without end": Kind(endless(b"220 " + b"x" * 60000)),
        "reply without end": Kind(endless(b"220-x\r\n")),
        "line ends without end": Kind(endless(b"\n")),
        "NUL without end": Kind(endless(b"\0")),
        "EHLO of 100,000 lines": Kind(saying(HELLO, b"250-x\r\n" * 100_000 + b"250 x\r\n")),
        "hangs up at once": Kind(hears(b"")),
        "hangs up in a reply": Kind(hears(b"220-mx.exam")),
        "resets": Kind(resets),
        "binary": Kind(saying(b"\x00\x01\x02\xff\r\n")),
        "greets twice": Kind(saying(HELLO * 2)),
        "code 999": Kind(saying(b"999 hello\r\n")),
        "code 199": Kind(saying(b"199 hello\r\n")),
        "two codes": Kind(saying(b"220-mx\r\n250 mx\r\n")),
        "other digits": Kind(saying("٢٢٠ mx\r\n".encode())),
        "421": Kind(saying(b"421 4.3.2 busy\r\n")),
        "554": Kind(saying(b"554 5.7.1 no\r\n"), "rejected"),
        "550 to EHLO": Kind(saying(HELLO, b"550 5.7.1 no\r\n"), "rejected"),
        "450 to EHLO": Kind(saying(HELLO, b"450 4.7.1 later\r\n")),
        "SSH": Kind(saying(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "other_protocol"),
        "HTTP": Kind(saying(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"), "other_protocol"),
        "half of HTTP": Kind(saying(b"", b"HTTP/1.1 4")),
        "IMAP": Kind(saying(b"* OK ready\r\n"), "other_protocol"),
        "greets only at the end": Kind(greets_only_at_the_end),
        "nothing to STARTTLS": Kind(saying(HELLO, EHLO)),
        "421 to STARTTLS": Kind(saying(HELLO, EHLO, b"421 4.4.2 closing\r\n")),
        "454 to STARTTLS": Kind(saying(HELLO, EHLO, b"454 4.7.0 not now\r\n", b"221 bye\r\n")),
        "550 to STARTTLS": Kind(saying(HELLO, EHLO, b"550 5.7.0 no\r\n", b"221 bye\r\n"), "tls_failure"),
        "injection": Kind(injects, "in_clear"),
        "early 220": Kind(saying(HELLO, EHLO + GO), "in_clear"),
        "silent after the hello": Kind(after_go(silent)),
        "hangs up on the hello": Kind(after_go(hears(b""))),
        "in clear after the hello": Kind(after_go(saying(b"500 5.5.2 bad syntax\r\n")), "tls_failure"),
        "drips TLS": Kind(after_go(drips_tls)),
        "garbage in a record": Kind(after_go(saying(b"\x16\x03\x03\x00\x08" + b"\xde\xad\xbe\xef" * 2)), "tls_failure"),
        "alerts without end": Kind(after_go(floods(ALERT * 1000)), "tls_failure"),
        "records without end": Kind(after_go(floods_tls), "tls_failure"),
        "certificate of 1 MiB": Kind(in_tls(context(45_000, 2), converses)),
        "10,000 session tickets": Kind(in_tls(context(0, 10_000), converses), secured),
        "reply without end in TLS": Kind(in_tls(usual, endless(b"250-x\r\n")), secured),
        "records of one octet": Kind(in_tls(usual, floods(b"2")), secured),
        "silent in TLS": Kind(in_tls(usual, silent), secured),
        "hangs up in TLS": Kind(in_tls(usual, hears(b"")), secured),
    }


def main() -> None:
    now = time.time()
    authority = Authority(now, "hostile")

    def context(names: int, tickets: int) -> ssl.SSLContext:
        good = authority.issue(HOST_NAME, not_before=now - 86400, not_after=now + 86400)
        made = server_context(with_names(authority, names) if names else good)
        made.num_tickets = tickets
        return made

    stay(authority.pem, {name: (kind.peer, None) for name, kind in kinds(context).items()})


def hostile_smtp() -> AbstractContextManager[tuple[bytes, dict[str, int]]]:
    """The authority, and the port of each kind."""
    return started(__name__)


if __name__ == "__main__":
    main()
