"""A sweep says the same as asking each list in full: both on the same traffic, compared one by one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import PATIENCE, DnsblClient
from exporter.net.dnsbl.verdict import ListVerdict
from tests.support.clock import FakeClock
from tests.support.hostile import Hostile
from tests.support.simulation import simulate
from tests.support.torture import seed, size
from tests.support.wire_lists import WireLists

HOUR = 3600.0
PAUSES = (30.0, 5 * 60.0, 20 * 60.0, HOUR, 4 * HOUR)
TIMEOUT = 5.0
WAYS = [(PATIENCE, True), (0.0, False), (PATIENCE, False), (0.0, True)][: size(2, 4)]
PORT = re.compile(r"127.0.0.1:[0-9]+")


class Path:
    """A client of its own, with a nameserver of its own that says the same as the other's."""

    def __init__(self, lists: list[Blocklist], said: WireLists, patience: float, *, sweeps: bool) -> None:
        self.clock = FakeClock()  # stands still during a turn, so that both note the same times
        self.client = DnsblClient(self.clock, patience=patience)
        self.lists, self.said, self.sweeps = tuple(lists), said, sweeps
        self.shown = ""

    async def turn(self, subjects: list[IPv4Address]) -> list[list[ListVerdict]]:
        async with Hostile(self.said.udp, self.said.tcp) as server:
            dns = Resolver([server.address], FakeClock(), timeout=TIMEOUT, queries_per_second=1e9)
            found = []
            for subject in subjects:
                net = Net(dns, self.clock, blocklists=self.client, sweeper=dns if self.sweeps else None)
                found.append(await net.listed(subject, self.lists))
                self.shown += str(net.transcript.freeze())
            await dns.close()
            return found

    def kept(self) -> dict[str, Any]:
        """All that is remembered, except for the numbers of tests, whose order is by chance."""
        lists = self.client._questions.lists
        kept: dict[str, Any] = self.client.snapshot()["lists"]
        for name, state in lists.items():
            kept[name]["clean"] = state.clean
            kept[name]["doubt"] = PORT.sub("", str(state.doubt))
        return kept

    def unanswered(self) -> dict[str, int]:
        return {name: state.conduct.unanswered_lately for name, state in self.client._questions.lists.items()}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[object]:
    return [(of, key, one[of][key], other[of][key]) for of in one for key in one[of] if one[of][key] != other[of][key]]


def _seen(verdict: ListVerdict) -> tuple[object, ...]:
    doubt = verdict.doubt and verdict.doubt.reason
    return verdict.blocklist.name, verdict.listing, verdict.clean, verdict.quorum, doubt, verdict.again, verdict.suspect


async def world(number: int, patience: float, *, modes: bool) -> str:
    """Some days with some lists. What the sweeping path has written down."""
    chance = random.Random(seed() + number)
    lists = [Blocklist(f"list{n}", f"l{n}.zone", ipv6=False, queries_per_day=(None, 300)[n == 0]) for n in range(8)]
    subjects = [IPv4Address(f"192.0.2.{n}") for n in range(1, size(4, 9))]
    plain = Path(lists, WireLists(seed() + number, modes=modes), patience, sweeps=False)
    fast = Path(lists, WireLists(seed() + number, modes=modes), patience, sweeps=True)
    for turn in range(size(5, 20)):
        plain.said.turn = fast.said.turn = turn
        chance.shuffle(subjects)
        one, other = await plain.turn(subjects), await fast.turn(subjects)
        for subject, verdicts, same in zip(subjects, one, other, strict=True):
            assert [*map(_seen, verdicts)] == [*map(_seen, same)], (number, turn, subject)
        assert differences(plain.kept(), fast.kept()) == [], (number, turn)
        for name, count in plain.unanswered().items():  # one that is decided earlier is older
            assert abs(count - fast.unanswered()[name]) <= 1, (number, turn, name)
        pause = chance.choice(PAUSES)
        plain.clock.pass_(pause)
        fast.clock.pass_(pause)
    assert "NXDOMAIN from" not in plain.shown
    return fast.shown


@pytest.mark.torture
@pytest.mark.parametrize(("patience", "modes"), WAYS)
def test_both_paths_say_and_keep_the_same(
    patience: float, record_property: Callable[[str, object], None], *, modes: bool
) -> None:
    swept = 0
    for number in range(size(1, 6)):
        swept += simulate(FakeClock(), world(number, patience, modes=modes)).count("NXDOMAIN from")
    assert swept
    record_property("addresses looked at by both paths", swept)
    record_property("differences between them", 0)
