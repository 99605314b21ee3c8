"""`deliverability-exporter publish`: alert rules, Alertmanager routes and dashboards of this version."""

from __future__ import annotations

import argparse

from exporter import publish
from exporter.cli.exit_codes import Exit
from exporter.cli.run import fail
from exporter.engine import catalogue
from exporter.publish.thresholds import Thresholds


def command(arguments: argparse.Namespace) -> int:
    try:
        given = Thresholds.read(arguments.thresholds) if arguments.thresholds else Thresholds()
        for path in publish.write(arguments.directory, catalogue.load(), given):
            print(path)
    except (OSError, ValueError) as error:
        return fail(error)
    return Exit.OK
