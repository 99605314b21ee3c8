"""What one dead server costs the others: python -m bench.troubles [--rounds=3]

As fast as it goes, with and without: one silent list of 60; one silent name server, which has 50 of 1,000 domains; and
one silent resolver of two, which is asked first. Told is what the rest gets done, of what it gets done without.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from bench.daemon import Daemon, configuration, runs
from bench.results import Row, arguments, lab, tell
from bench.world import Zones, knot, rbldnsd, silent_server, unbound
from tests.lab.process import Lab

WARM, SECONDS = 20.0, 10.0  # the trouble has been noticed by then, and a while of it
DOMAIN_CHECKS = ("mx", "spf", "dmarc", "dkim", "tls_rpt")
LIST_CHECKS = ("blocklist", "blocklist_health", "resolver")
DEAD = 50  # domains


def measure(options: argparse.Namespace) -> list[Row]:
    rows = {
        "list": Row("One silent list of 60: results of the others", "%", 100),
        "name server": Row("One silent name server of 20: results of the others", "%", 100),
        "resolver": Row("One silent resolver of two: results", "%", 100),
    }
    lists, domains = Zones(addresses=1000, lists=60), Zones(domains=1000, ttl=1)
    with lab() as house, silent_server() as silent:
        dead = silent.getsockname()
        whole, holed = rbldnsd(house, lists), rbldnsd(house, lists, "holed", silent=[7])
        names = knot(house, domains)
        fine = unbound(house, names, "fine")
        broken = unbound(house, names, "broken", silent=[f"bench-d{number * 20}.net" for number in range(DEAD)])
        for _ in range(options.rounds):
            for row, good, bad, of in (
                (rows["list"], [whole], [holed], lists),
                (rows["name server"], [fine], [broken], domains),
                (rows["resolver"], [names], [dead, names], domains),
            ):
                alone = results(house, good, of, 0)
                beside = results(house, bad, of, DEAD if row is rows["name server"] else 0)
                row.rounds.append(beside / alone * 100)
                row.note = f"{alone:,.0f} results/s without, {beside:,.0f} with"
    return list(rows.values())


def results(house: Lab, nameservers: Sequence[tuple[str, int]], zones: Zones, dead: int) -> float:
    """Runs in a second, without those of dead domains, which are unknown."""
    checks = LIST_CHECKS if zones.lists else DOMAIN_CHECKS
    counted = ("blocklist",) if zones.lists else DOMAIN_CHECKS
    text = configuration(nameservers, zones, only=checks, every=dict.fromkeys(counted, "1s"))
    with Daemon(house, text) as daemon:
        time.sleep(WARM)
        before, began = daemon.numbers(), time.monotonic()
        time.sleep(SECONDS)
        after, took = daemon.numbers(), time.monotonic() - began
    lost = sum(
        after[name] - before[name]
        for name in before
        if dead and name.startswith("deliverability_exporter_runs_unknown_total")
    )
    return (runs(after, counted) - runs(before, counted) - lost) / took


if __name__ == "__main__":
    given = arguments(__doc__)
    tell(measure(given), keep=given.keep)
