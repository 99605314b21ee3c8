"""What `checks` says: which of them are off, and the keys that one of them alone has.

It stands in the file for all and on an entry for that one, which has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from exporter.config.problems import Problems, Where
from exporter.config.schema import CheckOptions

OptionsByCheck: TypeAlias = Mapping[str, CheckOptions]

KEYS_OF_ONE_CHECK = {"strict": "helo", "allow_generic": "ptr"}


def judge(switches: OptionsByCheck, where: Where, problems: Problems) -> None:
    """Tell what no type can forbid."""
    for name, switch in switches.items():
        if not switch.model_fields_set:
            problems.tell(where / name, "says nothing; set enabled to true or false")
        for key, only in KEYS_OF_ONE_CHECK.items():
            if key in switch.model_fields_set and name != only:
                problems.tell(where / name / key, f"is a key of the check {only} alone; remove it")


def off(general: frozenset[str], own: OptionsByCheck) -> frozenset[str]:
    """The checks that are off here, when those of `general` are off elsewhere."""
    if not own:
        return general
    on = {name for name, switch in own.items() if switch.enabled}
    return general - on | {name for name, switch in own.items() if switch.enabled is False}


def strict(general: OptionsByCheck, own: OptionsByCheck) -> bool:
    """Is a PTR name that is not the HELO name critical?"""
    said = (switches["helo"].strict for switches in (own, general) if "helo" in switches)
    return next((word for word in said if word is not None), False)


def allow_generic(general: OptionsByCheck, own: OptionsByCheck) -> tuple[str, ...]:
    """Domains below which names may look generic: those for all, and those of the entry besides."""
    both = (switches["ptr"].allow_generic for switches in (general, own) if "ptr" in switches)
    return tuple(dict.fromkeys(domain for domains in both for domain in domains))
