"""Remembers how long no server of a zone has answered for it, and whether that can be our own network's doing.

The idea: silence counts only in a run in which our own way out is proven. It is proven if servers of other zones, such
as those of the parent zone, have answered with authority over the same IP version and transport since the last silent
run. Networks that answer in place of the asked server never set AA.

The rules:

- SILENT_RUNS such runs over SILENT_SECONDS make silence a fact about the zone (exporter/net/silence.py).
- A run that proves nothing neither counts nor ends it. An answer of one server for the zone ends it.
- It is kept in memory only. After a restart, it counts from zero.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TypeAlias

from exporter.clock import Clock
from exporter.facts import IP
from exporter.net.silence import Silences

LATELY = 3600.0  # seconds before the first silent run in which an answer of another server proves the way out
MOST_WITNESSES = 64  # servers for each egress

Egress: TypeAlias = tuple[int, bool]  # IP version, and whether over TCP


class ZoneSilences:
    """The silent zones, by the domain that is checked, and the servers that have answered lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet = Silences[str](clock)
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
        silent = self._quiet.seen(who)
        after = self._clock.monotonic() - LATELY if silent is None else silent
        return {
            egress
            for egress, known in self._witnesses.items()
            if any(at > after for server, at in known.items() if server not in own)
        }

    def silent(self, who: str) -> float | None:
        """Count a run in which none of its servers answered. Since when (unix seconds), if that is a fact by now."""
        silence = self._quiet.silent(who)
        return silence.since if silence else None

    def answered(self, who: str) -> None:
        """One of its servers has answered for the zone."""
        self._quiet.spoke(who)
