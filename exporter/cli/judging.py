"""Which exit code says what `check` has found."""

from __future__ import annotations

from exporter.check_state import CheckState, FindingPolicy
from exporter.cli.exit_codes import Exit, FailOn
from exporter.engine.difference import Difference
from exporter.engine.store import Store
from exporter.facts import Severity
from exporter.targets import ListHealth, OwnResolver, Reputation


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
