"""Remembers how long no server of a zone has answered for it, and whether that can be our own network's doing.

The idea: silence counts only in a run in which our own way out is proven. It is proven if servers of other zones, such
as those of the parent zone, have answered with authority over the same IP version and transport since the last silent
run. Networks that answer in place of the asked server never set AA.

The rules:

- SILENT_RUNS such runs over SILENT_SECONDS make silence a fact about the zone.
- A run that proves nothing neither counts nor ends it. An answer of one server for the zone ends it.
- It is kept in memory only. After a restart, it counts from zero.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TypeAlias

from exporter.clock import Clock, began_at
from exporter.facts import IP

SILENT_RUNS = 4
SILENT_SECONDS = 3600.0  # between the first and the last of them
LATELY = 3600.0  # seconds before the first silent run in which an answer of another server proves the way out
LONGEST_GAP = 86400.0  # seconds between two silent runs of one silence
MOST_KEPT = 10_000
MOST_WITNESSES = 64  # servers for each egress

Egress: TypeAlias = tuple[int, bool]  # IP version, and whether over TCP


@dataclass(frozen=True, slots=True)
class _Quiet:
    began: float  # monotonic, as `seen`
    seen: float
    runs: int


class ZoneSilences:
    """The silent zones, by the domain that is checked, and the servers that have answered lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet: dict[str, _Quiet] = {}
        self._witnesses: dict[Egress, dict[IP, float]] = {}

    def witness(self, server: IP, *, tcp: bool) -> None:
        """Remember that the server has answered with authority."""
        known = self._witnesses.setdefault((server.version, tcp), {})
        known.pop(server, None)  # so that it goes in at the end: they are in order of age
        known[server] = self._clock.monotonic()
        if len(known) > MOST_WITNESSES:
            del known[next(iter(known))]

    def proven(self, who: str, own: AbstractSet[IP]) -> set[Egress]:
        """The egress over which servers other than its `own` have answered since its last silent run."""
        quiet, now = self._quiet.get(who), self._clock.monotonic()
        after = quiet.seen if quiet else now - LATELY
        return {
            egress
            for egress, known in self._witnesses.items()
            if any(at > after for server, at in known.items() if server not in own)
        }

    def silent(self, who: str) -> float | None:
        """Count a run in which none of its servers answered. Since when (unix seconds), if that is a fact by now."""
        now = self._clock.monotonic()
        before = self._quiet.pop(who, None)
        if before is None or now - before.seen > LONGEST_GAP:
            before = _Quiet(now, now, 0)
        quiet = self._quiet[who] = replace(before, seen=now, runs=before.runs + 1)
        if len(self._quiet) > MOST_KEPT:
            del self._quiet[next(iter(self._quiet))]
        told = quiet.runs >= SILENT_RUNS and now - quiet.began >= SILENT_SECONDS
        return began_at(self._clock, quiet.began) if told else None

    def answered(self, who: str) -> None:
        """One of its servers has answered for the zone."""
        self._quiet.pop(who, None)
