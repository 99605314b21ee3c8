"""The result of reading a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from exporter.config.problems import ConfigProblem
from exporter.config.values import Nameserver
from exporter.facts import Severity
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.model import Check, Door, Target
from exporter.targets import Authorisation, Domain, Greeting, MailHost

# What counts where a file does not say otherwise.
EVERY = timedelta(minutes=15)  # for checks without a pace of their own
DNS_TIMEOUT = timedelta(seconds=5)
QUERIES_PER_SECOND = 500
SERIES = 1_000_000
RELOAD_DROP = 20  # percent


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, resolved."""

    checks: Mapping[str, Check]  # all that there are
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
    reload_drop: int  # percent of `entries` that may leave with a reload
    denied_families: frozenset[str]
    totals_by: tuple[str, ...]  # some of label_names
    targets: tuple[Target, ...]
    warnings: tuple[ConfigProblem, ...]  # legal, but doubtful
    files: tuple[str, ...]  # what was read, the main file first
    digest: str  # SHA-256 of these files; secrets are not in it
    too_slow: tuple[ConfigProblem, ...] = ()  # rates that do not let the checks keep their intervals; also in warnings

    @property
    def entries(self) -> tuple[str, ...]:
        """The senders, domains and mail hosts that something is checked of, each once: `domain example.com`."""
        named = (_entry(target) for target in self.targets)
        return tuple(dict.fromkeys(filter(None, named)))

    @property
    def running(self) -> frozenset[str]:
        """The checks that are enabled and can run. Without smtp.helo_name, those that talk with mail hosts cannot."""
        speaking = {name for name in self.enabled if Door.SMTP in self.checks[name].doors}
        return self.enabled if self.helo_name is not None else self.enabled - speaking

    def visit_interval(self, door: Door) -> float:
        """The shortest interval, in seconds, of the checks that need this door in every run."""
        return min(self.intervals[name].total_seconds() for name, check in self.checks.items() if door in check.needs)


def _entry(target: Target) -> str:
    match target:
        case Domain():
            return f"domain {target.name}"
        case Greeting() | Authorisation():
            return f"sender {target.sender}"
        case MailHost():
            return f"mail host {target.host}:{target.port}"
        case _:
            return ""
