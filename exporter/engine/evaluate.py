"""One evaluation: a check, a target, a fresh Net; out comes an Outcome, whatever happens.

The deadline belongs to the run, the bug shield to us: an exception that is not CannotTell is logged with
its trace and becomes unknown(bug), never a verdict.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import TypeAlias

from exporter.model import CannotTell, Check, Clock, Doubt, Finding, Outcome, Reason, Record, Sample, Target
from exporter.net import Net

log = logging.getLogger(__name__)

NetFactory: TypeAlias = Callable[[], Net]


async def evaluate(check: Check, target: Target, net_factory: NetFactory, clock: Clock) -> Outcome:
    """Never raises but for cancellation."""
    started, since = clock.wall(), clock.monotonic()
    findings: dict[tuple[object, ...], Finding] = {}
    samples: dict[tuple[object, ...], Sample] = {}
    records: dict[str, Record] = {}
    doubt: Doubt | None = None
    net = net_factory()
    seconds = check.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds) as limit, aclosing(check.run(target, net)) as facts:
            async for fact in facts:
                if isinstance(fact, Finding):
                    findings.setdefault((fact.key, fact.evidence), fact)
                elif isinstance(fact, Record):
                    records[fact.name] = fact
                else:
                    samples[(fact.metric, fact.labels)] = fact
    except CannotTell as could_not:
        doubt = Doubt(could_not.reason, could_not.detail)
    except TimeoutError:
        doubt = Doubt(Reason.DEADLINE, f"no end within {seconds:g} s") if limit.expired() else _bug(check, target)
    except Exception:  # noqa: BLE001  (the shield: our bug must not become anybody's verdict)
        doubt = _bug(check, target)
    return Outcome(
        check=check,
        target=target,
        findings=tuple(findings.values()),
        samples=tuple(samples.values()),
        doubt=doubt,
        transcript=net.transcript.freeze(),
        started=started,
        duration=clock.monotonic() - since,
        records=tuple(records.values()),
    )


def _bug(check: Check, target: Target) -> Doubt:
    log.error("bug in check %s on %s", check.id, target.key, exc_info=True)
    return Doubt(Reason.BUG, "a fault of the exporter itself; its log has the trace")
