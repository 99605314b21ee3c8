"""PromQL matchers made from the catalogue, so no alert and no dashboard has the name of a check or a finding in it."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.engine.catalogue import Catalogue
from exporter.facts import Rule
from exporter.model import Target


def checks(known: Catalogue, *kinds: type[Target]) -> list[str]:
    """The ids of the checks that look at these kinds of target only."""
    return [entry.check.id for entry in known.over(*kinds)]


def looking_at(known: Catalogue, *kinds: type[Target]) -> str:
    """A matcher for the series of these checks."""
    return one_of("check", checks(known, *kinds))


def partly(known: Catalogue, *kinds: type[Target]) -> str:
    """A matcher for the series of the checks that look at one of these kinds, and perhaps at others, too.

    It is cheap where `ip!=""` is not: an index has a list for each value of a label.
    """
    return one_of("check", [it.check.id for it in known.entries if set(kinds) & set(it.check.over)])


def one_of(label: str, values: Iterable[str]) -> str:
    """`check="a"`, `check=~"a|b"`."""
    return _matcher(label, list(values), "=")


def none_of(label: str, values: Iterable[str]) -> str:
    """`check!="a"`, `check!~"a|b"`."""
    return _matcher(label, list(values), "!")


def _matcher(label: str, values: list[str], operator: str) -> str:
    if len(values) == 1:
        return f'{label}{operator.replace("!", "!=")}"{values[0]}"'
    return f'{label}{operator}~"{"|".join(value.replace(".", "[.]") for value in values)}"'


def pattern(rules: Iterable[Rule]) -> str:
    """A regular expression for the findings of these rules: `mx[.]nowhere|spf[.](missing|syntax-error)`."""
    by_check: dict[str, list[str]] = {}
    for rule in rules:
        check, _, name = rule.id.partition(".")
        by_check.setdefault(check, []).append(name)
    return "|".join(
        f"{check}[.]{names[0]}" if len(names) == 1 else f"{check}[.]({'|'.join(names)})"
        for check, names in by_check.items()
    )
