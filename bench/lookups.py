"""CPU time of the whole daemon for one blocklist lookup: python -m bench.lookups [--rounds=3]

Addresses are looked up in 60 lists again and again: as fast as it goes, and at 500 questions a second. Of 500 answers
one is a listing. Beside it, blackbox_exporter probes one question each, and dnsperf asks the same as fast as C can.
"""

from __future__ import annotations

import argparse
import time

from bench import peers
from bench.daemon import Daemon, asked, configuration, runs
from bench.results import Row, arguments, lab, tell
from bench.world import Zones, knot, reverse
from tests.lab.process import Endpoint, Lab

LISTS = 60
ADDRESSES = 1000
CHECKS = ("blocklist", "blocklist_health", "resolver")
WARM, SATURATED, PACED = 6.0, 8.0, 15.0  # seconds
PACE = 500
PROBES = 2000


def measure(options: argparse.Namespace) -> list[Row]:
    zones = Zones(addresses=ADDRESSES, lists=LISTS)
    fast = Row("CPU of a blocklist lookup, saturated", "us", 14)
    slow = Row(f"CPU of a blocklist lookup, at {PACE} questions a second", "us", 30)
    local = Row("CPU of a resolver (unbound) for a lookup that it does not know", "us")
    questions = [f"{reverse(it)}.{zone} A" for it in range(200) for zone in zones.list_zones]
    with lab() as house:
        server = knot(house, zones)
        for _ in range(options.rounds):
            each, rate = lookup(house, server, zones, 100_000, SATURATED)
            fast.rounds.append(each)
            fast.note = f"{rate:,.0f} lookups/s"
            fast.peer("blackbox_exporter", peers.blackbox(house, server, questions[0].split()[0], "A", PROBES))
            fast.peer("dnsperf", peers.dnsperf(house, server, questions, 1))
            each, rate = lookup(house, server, zones, PACE, PACED)
            slow.rounds.append(each)
            slow.note = f"{rate:,.0f} lookups/s"
            there = f"2.0.0.127.{zones.list_zones[0]}"
            if (cost := peers.resolver(house, server, questions, there)) is not None:
                local.rounds.append(cost)
    return [fast, slow, *([local] if local.rounds else [])]


def lookup(house: Lab, server: Endpoint, zones: Zones, pace: int, seconds: float) -> tuple[float, float]:
    """Microseconds of CPU for a lookup, and lookups in a second."""
    text = configuration([server], zones, only=CHECKS, every={"blocklist": "1s"}, pace=pace)
    with Daemon(house, text) as daemon:
        time.sleep(WARM)  # lists are tested, and each address has had its first look
        before, cpu, began = daemon.numbers(), daemon.cpu, time.monotonic()
        time.sleep(seconds)
        cost, took = daemon.cpu - cpu, time.monotonic() - began
        after = daemon.numbers()
    looked = (runs(after, ["blocklist"]) - runs(before, ["blocklist"])) * len(zones.list_zones)
    sent = asked(after) - asked(before)
    assert sent > 0.9 * looked, f"{looked:.0f} lookups with {sent:.0f} questions: the others came from a cache"
    return cost / looked * 1e6, looked / took


if __name__ == "__main__":
    given = arguments(__doc__)
    tell(measure(given), keep=given.keep)
