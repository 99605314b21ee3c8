"""`--config.check`: validates both files as the daemon reads them, and loads nothing of what it serves with."""

from __future__ import annotations

import argparse

from exporter.cli.exit_codes import Exit
from exporter.cli.run import NO_CONFIG, fail
from exporter.config import ConfigError, ConfigProblem, load_in_time
from exporter.config.web_file import WebFile
from exporter.engine import catalogue


def command(arguments: argparse.Namespace) -> int:
    """Print every problem of both files."""
    if arguments.config is None:
        return fail(NO_CONFIG)
    problems: list[object] = []
    warnings: list[ConfigProblem] = []
    targets = 0
    try:
        settings = load_in_time(arguments.config, catalogue.load())
        warnings += settings.warnings
        targets = len(settings.targets)
    except (ConfigError, OSError) as error:
        problems.append(error)
    try:
        warnings += WebFile(arguments.web_config).read().warnings if arguments.web_config else ()
    except ConfigError as error:
        problems.append(error)
    if problems:
        return fail("\n".join(map(str, problems)))
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{arguments.config}: OK, {targets} targets")
    if arguments.web_config:
        print(f"{arguments.web_config}: OK")
    return Exit.OK
