"""What the command line tells whoever started it."""

from __future__ import annotations

from enum import IntEnum

from exporter.check_state import FindingPolicy
from exporter.engine.store import Store
from exporter.facts import Severity


class Exit(IntEnum):
    """As monitoring plug-ins do; 64 is EX_USAGE of sysexits.h."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3
    USAGE = 64


def exit_code(store: Store, policy: FindingPolicy, now: float) -> Exit:
    held = list(store)
    failing = [j for h in held for j in h.effective(policy, now) if j.fails]
    if any(j.severity is Severity.CRITICAL for j in failing):
        return Exit.CRITICAL
    if any(h.doubt for h in held):
        return Exit.UNKNOWN
    return Exit.WARNING if failing else Exit.OK
