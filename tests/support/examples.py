"""The evidence in exporter/data/examples.json comes from scenarios: which, and how it is written down.

To write the file again: `python -m tests.support.examples`, for example after the words of a reason have changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from itertools import count

from exporter.cli.run import run
from exporter.explain.examples import PATH
from exporter.facts import Finding
from tests.support.scenario import Scenario

# Where the scenario that has the name of the rule is not the one to show.
CHOSEN = {
    "dkim.missing": "missing",
    "dkim.syntax": "syntax-no-key-tag",
    "ehlo_probe.refused": "refused-office-365-trailing-dot",
    "helo.bad-character": "bad-character-port",
    "helo.local-name": "local-name-localhost",
    "helo.trailing-dot": "trailing-dot-office-365",
    "helo.white-space": "white-space-office-365-trailing",
    "spf.explanation-missing": "explanation-missing-counts-nothing",
}
_HEX = re.compile(r"\b[0-9a-f]{16,64}\b")  # digests of keys that are made for each test


def chosen(scenarios: Iterable[Scenario], rule: str) -> Scenario:
    """The one whose finding is the example: with the name of the rule, without much else."""
    short = rule.partition(".")[2]
    possible = [it for it in scenarios if any(rule == expected for expected, _ in it.expected)]
    return min(
        possible,
        key=lambda it: (
            it.name != CHOSEN.get(rule, short),
            not it.name.startswith(short),
            len(it.expected),
            it.name,
        ),
    )


def evidence(finding: Finding) -> dict[str, str]:
    """As it is kept: without what differs from run to run, or says that a test's server said it."""
    number = count(1)
    seen: dict[str, str] = {}

    def digest(found: re.Match[str]) -> str:
        if found[0] not in seen:
            seen[found[0]] = hashlib.sha256(f"key {next(number)}".encode()).hexdigest()
        return seen[found[0]][: len(found[0])]

    return {
        name: _HEX.sub(digest, value).replace(" [demo]", "").replace("=demo ", "=example ")
        for name, value in finding.evidence
    }


def as_text(examples: Mapping[str, Mapping[str, str]]) -> str:
    """A line for each finding."""
    lines = (
        f"  {json.dumps(rule)}: {json.dumps(given, ensure_ascii=False)}" for rule, given in sorted(examples.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


async def _made() -> dict[str, dict[str, str]]:
    from tests import test_scenarios as scenes  # it imports this module

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # servers whose scene is over complain
    made: dict[str, dict[str, str]] = {}
    for rule in scenes.CATALOGUE.rules:
        outcome = await scenes.play_in_memory(chosen(scenes.SCENARIOS, rule))
        made[rule] = evidence(next(it for it in outcome.findings if it.id == rule))
    return made


if __name__ == "__main__":
    PATH.write_text(as_text(run(_made())))
