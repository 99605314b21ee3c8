"""The recording rules: which exporters can be believed, and how old each finding is.

The problem: an exporter that crashes, is restarted without its state or leaves service discovery tells of no finding.
If alerts ended then, people would read that all is well.

The idea: what an exporter told last stands for as long as that exporter is in trouble. `finding_age` repeats itself.

The rules:

- An exporter is in trouble while it cannot be scraped, for a while after a restart, and when it has left service
  discovery without a successor.
- Its trouble counts only if no other exporter with the same configuration is well: that one tells of the same targets.
- What is seen again after a restart, but not confirmed yet, keeps its age.
- An age does not grow meanwhile. So nothing becomes old enough to alert because of the trouble.
- Ages are taken against the exporter's own clock, so a wrong clock makes no finding older or younger.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.engine import families
from exporter.engine.families import FINDING, OWN_PREFIX, SINCE
from exporter.publish.alert import record
from exporter.publish.thresholds import Thresholds, seconds

AGE = "deliverability:finding_age:seconds"
EXPORTERS = "deliverability:exporters:count"
TARGETS = "deliverability:targets:count"
TROUBLED = "deliverability:exporter_troubled:info"
SILENT = "deliverability:exporter_silent:info"
TIME = OWN_PREFIX + "time_seconds"
_CONFIG = OWN_PREFIX + "config_hash_info"


def steady(count: str) -> str:
    """What was there for half an hour: two pods, while one replaces the other, are not."""
    return count.replace(":count", ":steady")


def usual(count: str) -> str:
    """The most of the last day that was steady."""
    return count.replace(":count", ":usual")


def records(given: Thresholds) -> Iterator[dict[str, Any]]:
    """In the order in which they use each other."""
    by_job, by_exporter, up = given.by_job, given.by_exporter, f'up{{job=~"{given.job}"}}'
    yield record(
        EXPORTERS,
        f"count by ({by_job}) ({up})\n"
        "or\n"
        f"0 * (last_over_time({usual(EXPORTERS)}[{given.gap}]) > 0)",  # until it is usual that there is none
    )
    yield record(
        TARGETS,
        f"sum by ({by_job}) (\n"
        f"  max by ({by_job}, hash) (\n"
        f"    sum by ({by_exporter}) ({families.TARGETS})\n"
        f"    * on ({by_exporter}) group_left (hash) max by ({by_exporter}, hash) ({_CONFIG})\n"
        "  )\n"
        ")",
    )
    for what in (EXPORTERS, TARGETS):
        yield record(steady(what), f"min_over_time({what}[30m])")
        yield record(usual(what), f"max_over_time({steady(what)}[1d])")
    yield record(
        TROUBLED,
        f"count by ({by_exporter}) ({up} == 0)\n"
        "or\n"
        f"count by ({by_exporter}) (\n"
        f"  max by ({by_exporter}) ({TIME})\n"
        f'    - max by ({by_exporter}) (process_start_time_seconds{{job=~"{given.job}"}})\n'
        f"    < {seconds(given.hold)}\n"
        ")\n"
        "or\n"
        f"count by ({by_exporter}) (\n"
        f"  (max by ({by_exporter}) (last_over_time({up}[1d])) unless on ({by_exporter}) {up})\n"
        f"    and on ({by_job}) ({EXPORTERS} < {usual(EXPORTERS)})\n"
        ")",
    )
    yield record(
        SILENT,
        f"{TROUBLED}\n"
        f"  unless on ({by_exporter})\n"
        f"(max by ({by_exporter}, hash) (last_over_time({_CONFIG}[1d]))\n"
        f"  * on ({by_job}, hash) group_left ()\n"
        f"max by ({by_job}, hash) ({_CONFIG} unless on ({by_exporter}) {TROUBLED}))",
    )
    window = given.gap
    yield record(
        AGE,
        f"(max_over_time({FINDING}[{window}])\n"
        "  * ignoring (severity) group_left ()\n"
        f"(max by ({by_exporter}) (last_over_time({TIME}[{window}]))\n"
        f"  - on ({by_exporter}) group_right ()\n"
        f"last_over_time({SINCE}[{window}])))\n"
        "or\n"
        # The latest value, and no window: what one good scrape did not show does not come back with the next bad one.
        f"({AGE} and max_over_time({FINDING}[{window}]))\n"
        "or\n"
        f"({AGE} and on ({by_exporter}) {SILENT})",
    )
