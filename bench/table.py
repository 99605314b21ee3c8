"""All rows, one after the other: make bench, or python -m bench.table [--full]. Half an hour; two hours with --full.

Each row can be measured alone: lookups, domains, fleet, scrapes, cold_start, troubles. bench/results.json keeps
them for the documents.
"""

from __future__ import annotations

from bench import cold_start, domains, fleet, lookups, scrapes, troubles
from bench.results import Row, arguments, tell

ALL = (
    *(lookups.measure, domains.measure, fleet.measure, fleet.growth),
    *(scrapes.measure, cold_start.measure, troubles.measure),
)

if __name__ == "__main__":
    given = arguments(__doc__)
    rows: list[Row] = []
    for one in ALL:
        rows += (measured := one(given))
        tell(measured, keep=False)
        print(flush=True)
    tell(rows, keep=True)
