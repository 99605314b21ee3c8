"""One list that gives no answer does not delay the others: in the time of a simulated loop, and in questions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address

import pytest

from exporter.facts import Reason
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.dnsbl.conduct import PROBE
from tests.support.clock import FakeClock
from tests.support.hostile import Answers, Hostile, response, silence
from tests.support.simulation import simulate
from tests.support.wire_lists import named

AT_ONCE = 32  # runs, as the schedule starts them
SUBJECTS = 48
LONG = 1.0  # seconds that no sweep takes


def rcode(query: bytes, number: int) -> bytes:
    return query[:2] + bytes([0x81, 0x80 | number]) + b"\0\1" + bytes(6) + query[12:-11]


WAYS: dict[str, tuple[Answers, Reason]] = {
    "silent": (silence, Reason.DNS_TIMEOUT),
    "servfail": (lambda query: [rcode(query, 2)], Reason.DNS_SERVFAIL),
    "refused": (lambda query: [rcode(query, 5)], Reason.DNS_REFUSED),
}


class World:
    """Lists that name nobody, and one that at some time answers in another way."""

    def __init__(self, clock: FakeClock, way: Answers) -> None:
        self.clock, self.way = clock, way
        self.bad = False
        self.asked: Counter[str] = Counter()
        self.lists = tuple(Blocklist(f"list{n}", f"l{n}.zone", ipv6=False) for n in range(4))
        self.client = DnsblClient(clock)
        self._known: dict[bytes, bytes] = {}

    def answer(self, query: bytes) -> Iterable[bytes]:
        name = named(query)
        zone = name.rsplit(".", 2)[1]
        self.asked[zone] += 1
        if self.bad and zone == "l3":
            return self.way(query)
        if name.startswith("2.0.0.127."):
            return [response(query, f"{name}. 60 IN A 127.0.0.2")]
        return [rcode(query, 3)]

    async def round(self, dns: Resolver) -> tuple[int, float, int, set[Reason]]:
        """Look at all subjects. How many runs took long, how long all took, questions to that list, and its doubts."""
        left, slow = iter(range(SUBJECTS)), 0
        reasons: set[Reason] = set()
        before, began = self.asked["l3"], self.clock.monotonic()

        async def work() -> None:
            nonlocal slow
            for number in left:
                started = self.clock.monotonic()
                net = Net(dns, self.clock, blocklists=self.client, sweeper=dns)
                verdicts = await net.listed(IPv4Address(0xC0000200 + number), self.lists)
                slow += self.clock.monotonic() - started >= LONG
                reasons.update(verdict.doubt.reason for verdict in verdicts if verdict.doubt)
                assert all(verdict.clean for verdict in verdicts if verdict.blocklist.name != "list3")

        await asyncio.gather(*[work() for _ in range(AT_ONCE)])
        return slow, self.clock.monotonic() - began, self.asked["l3"] - before, reasons


@pytest.mark.parametrize("way", WAYS)
def test_the_others_are_asked_as_fast_beside_a_list_without_answers(way: str) -> None:
    clock, (answers, reason) = FakeClock(), WAYS[way]

    async def story() -> None:
        world = World(clock, answers)
        async with Hostile(world.answer) as server:
            dns = Resolver([server.address], clock, queries_per_second=1e9)
            await world.round(dns)
            slow, usual, questions, _ = await world.round(dns)
            assert (slow, questions) == (0, SUBJECTS)
            world.bad = True
            began = clock.monotonic()
            condition = await world.client.condition(Net(dns, clock, blocklists=world.client), world.lists[3])
            while not condition.unreliable:
                await world.round(dns)
                condition = await world.client.condition(Net(dns, clock, blocklists=world.client), world.lists[3])
                clock.pass_(5)
                assert clock.monotonic() - began < 200
            for _ in range(2):
                clock.pass_(PROBE)
                slow, seconds, questions, reasons = await world.round(dns)
                assert slow <= 1, "the one whose question asks for all"
                assert questions <= 12, "which is repeated, and asked without validation"
                assert reasons == {reason}
                assert seconds <= usual + 7.0
            slow, seconds, questions, _ = await world.round(dns)
            assert (slow, questions) == (0, 0)
            assert seconds <= 1.5 * usual
            world.bad = False
            clock.pass_(PROBE)
            await world.round(dns)
            *_, questions, reasons = await world.round(dns)
            assert (questions, reasons) == (SUBJECTS, set())
            await dns.close()

    simulate(clock, story())
