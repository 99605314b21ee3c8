"""The receivers of each domain's mail: the domain's own list if it has one, else the general list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exporter import receivers
from exporter.config import schema
from exporter.config.problems import Problems, Where


def by_domain(
    general: Sequence[str], top: Where, domains: Iterable[tuple[schema.DomainEntry, Where]], problems: Problems
) -> Mapping[str, tuple[str, ...]]:
    """The ids of their profiles, by the name of the domain; a name that is written twice is reported."""
    everywhere = _complete(general, top / "receivers", problems)
    return {
        domain.name: everywhere
        if domain.receivers is None
        else _complete(domain.receivers, where / "receivers", problems)
        for domain, where in domains
    }


def _complete(names: Sequence[str], where: Where, problems: Problems) -> tuple[str, ...]:
    seen: dict[str, Where] = {}
    for number, name in enumerate(names):
        here = where / number
        first = seen.setdefault(name, here)
        if first is not here:
            problems.report(here, f"the receiver {name} is configured twice: here and at {first}; keep one")
    return receivers.complete(names)
