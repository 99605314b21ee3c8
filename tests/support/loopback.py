"""Makes sure that tests talk to loopback only: an audit hook sees each connect, send and name lookup of a socket."""

from __future__ import annotations

import sys
from ipaddress import ip_address

import pytest

# The place of the address among the event's arguments; a lookup by libc would leave the machine unseen.
_EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}


def keep_to_loopback() -> None:
    """For the rest of the process; a hook cannot be taken away again."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    place = _EVENTS.get(event)
    if place is None:
        return
    address = arguments[place]
    host = address[0] if isinstance(address, tuple) else address if place == 0 else None
    if not _stays_here(host):
        # no OSError: what is tested would take that for the network's answer
        pytest.fail(f"tests talk to loopback only, not to {host!r} ({event})")


def _stays_here(host: object) -> bool:
    """None, "" and the path of a Unix socket lead nowhere else."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "backslashreplace")
    if not isinstance(host, str) or host in {"", "localhost"}:
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
