"""Where the HTTP server listens: addresses, or sockets that systemd passes."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import TypeAlias

FIRST = 3  # the number of the first file that systemd passes (sd_listen_fds(3))
MOST_PASSED = 100

Place: TypeAlias = "tuple[str | None, int] | socket.socket"  # an address, or a socket that listens already


def from_systemd(environment: MutableMapping[str, str], pid: int) -> list[Place]:
    """The sockets that a socket unit has passed (sd_listen_fds(3)). Raise OSError that says why there is none."""
    count, receiver = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not count or receiver != str(pid):
        why = "they were passed to another process" if count else "none was passed"
        raise OSError(
            f"--web.systemd-socket wants sockets from systemd, and {why}; start it by its socket unit, "
            "deliverability-exporter.socket, or give --web.listen-address"
        )
    if not count.isascii() or not count.isdecimal() or not 1 <= int(count) <= MOST_PASSED:
        raise OSError(f"LISTEN_FDS of the environment is {count!r}, and no number from 1 to {MOST_PASSED}")
    return [_passed(number) for number in range(FIRST, FIRST + int(count))]


def _passed(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        it = socket.socket(fileno=number)
    except OSError as error:
        raise OSError(f"the file {number} that systemd has passed is no socket: {error.strerror}") from None
    if it.type != socket.SOCK_STREAM or not it.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        it.detach()  # it is not ours to close
        raise OSError(
            f"the socket {number} that systemd has passed does not listen; its unit needs ListenStream= and Accept=no"
        )
    it.setblocking(False)
    return it


def url(address: object, *, tls: bool, path: str = "") -> str:
    """`https://[::1]:10554` and the path, or the path of a Unix socket."""
    if not isinstance(address, tuple):
        return f"unix:{address!s}"
    host, port = address[:2]
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in (host or '') else host or ''}:{port}{path}"


def is_local(address: object) -> bool:
    """Whether it can be reached from this machine only: a loopback address, or a Unix socket."""
    if not isinstance(address, tuple):
        return True
    ip = ip_address(address[0].partition("%")[0])
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def cannot_listen(place: Place, error: OSError) -> OSError:
    """The same error, which says where and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            why = "something listens there already; choose another address or port"
        case errno.EADDRNOTAVAIL:
            why = "this machine has no such address; give one of its own, or :PORT for all"
        case errno.EACCES | errno.EPERM:
            why = "that is not allowed; choose a port from 1024 up"
        case _:
            why = error.strerror or str(error)
    where = place.getsockname() if isinstance(place, socket.socket) else place
    return OSError(f"cannot listen on {url(where, tls=False).removeprefix('http://')}: {why}")
