"""The runbook of a finding: what it says, why it matters, and how to fix it."""

from __future__ import annotations

import difflib

from exporter.engine.catalogue import Catalogue
from exporter.explain import examples
from exporter.facts import Rule


def runbook(declared: Rule) -> str:
    """The runbook of one finding as plain text."""
    says = ["", "What receivers say:", *(f"  {text}" for text in declared.refusals)] if declared.refusals else []
    return "\n".join(
        [
            f"{declared.id} ({declared.severity})",
            f"  {examples.fact(declared)}",
            "",
            declared.why,
            *says,
            "",
            examples.fix(declared),
            f"See: {declared.ref}",
        ]
    )


def nearest(wanted: str, catalogue: Catalogue) -> str:
    """The finding id that looks most like this one, or nothing."""
    return next(iter(difflib.get_close_matches(wanted, catalogue.rules, n=1)), "")
