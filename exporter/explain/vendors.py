"""Who runs a host, or wrote a reply: by the end of the host's name, or by marks in the text.

The list is data/refusals/vendors.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from exporter import strict_yaml

HOME = Path(__file__).parents[1] / "data" / "refusals"


@dataclass(frozen=True, slots=True)
class Vendors:
    hosts: Mapping[str, str]  # the end of a name, in lower case, to a vendor
    signs: tuple[tuple[str, str], ...]  # a mark in a reply, in lower case, and its vendor
    ask: Mapping[str, str]  # where a vendor's postmaster is to be found

    def of(self, host: str, reply: str) -> str | None:
        """The vendor of a host; else the one that the reply names."""
        labels = host.lower().rstrip(".").split(".")
        for begin in range(len(labels)):
            if found := self.hosts.get(".".join(labels[begin:])):
                return found
        lower = reply.lower()
        return next((vendor for sign, vendor in self.signs if sign in lower), None)


@cache
def shipped() -> Vendors:
    given = content(HOME / "vendors.yaml")
    hosts, signs, ask = dict[str, str](), list[tuple[str, str]](), dict[str, str]()
    for name, known in given["vendors"].items():
        hosts |= dict.fromkeys(known.get("hosts", ()), name)
        signs += [(str(sign).lower(), name) for sign in known.get("signs", ())]
        if "ask" in known:
            ask[name] = known["ask"]
    return Vendors(hosts, tuple(signs), ask)


def content(path: Path) -> Any:
    """A file of data. Raise ValueError, saying what is wrong with it."""
    return strict_yaml.data(path.name, path.read_bytes())
