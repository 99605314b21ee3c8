"""What a scrape costs the loop, and what holds the loop for longest: python -m bench.scrapes

Domains and senders with every check that asks DNS alone but the lists, as many as make 100,000 and 1,000,000 series.
Told are the CPU time of the loop's thread for a scrape once nothing changes any more, packed and not, and the longest
hold of the loop: in the first pass, while it is scraped, and in a reload. A hold is CPU time too; beside it is the time
on the clock.
"""

from __future__ import annotations

import argparse
import time

from bench.daemon import Daemon, Stall, configuration
from bench.results import Row, arguments, lab, shown, tell
from bench.world import Zones, knot
from tests.lab.process import Lab, until

ALL_BUT_RARE = 0.97  # what is told of second looks comes later
EACH = 34  # series of a domain and its sender here
SIZES = {"100k": (100_000, 10, 20), "1M": (1_000_000, 100, 6)}
OFF = ("zone", "registration", "smtp_tls", "dane", "ehlo_probe", "blocklist", "blocklist_health")


def measure(_: argparse.Namespace) -> list[Row]:
    rows = [fleet_of(*SIZES[size], size) for size in SIZES]
    return [row for of_size in rows for row in of_size]


def fleet_of(series: int, goal: float, scrapes: int, size: str) -> list[Row]:
    zones = Zones(domains=series // EACH, addresses=series // EACH)
    with lab() as house:
        text = configuration([knot(house, zones)], zones, without=OFF, every={"default": "24h"})
        return _rows(house, text, zones.domains, goal, scrapes, size)


def series(daemon: Daemon) -> float:
    return daemon.numbers()["deliverability_exporter_series"]


def _rows(house: Lab, text: str, number: int, goal: float, scrapes: int, size: str) -> list[Row]:
    plain = Row(f"CPU of a scrape, {size} series", "ms", goal)
    packed = Row(f"CPU of a scrape, {size} series, gzip", "ms", goal)
    with Daemon(house, text, watched=True) as daemon:
        until(lambda: series(daemon) >= number * EACH * ALL_BUT_RARE, "each has its first results", 1800, every=5)
        daemon.wait_until_idle(quiet=3.0, least=0.1)
        holds = [hold(f"Loop held at most in the first pass, {size} series", daemon.held())]
        count = int(series(daemon))
        for row, how in ((plain, False), (packed, True)):
            row.note = f"{count:,} series, {len(daemon.get(packed=how)) / 2**20:.1f} MiB"
            for _ in range(scrapes):
                before = daemon.loop_cpu
                daemon.get(packed=how)
                row.rounds.append((daemon.loop_cpu - before) * 1e3)
        daemon.watch()
        for how in (False, True) * 3:
            daemon.get(packed=how)
        holds.append(hold(f"Loop held at most by a scrape, {size} series", daemon.held()))
        daemon.watch()
        daemon.reload()
        time.sleep(1.0)
        daemon.wait_until_idle(quiet=2.0, least=0.2)
        holds.append(hold(f"Loop held at most in a reload, {size} series", daemon.held()))
    return [plain, packed, *holds]


def hold(work: str, stall: Stall) -> Row:
    row = Row(work, "ms", 50, [stall.cpu * 1e3])
    row.note = f"{shown(stall.wall * 1e3)} ms on the clock" + (f"; {stall.blame[0]}" if stall.blame else "")
    return row


if __name__ == "__main__":
    given = arguments(__doc__)
    tell(measure(given), keep=given.keep)
