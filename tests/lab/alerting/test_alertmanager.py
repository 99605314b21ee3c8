"""The lab breaks, and exactly the expected notices arrive: exporters, Prometheus and Alertmanager with what is shipped.

Three exporters look at the same world, as a pair of them would: `home`, `blind` with a resolver of its own that dies,
and `gone`, which is killed. Thresholds are seconds. tests/publish/test_notices.py has what takes hours.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab import nameservers
from tests.lab.alerting import pack
from tests.lab.alerting.alertmanager import Alertmanager, Notice, Sink, alertmanager, for_people, sink
from tests.lab.alerting.pack import JOB
from tests.lab.exporter import ROOT
from tests.lab.process import Endpoint, Lab, free, need, until
from tests.lab.prometheus import Prometheus, prometheus
from tests.lab.world import LISTED, OF_THE_WORLD, config
from tests.lab.zones import SignedZone, Signing, zone

pytestmark = pytest.mark.lab

NAMES = ("home", "blind", "gone")
CHECKS = ("ptr", "mx", "spf", "spf_sender", "dmarc", "blocklist", "blocklist_health", "resolver")
THRESHOLDS = {
    "gap": "1s",
    "confirm": "2s",
    "keep_firing": "2s",
    "critical_after": "1s",
    "warning_after": "1s",
    "hold": "1s",
    "down_after": "2s",
    "settle": "5s",
}
TARGETS = """
blocklists: [{name: fickle, zone: fickle.test}, {name: sound, zone: sound.test}]
senders: [{name: out, addresses: [192.0.2.10, 192.0.2.20], helo: mail.example.net}]
domains: [{name: example.net, senders: [out]}, {name: dying.example.org, senders: [out]}]
"""
APEX = "@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n"
NET = """
@       MX   10 mx
@       TXT  "v=spf1 ip4:192.0.2.10 ip4:192.0.2.20 {more}-all"
_dmarc  TXT  "v=DMARC1; p=quarantine; pct=0; rua=mailto:dmarc@example.net"
mx      A    192.0.2.25
mail    A    192.0.2.10
"""
ORG = '_dmarc TXT "v=DMARC1; p=reject"\n'
ALIVE = 'dying MX 10 mx.example.net.\ndying TXT "v=spf1 ip4:192.0.2.10 ip4:192.0.2.20 -all"\n'
OTHERS = {"com": ("", Signing.GOOD), "2.0.192.in-addr.arpa": ("10 PTR mail.example.net.", Signing.NONE)}
LISTS_ONE = LISTED + "127.0.0.2\n192.0.2.20\n"
LISTS_NONE = LISTED + "127.0.0.2\n"

PTR = "ptr.missing", "192.0.2.20"
POLICY = "dmarc.partial", "example.net"
FICKLE = "blocklist.listed", "192.0.2.20 fickle"
SOUND = "blocklist.listed", "192.0.2.20 sound"
DEAD = "mx.no-such-domain", "dying.example.org"


def told(receiver: str, status: str, instance: str, alert: str, who: str = "") -> Notice:
    return Notice(receiver, status, JOB, instance, alert, who)


@dataclass
class World:
    """What may break. Each change of a zone has a serial of its own."""

    lab: Lab
    stubs: dict[str, Endpoint]
    others: list[SignedZone]
    serial: int = 1

    def another_resolver(self, name: str, at: Endpoint | None = None) -> Endpoint:
        return nameservers.unbound(self.lab, self.stubs, self.others, name, at=at)

    def zones(self, *, dead: bool = False, more: str = "") -> list[SignedZone]:
        self.serial += 1
        apex = APEX.format(serial=self.serial)
        return [
            zone("example.net", NET.format(more=more), ttl=1, apex=apex),
            zone("example.org", ORG if dead else ORG + ALIVE, ttl=1, apex=apex),
        ]

    def publish(self, zones: list[SignedZone], fickle: str, sound: str) -> None:
        """From now on this is so, and both servers have read it."""
        for it in zones:
            self.lab.write(f"nsd/{it.origin}.zone", it.text)
        self.lab.write("rbldnsd/fickle.test.ip4set", fickle)
        self.lab.write("rbldnsd/sound.test.ip4set", sound)
        self.lab.send("nsd", signal.SIGHUP)
        self.lab.send("rbldnsd", signal.SIGHUP)


@pytest.fixture(scope="module")
def to() -> Iterator[Sink]:
    with sink() as it:
        yield it


@pytest.fixture(scope="module")
def server(lab: Lab, to: Sink) -> Iterator[Alertmanager]:
    yield alertmanager(lab, to)
    lab.stop("alertmanager")


@pytest.fixture(scope="module")
def at() -> dict[str, Endpoint]:
    return {name: free() for name in NAMES}


@pytest.fixture(scope="module")
def monitor(lab: Lab, server: Alertmanager, at: dict[str, Endpoint]) -> Prometheus:
    """With the rules that `publish` makes of the thresholds."""
    need("prometheus")
    pack.publish(lab, THRESHOLDS)
    targets = ", ".join(f"{{targets: ['{at[name]}'], labels: {{instance: {name}}}}}" for name in NAMES)
    scraped = pack.scraping(server.at, f"static_configs: [{targets}]")
    # An alert that fires before Alertmanager is found, in the first seconds, is told of anew only so much later.
    return prometheus(lab, scraped, "--rules.alert.resend-delay=1s")


@pytest.fixture(scope="module")
def world(lab: Lab, monitor: Prometheus) -> World:
    others = [zone(origin, records, signing, ttl=1) for origin, (records, signing) in OTHERS.items()]
    it = World(lab, {}, others)
    served = [*it.zones(), *others]
    lists = nameservers.rbldnsd(lab, {"fickle.test": {"ip4set": LISTS_ONE}, "sound.test": {"ip4set": LISTS_NONE}})
    authority = nameservers.nsd(lab, served)
    it.stubs |= dict.fromkeys([zone.origin for zone in served], authority)
    it.stubs |= {"fickle.test": lists, "sound.test": lists}
    return it


@dataclass
class Exporters:
    lab: Lab
    at: dict[str, Endpoint]
    resolver: dict[str, Endpoint]

    def start(self, name: str) -> None:
        file = self.lab.write(f"{name}.yaml", config(self.resolver[name], TARGETS, *CHECKS, every=3))
        command = [sys.executable, "-m", "exporter", f"--config.file={file}", f"--web.listen-address={self.at[name]}"]
        state = f"--storage.path={self.lab.home / f'{name}.state'}"
        self.lab.start(name, [*command, state], lambda: True, env={"PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def exporters(lab: Lab, world: World, at: dict[str, Endpoint]) -> Exporters:
    shared, own = world.another_resolver("unbound"), world.another_resolver("unbound-blind")
    it = Exporters(lab, at, {"home": shared, "blind": own, "gone": shared})
    for name in NAMES:
        it.start(name)
    return it


def firing(monitor: Prometheus, instance: str) -> set[str]:
    """What fires: findings, and alerts of one exporter."""
    series = monitor.query('ALERTS{alertstate="firing",severity!="none"}')
    told = [dict(labels) for labels in series]
    return {
        it.get("finding") or it["alertname"].removeprefix("Deliverability")
        for it in told
        if it.get("instance", instance) == instance
    }


@pytest.fixture(scope="module")
def before(exporters: Exporters, to: Sink) -> set[Notice]:
    """What is told of the world as it is, once Prometheus has found its targets: that takes five seconds.

    On a busy machine exporters take their time, and are told to be down until then.
    """
    expected = {
        told("pager", "firing", "", *PTR),
        told("mail", "firing", "", *POLICY),
        told("mail", "firing", "", *FICKLE),
    }
    until(lambda: expected <= to.news(), "what is wrong from the beginning is told", 40)
    to.rounds(10)
    return to.news()


@pytest.fixture(scope="module")
def muted() -> set[tuple[str, str, str]]:
    return set()


@pytest.fixture(scope="module")
def broken(
    before: set[Notice],
    lab: Lab,
    world: World,
    monitor: Prometheus,
    server: Alertmanager,
    to: Sink,
    muted: set[tuple[str, str, str]],
) -> set[Notice]:
    """What is told when all breaks at once; `muted` is what is not, of what fires."""
    mark = len(to.notices)
    lab.kill("unbound-blind")
    lab.kill("gone")
    world.publish(world.zones(dead=True, more="ip4:192.0.2.30 "), OF_THE_WORLD, LISTS_ONE)
    parts = {"spf.missing", "spf_sender.not-authorised", "mx.no-such-domain", "blocklist_health.lists-the-world"}
    until(lambda: firing(monitor, "home") >= parts, "the parts of a dead domain fire", 40)
    until(lambda: firing(monitor, "blind") >= {"ResolverUnhealthy"}, "the loss of a resolver fires", 40)
    until(lambda: firing(monitor, "gone") >= {"ExporterDown"}, "the loss of an exporter fires", 40)
    came = to.learns(mark, 5)
    muted |= server.muted()
    return came


@pytest.fixture(scope="module")
def mended(broken: set[Notice], world: World, exporters: Exporters, monitor: Prometheus, to: Sink) -> set[Notice]:
    """What is told when all is as it was."""
    mark = len(to.notices)
    world.publish(world.zones(), LISTS_ONE, LISTS_NONE)
    world.another_resolver("unbound-blind", at=exporters.resolver["blind"])
    exporters.start("gone")
    standing = {"ptr.missing", "dmarc.partial", "blocklist.listed", "blocklist_health.lists-the-world", "RecordChanged"}
    for name in ("blind", "gone"):
        until(lambda: firing(monitor, name) <= standing, f"{name} is as before", 40)  # noqa: B023  # called at once
    until(lambda: not monitor.query('ALERTS{alertname="DeliverabilityDomainDead"}'), "the domain is back", 40)
    return to.learns(mark, 4)


def test_a_finding_is_told_of_by_its_severity(before: set[Notice]) -> None:
    expected = {
        Notice("pager", status, "", "", "DeliverabilityExporterAbsent", "") for status in ("firing", "resolved")
    }
    expected |= {
        told("pager", "firing", "", *PTR),
        told("mail", "firing", "", *POLICY),
        told("mail", "firing", "", *FICKLE),
    }
    assert {it for it in before if it.alert != "DeliverabilityExporterDown"} == expected


def test_only_the_trouble_itself_is_told_of(broken: set[Notice]) -> None:
    """A resolver and an exporter are lost, a domain is dead, a list lists the world, another one lists an address.

    Three exporters tell of each finding; people are told once.
    """
    assert for_people(broken) == {
        told("mail", "firing", "blind", "DeliverabilityResolverUnhealthy"),
        told("mail", "firing", "gone", "DeliverabilityExporterDown"),
        told("pager", "firing", "", *DEAD),
        told("mail", "firing", "", "blocklist_health.lists-the-world", "fickle"),
        told("mail", "firing", "", *SOUND),
    }


def test_a_changed_record_is_told_to_nobody(broken: set[Notice]) -> None:
    assert told("nobody", "firing", "", "DeliverabilityRecordChanged", "example.net") in broken


def test_what_follows_from_the_trouble_fires_and_is_muted(
    broken: set[Notice], muted: set[tuple[str, str, str]]
) -> None:
    """And nothing else: what stood goes on, whoever has told of it."""
    scoped = {it for it in muted if it[1] != "DeliverabilityRecordChanged"}  # of a dead domain, those too
    assert scoped == {
        ("", "spf.missing", "dying.example.org"),
        ("", "spf_sender.not-authorised", "dying.example.org out 192.0.2.10"),
        ("", "spf_sender.not-authorised", "dying.example.org out 192.0.2.20"),
    }


def test_only_the_trouble_is_over_when_it_is_over(mended: set[Notice]) -> None:
    """What stood all the while was neither over nor is it told anew; the list is tested again within the hour."""
    assert for_people(mended) == {
        told("mail", "resolved", "blind", "DeliverabilityResolverUnhealthy"),
        told("mail", "resolved", "gone", "DeliverabilityExporterDown"),
        told("pager", "resolved", "", *DEAD),
        told("mail", "resolved", "", *SOUND),
    }


def test_the_watchdog_alone_is_told_of_all_the_time(mended: set[Notice], to: Sink) -> None:
    of_it = {it for it in to.notices if "watchdog" in (it.receiver, it.alert.removeprefix("Deliverability").lower())}
    assert of_it == {Notice("watchdog", "firing", "", "", "DeliverabilityWatchdog", "")}
