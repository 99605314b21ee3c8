"""What the alert rules cost Prometheus in a large fleet. Run by hand: python -m bench.alerts [DOMAINS ...] [options]

A real Prometheus scrapes a fleet of so many domains (10,000, and then 20,000 for twice the series), which have one
sender and one selector each. It evaluates the rules of both styles on one core (GOMAXPROCS=1). Told is the CPU time of
an evaluation, and which groups and rules have what part of it. A size takes about ten minutes, since rules look back
for five.

What windows read is there: minutes are scraped, and a day of the few series of each exporter is filled in. Alerts
that have fired for 75 minutes are not: one rule reads those of dead domains, which are a dozen here.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.rule_costs import WINDOW, Cost, Prometheus, process, prometheus, serve
from bench.steady_fleet import CATALOGUE, Shape
from exporter.publish.rules import Style, groups
from exporter.publish.thresholds import Thresholds

DEAREST = 8  # rules that are told
SETTLES = 60  # seconds that new rules get before they are measured


def told(made: list[dict[str, Any]], cost: Cost) -> Iterator[str]:
    """Rules share the CPU time as they share the time."""
    share = cost.cpu / sum(cost.rules)
    left = iter(cost.rules)
    dear = []
    for group in made:
        of_group = [(next(left) * share, rule.get("alert") or rule["record"]) for rule in group["rules"]]
        yield f"  {sum(it for it, _ in of_group) * 1e3:7.0f} ms  {group['name']}"
        dear += of_group
    yield "  the dearest rules:"
    yield from (f"  {spent * 1e3:7.0f} ms  {name}" for spent, name in sorted(dear, reverse=True)[:DEAREST])


def measured(running: Prometheus, style: Style, given: Thresholds, seconds: int) -> Iterator[str]:
    made = groups(CATALOGUE, given, style)
    running.load(made)
    time.sleep(SETTLES)
    cost = running.cost(seconds)
    yield f"{style}: {cost.cpu:.2f} s of CPU for an evaluation"
    yield f"  {running.query('scrape_samples_scraped'):.0f} series, {running.query('ALERTS'):.0f} alerts"
    yield from told(made, cost)


def main(shape: Shape, given: Thresholds, seconds: int) -> None:
    print(f"{shape}", flush=True)
    with (
        process(serve, shape) as exporter,
        tempfile.TemporaryDirectory() as folder,
        prometheus(Path(folder), exporter, _free()) as running,
    ):
        running.load(groups(CATALOGUE, given))
        time.sleep(WINDOW)
        for style in Style:
            print("\n".join(measured(running, style, given, seconds)), flush=True)


def _free() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


if __name__ == "__main__":
    usual = Shape()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", nargs="*", type=int, default=[usual.domains, 2 * usual.domains])
    parser.add_argument("--senders", type=int, default=usual.senders, help="of each domain")
    parser.add_argument("--selectors", type=int, default=usual.selectors, help="of each domain")
    parser.add_argument("--findings", type=int, default=usual.findings)
    parser.add_argument("--confirmed", type=int, default=usual.confirmed, help="findings that are, and so alert")
    parser.add_argument("--unknown", type=int, default=usual.unknown, help="checks of targets that cannot tell")
    parser.add_argument("--changed", type=int, default=usual.changed, help="records that changed in the last month")
    parser.add_argument("--seconds", type=int, default=120, help="for which each style is profiled")
    parser.add_argument("--external-url", default="", help="as of publish: then rules look up fewer texts")
    wanted = vars(parser.parse_args())
    links = Thresholds(exporter_url=wanted.pop("external_url"))
    sizes, profiled = wanted.pop("domains"), wanted.pop("seconds")
    for size in sizes:
        main(Shape(domains=size, **wanted), links, profiled)
