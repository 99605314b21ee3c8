"""Tells when this machine lacks what a connection needs, or a way: such a failure says nothing about the other side.

Files (EMFILE, ENFILE), memory (ENOMEM, ENOBUFS) and local ports are meant: connect(2) and socket(2) have the errors.
"""

from __future__ import annotations

import errno
import os
import re

_SHORT = {
    errno.EMFILE: "this process has no file descriptor left",
    errno.ENFILE: "this machine has no file descriptor left",
    errno.ENOMEM: "this machine has no memory left",
    errno.ENOBUFS: "this machine has no memory left for network buffers",
    errno.EAGAIN: "this machine has no local port left",  # of UDP; of TCP, it is EADDRNOTAVAIL
}
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_NUMBERS = re.compile(r"\[Errno ([0-9]+)\]")


def shortage(error: BaseException, *, ipv4: bool = False) -> str | None:
    """What this machine lacks, in words for people; None if the error has another cause.

    `ipv4`: the connection was over IPv4. Then EADDRNOTAVAIL means that no local port is free. Over IPv6 it may also
    mean that this machine has no address.
    """
    if isinstance(error, BaseExceptionGroup):
        return next((short for one in error.exceptions if (short := shortage(one, ipv4=ipv4))), None)
    if isinstance(error, MemoryError):
        return _SHORT[errno.ENOMEM]
    if not isinstance(error, OSError):
        return None
    if error.errno is None and error.__cause__:
        return shortage(error.__cause__, ipv4=ipv4)
    for number in _numbers(error):
        if number in _SHORT:
            return _SHORT[number]
        if number == errno.EADDRNOTAVAIL and ipv4:
            return f"this machine has no local port left ({os.strerror(number)})"
    return None


def no_route(error: BaseException) -> bool:
    """Has this machine no way to where it tried to connect to? The same for several addresses: to none of them?"""
    numbers = _numbers(error) if isinstance(error, OSError) else []
    return bool(numbers) and _NO_ROUTE.issuperset(numbers)


def _numbers(error: OSError) -> list[int]:
    """If several addresses failed in different ways, aiohappyeyeballs has the numbers in the text only."""
    return [error.errno] if error.errno else [int(it) for it in _NUMBERS.findall(str(error))]
