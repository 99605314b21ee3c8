"""Small checks for tests of the engine. A test scripts what they yield."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from exporter.check_state import CheckState
from exporter.engine.store import Store
from exporter.facts import (
    CannotTell,
    Doubt,
    Finding,
    LookAgain,
    Measured,
    Metric,
    Reason,
    Record,
    Rule,
    Sample,
    Severity,
)
from exporter.model import Check, Facts, Outcome, Target, check
from exporter.targets import Address, Domain

BROKEN = Rule("sample.broken", Severity.CRITICAL, says="{what} is broken", why="W.", fix="Mend {what}.", ref="RFC 1")
ODD = Rule("sample.odd", Severity.WARNING, says="{what} is odd", why="W.", fix="Look at {what}.", ref="RFC 1")
NOTE = Rule("sample.note", Severity.INFO, says="{what} is so", why="W.", fix="Nothing about {what}.", ref="RFC 1")
LISTED = Rule(
    "sample.listed",
    Severity.WARNING,
    says="on {blocklist}",
    why="W.",
    fix="Leave {blocklist}.",
    ref="RFC 5782",
    subjects=("blocklist",),
)
SIZE = Metric("deliverability_sample_size", "Size of the sample.")
RULES = {r.id: r for r in (BROKEN, ODD, NOTE, LISTED)}

EXAMPLE = Domain(name="example.com", mail_from=("example.com",))
HOST = Address(ip=ip_address("192.0.2.1"), helo=("mail.example.com",))


def scripted(steps: Callable[[], list[Any]], deadline: float = 60, **declared: Any) -> Check:
    """A check over Domain that yields the facts, raises the exceptions and awaits the awaitables it is given."""

    async def sample(target: Any, net: Any) -> Facts:
        """Is it so?"""
        for step in steps():
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Finding | Sample | Record | Doubt | LookAgain | Target | list):
                yield step
            else:
                await step

    return check(over=Domain, timeout=timedelta(seconds=deadline), **declared)(sample)


SAMPLE = scripted(list)


def outcome(
    *facts: Finding | Sample | Measured | Record | Doubt,
    doubt: Reason | None = None,
    at: float = 1000.0,
    target: Any = EXAMPLE,
) -> Outcome:
    return Outcome(
        check=SAMPLE,
        target=target,
        findings=tuple(f for f in facts if isinstance(f, Finding)),
        samples=tuple(f for f in facts if isinstance(f, Sample)),
        doubts=(*(f for f in facts if isinstance(f, Doubt)), *([Doubt(doubt, "because")] if doubt else [])),
        transcript=(),
        started=at,
        duration=0.0,
        records=tuple(f for f in facts if isinstance(f, Record)),
        measured=frozenset(f.metric for f in facts if isinstance(f, Measured)),
    )


def cannot(reason: Reason = Reason.DNS_TIMEOUT) -> CannotTell:
    return CannotTell(reason, "no answer")


def taken(store: Store, run: Outcome) -> CheckState:
    """The state after this run, and after the resolver has passed its own test."""
    state = store.record(run)
    assert state is not None
    return store.confirm(state.key, float("inf")) or state
