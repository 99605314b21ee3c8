"""Saves what is known of the blocklists when it has changed."""

from __future__ import annotations

from exporter.clock import Clock
from exporter.engine.state_file import StateFile
from exporter.net.dnsbl.client import DnsblClient


class SavedBlocklists:
    """What the client knows, and what of it the state file has."""

    def __init__(self, client: DnsblClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._saved = -1, 0.0  # revision, monotonic seconds

    def save(self, file: StateFile | None, every: float = 0.0) -> None:
        """Save it if it has changed, but only if `every` seconds have passed since the last time."""
        revision, at = self._saved
        now = self._clock.monotonic()
        if file and revision != self._client.revision and now - at >= every:
            file.save_blocklists(self._client.snapshot())
            self._saved = self._client.revision, now
