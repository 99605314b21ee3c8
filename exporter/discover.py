"""Targets that are found rather than configured: the MX hosts of our domains.

They are read from what the `mx` check holds, so they obey the same truth: a domain whose MX records cannot
be told keeps the hosts that were last known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.model import Labels
from exporter.store import Held
from exporter.targets import MailHost

RELATION = "deliverability_domain_mail_host_info"


def mail_hosts(configured: Iterable[MailHost], mx: Iterable[Held]) -> Iterator[MailHost]:
    """Each mail host once; a configured one as it is, a found one with the labels all its domains agree on."""
    known = {host.key: host for host in configured}
    yield from known.values()
    found: dict[tuple[str, int], list[Held]] = {}
    for held in mx:
        for reading in held.readings:
            if reading.measure.name == RELATION:
                said = dict(reading.labels)
                found.setdefault((said["mail_host"], int(said["mail_port"])), []).append(held)
    for (name, port), domains in found.items():
        host = MailHost(
            host=name,
            port=port,
            labels=_agreed([held.target.labels for held in domains]),
            off=frozenset.intersection(*(held.target.off for held in domains)),
        )
        if host.key not in known:
            yield host


def _agreed(labels: list[Labels]) -> Labels:
    common = set(labels[0]).intersection(*labels[1:])
    return tuple(pair for pair in labels[0] if pair in common)
