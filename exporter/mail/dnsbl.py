"""DNS blocklists (RFC 5782): interface only, see below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.model import Severity


class Lists(StrEnum):
    """What a blocklist lists."""

    IPS = "ip"
    DOMAINS = "domain"


@dataclass(frozen=True, slots=True)
class Code:
    """What one return code of a list means."""

    meaning: str
    severity: Severity


@dataclass(frozen=True)
class Blocklist:
    """One list: `name` is shown everywhere, `zone` is asked and may hold a key, so it is never shown."""

    name: str
    zone: str = field(repr=False)
    lists: Lists = Lists.IPS
    codes: Mapping[str, Code] = field(default_factory=dict, hash=False, compare=False)
