"""From the shell to the first question of `check`: python -m bench.cold_start [--rounds=9]

A name server that only listens notes when the first datagram comes. Told is the time on the clock, and the CPU time
that the command has taken until then.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time

from bench.daemon import HOME, cpu_of
from bench.results import Row, arguments, tell
from bench.world import OWN_CORE, drive_from_the_other_core, pinned, silent_server

PATIENCE = 30.0  # seconds


def measure(options: argparse.Namespace) -> list[Row]:
    drive_from_the_other_core()
    row = Row("`check` from the shell to its first question", "s", 0.35)
    cpu = Row("CPU of `check` until its first question", "s")
    with silent_server() as server:
        once(server)  # compiled code is written now
        for _ in range(options.rounds):
            took, cost = once(server)
            row.rounds.append(took)
            cpu.rounds.append(cost)
    return [row, cpu]


def once(server: socket.socket) -> tuple[float, float]:
    """Seconds on the clock, and of CPU."""
    host, port = server.getsockname()
    command = [*pinned(OWN_CORE), sys.executable, "-m", "exporter", "check", "example.com", f"--resolver={host}:{port}"]
    server.settimeout(PATIENCE)
    began = time.monotonic()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=HOME, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        server.recv(2048)
        took, cost = time.monotonic() - began, cpu_of(process.pid)
    finally:
        process.kill()
        process.wait()
        server.setblocking(False)
        try:
            while server.recv(2048):
                pass
        except BlockingIOError:
            pass
    return took, cost


if __name__ == "__main__":
    given = arguments(__doc__, rounds=9)
    tell(measure(given), keep=given.keep)
