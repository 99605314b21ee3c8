"""What a lookup and an unchanged answer may cost: ratios of one process, which do not move with the machine.

Absolute costs are measured by bench/. Each figure here is the least of several rounds, which lie between those that it
is compared with, so that other work of the machine counts on both sides or on none.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address

import pytest

from exporter.clock import SystemClock
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.mail.dns import Question
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dns import wire
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import Reputation
from tests.lab.process import Endpoint

LOOKUP_IN_ECHOES = 40.0  # as many times an echo's CPU time may a lookup take
LISTS, ADDRESSES, ROUNDS = 50, 20, 5
AT_ONCE = 100  # datagrams of the echo

# Says "no such name" with an SOA record to everything but the test points that must be listed.
ANSWERER = r"""
import socket
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
here.bind(("127.0.0.1", 0))
print(here.getsockname()[1], flush=True)
soa = b"\0\0\6\0\1\0\0\1\x2c\0\x1a\1a\0\1b\0" + bytes(19) + b"\x3c"
listed = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\x7f\0\0\2"
while True:
    query, who = here.recvfrom(2048)
    asked = query[12:-11]
    if asked.startswith(b"\0012\0010\0010\003127"):
        here.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked + listed, who)
    else:
        here.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\1\0\0" + asked + soa, who)
"""


@pytest.fixture
def answerer() -> Iterator[Endpoint]:
    """A name server in a process of its own: its work is not counted."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ANSWERER], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield Endpoint("127.0.0.1", int(process.stdout.readline()))
        finally:
            process.kill()


def test_a_lookup_costs_no_more_than_so_many_echoes_of_its_datagrams(answerer: Endpoint) -> None:
    """A run of `blocklist` beside a client that sends the same questions and throws the answers away."""
    lists = tuple(Blocklist(name=f"bl{number}", zone=f"bl{number}.lists.test") for number in range(LISTS))
    targets = [
        Reputation(subject=IPv4Address((11 << 24) + number), lists=lists) for number in range(ADDRESSES * (ROUNDS + 1))
    ]
    lookups, echoes = [], []

    async def looked_up() -> None:
        clock, check = SystemClock(), catalogue.load().checks["blocklist"]
        resolver = Resolver([answerer], clock, queries_per_second=1e9)
        net = partial(Net, resolver, clock, blocklists=DnsblClient(clock))
        await resolver.start()
        try:
            for first in range(0, len(targets), ADDRESSES):  # the first ones are for warmth, and test the lists
                some = targets[first : first + ADDRESSES]
                began = time.thread_time()
                outcomes = await asyncio.gather(*(evaluate(check, target, net, clock) for target in some))
                lookups.append((time.thread_time() - began) / ADDRESSES / LISTS)
                assert [it.doubts for it in outcomes] == [()] * ADDRESSES
                questions = [Question(one.question(target.subject), "A") for target in some for one in lists]
                echoes.append(echoed(answerer, [wire.query(it).tail for it in questions]))
        finally:
            await resolver.close()

    asyncio.run(looked_up())
    ratio = min(lookups) / min(echoes)
    assert ratio <= LOOKUP_IN_ECHOES, f"{ratio:.1f} = {min(lookups) * 1e6:.1f} us / {min(echoes) * 1e6:.1f} us"


def echoed(server: Endpoint, questions: list[bytes]) -> float:
    """Seconds of CPU time for a question that is sent, and an answer that is received."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server)
        sock.settimeout(5)
        began = time.thread_time()
        for first in range(0, len(questions), AT_ONCE):
            some = questions[first : first + AT_ONCE]
            for number, question in enumerate(some):
                sock.send(number.to_bytes(2) + question)
            for _ in some:
                sock.recv(1232)
        return (time.thread_time() - began) / len(questions)
