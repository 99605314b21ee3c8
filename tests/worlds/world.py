"""A world: a user's configuration, and what DNS, mail hosts, web servers and registries say, as documents show it.

NAME.yaml is the configuration as the user would write it. NAME.zone is a zone file. It opens with a sentence, and says
where the set-up is documented; its comments may use the words of scenarios about other servers (smtp, web, mark, rdap,
server, signed ...; tests/support/scenario.py), and these:

; source: Google, Set up SPF (https://support.google.com/a/answer/33786), 2026-05-01     at least one
; hosted: example.com       a healthy zone: two name servers in two networks, in a parent zone that delegates it
; warning: RULE DOMAIN      a finding that stands in this healthy world all the same; a sentence above says why

Added to every world, because every world has it: the top-level zones, the registry, the exporter's own name, and the
test points of the shipped blocklists, which name nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from exporter import clients
from exporter.clock import Clock
from exporter.config import Nameserver, Settings, load, shipped_blocklists
from exporter.demo.registry import Name
from exporter.demo.small_world import SmallWorld
from exporter.engine import catalogue
from exporter.engine.plan import Plan
from exporter.engine.store import Store
from exporter.engine.sweep import Sweep
from exporter.mail import names
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.net.dnsbl.client import DnsblClient
from tests.support.scenario import Scenario, read_header

HOME = Path(__file__).parent
CATALOGUE = catalogue.load()
OWN_NAME, OWN_ADDRESS = "probe.example.net", "198.18.0.5"  # of the exporter
PAUSE = 0.0  # seconds between two questions to one peer: all of them are on this machine
TOP_SERVER = ("194.0.1.1", "2a04:30:53::53")
NAMESERVERS = {  # of the healthy zones: in two networks, in each family, and not in one for documentation
    "ns1.dns-host.test": ("185.10.53.53", "2a02:10:53::53"),
    "ns2.dns-host.test": ("194.20.53.53", "2a03:20:53::53"),
}

_OWN = re.compile(r"^;\s*(source|hosted|warning):\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class World:
    name: str
    text: str
    home: Path = HOME  # where its configuration is

    @property
    def config(self) -> Path:
        return self.home / f"{self.name}.yaml"

    @property
    def file(self) -> Path:
        return self.home / f"{self.name}.zone"

    def all(self, key: str) -> list[str]:
        return [value for name, value in _OWN.findall(self.text) if name == key]

    @property
    def others(self) -> Scenario:
        """The words that it shares with scenarios."""
        return read_header("worlds", self.name, _OWN.sub("", self.text), f"{self.name}.zone")

    @property
    def hosted(self) -> list[str]:
        return [zone for line in self.all("hosted") for zone in line.split()]

    @property
    def warnings(self) -> set[tuple[str, str]]:
        """Rules that stand all the same, each with the domain or host that it is about."""
        rows = (line.split() for line in self.all("warning"))
        return {(row[0], row[1]) for row in rows}

    @property
    def zone(self) -> str:
        """The whole zone file, with what every world has."""
        told = {line.partition(" ")[0] for line in self.text.splitlines()}
        lists = (line for line in _lists(shipped_blocklists().default) if line.partition(" ")[0] not in told)
        return "\n".join([*_common(self.hosted), *lists, self.others.world])


def read(path: Path) -> World:
    return World(path.stem, path.read_text(), path.parent)


def worlds() -> list[World]:
    return [read(path) for path in sorted(HOME.glob("*.zone"))]


async def play(world: World, clock: Clock, sweeps: int = 1) -> tuple[Settings, Store]:
    """The engine of `check` over the whole configuration, with real servers on loopback."""
    others = world.others
    registered = {names.registered(name): Name() for name in world.hosted}
    small = SmallWorld(
        world.zone, others.mail_servers, registered | others.registrations, others.pages_at(clock.wall()), clock
    )
    async with small:
        settings = replace(load(world.config, CATALOGUE), nameservers=(Nameserver(*small.nameserver.address),))
        opened = clients.open_clients(
            settings,
            DnsblClient(clock, patience=0.0),
            clock,
            dial=small.dial,
            authorities=small.authorities,
            pause=PAUSE,
        )
        try:
            store = Store()
            plan = Plan(CATALOGUE, settings.targets, settings.running.__contains__, store)
            for _ in range(sweeps):
                await Sweep(plan, store, opened.net, clock).run()
        finally:
            await opened.close()
    return settings, store


def _common(hosted: Iterable[str]) -> Iterator[str]:
    zones = sorted(set(hosted))
    tops = sorted({zone.rpartition(".")[2] for zone in zones} | {"com", "net"})
    yield "; signed: com. NS"
    yield from _server("a.nic.test", TOP_SERVER, tops)
    for top in tops:
        yield f"; soa: {top}. 1"
        yield f"{top}.  NS  a.nic.test."
    for server, addresses in NAMESERVERS.items():
        yield from _server(server, addresses, zones)
    for zone in zones:
        yield f"; soa: {zone}. 2026050101"
        for server in NAMESERVERS:
            yield f"{zone}.  NS  {server}."
    yield f"{OWN_NAME}.  A  {OWN_ADDRESS}"
    yield f"{'.'.join(reversed(OWN_ADDRESS.split('.')))}.in-addr.arpa.  PTR  {OWN_NAME}."
    yield "data.iana.org.  A  185.10.80.80"
    yield "rdap.registry.example.  A  185.10.81.81"


def _server(name: str, addresses: Iterable[str], zones: list[str]) -> Iterator[str]:
    for ip in addresses:
        if zones:
            yield f"; server: {name} {ip} {','.join(zones)}"
        yield f"{name}.  {'AAAA' if ':' in ip else 'A'}  {ip}"


def _lists(lists: Iterable[Blocklist]) -> Iterator[str]:
    """The test points of RFC 5782 section 5, answered as a healthy list does; nobody else is named."""
    for blocklist in lists:
        code = next(iter(blocklist.codes), "127.0.0.2")
        answer = f"127.0.0.{code}" if blocklist.bits else code
        yield f"{blocklist.test_points[0]}.  A  {answer}"
        if blocklist.lists is Lists.IPS:  # RFC 5782 section 5 has points of its own for IPv6
            yield f"2.0.0.0.0.0.f.7.f.f.f.f.{'0.' * 20}{blocklist.zone}.  A  {answer}"
        yield f"{blocklist.zone}.  NS  {next(iter(NAMESERVERS))}."
