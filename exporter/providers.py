"""Companies that take or send mail for the domains of others, told by the names that DNS shows.

The data is in data/providers.yaml, each entry with its source. What lies below a company's domains is the company's:
a mail host, an SPF policy, or what a key or a bounce domain of a customer is an alias of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from exporter import strict_yaml

DATA = Path(__file__).parent / "data" / "providers.yaml"
_NO_ID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Provider:
    """`rents`: customers run machines of their own below its domains, too."""

    name: str
    domains: tuple[str, ...]
    source: str
    rents: bool = False

    @property
    def id(self) -> str:
        """As the name of a sender in a configuration."""
        return _NO_ID.sub("-", self.name.lower())


def of(name: str) -> Provider | None:
    """Whose name is it? The longest domain that fits counts. `name` may hold SPF macros in front."""
    known, rest = _by_domain(), name.lower().removesuffix(".")
    while rest:
        if rest in known:
            return known[rest]
        rest = rest.partition(".")[2]
    return None


@cache
def shipped() -> tuple[Provider, ...]:
    """All that the product knows. Raise ValueError, saying what is wrong with the file."""
    content = strict_yaml.data(DATA.name, DATA.read_bytes())
    return tuple(Provider(**{**given, "domains": tuple(given["domains"])}) for given in content)


@cache
def _by_domain() -> Mapping[str, Provider]:
    return {domain: provider for provider in shipped() for domain in provider.domains}
