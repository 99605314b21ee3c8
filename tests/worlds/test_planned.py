"""Planned records are seen as they are once they are published, and a full dump of what DNS has changes nothing."""

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
from exporter.engine.store import Store
from exporter.mail import names
from exporter.net.planned import zone_file
from exporter.net.planned.records import PlannedFile, PlannedRecords
from tests.worlds.world import CATALOGUE, PAUSE, World, worlds

pytestmark = pytest.mark.long

# A wildcard, DNSSEC with DANE, MTA-STS over HTTPS, many includes. All others have been tried by hand.
UNCHANGED = ("wildcard-zone", "postfix-dane", "google-workspace-mta-sts")
PUBLISHED = ("postfix-dane", "four-providers")
REMOVED = ("own-fleet",)  # with a wildcard, a removal is unknown
HEAD = "$TTL 300\n$ORIGIN .\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ NS ns.invalid.\n"


def chosen(*wanted: str) -> list[World]:
    return [it for it in worlds() if it.name in wanted]


def dump(world: World, apex: str) -> PlannedFile:
    """The zone as a server of it would dump it."""
    zone = dns.zone.from_text(HEAD + world.zone, origin=".", relativize=False)
    home = dns.name.from_text(apex)
    lines = [f"{apex}. 300 IN SOA ns.invalid. hostmaster.invalid. 2026050101 3600 600 86400 300"]
    for name, stored in zone.iterate_rdatasets():
        if name.is_subdomain(home) and stored.rdtype != dns.rdatatype.SOA:
            lines.append(stored.to_text(name))
    return zone_file.parse(apex, "\n".join(lines).encode())


async def two_looks(world: World, plan: PlannedRecords, *, share: bool) -> planned.TwoLooks:
    clock, others = SystemClock(), world.others
    registered = {names.registered(name): Name() for name in world.hosted}
    small = SmallWorld(
        world.zone, others.mail_servers, registered | others.registrations, others.pages_at(clock.wall()), clock
    )
    async with small:
        settings = replace(load(world.config, CATALOGUE), nameservers=(Nameserver(*small.nameserver.address),))
        opened = partial(clients.open_clients, dial=small.dial, authorities=small.authorities, pause=PAUSE)
        enabled = planned.checks(CATALOGUE, settings.running)
        looker = Looker(CATALOGUE, settings, enabled, clock, open_clients=opened)
        try:
            looks = planned.TwoLooks(looker, plan, share=share)
            await looks.run()
        finally:
            await looker.close()
    return looks


@pytest.mark.parametrize("world", chosen(*UNCHANGED), ids=lambda world: world.name)
async def test_with_a_full_dump_nothing_changes(world: World) -> None:
    files = [dump(world, zone) for zone in world.hosted]
    assert files
    looks = await two_looks(world, PlannedRecords(files), share=False)
    change = difference(looks.now, looks.then, FindingPolicy(), SystemClock().wall())
    assert change.nothing, change
    assert looks.then.keys() == looks.now.keys()
    assert {it.key for it in looks.then if it.doubt} == {it.key for it in looks.now if it.doubt}
    evidence = [exchange.via for it in looks.then if it.latest for exchange in it.latest.opened().exchanges]
    assert any("planned" in via for via in evidence), "the plan has been asked"


def without_every_third(world: World) -> World:
    """The same world, after somebody has removed every third record of its own zones."""
    lines, seen = [], 0
    for line in world.text.splitlines():
        owner = line.partition(" ")[0].rstrip(".")
        if any(names.under(owner, zone) for zone in world.hosted):
            seen += 1
            if seen % 3 == 1:
                continue
        lines.append(line)
    return World(world.name, "\n".join(lines))


def found(store: Store) -> set[tuple[object, ...]]:
    return {(state.key, active.finding.key, active.finding.severity) for state in store for active in state.findings}


async def same_as_published(world: World, published: World, plan: PlannedRecords) -> None:
    looks = await two_looks(world, plan, share=True)
    truth = (await two_looks(published, PlannedRecords(()), share=True)).now
    assert found(looks.then) == found(truth)
    assert found(looks.then) != found(looks.now), "the plan breaks something"
    assert looks.then.keys() == truth.keys()
    assert {it.key for it in looks.then if it.doubt} == {it.key for it in truth if it.doubt}


@pytest.mark.parametrize("world", chosen(*PUBLISHED), ids=lambda world: world.name)
async def test_what_is_found_with_a_plan_is_found_once_it_is_published(world: World) -> None:
    """Though the second look runs again only what the plan changes."""
    published = without_every_third(world)
    await same_as_published(world, published, PlannedRecords([dump(published, zone) for zone in world.hosted]))


@pytest.mark.parametrize("world", chosen(*REMOVED), ids=lambda world: world.name)
async def test_so_is_what_is_found_with_some_records_changed_and_others_removed(world: World) -> None:
    published = without_every_third(world)
    before = {it: found.records for zone in world.hosted for it, found in dump(world, zone).sets.items()}
    after = {it: found for zone in world.hosted for it, found in dump(published, zone).sets.items()}
    other = {it: found for it, found in after.items() if found.records != before[it]}
    await same_as_published(
        world, published, PlannedRecords([PlannedFile("some", None, other)] if other else [], before.keys() - after)
    )
