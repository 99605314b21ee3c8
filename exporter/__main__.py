"""The command line: the daemon and its commands. `python -m exporter` is the same command."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

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


def command() -> NoReturn:
    """Run it as a process of its own, and end the process when all that has to be closed is closed.

    Python would free each object of a fleet by itself, for seconds. It would wait for the next step of a thread that
    reads the configuration, or break off in the middle of compiled code that cannot bear it.
    """
    code = main()
    logging.shutdown()
    with contextlib.suppress(OSError):  # nobody may read them any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    command()
