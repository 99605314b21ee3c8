"""An SMTP client that reaches only mail servers that a test has started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from exporter.demo.mailserver import Behaviour, MailServers
from exporter.facts import IP
from exporter.net.smtp.client import SmtpClient
from tests.support.clock import FakeClock

HELO_NAME = "probe.example.net"


@asynccontextmanager
async def mail_door(hosts: Mapping[tuple[IP, int], Behaviour], clock: FakeClock) -> AsyncIterator[SmtpClient | None]:
    """None where there are no hosts. A slow greeting moves the clock and takes no time."""

    async def sleep(seconds: float) -> None:
        for _ in range(50):  # turns of the loop in which the client sees that it is connected
            await asyncio.sleep(0)
        clock.pass_(seconds)

    if not hosts:
        yield None
        return
    servers = MailServers(hosts, clock.wall(), sleep=sleep)
    await servers.start()
    try:
        yield SmtpClient(HELO_NAME, clock, dial=servers.dial, authorities=servers.pem, pause=0)
    finally:
        await servers.stop()
