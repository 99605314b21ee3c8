"""The name server of the demo and the tests finds a port that is free over UDP as well as TCP."""

from __future__ import annotations

import asyncio
import socket

import pytest

from exporter.demo.nameserver import NameServer, ZoneData
from tests.lab.process import free


async def test_a_port_whose_udp_half_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(free())
    real, ports = asyncio.start_server, [taken.getsockname()[1], *[0] * 20]

    async def start_server(client: object, host: str, port: int) -> asyncio.Server:
        return await real(client, host, ports.pop(0))  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(asyncio, "start_server", start_server)
    server = NameServer(ZoneData(""))
    try:
        await server.start()
        assert server.address[1] != taken.getsockname()[1]
        await server.stop()
    finally:
        taken.close()


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(free())
        with pytest.raises(OSError, match="in use"):
            await NameServer(ZoneData("")).start(port=taken.getsockname()[1])
