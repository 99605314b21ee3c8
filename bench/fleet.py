"""A fleet as it lives, from its start to its stop, and its growth: python -m bench.fleet [--full]

So many domains and as many addresses, each in 60 lists; everything is checked in each interval, and scraped, packed,
60 times in it. The whole table speaks of 10,000 and 10,000 in 15 minutes: that is --full, and takes 40 minutes. Without
it a tenth of them lives ten times as fast, so that as much happens in each second; what grows with the fleet itself,
such as a scrape, is then a tenth. Name server and driver have a core of their own.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from bench.daemon import Daemon, asked, configuration, runs
from bench.results import Row, arguments, lab, tell
from bench.world import Zones, knot
from exporter.engine import catalogue
from tests.lab.process import Lab, until

LISTS = 60
WHOLE = 10_000  # domains, and as many addresses
INTERVAL = 900  # seconds
SCRAPES = 60  # in an interval
SETTLES = 0.4  # of an interval, after the first pass
LONGEST = INTERVAL / 2  # seconds that are measured at most
PACE, LIST_PACE = 5000, 50  # questions a second: in all, and to each list
OFF = ("zone", "registration", "smtp_tls", "dane", "ehlo_probe")
OF_EACH = (  # and receiver, which waits for second looks at listings
    *("mx", "spf", "dmarc", "dkim", "tls_rpt", "mta_sts", "bimi"),
    *("spf_sender", "ptr", "helo", "blocklist"),
)
DAY = 86_400
GROWTH = 10


@dataclass
class Life:
    """What one life took: seconds, CPU seconds, MiB and numbers."""

    first: float = 0.0
    first_cpu: float = 0.0
    bound: float = 0.0  # seconds that the pace alone takes for the first pass
    window: float = 0.0
    cpu: float = 0.0
    questions: float = 0.0
    scrape_cpu: float = 0.0
    rss: float = 0.0
    written: float = 0.0
    reload_cpu: float = 0.0
    stop: float = 0.0
    ready: float = 0.0
    ready_cpu: float = 0.0
    series: float = 0.0


def measure(options: argparse.Namespace) -> list[Row]:
    scale = 1.0 if options.full else 0.1
    number = int(WHOLE * scale)
    with lab() as house:
        life = lived(house, number, int(INTERVAL * scale))
    title = f"{number:,} domains and {number:,} addresses"
    how = title if options.full else f"{title}, ten times as fast"
    each = WHOLE / number
    cpu = Row("The fleet as lived: CPU in 900 s", "s", 45, [life.cpu * each * INTERVAL * scale / life.window])
    cpu.note = f"{how}, {life.questions / life.window:,.0f} questions/s"
    cpu.note += f"; of it {life.scrape_cpu * each * INTERVAL * scale / life.window:.1f} s for {SCRAPES} scrapes"
    memory = Row(f"Memory of {title}", "MiB", 250 if options.full else None, [life.rss])
    first = Row("First pass beyond what the rate limits take", "s", None, [life.first - life.bound])
    first.note = (
        f"{title}: {life.first:.0f} s, of which the rate limits take {life.bound:.0f}; {life.first_cpu:.1f} s of CPU"
    )
    disk = Row("State file: written in a day", "GiB", 5, [life.written / 1024 * DAY / life.window])
    disk.note = how
    ready = Row("Ready with state", "s", 3, [life.ready])
    ready.note = f"{title}; {life.ready_cpu:.1f} s of CPU"
    stop = Row("Stop", "s", 2, [life.stop])
    stop.note = title
    again = Row("CPU of a reload", "s", None, [life.reload_cpu])
    again.note = title
    return [cpu, memory, first, disk, ready, stop, again]


def growth(options: argparse.Namespace) -> list[Row]:
    """Ten times the fleet, in the same interval."""
    small = WHOLE // 10 if options.full else 200
    seconds = 300 if options.full else 60
    with lab() as house:
        less, more = (lived(house, number, seconds, f"of{number}") for number in (small, small * GROWTH))
        bare = lived(house, 1, 10, "bare")
    cpu = Row("CPU of ten times the fleet", "times", 11, [more.cpu / less.cpu])
    memory = Row("Memory of ten times the fleet", "times", 11, [(more.rss - bare.rss) / (less.rss - bare.rss)])
    cpu.note = f"{small:,} and {small:,}: {less.cpu:.1f} s in {seconds} s; ten times: {more.cpu:.1f} s"
    memory.note = (
        f"above {bare.rss:.0f} MiB without a fleet: {(more.rss - bare.rss) / small / GROWTH * 1024:.0f} KiB a pair"
    )
    return [cpu, memory]


def lived(house: Lab, number: int, interval: int, name: str = "exporter") -> Life:
    """One life: the first pass, a while to settle and one that is measured, a reload, a stop, a start, a stop."""
    zones = Zones(domains=number, addresses=number, lists=LISTS, ttl=max(1, interval // 3))
    server = knot(house, zones, f"knot-{name}")
    every = {it: f"{interval}s" for it in catalogue.load().checks if it not in (*OFF, "blocklist_health", "resolver")}
    text = configuration([server], zones, without=OFF, every=every, pace=PACE, list_pace=LIST_PACE)
    life = Life()
    with Daemon(house, text, name=name) as daemon:
        _first_pass(daemon, life, number)
        time.sleep(interval * SETTLES)
        _window(daemon, life, interval)
        loaded, cpu = daemon.numbers()[_LOADED], daemon.cpu
        daemon.reload()
        until(lambda: daemon.numbers()[_LOADED] > loaded, "it has read its configuration again", 300, every=1)
        life.reload_cpu = daemon.cpu - cpu
        life.stop = daemon.stop()
    with Daemon(house, text, name=name) as daemon:
        life.ready, life.ready_cpu = daemon.ready_after, daemon.start_cpu
    house.stop(f"knot-{name}")
    return life


def _first_pass(daemon: Daemon, life: Life, number: int) -> None:
    """Until each check has had as many runs as there are targets. Some few of them may be second looks."""
    began = time.monotonic() - daemon.ready_after
    until(
        lambda: _all_have_run(daemon, number), "each check has had its first run", 1800, every=max(0.5, number / 1000)
    )
    life.first, life.first_cpu = time.monotonic() - began, daemon.cpu
    life.bound = max(number / LIST_PACE, asked(daemon.numbers()) / PACE)


def _all_have_run(daemon: Daemon, number: int) -> bool:
    numbers = daemon.numbers()
    return all(runs(numbers, [check]) >= number for check in OF_EACH)


def _window(daemon: Daemon, life: Life, interval: int) -> None:
    before, cpu, written, began = daemon.numbers(), daemon.cpu, daemon.written, time.monotonic()
    for scrape in range(1, int(SCRAPES * min(1, LONGEST / interval)) + 1):
        time.sleep(max(0.0, began + scrape * interval / SCRAPES - time.monotonic()))
        at = daemon.loop_cpu
        daemon.get(packed=True)
        life.scrape_cpu += daemon.loop_cpu - at
    life.cpu, life.window, life.written = daemon.cpu - cpu, time.monotonic() - began, daemon.written - written
    life.rss = daemon.rss
    after = daemon.numbers()
    life.questions = asked(after) - asked(before)
    life.series = after["deliverability_exporter_series"]


_LOADED = "deliverability_exporter_config_last_reload_success_timestamp_seconds"

if __name__ == "__main__":
    given = arguments(__doc__)
    for part in (measure, growth):
        tell(part(given), keep=given.keep)
