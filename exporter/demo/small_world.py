"""A small mail world on loopback: one zone file with its resolver and name servers, mail hosts, web pages, a registry.

An exporter in it asks over UDP, TCP and HTTPS and speaks SMTP and TLS, as always. Only the addresses that it connects
to are different: `dial` leads there, and who is not of this world refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from exporter.clock import Clock
from exporter.demo.mailserver import Behaviour, MailServers
from exporter.demo.nameserver import NameServer, ZoneData
from exporter.demo.registry import Name, Registry
from exporter.demo.website import HTTPS, Page, websites
from exporter.demo.zoneserver import ZoneServers
from exporter.facts import IP

DNS = 53


class SmallWorld:
    """Runs between `async with`: then `dial` and `authorities` are for the clients, `nameserver` is the resolver."""

    def __init__(
        self,
        text: str,
        mail_hosts: Mapping[tuple[IP, int], Behaviour],
        registrations: Mapping[str, Name],
        pages: Iterable[Page],
        clock: Clock,
    ) -> None:
        """`text` is the zone file, with the orders of nameserver.py and zoneserver.py."""
        self.zone = ZoneData(text)
        self.zones = ZoneServers(text, self.zone)
        self.nameserver = NameServer(self.zone)
        self.mail = MailServers(dict(mail_hosts), clock.wall())
        self.registry = Registry(registrations, clock.wall())
        self.websites = websites(tuple(pages), self.zone.addresses, clock.wall())
        self.authorities = self.mail.pem + self.registry.web.pem + self.websites.pem
        self.running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as running:
            for servers in (self.nameserver, self.zones, self.mail, self.registry.web, self.websites):
                running.push_async_callback(servers.stop)
                await servers.start()
            self.running = running.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.running.aclose()

    async def dial(self, ip: IP, port: int) -> tuple[str, int]:
        """Where an address of this world is really to be reached; who is not of it refuses."""
        if port == DNS:
            return await self.zones.dial(ip, port)
        for servers in (self.registry.web, self.websites):
            if port == HTTPS and ip in servers.addresses:
                return await servers.dial(ip, port)
        return await self.mail.dial(ip, port)
