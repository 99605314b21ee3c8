"""Targets that are found rather than configured: the MX hosts of our domains.

They are read from what the `mx` check holds, so they obey the same truth: a domain whose MX records cannot
be told keeps the hosts that were last known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from exporter.engine.store import CheckState
from exporter.model import Labels, Target
from exporter.targets import MailHost

CHECK = "mx"
RELATION = "deliverability_domain_mail_host_info"

Place: TypeAlias = tuple[str, int]


class Changes(NamedTuple):
    """What one answer changed: hosts that are new or have other labels, and hosts that no domain leads to any more."""

    wanted: list[MailHost]
    gone: list[MailHost]


class MailHosts:
    """Each mail host once: configured ones as they are, found ones with the labels that all their domains agree on."""

    def __init__(self, configured: Iterable[MailHost]) -> None:
        self._configured = {(host.host, host.port): host for host in configured}
        self._found: dict[Place, _Found] = {}
        self._leads: dict[str, tuple[Target, frozenset[Place]]] = {}

    @property
    def all(self) -> list[MailHost]:
        found = [self._host(place) for place in self._found if place not in self._configured]
        return [*self._configured.values(), *found]

    def learn(self, mx: CheckState) -> Changes:
        """Take in what the `mx` check of one domain holds."""
        said = [dict(r.labels) for r in mx.samples if r.metric.name == RELATION]
        places = frozenset((labels["mail_host"], int(labels["mail_port"])) for labels in said)
        domain, before = self._leads.get(mx.target.key, (mx.target, frozenset()))
        if domain == mx.target and before == places:
            return Changes([], [])
        self._leads[mx.target.key] = mx.target, places
        for place in before:
            self._found[place].part(domain)
        for place in places:
            self._found.setdefault(place, _Found()).join(mx.target)
        touched = [place for place in before | places if place not in self._configured]
        wanted = [self._host(place) for place in touched if self._found[place].domains]
        gone = [self._host(place) for place in touched if not self._found[place].domains]
        for place in before - places:
            if not self._found[place].domains:
                del self._found[place]
        return Changes(wanted, gone)

    def leading_to(self, places: Iterable[Place]) -> frozenset[str]:
        """The keys of the domains that lead to one of these places at least."""
        return frozenset(key for place in places if place in self._found for key in self._found[place].domains)

    def _host(self, place: Place) -> MailHost:
        found = self._found[place]
        return MailHost(host=place[0], port=place[1], labels=found.labels, off=found.off)


class _Found:
    """The domains that lead to one place, counted, so that what all of them agree on costs nothing to tell."""

    def __init__(self) -> None:
        self.domains: set[str] = set()  # their keys
        self._labels: Counter[tuple[str, str]] = Counter()
        self._off: Counter[str] = Counter()

    def join(self, domain: Target) -> None:
        self.domains.add(domain.key)
        self._labels.update(domain.labels)
        self._off.update(domain.off)

    def part(self, domain: Target) -> None:
        self.domains.discard(domain.key)
        self._labels.subtract(domain.labels)
        self._off.subtract(domain.off)

    @property
    def labels(self) -> Labels:
        return tuple(sorted(pair for pair, count in self._labels.items() if count == len(self.domains)))

    @property
    def off(self) -> frozenset[str]:
        return frozenset(check for check, count in self._off.items() if count == len(self.domains))
