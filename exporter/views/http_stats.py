"""What the HTTP server counts of itself; views/metrics.py shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Disconnection(StrEnum):
    """Why a connection was ended, or was not taken."""

    SLOW_REQUEST = "slow_request"  # no whole request head in time
    STALLED = "stalled"  # the client does not read its answer
    REPLACED = "replaced"  # it asked for nothing, and made room for a newer one
    FULL = "full"  # no other could make room for it
    TLS = "tls"  # the handshake failed or was not over in time
    NO_FILES = "no_files"  # the process is out of file descriptors


@dataclass
class HttpStats:
    """Since the start, except `connections`: how many are open now."""

    connections: int = 0
    most_connections: int = 0  # as many as may be open
    rejected: Counter[Disconnection] = field(default_factory=lambda: Counter(dict.fromkeys(Disconnection, 0)))
    requests: Counter[int] = field(default_factory=Counter)  # answered, by status code
