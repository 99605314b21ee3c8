"""What the commands share: a loop to run in, and a way to say that something is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from exporter.cli.exit_codes import Exit
from exporter.engine.loop_lag import WatchedLoop

T = TypeVar("T")

NO_CONFIG = "--config.file=FILE is needed (or one of the commands: check, explain, demo); see --help"


def fail(message: object, code: Exit = Exit.USAGE) -> int:
    """Say it on standard error; return the exit code."""
    print(message, file=sys.stderr)
    return code


def run(main_: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, on the faster loop where that is installed."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415  (optional: faster where it installs)

        return uvloop.run(main_)
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        return runner.run(main_)
