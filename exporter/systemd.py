"""Tells systemd how the daemon is (sd_notify(3)), and lets it restart a daemon that stands still.

The protocol is a datagram to a unix socket that the environment names, so it needs no library.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
from collections.abc import Callable, Mapping

from exporter.text import printable

log = logging.getLogger(__name__)

LONGEST_LINE = 300  # characters
STDERR = 2
STALL = 5.0  # seconds without a turn of the loop after which it writes where every thread stands
BEAT = 1.0  # seconds between two signs of life at most


class ServiceManager:
    """Whoever has set NOTIFY_SOCKET. If nobody has, nothing is told."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        self.watchdog = _watchdog(environment) if address else None  # seconds within which it wants a sign of life
        if address.startswith(("/", "@")):
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        elif address:
            log.warning("NOTIFY_SOCKET is %s; only a path or an abstract name of a unix socket is understood", address)

    def tell(self, *lines: str) -> None:
        """Send lines such as READY=1. The daemon goes on if nobody takes them."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(printable(line, LONGEST_LINE) for line in lines).encode(), self._address)
        except OSError as error:
            log.debug("the service manager does not listen: %s", error)

    def close(self) -> None:
        if self._socket:
            self._socket.close()


def _watchdog(environment: Mapping[str, str]) -> float | None:
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):  # meant for another process
        return None
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


class Heart:
    """Beats from the loop: while it does, and `alive` is true, the service manager gets a sign of life.

    If the loop stands still for `stall` seconds, the stacks of all threads go to standard error, once for each stall.
    """

    def __init__(self, manager: ServiceManager, alive: Callable[[], bool], *, stall: float = STALL) -> None:
        self._stall = stall
        self._manager = manager
        self._alive = alive
        self.interval = min(BEAT, manager.watchdog / 2 if manager.watchdog else BEAT)

    def beat(self) -> None:
        faulthandler.dump_traceback_later(self._stall, file=STDERR)
        if self._manager.watchdog and self._alive():
            self._manager.tell("WATCHDOG=1")

    def stop(self) -> None:
        faulthandler.cancel_dump_traceback_later()
