"""What bench/fleet.py looks at: a name server that answers by rule, and web servers with policies, as processes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from exporter.demo.ca import Authority
from exporter.demo.website import server_context

HOSTERS = 100
SLOW = 25.0  # seconds until a slow web server answers: longer than the door waits
ADDRESS = bytes((20, 0, 0, 1))  # public, and never connected to: dial leads elsewhere
NOW = time.time()


def wire(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".") if label) + b"\0"


def rr(rdtype: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", rdtype, 1, 300, len(data)) + data


def txt(text: str) -> bytes:
    return rr(
        16, b"".join(bytes((len(text[i : i + 255]),)) + text[i : i + 255].encode() for i in range(0, len(text), 255))
    )


class Names:
    """What the name server says: d7.example and what belongs to it, by rule instead of by zone file."""

    def __init__(self, hosters: int, *, policies: bool, key: str) -> None:
        self.hosters, self.policies, self.key = hosters, policies, txt(f"v=DKIM1; k=rsa; p={key}")

    def records(self, name: str, rdtype: int) -> list[bytes] | None:
        """None: no such name."""
        labels = name.split(".")
        own = labels[-2] if len(labels) > 1 else ""
        if name.endswith(".in-addr.arpa"):
            a, b, c, _ = labels[:4]
            return (
                [rr(12, wire(f"out{int(c) * 65536 + int(b) * 256 + int(a)}.provider.example"))] if rdtype == 12 else []
            )
        if own == "provider":
            return self._provider(labels[0], rdtype)
        if own.startswith("hoster"):
            return None if labels[0] == "_25" else [rr(1, ADDRESS)] if rdtype == 1 else []
        if own.startswith("d") and own[1:].isdigit():
            return self._domain(int(own[1:]), ".".join(labels[:-2]), rdtype)
        return [] if len(labels) < 2 else None

    @staticmethod
    def _provider(label: str, rdtype: int) -> list[bytes]:
        if label == "_spf" and rdtype == 16:
            return [txt("v=spf1 ip4:11.0.0.0/8 -all")]
        if label.startswith("out") and rdtype == 1:
            return [rr(1, bytes((11,)) + int(label[3:]).to_bytes(3))]
        return []

    def _domain(self, number: int, below: str, rdtype: int) -> list[bytes] | None:
        host = f"hoster{number % self.hosters}.example"
        match below, rdtype:
            case "", 15:
                return [rr(15, struct.pack("!H", 10 * n) + wire(f"mx{n}.{host}")) for n in (1, 2)]
            case "", 16:
                return [txt("v=spf1 include:_spf.provider.example -all"), txt("some-verification=0123456789abcdef")]
            case "_dmarc", 16:
                return [txt(f"v=DMARC1; p=reject; rua=mailto:dmarc@d{number}.example")]
            case "_smtp._tls", 16:
                return [txt(f"v=TLSRPTv1; rua=mailto:tls@d{number}.example")]
            case "_mta-sts", 16 if self.policies:
                return [txt("v=STSv1; id=1")]
            case "mta-sts", 1:
                return [rr(1, ADDRESS)]
            case "s1._domainkey", 16:
                return [self.key]
            case (("" | "mta-sts" | "_domainkey" | "s1._domainkey" | "_tls"), _):
                return []
        return None


def serve_names(ready: Connection, names: Names) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        ready.send(sock.getsockname()[1])
        soa = b"\0\0\x06\0\1\0\0\1\x2c\0\x1a\1a\0\1b\0" + bytes(18) + b"\1\x2c"  # of the root, for 300 s
        while True:
            query, address = sock.recvfrom(2048)
            labels, at = [], 12
            while size := query[at]:
                labels.append(query[at + 1 : at + 1 + size].decode().lower())
                at += 1 + size
            asked = query[12 : at + 5]
            found = names.records(".".join(labels), int.from_bytes(query[at + 1 : at + 3]))
            head = struct.pack("!HHHHH", 0x8183 if found is None else 0x8180, 1, len(found or ()), 0 if found else 1, 0)
            sock.sendto(query[:2] + head + asked + (b"".join(found) if found else soa), address)


def serve_policies(ready: Connection, how: str) -> None:
    """HTTPS for each mta-sts.* name: good, slow, or silent, which takes a connection and says nothing."""
    authority = Authority(NOW, "fleet")

    def named(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        tls.context = server_context(authority.issue(name or "x", not_before=NOW - 1e6, not_after=NOW + 1e7))

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            if how == "silent":
                await reader.read()
            else:
                asked = await reader.readuntil(b"\r\n\r\n")
                if how == "slow":
                    await asyncio.sleep(SLOW)
                number = asked.partition(b"Host: mta-sts.d")[2].partition(b".")[0].decode()
                host = f"*.hoster{int(number) % HOSTERS}.example"
                body = f"version: STSv1\nmode: enforce\nmx: {host}\nmx: *.hoster0.example\nmax_age: 604800\n".encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
                await writer.drain()
        writer.close()

    async def main() -> None:
        context = None
        if how != "silent":
            context = server_context(authority.issue("x", not_before=NOW - 1e6, not_after=NOW + 1e7))
            context.sni_callback = named  # type: ignore[assignment]  # the stubs want a socket
        server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context, backlog=1000)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextlib.contextmanager
def process(target: Any, *arguments: Any) -> Iterator[int]:
    """Its port."""
    near, far = multiprocessing.Pipe()
    running = multiprocessing.Process(target=target, args=(far, *arguments), daemon=True)
    running.start()
    try:
        yield near.recv()
    finally:
        running.kill()
