"""An RDAP client for a registry that a test has started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from exporter.demo.nameserver import ZoneData
from exporter.demo.registry import (
    IANA,
    IANA_IP,
    REGISTRAR,
    REGISTRAR_IP,
    REGISTRY,
    REGISTRY_IP,
    Name,
    Registry,
)
from exporter.net.https import HttpsClient
from exporter.net.rdap import RdapClient
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

ZONE = f"{IANA}. A {IANA_IP}\n{REGISTRY}. A {REGISTRY_IP}\n{REGISTRAR}. A {REGISTRAR_IP}\n"


@asynccontextmanager
async def rdap_door(names: Mapping[str, Name], clock: FakeClock) -> AsyncIterator[RdapClient | None]:
    """None where there is nothing to tell. Waiting takes no time."""
    if not names:
        yield None
        return
    async with registry(names, clock) as (rdap, _):
        yield rdap


@asynccontextmanager
async def registry(names: Mapping[str, Name], clock: FakeClock) -> AsyncIterator[tuple[RdapClient, Registry]]:
    async def sleep(seconds: float) -> None:
        clock.pass_(seconds)

    it = Registry(names, clock.wall())
    await it.web.start()
    https = HttpsClient(MemoryResolver(ZoneData(ZONE)), dial=it.web.dial, authorities=it.web.pem)
    try:
        yield RdapClient(https, clock, sleep=sleep), it
    finally:
        await it.web.stop()
