"""What a lookup and an unchanged target may cost: ratios within one process, which do not move with the machine.

Absolute costs are measured by bench/. CPU time here is the least of several rounds, which lie between those that they
are compared with: what else the machine does then counts on both sides, or on none. The name server is another process.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple

import dns.message
import dns.rrset
import dns.zone
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.app import Daemon
from exporter.clients import open_clients
from exporter.clock import SystemClock
from exporter.config import Settings, load
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import Verdict
from exporter.files import Files
from exporter.mail.dns import Question
from exporter.model import Check, Facts
from exporter.net import Net
from exporter.net.dns import wire
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import Reputation
from tests.lab.process import Endpoint
from tests.support.configuration import only

LOOKUP_IN_ECHOES = 8.0  # CPU time of a lookup, in that of an echo of its datagrams: 3.8 to 4.4 were measured

LISTS, ADDRESSES, ROUNDS = 50, 20, 4
AT_ONCE = 100  # datagrams of the echo

DOMAINS, LOOKS = 30, 5
CHECKS = ("mx", "spf", "dmarc", "dkim", "tls_rpt")
KEY = base64.b64encode(
    rsa.RSAPublicNumbers(65537, (1 << 2047) + 1)  # nothing is signed with it
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
ZONE = """$TTL 0
@ SOA ns hostmaster 1 3600 600 86400 0
@ NS ns
ns A 20.0.0.9
_spf.fleet TXT "v=spf1 ip4:11.0.0.0/8 -all"
""" + "".join(
    f"""fleet-{number} MX 10 mx1.fleet-{number}
fleet-{number} MX 20 mx2.fleet-{number}
mx1.fleet-{number} A 20.0.0.1
mx2.fleet-{number} A 20.0.0.2
mx1.fleet-{number} AAAA 2a00::1
mx2.fleet-{number} AAAA 2a00::2
fleet-{number} TXT "v=spf1 include:_spf.fleet.net -all"
_dmarc.fleet-{number} TXT "v=DMARC1; p=reject; rua=mailto:dmarc@fleet-{number}.net"
s1._domainkey.fleet-{number} TXT "v=DKIM1; k=rsa; p={KEY[:200]}" "{KEY[200:]}"
_smtp._tls.fleet-{number} TXT "v=TLSRPTv1; rua=mailto:tls@fleet-{number}.net"
"""
    for number in range(DOMAINS)
)

# Standard input has the answers by question, without id. Names are there, or are not, by what stands in them.
ANSWERER = r"""
import json, socket, sys
answers = {bytes.fromhex(asked): bytes.fromhex(answer) for asked, answer in json.loads(sys.stdin.readline()).items()}
names = {asked[:-4] for asked in answers}
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
here.bind(("127.0.0.1", 0))
print(here.getsockname()[1], flush=True)
soa = b"\0\0\6\0\1\0\0\0\0\0\x1a\1a\0\1b\0" + bytes(20)
while True:
    query, who = here.recvfrom(2048)
    asked = query[12:-11]
    rcode = b"\x80" if asked[:-4] in names else b"\x83"
    none = b"\x81" + rcode + b"\0\1\0\0\0\1\0\0" + asked + soa
    here.sendto(query[:2] + answers.get(asked, none), who)
