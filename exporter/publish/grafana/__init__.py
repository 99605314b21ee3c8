"""Grafana dashboards, as JSON to import or provision.

Each file below describes one dashboard. panels.py and board.py have the part of Grafana's model that is needed, and
queries.py the PromQL. The queries are valid for Prometheus 2.42. They use what the exporter exposes; only the share of
domains without a critical finding, and the alerts, need the published rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from exporter.engine.catalogue import Catalogue
from exporter.publish.grafana.board import Board
from exporter.publish.grafana.domain import domain
from exporter.publish.grafana.fleet import fleet
from exporter.publish.grafana.health import health
from exporter.publish.grafana.ip import ip
from exporter.publish.grafana.mail_host import mail_host
from exporter.publish.grafana.receivers import receivers
from exporter.publish.thresholds import Thresholds


def boards(known: Catalogue, given: Thresholds) -> Iterator[Board]:
    for board in (fleet, domain, ip, mail_host, receivers, health):
        yield board(known, given)


def dashboards(known: Catalogue, given: Thresholds) -> Iterator[tuple[str, str]]:
    """Path and content of each. Certificates and registrations turn yellow so many days before they end."""
    for board in boards(known, given):
        yield (
            f"grafana/dashboards/{board.name.replace('_', '-')}.json",
            json.dumps(board.json(given.cluster_label), indent=2) + "\n",
        )
