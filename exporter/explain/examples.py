"""An example of each finding, for pages that are about a rule and not about a target.

The problem: the sentences of a rule have places for evidence, and nobody should have to read `{ip}`.

The idea: the evidence of a real finding fills them. Each rule has scenarios among the tests; what one of them finds is
kept in data/examples.json. It has the names and addresses that are reserved for documentation (RFC 2606, RFC 5737).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from exporter.engine.held import Held
from exporter.facts import Finding, Rule
from exporter.remedies import Remedy

PATH = Path(__file__).parents[1] / "data" / "examples.json"
SPF = "v=spf1 mx -all"


@cache
def written() -> Mapping[str, Mapping[str, str]]:
    """The evidence, by finding."""
    made: dict[str, dict[str, str]] = json.loads(PATH.read_text("utf-8"))
    return made


def example(rule: Rule) -> Finding:
    """The rule with the evidence of its example. Evidence without a value is named in words."""
    given = written().get(rule.id, {})
    evidence: dict[str, Any] = {name: given.get(name, name.replace("_", " ")) for name in rule.fields}
    return rule(**evidence)


def fact(rule: Rule) -> str:
    """What the rule says, and that it is an example, where it is one."""
    said = example(rule).text
    return said if said == rule.says else f"Example: {said}"


def fix(rule: Rule) -> str:
    """`Fix: do this`, likewise."""
    said = example(rule).fix
    return f"Fix: {said}" if said == rule.fix else f"Fix in this example: {said}"


def remedy(rule: Rule) -> Remedy:
    """The records and settings that repair the example."""
    return rule.remedy_of([example(rule)], _World(rule))


class _World(Held):
    """That of an example: where an address is refused there is an SPF record, and nothing else is published."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(())
        self._spf = (SPF,) if "ip" in rule.fields else ()

    def texts(self, record: str) -> tuple[str, ...]:
        return self._spf if record.endswith(" v=spf1") else ()
