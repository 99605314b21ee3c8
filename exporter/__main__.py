"""The command line: the daemon and its commands. `python -m exporter` is the same command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from exporter.cli import logs
from exporter.cli.arguments import parser

# Each is imported when it is asked for: `--version` and `explain` need not load what the daemon serves with.
_COMMANDS = {
    None: ("serve", "daemon"),
    "--config.check": ("config_check", "command"),
    "check": ("check", "command"),
    "init": ("init", "command"),
    "explain": ("explain", "command"),
    "publish": ("publish", "command"),
    "ack": ("actions", "acknowledge"),
    "recheck": ("actions", "recheck"),
    "demo": ("serve", "demo"),
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    if arguments.command not in ("check", "init"):
        logs.configure(arguments.log_level, arguments.log_format)
    validates = arguments.command is None and arguments.check
    module, function = _COMMANDS["--config.check" if validates else arguments.command]
    try:
        code: int = getattr(import_module(f"exporter.cli.{module}"), function)(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read us had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


if __name__ == "__main__":
    sys.exit(main())
