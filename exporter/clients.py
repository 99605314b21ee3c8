"""The clients for the network, made from one configuration: one for each protocol, shared by all runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address
from itertools import starmap
from typing import TypeAlias

from exporter.clock import Clock
from exporter.config import SYSTEM, Nameserver, Settings
from exporter.files import Files
from exporter.model import Door
from exporter.net import Net, rdap
from exporter.net.dns.authoritative import AuthoritativeClient
from exporter.net.dns.resolver import Resolver, system_nameservers
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.https import HttpsClient
from exporter.net.interfaces import CheckStates, Dial, DnsClient, dial_direct
from exporter.net.rdap import RdapClient
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.ehlo import PAUSE
from exporter.targets import OwnResolver

LIST_PACE = 50.0  # questions a second to one blocklist, so that its operator does not block us


@dataclass(frozen=True)
class Clients:
    """One client for each kind of server: resolver, zone servers, mail hosts, blocklists, web servers, registries."""

    dns: Resolver
    authoritative: AuthoritativeClient
    mail: SmtpClient
    blocklists: DnsblClient
    web: HttpsClient
    rdap: RdapClient
    clock: Clock

    def net(
        self, states: CheckStates, *, fresh: bool = False, dns: DnsClient | None = None, web: HttpsClient | None = None
    ) -> Net:
        """A new Net for one run; `states` are the results of all checks. `fresh`: it looks past our own cache.

        `dns` and `web` are others in place of those here.
        """
        return Net(
            dns or self.dns,
            self.clock,
            fresh=fresh,
            sweeper=None if dns else self.dns,
            mail=self.mail,
            web=web or self.web,
            blocklists=self.blocklists,
            rdap=self.rdap,
            states=states,
            authoritative=self.authoritative,
        )

    async def close(self) -> None:
        await self.dns.close()


OpenClients: TypeAlias = Callable[[Settings, DnsblClient, Clock], Clients]


class RetiredClients:
    """Clients of an earlier configuration. They close when no run uses them any more."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    def add(self, clients: Clients, longest: timedelta) -> None:
        """Close them after the longest timeout of a check."""

        async def later() -> None:
            try:
                await asyncio.sleep(longest.total_seconds())
            finally:
                await clients.close()

        task = asyncio.get_running_loop().create_task(later())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def open_clients(
    settings: Settings,
    blocklists: DnsblClient,
    clock: Clock,
    *,
    dial: Dial = dial_direct,
    authorities: bytes = b"",
    pause: float = PAUSE,
) -> Clients:
    """Make the real clients. `dial` and `authorities` are passed on to the SMTP and HTTPS clients.

    `pause`: seconds between two connections to one mail server; registries wait no longer.
    """
    dns = Resolver(
        settings.nameservers,
        clock,
        timeout=settings.dns_timeout,
        queries_per_second=settings.queries_per_second,
        zones={blocklist.zone: LIST_PACE for blocklist in settings.blocklists},
    )
    interval = settings.visit_interval(Door.EHLO)
    mail = SmtpClient(settings.helo_name, clock, dial=dial, authorities=authorities, interval=interval, pause=pause)
    web = HttpsClient(dns, clock, dial=dial, authorities=authorities)
    servers = AuthoritativeClient(clock, dial=dial, timeout=settings.dns_timeout)
    registries = RdapClient(web, clock, settings.rdap_bootstrap, pause=min(pause, rdap.PAUSE))
    return Clients(dns, servers, mail, blocklists, web, registries, clock)


def resolve_system_nameservers(settings: Settings, files: Files | None = None) -> Settings:
    """The settings with the system's nameservers in place of `system`, also in the target of the check `resolver`.

    Raise OSError if the system does not say which they are.
    """
    servers: list[Nameserver] = []
    for server in settings.nameservers:
        servers.extend(starmap(Nameserver, system_nameservers(files=files)) if server.host == SYSTEM else [server])
    addresses = tuple(ip_address(server.host) for server in servers)
    targets = tuple(replace(t, nameservers=addresses) if isinstance(t, OwnResolver) else t for t in settings.targets)
    return replace(settings, nameservers=tuple(servers), targets=targets)


def sees_differently(before: Settings, after: Settings) -> bool:
    """Does a reload need other clients?"""

    def sight(settings: Settings) -> tuple[object, ...]:
        zones = {blocklist.zone for blocklist in settings.blocklists}
        dns = settings.nameservers, settings.dns_timeout, settings.queries_per_second, zones
        return dns, settings.helo_name, settings.visit_interval(Door.EHLO), settings.rdap_bootstrap

    return sight(before) != sight(after)
