"""`deliverability-exporter publish`: alert rules, Alertmanager routes, dashboards and finding pages of this version."""

from __future__ import annotations

import argparse
from dataclasses import replace

from exporter import publish
from exporter.cli.exit_codes import Exit
from exporter.cli.run import fail
from exporter.engine import catalogue
from exporter.publish.links import check_runbook_url
from exporter.publish.rules import Format, Style
from exporter.publish.thresholds import Thresholds


def command(arguments: argparse.Namespace) -> int:
    try:
        given = Thresholds.read(arguments.thresholds) if arguments.thresholds else Thresholds()
        asked = {name: getattr(arguments, name) for name in ("exporter_url", "runbook_url", "cluster_label")}
        given = replace(given, **{name: value for name, value in asked.items() if value is not None})
        check_runbook_url(given.runbook_url)
        style, format_ = Style(arguments.style), Format(arguments.format)
        for path in publish.write(arguments.directory, catalogue.load(), given, style, format_):
            print(path)
    except (OSError, ValueError) as error:
        return fail(error)
    return Exit.OK
