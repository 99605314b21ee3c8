"""Prints what a look has found, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.check_state import CheckState, FindingPolicy
from exporter.cli.asking import RESOLVER
from exporter.cli.discovery.checked import DomainSearch, LooksAt
from exporter.cli.exit_codes import Exit
from exporter.cli.run import fail
from exporter.clock import Clock
from exporter.engine.difference import Difference
from exporter.engine.store import Store
from exporter.late import Late

if TYPE_CHECKING:
    from exporter.cli import planned
    from exporter.net.planned.records import PlannedRecords
    from exporter.views import json_report, pipelines, report, terminal
else:
    planned = Late("exporter.cli.planned")
    json_report = Late("exporter.views.json_report")
    pipelines = Late("exporter.views.pipelines")
    report = Late("exporter.views.report")
    terminal = Late("exporter.views.terminal")


@dataclass(frozen=True)
class Telling:
    """`style` is one of --format, `detail` counts -v. `says_helo`: mail hosts are spoken to, or need not be.

    `looks_at` says whether a check runs that looks at a kind of target. `excluded` says what flags leave out, and
    `unpublished` are the checks that do not run because of the plan.
    """

    style: str
    detail: int
    subject: str
    resolver: str
    policy: FindingPolicy
    clock: Clock
    began: float  # monotonic
    looks_at: LooksAt
    excluded: str = ""
    says_helo: bool = True
    discovery: DomainSearch | None = None
    plan: PlannedRecords | None = None
    unpublished: frozenset[str] = frozenset()

    def result(self, state: CheckState) -> None:
        """One result as it comes."""
        if self.style == "ndjson":
            print(json_report.line(state, self.policy, self.clock.wall()), flush=True)

    def report(
        self,
        store: Store,
        code: int,
        *,
        stopped: tuple[int, int] | None = None,
        change: Difference | None = None,
        unasked: Iterable[str] = (),
    ) -> None:
        """All that was found. `stopped`: how many checks were made, of how many. `unasked`: what is planned in vain."""
        now, policy = self.clock.wall(), self.policy
        notes = [*(planned.UNASKED.format(it) for it in unasked), *self._left_out(compared=change is not None)]
        discovered = self.discovery.discovered(self.looks_at) if self.discovery else report.NOTHING_FOUND
        match self.style:
            case "json":
                plan = self.plan
                told = json_report.as_json(
                    store, policy, now, notes, code, discovered, stopped=stopped, plan=plan, change=change
                )
                print(told)
            case "ndjson":
                for line in json_report.last_lines(store, policy, now, notes, code, discovered, stopped):
                    print(line, flush=True)
            case "junit":
                print(pipelines.as_junit(store, policy, now), end="")
            case "sarif":
                print(pipelines.as_sarif(store, policy, now))
            case _:
                said = tuple(planned.told(self.plan)) if self.plan else ()
                seconds = self.clock.monotonic() - self.began
                look = terminal.Look(self.subject, seconds, self.resolver, notes, discovered, stopped, said)
                terminal.as_text(store, policy, now, look, sys.stdout, detail=self.detail, change=change)
        if stopped and self.style in ("junit", "sarif"):
            print(terminal.STOPPED.format(*stopped), file=sys.stderr)

    def _left_out(self, *, compared: bool) -> Iterator[str]:
        """What was not looked at, and how to. `compared`: with the planned records."""
        if self.discovery:
            yield from self.discovery.left_out(self.looks_at)
        if not self.says_helo:
            yield "mail hosts. Give the host name of this machine with --smtp.helo-name NAME."
        if self.plan:
            yield from planned.left_out(self.unpublished) if compared else (planned.NOT_COMPARED,)
        if self.excluded:
            yield self.excluded

    def resolver_fails(self, why: object) -> int:
        text = f"the resolver {self.resolver} does not answer: {why}"
        if self.style in ("junit", "sarif"):
            return fail(text, Exit.UNKNOWN)
        if self.style == "text":
            print(f"{text}\n{RESOLVER}")
        else:
            print(json_report.failed(text, Exit.UNKNOWN, in_lines=self.style == "ndjson"))
        return Exit.UNKNOWN
