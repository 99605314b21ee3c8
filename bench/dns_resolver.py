"""What a question costs through Resolver, on loopback. Run by hand: python -m bench.dns_resolver [QUESTIONS]

The other end is a process that answers from a template, so that the client's own CPU is what is measured.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from exporter.clock import SystemClock
from exporter.mail.dns import Question, Status
from exporter.net.dns.resolver import Resolver

WORKERS = 150
POINTER = b"\xc0\x0c"
SOA = b"\0\0\x06\0\1\0\0\1\x2c\0\x1a\1a\0\1b\0" + bytes(19) + b"\x3c"  # of the root
A = POINTER + b"\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1"
TXT = (
    POINTER + b"\0\x10\0\1\0\0\1\x2c\0\x41\x40" + b"v=spf1 mx include:_spf.example.com ip4:192.0.2.0/24 -all".ljust(64)
)


def serve(ready: Connection) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        ready.send(sock.getsockname()[1])
        while True:
            query, address = sock.recvfrom(2048)
            asked = query[12:-11]
            match asked[-3]:
                case 16:
                    reply = b"\x81\x80\0\1\0\1\0\0\0\0" + asked + TXT
                case _ if asked.startswith(b"\1a"):
                    reply = b"\x81\x80\0\1\0\1\0\0\0\0" + asked + A
                case _:
                    reply = b"\x81\x83\0\1\0\0\0\1\0\0" + asked + SOA
            sock.sendto(query[:2] + reply, address)


async def measure(title: str, port: int, questions: Iterator[Question], expected: Status) -> None:
    resolver = Resolver([("127.0.0.1", port)], SystemClock(), queries_per_second=1e9)
    await resolver.start()
    asked = 0

    async def work() -> None:
        nonlocal asked
        for question in questions:
            reply = await resolver.ask(question)
            assert reply.status is expected, reply
            asked += 1

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    took, cost = time.perf_counter() - started, time.process_time() - cpu
    timeouts = resolver.stats.nameservers[f"127.0.0.1:{port}"].responses[Status.TIMEOUT]
    await resolver.close()
    print(f"{title:28} {asked / took:8.0f} questions/s {cost / asked * 1e6:7.1f} us of CPU each, {timeouts} lost")


async def main(number: int) -> None:
    near, far = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(far,), daemon=True)
    server.start()
    port = near.recv()
    try:
        absent = (Question(f"{i % 256}.{i // 256}.0.127.zen.example.org", "A") for i in range(number))
        await measure("NXDOMAIN with SOA", port, absent, Status.NXDOMAIN)
        await measure("A", port, (Question(f"a.{i}.example.org", "A") for i in range(number)), Status.ANSWER)
        await measure("TXT", port, (Question(f"{i}.example.org", "TXT") for i in range(number)), Status.ANSWER)
        await measure(
            "A, all the same: the cache", port, (Question("a.example.org", "A") for _ in range(number)), Status.ANSWER
        )
    finally:
        server.kill()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30_000))
