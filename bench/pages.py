"""What the pages of a large fleet cost. Run by hand: python -m bench.pages [DOMAINS] [--planted]

The steady fleet has findings of every rule. With --planted, the real checks look at a fleet with planted faults first.
Told are octets, seconds and the longest time without a turn of the loop, of each page: first with all that is made
once, then after something has changed, then again. Another process's work shows in the times.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from pathlib import Path

from bench.steady_fleet import CATALOGUE, Shape, SteadyFleet
from exporter.check_state import FindingPolicy
from exporter.cli.garbage import short_collections
from exporter.clock import SystemClock
from exporter.engine.store import Store
from exporter.views.fleet.selection import Selection
from exporter.views.site import Site
from tests.support.planted_fleet import PlantedFleet


def memory() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def pages(site: Site, domain: str, ip: str) -> dict[str, object]:
    some = Selection()
    return {
        "/": lambda: site.overview(some),
        "/problems": lambda: site.problems(some),
        "/problems?page=40&sort=newest": lambda: site.problems(some.but(page=40, sort="newest")),
        "/problems?q=dmarc+team3": lambda: site.problems(some.but(q="dmarc team3")),
        "/problems?severity=unknown": lambda: site.problems(some.but(severity="unknown")),
        "/domains": lambda: site.domains(some),
        "/domains?q=missing+7&sort=name": lambda: site.domains(some.but(q="missing 7", sort="name")),
        "/senders": lambda: site.senders(some),
        "/labels/team/team3": lambda: site.label("team", "team3", some),
        f"/targets/domain={domain}": lambda: site.targets.target(f"domain={domain}", some),
        f"/targets/ip={ip}": lambda: site.targets.target(f"ip={ip}", some),
        "/targets/sender=pool": lambda: site.targets.target("sender=pool", some),
        "/findings/dmarc.missing": lambda: site.finding("dmarc.missing"),
        "/receivers": site.receivers.all,
        "/receivers/gmail": lambda: site.receivers.one("gmail", some),
        f"/receivers/gmail/{domain}": lambda: site.receivers.reception("gmail", domain),
    }


class Pulse:
    """The longest time without a turn of the loop, in seconds of CPU: others work on this machine, too."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        while True:
            began = time.process_time()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.process_time() - began)


async def measure(store: Store, domain: str, ip: str) -> None:
    pulse = Pulse()
    beating = asyncio.create_task(pulse.beat())
    policy = FindingPolicy()
    site = Site(store, CATALOGUE, SystemClock(), lambda: policy, list)
    for title in ("first", "after a change", "again"):
        print(title)
        for path, page in pages(site, domain, ip).items():
            if title == "after a change":
                summary = site._summary  # noqa: SLF001 (forgets what it would keep for a while)
                summary._fleet = summary._held = None  # noqa: SLF001 (the same)
                store.revision += 1
            pulse.longest = 0.0
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                made = await page()  # type: ignore[operator]  # a mapping of functions of many kinds
            except Exception as error:  # noqa: BLE001  (a fleet need not have each of them)
                print(f"  {path:40} {type(error).__name__}: {error}")
                continue
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(
                f"  {path:40} {len(made.encode()):>8} octets  {wall * 1e3:6.0f} ms wall  {cpu * 1e3:6.0f} ms cpu  "
                f"{pulse.longest * 1e3:5.0f} ms longest"
            )
    beating.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domains", type=int, nargs="?", default=10_000)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--addresses", type=int, default=40)
    options = parser.parse_args()
    before = memory()
    if options.planted:
        planted = PlantedFleet(options.domains, options.addresses)
        asyncio.run(planted.look())
        store, domain, ip = planted.store, planted.names[7], "11.0.0.1"
    else:
        store, domain, ip = SteadyFleet(Shape(domains=options.domains)).store, "d7.example", "11.0.0.7"
    gc.collect()
    print(f"{len(store)} checks, {memory() - before:.0f} MiB", flush=True)
    gc.freeze()
    before = memory()
    with short_collections():
        asyncio.run(measure(store, domain, ip))
    print(f"{memory() - before:.0f} MiB more")


if __name__ == "__main__":
    main()
