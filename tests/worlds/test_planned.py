"""With a full dump of what DNS has, planned records change nothing: the best proof that they say what DNS says."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import dns.name
import dns.rdatatype
import dns.zone
import pytest

from exporter import clients
from exporter.check_state import FindingPolicy
from exporter.cli import planned
from exporter.cli.once import Looker
from exporter.clock import SystemClock
from exporter.config import Nameserver, load
from exporter.demo.registry import Name
from exporter.demo.small_world import SmallWorld
from exporter.engine.difference import difference
from exporter.mail import names
from exporter.net.planned import zone_file
from exporter.net.planned.records import PlannedRecords
from tests.worlds.world import CATALOGUE, PAUSE, World, worlds

pytestmark = pytest.mark.long

# A wildcard, DNSSEC with DANE, MTA-STS over HTTPS, many includes. All others have been tried by hand.
CHOSEN = ("wildcard-zone", "postfix-dane", "google-workspace-mta-sts", "four-providers")
WORLDS = [it for it in worlds() if it.name in CHOSEN]


def dump(world: World, apex: str) -> str:
    """The zone as a server of it would dump it."""
    head = "$TTL 300\n$ORIGIN .\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ NS ns.invalid.\n"
    zone = dns.zone.from_text(head + world.zone, origin=".", relativize=False)
    home = dns.name.from_text(apex)
    lines = [f"{apex}. 300 IN SOA ns.invalid. hostmaster.invalid. 2026050101 3600 600 86400 300"]
    for name, stored in zone.iterate_rdatasets():
        if name.is_subdomain(home) and stored.rdtype != dns.rdatatype.SOA:
            lines.append(stored.to_text(name))
    return "\n".join(lines)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
async def test_with_a_full_dump_nothing_changes(world: World) -> None:
    clock, others = SystemClock(), world.others
    registered = {names.registered(name): Name() for name in world.hosted}
    files = [zone_file.parse(zone, dump(world, zone).encode()) for zone in world.hosted]
    assert files
    small = SmallWorld(
        world.zone, others.mail_servers, registered | others.registrations, others.pages_at(clock.wall()), clock
    )
    async with small:
        settings = replace(load(world.config, CATALOGUE), nameservers=(Nameserver(*small.nameserver.address),))
        opened = partial(clients.open_clients, dial=small.dial, authorities=small.authorities, pause=PAUSE)
        enabled = planned.checks(CATALOGUE, settings.running)
        looker = Looker(CATALOGUE, settings, enabled, clock, open_clients=opened)
        try:
            looks = planned.TwoLooks(looker, PlannedRecords(files), share=False)
            await looks.run()
        finally:
            await looker.close()
    policy = FindingPolicy(settings.severities)
    change = difference(looks.now, looks.then, policy, clock.wall())
    assert change.nothing, change
    assert looks.then.keys() == looks.now.keys()
    assert {it.key for it in looks.then if it.doubt} == {it.key for it in looks.now if it.doubt}
    evidence = [exchange.via for it in looks.then if it.latest for exchange in it.latest.transcript]
    assert any("planned" in via for via in evidence), "the plan has been asked"
