"""What decoding one message costs: ordinary answers and the most hostile. Run by hand: python -m bench.dns_wire"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

from exporter.mail.dns import Question
from exporter.net.dns import wire

LONG = b"\x01a" * 126 + b"\0"
HEAD = 12


def message(query: wire.Query, records: bytes, count: int, rcode: int = 0, authority: int = 0) -> bytes:
    return b"\0\0" + struct.pack("!HHHHH", 0x8180 | rcode, 1, count, authority, 0) + query.asked + records


def rr(owner: bytes, rdtype: int, data: bytes, ttl: int = 300) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, 1, ttl, len(data)) + data


def fill(query: wire.Query, one: Callable[[int], bytes], size: int, most: int = 65535) -> bytes:
    records, count = [], 0
    room = size - HEAD - len(query.asked)
    while count < most and room >= len(next_ := one(count)):
        records.append(next_)
        room -= len(next_)
        count += 1
    return message(query, b"".join(records), count)


def cases() -> dict[str, tuple[wire.Query, bytes]]:
    long_name = ".".join(["a"] * 126)
    short = wire.query(Question("example.com", "A"))
    mx = wire.query(Question("example.com", "MX"))
    txt = wire.query(Question("example.com", "TXT"))
    ptr = wire.query(Question(long_name, "PTR"))
    binary = wire.query(Question(".".join(["\\007" * 62] * 4), "PTR"))
    binary_mx = wire.query(Question(".".join(["\\007" * 62] * 4), "MX"))
    long_mx = wire.query(Question(long_name, "MX"))
    here, most = b"\xc0\x0c", 512
    soa = rr(b"\xc0\x14", 6, b"\1a\0\1b\0" + bytes(16) + struct.pack("!I", 300))
    pointers = b"".join(b"\xc0" + bytes([12 + 2 * i]) for i in range(15))
    return {
        "NXDOMAIN with SOA": (short, message(short, soa, 0, 3, 1)),
        "A": (short, message(short, rr(here, 1, b"\xc0\0\2\1"), 1)),
        "5 MX": (mx, fill(mx, lambda i: rr(here, 15, b"\0\x0a" + b"\3mx" + b"%d" % i + here), 1232, 5)),
        "TXT of 400 octets": (txt, message(txt, rr(here, 16, (b"\xc7" + b"x" * 199) * 2), 1)),
        "512 A": (short, fill(short, lambda i: rr(here, 1, i.to_bytes(4)), 65535, most)),
        "512 MX, own short names": (
            mx,
            fill(mx, lambda i: rr(here, 15, i.to_bytes(2) + b"\2%02x" % (i % 256) + here), 65535, most),
        ),
        "4,661 PTR of 126 labels": (ptr, fill(ptr, lambda _: rr(here, 12, here), 65535)),
        "512 PTR of 126 labels": (ptr, fill(ptr, lambda _: rr(here, 12, here), 65535, most)),
        "32 PTR of 126 labels": (ptr, fill(ptr, lambda _: rr(here, 12, here), 65535, 32)),
        "15 PTR, 126 labels": (ptr, fill(ptr, lambda _: rr(here, 12, here), 65535, 15)),
        "512 MX of 126 labels": (long_mx, fill(long_mx, lambda i: rr(here, 15, i.to_bytes(2) + here), 65535, most)),
        "512 owners of 126 labels": (short, fill(short, lambda _: rr(LONG, 1, b"\xc0\0\2\1"), 65535, most)),
        "a chain of pointers in data": (ptr, fill(ptr, lambda _: rr(here, 12, pointers), 65535, most)),
        "512 PTR of binary labels": (binary, fill(binary, lambda _: rr(here, 12, here), 65535, most)),
        "512 MX of binary labels": (
            binary_mx,
            fill(binary_mx, lambda i: rr(here, 15, i.to_bytes(2) + here), 65535, most),
        ),
        "TXT of 65,000 empty strings": (txt, message(txt, rr(here, 16, bytes(65000)), 1)),
        "TXT of 4,096 empty strings": (txt, message(txt, rr(here, 16, bytes(4096)), 1)),
        "512 TXT of 8 empty strings": (txt, fill(txt, lambda _: rr(here, 16, bytes(8)), 65535, most)),
        "512 CNAMEs elsewhere": (short, fill(short, lambda i: rr(b"\2%02x\0" % (i % 256), 5, here), 65535, most)),
        "OPT with 16,000 options": (
            short,
            message(short, b"", 0)[: -len(short.asked) - 2] + b"\0\1" + short.asked + rr(b"\0", 41, bytes(64000)),
        ),
    }


def main() -> None:
    for title, (query, hostile) in cases().items():
        assert wire.answers(hostile, query), title
        rounds = max(1, min(20_000, 200_000 // len(hostile)))
        best = float("inf")
        for _ in range(5):
            started = time.process_time()
            for _ in range(rounds):
                said = wire.decode(hostile, query)
            best = min(best, (time.process_time() - started) / rounds)
        print(f"{title:32} {len(hostile):6} octets {best * 1e6:10.1f} us  {said.status} {said.detail}")


if __name__ == "__main__":
    main()
