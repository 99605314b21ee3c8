"""CPU time of the whole daemon for five checks of a domain: python -m bench.domains [--rounds=3]

mx, spf, dmarc, dkim and tls_rpt look at 2,000 domains: for the first time, and then again and again while nothing
changes. Answers may be kept for a second, and the next look comes after two. Beside it, checkdmarc does SPF and DMARC
alone, and pyspf judges one sender.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

from bench import peers
from bench.daemon import Daemon, asked, configuration, runs, unchanged
from bench.results import Row, arguments, lab, tell
from bench.world import Zones, knot
from tests.lab.process import Endpoint, Lab, until

DOMAINS = 2000
CHECKS = ("mx", "spf", "dmarc", "dkim", "tls_rpt")
AGAIN = 10.0  # seconds
PEERS = 150  # domains


def measure(options: argparse.Namespace) -> list[Row]:
    zones = Zones(domains=DOMAINS, ttl=1)
    first = Row("CPU of a domain, 5 checks, first seen", "ms", 0.9)
    again = Row("CPU of a domain, 5 checks, unchanged", "ms", 0.1)
    names = [f"bench-d{number}.net" for number in range(PEERS)]
    with lab() as house:
        server = knot(house, zones)
        for _ in range(options.rounds):
            seen, looked = domain(house, server, zones)
            first.rounds.append(seen)
            again.rounds.append(looked.each)
            again.note = f"{looked.rate:,.0f} domains/s, {looked.questions:.1f} questions each"
            again.note += f"; {looked.unchanged:.0%} of the runs evaluated nothing"
            for name, peer in (("checkdmarc", peers.checkdmarc), ("pyspf", peers.pyspf)):
                took = peer(server, names)
                first.peer(name, took)
                again.peer(name, took)
    return [first, again]


class Looked(NamedTuple):
    """At domains that are not new: milliseconds of CPU for one, how many in a second, the questions of each."""

    each: float
    rate: float
    questions: float
    unchanged: float  # part of the runs


def domain(house: Lab, server: Endpoint, zones: Zones) -> tuple[float, Looked]:
    """Milliseconds of CPU for a domain that is new, and what the others cost."""
    number = zones.domains
    for state in house.home.glob("exporter.state*"):  # of the round before
        state.unlink()
    with Daemon(house, configuration([server], zones, only=CHECKS, every={"default": "1h"})) as daemon:
        cost = daemon.wait_until_idle(quiet=0.5) - daemon.start_cpu
        done = runs(daemon.numbers(), CHECKS)
        assert done >= number * len(CHECKS), f"{done:.0f} runs"
    first = cost / (done / len(CHECKS)) * 1e3
    with Daemon(house, configuration([server], zones, only=CHECKS, every={"default": "2s"})) as daemon:
        until(lambda: runs(daemon.numbers(), CHECKS) >= 2 * number * len(CHECKS), "two rounds", 120, every=1)
        before, cpu, began = daemon.numbers(), daemon.cpu, time.monotonic()
        time.sleep(AGAIN)
        cost, took = daemon.cpu - cpu, time.monotonic() - began
        after = daemon.numbers()
    looked = (runs(after, CHECKS) - runs(before, CHECKS)) / len(CHECKS)
    same = (unchanged(after) - unchanged(before)) / looked / len(CHECKS)
    return first, Looked(cost / looked * 1e3, looked / took, (asked(after) - asked(before)) / looked, same)


if __name__ == "__main__":
    given = arguments(__doc__)
    tell(measure(given), keep=given.keep)
