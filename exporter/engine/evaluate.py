"""Runs one check on one target once, and makes an Outcome of whatever happens.

A run may yield facts, raise, hang or have a bug. None of this may stop the exporter, and a bug of ours must not become
a verdict about somebody's mail. So each end of a run has one meaning:

- A Doubt that the check yields does not end the run. The findings that it leaves open are not decided.
- CannotTell ends the run. It becomes a Doubt that leaves all findings open.
- The check's timeout ends the run, with the reason `deadline`.
- An exception for lack of files, memory or ports has the reason `local_resources`.
- Any other exception is a bug of ours. It is logged with its trace, and becomes a Doubt with the reason `bug`.

If there are several doubts, people are shown the worst one (`facts.worst`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import TypeAlias

from exporter.clock import Clock
from exporter.facts import CannotTell, Doubt, Finding, LookAgain, Measured, Metric, Reason, Record, Sample
from exporter.model import Check, Fact, Outcome, Target
from exporter.net import Net
from exporter.net.shortage import shortage

log = logging.getLogger(__name__)

NetFactory: TypeAlias = Callable[[], Net]


class _Facts:
    """The facts that a run has yielded so far, each once."""

    def __init__(self, finds: tuple[type[Target], ...]) -> None:
        self._finds = finds
        self.findings: dict[tuple[object, ...], Finding] = {}
        self.samples: dict[tuple[object, ...], Sample] = {}
        self.records: dict[str, Record] = {}
        self.found: dict[str, Target] = {}
        self.doubts: list[Doubt] = []
        self.again: float | None = None
        self.measured: set[Metric] = set()

    def take(self, said: Fact | Iterable[Fact]) -> None:
        match said:
            case Finding():
                self.findings.setdefault((said.key, said.evidence), said)
            case Sample():
                self.samples[said.metric, said.labels] = said
            case Measured():
                self.measured.add(said.metric)
            case Record():
                self.records[said.name] = said
            case Doubt():
                self.doubts.append(said)
            case LookAgain():
                self.again = said.seconds if self.again is None else min(self.again, said.seconds)
            case Target():
                if not isinstance(said, self._finds):
                    raise TypeError(f"{type(said).__name__} is not among the kinds that the check declares to find")
                self.found[said.key] = said
            case _:
                for fact in said:
                    self.take(fact)


async def evaluate(check: Check, target: Target, net_factory: NetFactory, clock: Clock) -> Outcome:
    """Run the check once. Raises nothing except cancellation."""
    since = clock.monotonic()
    facts = _Facts(check.finds)
    net = net_factory()
    net.serve(check)
    seconds = check.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds) as limit, aclosing(check.run(target, net)) as yielded:
            async for said in yielded:
                facts.take(said)
    except CannotTell as could_not:
        facts.take(Doubt(could_not.reason, could_not.detail))
    except TimeoutError:
        late = Doubt(Reason.DEADLINE, f"no end within {seconds:g} s")
        facts.take(late if limit.expired() else _bug(check, target))
    except Exception as error:  # noqa: BLE001  (the shield: our bug must not become anybody's verdict)
        short = shortage(error)
        facts.take(Doubt(Reason.LOCAL_RESOURCES, short) if short else _bug(check, target))
    duration = clock.monotonic() - since
    return Outcome(
        check=check,
        target=target,
        findings=tuple(facts.findings.values()),
        samples=tuple(facts.samples.values()),
        doubts=tuple(facts.doubts),
        transcript=net.transcript.freeze(),
        started=clock.wall() - duration,  # by the clock as it is now, because it may have been corrected meanwhile
        duration=duration,
        records=tuple(facts.records.values()),
        found=tuple(facts.found.values()),
        again=facts.again,
        measured=frozenset(facts.measured),
    )


def _bug(check: Check, target: Target) -> Doubt:
    log.error("bug in check %s on %s", check.id, target.key, exc_info=True)
    return Doubt(Reason.BUG, "a fault of the exporter itself; its log has the trace")
