"""Grafana dashboards, as JSON that is imported or provisioned as it is.

One file below says what is on one dashboard; panels.py and board.py are the little of Grafana's model that they need.
Queries are in the language of Prometheus 2.42. All read what the exporter exposes, and no recording rule is needed.
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
    """Path and content of each. Certificates and registrations change colour at the days that alerts wait for."""
    for board in boards(known, given):
        yield f"grafana/dashboards/{board.name.replace('_', '-')}.json", json.dumps(board.json(), indent=2) + "\n"
