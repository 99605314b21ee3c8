"""What a configuration comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from exporter.config.problems import Problem
from exporter.config.values import Nameserver, Network
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import IP, Severity, Target
from exporter.targets import Reputation

SPEAKING = frozenset({"smtp_tls", "dane"})  # checks that hold conversations with mail hosts


@dataclass(frozen=True, slots=True)
class Probe:
    """What /probe may look at."""

    configured: bool
    networks: tuple[Network, ...]
    domains: tuple[str, ...]  # each with all names below it

    def allows(self, subject: IP | str) -> bool:
        """Does a network or domain hold it? Whether it is configured is the caller's to know."""
        if isinstance(subject, str):
            return any(names.under(subject, parent) for parent in self.domains)
        return any(subject in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, resolved."""

    nameservers: tuple[Nameserver, ...]
    dns_timeout: float  # seconds
    queries_per_second: int
    helo_name: str | None  # None: the exporter may not speak SMTP
    rdap_bootstrap: str | Path  # where the list of RDAP servers is: a URL, or a file
    intervals: Mapping[str, timedelta]  # by check id, for each check
    enabled: frozenset[str]  # checks that are on everywhere, or for one entry at least; the rest is in Target.off
    severities: Mapping[str, Severity]  # by finding id, where it is not the rule's own
    blocklists: tuple[Blocklist, ...]
    label_names: tuple[str, ...]
    series_limit: int
    probe: Probe
    targets: tuple[Target, ...]
    warnings: tuple[Problem, ...]  # legal, but doubtful
    files: tuple[str, ...]  # what was read, the main file first
    digest: str  # SHA-256 of these files; secrets are not in it

    @property
    def running(self) -> frozenset[str]:
        """The checks that are enabled and can run: without a name of ours, none that speaks SMTP."""
        return self.enabled if self.helo_name is not None else self.enabled - SPEAKING

    @property
    def subjects(self) -> frozenset[IP | str]:
        """The addresses and domains that are looked up in blocklists."""
        return frozenset(target.subject for target in self.targets if isinstance(target, Reputation))
