"""The mail hosts, web servers and registry of worlds: `python -m tests.lab.internet.hosts PEM FILE...`.

They are the servers of the demo, on loopback; at each address of the worlds the octets are passed on to one of them.
The file PEM gets the authorities of their certificates, once everything listens.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from exporter.clock import SystemClock
from exporter.demo.mailserver import Behaviour
from exporter.demo.registry import Name
from exporter.demo.small_world import SmallWorld
from exporter.demo.website import HTTPS, Page
from exporter.facts import IP
from exporter.mail import names
from tests.worlds.world import World, read

_PIECE = 65536


async def serve(chosen: Iterable[World], pem: Path) -> None:
    """Until it is cancelled. Raise ValueError if two worlds say differently who listens at one address."""
    clock = SystemClock()
    mail: dict[tuple[IP, int], Behaviour] = {}
    registered: dict[str, Name] = {}
    pages: list[Page] = []
    for world in chosen:
        for at, behaviour in world.others.mail_servers.items():
            if mail.setdefault(at, behaviour) != behaviour:
                raise ValueError(f"{world.name} contradicts another world: {at}")
        registered |= {names.registered(zone): Name() for zone in world.hosted} | world.others.registrations
        pages += world.others.pages_at(clock.wall())
    text = "\n".join(world.zone for world in chosen)
    async with SmallWorld(text, mail, registered, pages, clock) as small:
        sites = {**small.registry.web.addresses, **small.websites.addresses}
        places = {at: small.mail.servers[at].address for at in mail} | {(ip, HTTPS): at for ip, at in sites.items()}
        for (ip, port), there in places.items():
            await asyncio.start_server(partial(_pass_on, there), str(ip), port)
        new = pem.with_suffix(".new")
        new.write_bytes(small.authorities)
        new.replace(pem)
        await asyncio.Event().wait()


async def _pass_on(there: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        far_reader, far_writer = await asyncio.open_connection(*there)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    except ConnectionError:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To the end, which is passed on too."""
    try:
        while octets := await reader.read(_PIECE):
            writer.write(octets)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve([read(Path(it)) for it in sys.argv[2:]], Path(sys.argv[1])))
