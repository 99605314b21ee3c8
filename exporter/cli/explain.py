"""`deliverability-exporter explain`: the runbook of a finding, or what is behind a refusal."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exporter.check_state import FindingPolicy
from exporter.cli.exit_codes import Exit
from exporter.cli.run import fail, run
from exporter.clock import SystemClock
from exporter.config import ConfigError, Settings, load_in_time
from exporter.engine import catalogue
from exporter.engine.catalogue import Catalogue
from exporter.explain import diagnosis, runbook
from exporter.explain.bounce import LARGEST
from exporter.explain.refusals import Refusals
from exporter.late import Late

if TYPE_CHECKING:
    from exporter import clients
    from exporter.cli import once, progress
else:
    clients = Late("exporter.clients")
    once = Late("exporter.cli.once")
    progress = Late("exporter.cli.progress")

_FINDING = re.compile(r"[a-z_]{1,40}\.[a-z0-9-]{1,80}")


def command(arguments: argparse.Namespace) -> int:
    known = catalogue.load()
    standard = arguments.text == ["-"]
    pasted = sys.stdin.buffer.read(LARGEST) if standard else None
    text = "" if standard else " ".join(arguments.text)
    declared = known.rules.get(text)
    if declared is None and _FINDING.fullmatch(text):
        near = runbook.nearest(text, known)
        if near or text.partition(".")[0] in known.checks:
            return fail(f"no finding {text!r}{near and f'; did you mean {near}?'}")
    answer = Refusals(known).find(text if pasted is None else pasted)
    findings = (text,) if declared else answer.findings
    here: diagnosis.InSetup | None = None
    if arguments.config is not None and findings:
        try:
            here = run(_here(known, load_in_time(arguments.config, known), findings, alone=not declared))
        except (ConfigError, OSError, once.ResolverFailsError) as error:
            return fail(error)
    if declared:
        told = ["", "In your setup:", *(f"  {line}" for line in here.lines)] if here else []
        print("\n".join([runbook.runbook(declared), *told]))
        return Exit.OK
    print(diagnosis.as_text(answer, here))
    return Exit.OK if answer.matches else Exit.WARNING


async def _here(known: Catalogue, settings: Settings, findings: Sequence[str], *, alone: bool) -> diagnosis.InSetup:
    """Whether one of the findings is active; `alone`: by the checks that look for them, without all the others."""
    settings = clients.resolve_system_nameservers(settings)
    wanted = settings.running
    if alone:
        wanted &= {finding.partition(".")[0] for finding in findings}
    kinds = {kind for name in wanted for kind in known.checks[name].over}
    # those that find what these look at, such as mail hosts
    wanted |= {name for name in settings.enabled if kinds & set(known.checks[name].finds)}
    clock = SystemClock()
    with progress.ProgressLines(sys.stderr, clock, FindingPolicy(settings.severities)) as watcher:
        store = await once.evaluated(known, settings, wanted, clock, watcher)
    return diagnosis.in_setup(store, findings)
