"""A sweep and the present path ask real list servers, directly and through a resolver: they say and keep the same."""

from __future__ import annotations

import signal
from ipaddress import ip_address

import dns.message
import dns.query
import pytest

from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dns.resolver import Resolver
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.dnsbl.verdict import ListVerdict
from tests.lab import nameservers
from tests.lab.process import Lab, until
from tests.support.clock import FakeClock

pytestmark = pytest.mark.lab

NAMED = {"one.test": "192.0.2.7", "two.test": "192.0.2.8"}
SUBJECTS = [ip_address(f"192.0.2.{n}") for n in range(1, 30)] + [ip_address(f"2001:db8::{n}") for n in range(5)]
LISTS = tuple(Blocklist(zone.partition(".")[0], zone) for zone in NAMED)


def served(*named: str) -> str:
    return ":127.0.0.2:See $\n127.0.0.2\n" + "".join(f"{address}\n" for address in named)


@pytest.mark.parametrize("through", ["rbldnsd", "unbound"])
async def test_both_paths_say_the_same_of_real_lists(lab: Lab, through: str) -> None:
    name = f"rbldnsd-{through}"
    lists = nameservers.rbldnsd(lab, {zone: {"ip4set": served(named)} for zone, named in NAMED.items()}, name)
    server = lists
    if through == "unbound":
        server = nameservers.unbound(lab, dict.fromkeys(NAMED, lists), name=f"unbound-{through}")
    clock = FakeClock()
    clients = [DnsblClient(clock, patience=0.0) for _ in range(2)]

    async def look() -> tuple[list[list[ListVerdict]], str]:
        dns = Resolver([(server.host, server.port)], clock, queries_per_second=1e9)
        found, told = [], ""
        for subject in SUBJECTS:
            both = []
            for client, sweeper in zip(clients, (None, dns), strict=True):
                net = Net(dns, clock, fresh=True, blocklists=client, sweeper=sweeper)
                both.append(await net.listed(subject, LISTS))
                told += str(net.transcript.freeze()) if sweeper else ""
            assert both[0] == both[1], subject
            found.append(both[1])
        await dns.close()
        return found, told

    def where(found: list[list[ListVerdict]]) -> set[tuple[str, str]]:
        return {
            (verdict.blocklist.name, str(subject))
            for subject, verdicts in zip(SUBJECTS, found, strict=True)
            for verdict in verdicts
            if verdict.listing
        }

    assert where((await look())[0]) == {("one", "192.0.2.7"), ("two", "192.0.2.8")}
    found, told = await look()
    assert where(found) == {("one", "192.0.2.7"), ("two", "192.0.2.8")}
    assert told.count("NXDOMAIN from 2: one, two") == len(SUBJECTS) - 2
    if through == "rbldnsd":  # unbound would keep what it knows
        lab.write(f"{name}/one.test.ip4set", served("192.0.2.9"))
        lab.send(name, signal.SIGHUP)
        query = dns.message.make_query("9.2.0.192.one.test", "A")
        until(lambda: bool(dns.query.udp(query, server.host, 5, server.port).answer), "the list names another")
        clock.pass_(2 * 3600.0)
        assert where((await look())[0]) == {("one", "192.0.2.9"), ("two", "192.0.2.8")}
