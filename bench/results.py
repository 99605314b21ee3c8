"""Rows of the table of costs: how they are measured, shown, and kept in bench/results.json with date and machine.

A row has rounds, and its peers have rounds in between. Told is the median, and the ratio of the medians of one run.
Absolute times move with the machine and with what else runs there; the ratios move less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.world import drive_from_the_other_core
from tests.lab.process import Lab

KEPT = Path(__file__).parent / "results.json"


@dataclass
class Row:
    """`goal` is the most that is aimed at, in `unit`. `peers` have the same unit. None: it is not installed."""

    work: str
    unit: str
    goal: float | None = None
    rounds: list[float] = field(default_factory=list)
    peers: dict[str, list[float] | None] = field(default_factory=dict)
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def peer(self, name: str, number: float | None) -> None:
        """One round of a peer, or that it is not installed."""
        if number is None:
            self.peers[name] = None
        else:
            kept = self.peers.setdefault(name, [])
            assert kept is not None
            kept.append(number)

    def cells(self) -> list[str]:
        spread = f" [{shown(min(self.rounds))}..{shown(max(self.rounds))}]" if len(self.rounds) > 1 else ""
        goal = "-" if self.goal is None else f"{shown(self.goal)} {self.unit}"
        return [self.work, goal, f"{shown(self.median)} {self.unit}{spread}", self._beside(), self.note]

    def _beside(self) -> str:
        told = []
        for name, rounds in self.peers.items():
            if rounds is None:
                told.append(f"{name}: not installed")
            elif rounds:
                other = statistics.median(rounds)
                told.append(f"{name} {shown(other)}, {shown(other / self.median)}x")
        return "; ".join(told) or "-"


def shown(number: float) -> str:
    """Three digits that count."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def machine() -> dict[str, str | int]:
    """What was measured on."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": found[1] if found else platform.machine(),
        "cores": os.cpu_count() or 1,
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def tell(rows: Sequence[Row], *, keep: bool) -> None:
    """Print the rows as a table. `keep` them for the documents, too: `make docs` makes these again."""
    on = machine()
    table = [["Work", "Goal", "Measured", "Peers of the same run", "Note"], *(row.cells() for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(5)]
    for cells in table:
        print(" | ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip())
    print(", ".join(f"{name} {value}" for name, value in on.items()))
    if keep:
        kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        for row in rows:
            beside = {name: statistics.median(rounds) for name, rounds in row.peers.items() if rounds}
            told = {"unit": row.unit, "goal": row.goal, "measured": row.median, "beside": beside, "note": row.note}
            kept[row.work] = {**told, "rounds": len(row.rounds), **on}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab on the core of the servers; its logs are printed when something fails."""
    drive_from_the_other_core()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started ends too
    with Lab() as opened:
        try:
            yield opened
        except AssertionError:
            print(opened.logs())
            raise


def arguments(doc: str | None, rounds: int = 3) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="the median of so many is told")
    parser.add_argument("--keep", action="store_true", help="keep the rows in bench/results.json")
    parser.add_argument("--full", action="store_true", help="10,000 domains and 10,000 addresses, for 15 minutes")
    return parser.parse_args()
