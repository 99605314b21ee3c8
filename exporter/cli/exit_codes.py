"""What the command line tells whoever started it."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from exporter.check_state import CheckState, FindingPolicy
from exporter.engine.difference import Difference
from exporter.engine.store import Store
from exporter.facts import Severity
from exporter.targets import ListHealth, OwnResolver, Reputation


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


def exit_code(store: Store, policy: FindingPolicy, now: float, fail_on: FailOn = FailOn.WARNING) -> Exit:
    """What is unknown counts if it is the target's own DNS, or if `fail_on` is UNKNOWN."""
    held = [it for it in store if not it.check.concludes and not it.target.likely]
    failing = [j for h in held for j in h.effective(policy, now) if j.fails]
    if any(j.severity is Severity.CRITICAL for j in failing):
        return Exit.CRITICAL
    if any(it.doubt and (fail_on is FailOn.UNKNOWN or _of_their_dns(it)) for it in held):
        return Exit.UNKNOWN
    return Exit.WARNING if failing and fail_on is not FailOn.CRITICAL else Exit.OK


def exit_code_of_change(change: Difference) -> Exit:
    """Only what the change breaks or hides counts."""
    if any(it.severity is Severity.CRITICAL for it in change.breaks):
        return Exit.CRITICAL
    if any(map(_of_their_dns, change.blinded)):
        return Exit.UNKNOWN
    return Exit.WARNING if change.breaks else Exit.OK


def _of_their_dns(state: CheckState) -> bool:
    """Not of a list, a registry, a mail host or a web server, nor of a way out that is closed here."""
    if state.doubt is None or state.doubt.reason.from_here:
        return False
    return state.check.asks_dns_alone and not isinstance(state.target, OwnResolver | ListHealth | Reputation)
