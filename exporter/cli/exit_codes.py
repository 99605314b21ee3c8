"""What the command line tells whoever started it."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Exit(IntEnum):
    """As monitoring plug-ins do; 64 is EX_USAGE of sysexits.h."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    USAGE = 64


class FailOn(StrEnum):
    """From which level on `check` does not end with 0."""

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    NEW = "new"  # of planned records: only what they break
