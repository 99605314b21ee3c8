"""Peers: receivers that we ask what they think of a HELO name. A peer is a mail domain or one server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.config import schema
from exporter.config.problems import Problems, Where
from exporter.targets import Peer


def read(entries: Iterable[schema.PeerEntry], where: Where, problems: Problems) -> Iterator[Peer]:
    """The peers that can be asked. What is wrong with the others is reported."""
    seen: dict[str, Where] = {}
    for number, entry in enumerate(entries):
        here, name = where / number, entry.host or entry.domain
        if name is None or (entry.host and entry.domain):
            problems.report(here, "is a domain or a host; set one of the two")
        elif entry.port and not entry.host:
            problems.report(here / "port", "goes with host alone: mail for a domain goes to port 25")
        elif name in seen:
            problems.report(here, f"the probed receiver {name} is configured twice: here and at {seen[name]}; keep one")
        else:
            seen[name] = here
            yield Peer(name, exactly=entry.host is not None, port=entry.port or 25)
