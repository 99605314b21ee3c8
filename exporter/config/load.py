"""The way to Settings: from a file (reading.py), or without one."""

from __future__ import annotations

import hashlib
import os
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import strict_yaml
from exporter.config import settings
from exporter.config.settings import Settings
from exporter.config.values import DNS_PORT, SYSTEM, Nameserver
from exporter.engine.catalogue import Catalogue
from exporter.files import Files, Reader
from exporter.late import Late
from exporter.mail import rdap
from exporter.mail.dnsbl import catalogue as dnsbl_catalogue
from exporter.targets import OwnResolver

if TYPE_CHECKING:
    from exporter.config import reading
else:
    reading = Late("exporter.config.reading")

SHIPPED = Path(__file__).parent.parent / "data" / "blocklists.yaml"


@cache
def shipped_blocklists() -> dnsbl_catalogue.Shipped:
    """The catalogue of blocklists that comes with the product."""
    return dnsbl_catalogue.shipped(strict_yaml.data(SHIPPED.name, SHIPPED.read_bytes()))


def load(path: str | os.PathLike[str], catalogue: Catalogue, files: Files | None = None) -> Settings:
    """The configuration in a file and in the files that it includes. Raise ConfigError with all problems."""
    return reading.read(Path(path), catalogue, files or Files())


def load_in_time(path: str | os.PathLike[str], catalogue: Catalogue) -> Settings:
    """The same for a command. Raise HangsError if a file does not come within 10 s."""
    return Reader().read_here(partial(load, path, catalogue))


def defaults(catalogue: Catalogue) -> Settings:
    """The settings of an empty file, without its warning that there is nothing to check."""
    checks = catalogue.checks
    return Settings(
        checks=checks,
        nameservers=(Nameserver(SYSTEM, DNS_PORT),),
        dns_timeout=settings.DNS_TIMEOUT.total_seconds(),
        queries_per_second=settings.QUERIES_PER_SECOND,
        helo_name=None,
        rdap_bootstrap=rdap.IANA,
        intervals={name: check.interval or settings.EVERY for name, check in checks.items()},
        enabled=frozenset(checks),
        severities={},
        blocklists=shipped_blocklists().default,
        label_names=(),
        series_limit=settings.SERIES,
        reload_drop=settings.RELOAD_DROP,
        denied_families=frozenset(),
        totals_by=(),
        targets=(OwnResolver(uses_blocklists=False),),
        warnings=(),
        files=(),
        digest=hashlib.sha256().hexdigest(),
    )
