"""Sets the records that a finding proposes in the world of a scenario, and looks again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

from exporter.check_state import CheckState
from exporter.demo.nameserver import ZoneData, records
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.held import Held
from exporter.engine.problems import cause
from exporter.facts import Finding
from exporter.model import Outcome, Target
from exporter.net import Net
from exporter.remedies import HOST, KEY, KEY_REST, MAILBOX, OTHERS, DnsChange, Remedy, forms
from exporter.targets import Address, Authorisation, Domain, Greeting
from tests.support.authoritative import MemoryAuthoritative
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver
from tests.support.scenario import Scenario
from tests.test_scenarios import play

CATALOGUE = catalogue.load()
HOST_NAME = "out.blank.example.net"
PUBLIC_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA5XtShzUec6cHzCEtD8un8zEdxbRzdjt8JBwlVMJwrfwpa0QS+nYy"
    "GvYY9aRpuBx4dMszyiDvK5VicnjHoKgcJ51RTy0fGNWdAAP+kkG+MPjMvOlU4ip2g91GTkLXwao9MKfCTSZX3SKMuFCLMSzf"
    "k4oeXXrDN+oW6NaGFiq4mviigkcKFsCaWn9g4Hsq61y8ekG3yKVqKX8bVodwvWvn3wt/nLqjoevOFolDl2iof8tBTQ+3+1jl"
    "+GvhiV+yuh5EKvUDSH34vqr3UM9nUztbjHLwBcX6+e7ASpQX6+ZWRGFZEQyntOExi750mpSvIroqIKk7DHgvE2m2Nd/OVCuk"
    "TwIDAQAB"
)
FILLED = {MAILBOX: "reports", HOST: HOST_NAME, KEY: PUBLIC_KEY[:255], KEY_REST: PUBLIC_KEY[255:]}


async def held_by(case: Scenario, zone: ZoneData) -> list[CheckState]:
    """The state of the scenario's own check first, then those of others that know more of the same world."""
    own = await _outcome(case, zone)
    return [_state(own), *[_state(it) async for it in _beside(own.target, zone)]]


def remedies(states: Sequence[CheckState]) -> Iterator[tuple[str, Remedy]]:
    """What is proposed for each problem of the first state, by rule."""
    held, groups = Held(states), dict[object, list[Finding]]()
    for finding in (active.finding for active in states[0].findings):
        groups.setdefault((finding.id, cause(finding, states[0].target)), []).append(finding)
    yield from ((those[0].id, those[0].rule.remedy_of(those, held)) for those in groups.values())


def worlds_after(case: Scenario, remedy: Remedy) -> list[ZoneData]:
    """The world with the records: as lines of a zone file set them, and as whole sets do, where that differs.

    If the story of the scenario has several runs, it is the world before them: the records come after the last.
    """
    if case.runs[0] > 1:
        return [world_of(case)]
    worlds = [world_of(case), world_of(case)]
    for world, whole_sets in zip(worlds, (False, True), strict=True):
        for change in remedy.records:
            apply(world, change, whole_sets=whole_sets)
    lines, sets = ([it.at(dns.name.from_text(c.name), c.type) for c in remedy.records] for it in worlds)
    return worlds[: 1 if lines == sets else 2]


async def found_after(case: Scenario, remedy: Remedy, world: ZoneData) -> set[str]:
    """Which findings there are in one of these worlds."""
    times, every = case.runs
    if times > 1:
        changes = [
            ("change", f"{times} {it.name}. {it.type} {_filled(forms.data(it.type, value))}")
            for it in remedy.records
            for value in it.add
        ]
        header = [(key, f"{times + 1} every={every}" if key == "runs" else value) for key, value in case.header]
        case = replace(case, header=(*header, *changes))
    return {finding.id for finding in (await _outcome(case, world)).findings}


def world_of(case: Scenario) -> ZoneData:
    """The world, and in it what a person has who fills in blanks: a mailbox that takes mail, a host that has a name."""
    zone = ZoneData(case.world)
    target = case.target
    if isinstance(target, Domain) and target.receives_mail and not zone.at(dns.name.from_text(target.name), "MX"):
        zone.put(records(target.name, "MX", "10 mx.blank.example.net."))
        zone.put(records("mx.blank.example.net", "A", "192.0.2.25"))
    if isinstance(target, Address):
        rdtype = "A" if isinstance(target.ip, IPv4Address) else "AAAA"
        zone.put(records(HOST_NAME, rdtype, str(target.ip)))
    return zone


def apply(zone: ZoneData, change: DnsChange, *, whole_sets: bool) -> None:
    """Raise AssertionError if a record that is to go is not there."""
    name = dns.name.from_text(change.name)
    there = {_same(it): it for it in zone.at(name, change.type)}
    for value in change.remove:
        gone = _same(_rdata(change.type, value))
        assert gone in there or not there, f"not there: {value}"  # a wildcard may have answered
        there.pop(gone, None)
    if whole_sets and change.keep is not None:
        there = {value: _rdata(change.type, value) for value in change.keep}
    left = list(there.values())
    if change.add:
        text = _filled(forms.zone_file([change]))
        zoned = dns.zone.from_text(text, origin=".", relativize=False, check_origin=False)
        left += list(zoned.find_rdataset(name, change.type))
    kind = dns.rdatatype.from_text(change.type)
    empty = dns.rrset.RRset(name, dns.rdataclass.IN, kind)
    zone.put(dns.rrset.from_rdata_list(name, 300, left) if left else empty)


def _rdata(rdtype: str, value: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, rdtype, forms.data(rdtype, value))


def _same(record: dns.rdata.Rdata) -> bytes | str:
    """The strings of a text are one text."""
    return b"".join(getattr(record, "strings", ())) or record.to_text()


def _filled(text: str) -> str:
    for blank, value in FILLED.items():
        text = text.replace(blank, value)
    assert OTHERS not in text
    return text


def _state(outcome: Outcome) -> CheckState:
    return CheckState(outcome.check, outcome.target).after(outcome)


async def _outcome(case: Scenario, zone: ZoneData) -> Outcome:
    clock = FakeClock()
    return await play(case, MemoryResolver(zone), clock, MemoryAuthoritative(case.world, clock), zone)


async def _beside(target: Target, zone: ZoneData) -> AsyncIterator[Outcome]:
    clock = FakeClock()

    def net() -> Net:
        return Net(MemoryResolver(zone), clock)

    if isinstance(target, Authorisation):
        domain = Domain(name=target.domain, mail_from=target.mail_from)
        yield await evaluate(CATALOGUE.checks["spf"], domain, net, clock)
    if isinstance(target, Address):
        for name in target.helo:
            greeting = Greeting(sender="out", ip=target.ip, helo=name)
            yield await evaluate(CATALOGUE.checks["helo"], greeting, net, clock)
