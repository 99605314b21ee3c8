"""The key `checks`: which checks are off, and the options of single checks.

It may stand at the top of the file, for all targets, and in an entry. The entry has precedence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from exporter.config.problems import Problems, Where
from exporter.config.schema import CheckOptions
from exporter.engine.catalogue import Catalogue
from exporter.model import Options

OptionsByCheck: TypeAlias = Mapping[str, CheckOptions]


def judge(given: OptionsByCheck, catalogue: Catalogue, where: Where, problems: Problems) -> None:
    """Report the problems that the types cannot find."""
    for name, options in given.items():
        if not options.model_fields_set:
            problems.report(where / name, "says nothing; set enabled to true or false")
        for key in options.model_fields_set - {"enabled"}:
            owner = next(check for check, kind in catalogue.options.items() if key in {it.name for it in fields(kind)})
            if owner != name:
                problems.report(where / name / key, f"is a key of the check {owner} alone; remove it")


def off(general: frozenset[str], own: OptionsByCheck) -> frozenset[str]:
    """The checks that are off for an entry. `general` is the key `checks` at the top of the file."""
    if not own:
        return general
    on = {name for name, options in own.items() if options.enabled}
    return general - on | {name for name, options in own.items() if options.enabled is False}


def merged(general: OptionsByCheck, own: OptionsByCheck, catalogue: Catalogue) -> tuple[Options, ...]:
    """The options for an entry that are not the default."""
    if not general and not own:
        return ()
    made = (
        kind(**dict(_values(kind, [given[check] for given in (general, own) if check in given])))
        for check, kind in catalogue.options.items()
    )
    return tuple(options for options in made if options != type(options)())


def _values(kind: type[Options], given: list[Any]) -> Iterator[tuple[str, Any]]:
    """For a bool, the value of the entry; for domains, all of them."""
    for field in fields(kind):
        said = [value for value in (getattr(one, field.name) for one in given) if value is not None]
        if isinstance(field.default, tuple):
            yield field.name, tuple(dict.fromkeys(domain for domains in said for domain in domains))
        elif said:
            yield field.name, said[-1]
