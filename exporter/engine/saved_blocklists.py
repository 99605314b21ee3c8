"""Saves what is known of the blocklists when it has changed.

All of it is one row. So the more subjects the lists name, the longer is the wait until it is saved again, and what is
written a day stays the same. A crash loses at most LONGEST seconds of it.
"""

from __future__ import annotations

from exporter.clock import Clock
from exporter.engine.state_file import StateFile
from exporter.net.dnsbl.client import DnsblClient

WAIT = 0.02  # seconds for each subject that a list names: 700 octets
SHORTEST, LONGEST = 1.0, 60.0


class SavedBlocklists:
    """What the client knows, and what of it the state file has."""

    def __init__(self, client: DnsblClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._revision = -1
        self._next = 0.0  # monotonic seconds

    def save(self, file: StateFile | None, *, now: bool = False) -> None:
        """Save it if it has changed and it is time for that, or `now`."""
        at = self._clock.monotonic()
        if file and self._revision != self._client.revision and (now or at >= self._next):
            self._revision, saved = self._client.revision, self._client.snapshot()
            file.save_blocklists(saved)
            named = sum(len(it["named"]) for it in saved["lists"].values())
            self._next = at + min(max(SHORTEST, WAIT * named), LONGEST)
