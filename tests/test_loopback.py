"""The guard around the network bites, and lets loopback through."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

OUTSIDE = ("192.0.2.1", 9)  # documentation only (RFC 5737): nobody is there, should the guard be gone


def udp() -> socket.socket:
    it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    it.settimeout(0.01)
    return it


@pytest.mark.parametrize(
    "leave",
    [
        lambda s: s.connect(OUTSIDE),
        lambda s: s.connect_ex(OUTSIDE),
        lambda s: s.sendto(b"", OUTSIDE),
        lambda s: s.sendmsg([b""], (), 0, OUTSIDE),
        lambda _: socket.getaddrinfo("mx.example.com", 25),
        lambda _: socket.gethostbyname("mx.example.com"),
        lambda _: socket.gethostbyaddr("192.0.2.1"),
    ],
    ids=["connect", "connect_ex", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "gethostbyaddr"],
)
def test_nothing_leaves_the_machine(leave: Callable[[socket.socket], object]) -> None:
    with udp() as it, pytest.raises(pytest.fail.Exception, match="loopback only"):
        leave(it)


async def test_nothing_leaves_through_asyncio_either() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(pytest.fail.Exception, match="loopback only"):
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=OUTSIDE)
    with pytest.raises(pytest.fail.Exception, match="loopback only"):
        await asyncio.open_connection(*OUTSIDE)


def test_loopback_and_unix_sockets_are_let_through(tmp_path: Path) -> None:
    with udp() as here, udp() as there:
        here.bind(("127.0.0.1", 0))
        there.sendto(b"hello", here.getsockname())
        assert here.recv(16) == b"hello"
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as here, socket.socket(socket.AF_UNIX) as there:
        here.bind(path)
        here.listen()
        there.connect(path)
    assert socket.getaddrinfo("localhost", 25)