"""


class Cost(NamedTuple):
    evaluations: int
    questions: float
    seconds: float


LATER = Cost(0, 1.2, 0.6)  # what a later look may cost, in that of the first: 0, 1.08 and 0.14 were measured


@contextmanager
def answering(zone: str, origin: str) -> Iterator[Endpoint]:
    """A name server in a process of its own, which says that all else does not exist."""
    answers = {}
    for name, rdataset in dns.zone.from_text(zone, origin, relativize=False).iterate_rdatasets():
        query = wire.query(Question(name.to_text(omit_final_dot=True), rdataset.rdtype.name))
        response = dns.message.make_response(dns.message.make_query(name, rdataset.rdtype))
        response.answer.append(dns.rrset.from_rdata_list(name, rdataset.ttl, [*rdataset]))
        answers[query.asked.hex()] = response.to_wire()[2:].hex()
    command = [sys.executable, "-I", "-S", "-c", ANSWERER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(answers).encode() + b"\n")
            process.stdin.flush()
            yield Endpoint("127.0.0.1", int(process.stdout.readline()))
        finally:
            process.kill()


def test_a_lookup_costs_no_more_than_so_many_echoes_of_its_datagrams(tmp_path: Path) -> None:
    """Runs of `blocklist` beside a client that sends the same questions and throws the answers away."""
    points = "".join(f"2.0.0.127.bl{number} 0 A 127.0.0.2\n" for number in range(LISTS))
    ips = [IPv4Address((11 << 24) + number) for number in range(ADDRESSES * (ROUNDS + 1))]
    lookups, echoes = [], []

    async def look_up(server: Endpoint, settings: Settings) -> None:
        clock, check = SystemClock(), settings.checks["blocklist"]
        resolver = Resolver([server], clock, queries_per_second=1e9)  # as fast as it goes, also to one list
        clients = replace(open_clients(settings, DnsblClient(clock), clock), dns=resolver)
        net, targets = partial(clients.net, Store()), only(settings, Reputation)
        try:
            for first in range(0, len(targets), ADDRESSES):  # the first ones are for warmth, and test the lists
                some = targets[first : first + ADDRESSES]
                began = time.thread_time()
                outcomes = await asyncio.gather(*(evaluate(check, target, net, clock) for target in some))
                lookups.append((time.thread_time() - began) / ADDRESSES / LISTS)
                assert [it.doubts for it in outcomes] == [()] * ADDRESSES
                questions = [Question(one.question(target.subject), "A") for target in some for one in target.lists]
                echoes.append(echoed(server, [wire.query(it).tail for it in questions]))
        finally:
            await clients.close()

    config = tmp_path / "config.yaml"
    with answering("@ 0 SOA ns hostmaster 1 3600 600 86400 0\n@ 0 NS ns\n" + points, "lists.test.") as server:
        config.write_text(
            f"resolver: {{nameservers: ['{server}']}}\nblocklists:\n"
            + "".join(f"  - {{name: bl{number}, zone: bl{number}.lists.test}}\n" for number in range(LISTS))
            + f"senders: [{{name: out, addresses: [{', '.join(map(str, ips))}], helo: out.example.net}}]\n"
        )
        asyncio.run(look_up(server, load(config, catalogue.load(), Files())))
    ratio = min(lookups) / min(echoes)
    assert ratio <= LOOKUP_IN_ECHOES, f"{ratio:.1f} = {min(lookups) * 1e6:.1f} us / {min(echoes) * 1e6:.1f} us"


def echoed(server: Endpoint, questions: list[bytes]) -> float:
    """Seconds of CPU time for a question that is sent and an answer that is received."""
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


def test_a_later_look_costs_no_more_than_a_part_of_the_first(tmp_path: Path) -> None:
    """Nothing has changed, and no answer may be kept. The daemon's own schedule lets all run."""
    looks: list[Cost] = []
    evaluations: Counter[str] = Counter()

    async def look(daemon: Daemon) -> Cost:
        assert daemon._clients
        (stats,) = daemon._clients.dns.stats.nameservers.values()
        states = [it for it in daemon.store if it.check.id in CHECKS]
        for state in states:
            daemon.schedule.run_soon(state.key, 0.0)
        evaluated, asked, since, began = evaluations.total(), stats.queries, time.time(), time.thread_time()
        for check in CHECKS:
            daemon.schedule.tick(check)
        while daemon.schedule._tasks:
            await asyncio.wait(daemon.schedule._tasks)
        took = time.thread_time() - began
        seen = [daemon.store[state.key] for state in states]
        assert {(it.verdict(daemon.exposition.policy, 0), it.last_run >= since) for it in seen} == {
            (Verdict.PASS, True)
        }
        return Cost(evaluations.total() - evaluated, stats.queries - asked, took)

    async def look_again() -> None:
        daemon = Daemon(lambda files: load(config, known, files), open_clients, known, SystemClock())
        await daemon._swap(await daemon._read())
        try:
            looks.extend([await look(daemon) for _ in range(LOOKS)])
        finally:
            await daemon.stop()

    known = counting(catalogue.load(), evaluations)
    off = ", ".join(f"{it}: {{enabled: false}}" for it in known.checks if it not in CHECKS)
    config = tmp_path / "config.yaml"
    with answering(ZONE, "net.") as server:
        config.write_text(
            f"resolver: {{nameservers: ['{server}'], queries_per_second: 100000}}\n"
            f"checks: {{{off}}}\nreceivers: []\nblocklists: []\n"
            "senders: [{name: out, addresses: [11.0.0.1], helo: out.fleet.net}]\ndomains:\n"
            + "".join(f"  - {{name: fleet-{it}.net, senders: [out], dkim_selectors: [s1]}}\n" for it in range(DOMAINS))
        )
        asyncio.run(look_again())
    first, *others = looks
    later = Cost(*map(min, zip(*others[1:], strict=True)))  # the second look has still learned how old keys are
    assert first.evaluations == DOMAINS * len(CHECKS)
    for again, before, most in zip(later, first, LATER, strict=True):
        assert again <= most * before, f"first {first}, later {later}"


def counting(known: Catalogue, evaluations: Counter[str]) -> Catalogue:
    """The same checks; each notes how often it is evaluated."""

    def noted(check: Check) -> Check:
        def run(target: Any, net: Net) -> Facts:
            evaluations[check.id] += 1
            return check.run(target, net)

        return replace(check, run=run)

    return Catalogue(tuple(replace(entry, check=noted(entry.check)) for entry in known.entries))
