"""Worlds as an Internet: signed root and top-level zones, delegations, name servers at their own addresses, port 53.

The records of several worlds become zones. A zone begins at the root, at each top-level domain, at each name with NS
records, and at each registered domain of the others. nsd serves them as three operators: one for the root, one for the
top-level domains, one for all the rest, at every address that the worlds give to these servers. unbound begins at the
root, follows the delegations and validates: the root and the top-level zones are signed, as the real ones are.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import dns.name
import dns.rdataset
import dns.rdatatype
import dns.zone

from exporter.mail import names
from tests.lab.internet.namespace import Namespace
from tests.lab.nameservers import nsd, recursor
from tests.lab.process import Endpoint, Lab
from tests.lab.zones import SignedZone, Signing, zone
from tests.worlds.world import NAMESERVERS, TOP_SERVER, World

RESOLVER, ROOT_SERVER = "127.0.0.53", "198.41.0.4"
DNS = 53
_ROOT = dns.name.root
_TTL = 300
_SOA = f"SOA a.nic.test. hostmaster.nic.test. 2026050101 3600 600 86400 {_TTL}"
_BEGIN = "$TTL 300\n$ORIGIN .\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n"
_SIGNED = re.compile(r"^; signed: (\S+)", re.MULTILINE)  # names in zones that worlds want signed
_UNHEEDED = re.compile(r"^;\s*(servfail|refused|timeout|bogus|malformed|no-tcp|octets|at\s\S+):", re.MULTILINE)

Name: TypeAlias = dns.name.Name
Records: TypeAlias = dict[tuple[Name, str], frozenset[str]]  # the data by name and type, as text


@dataclass(frozen=True)
class Internet:
    """`trust` is the environment of whoever is to trust the authorities of its mail hosts and web servers."""

    namespace: Namespace
    trust: dict[str, str]


def internet(lab: Lab, worlds: Iterable[World]) -> Internet:
    """Start all its servers. Raise AssertionError if two worlds contradict each other."""
    namespace, worlds = Namespace(lab), list(worlds)
    root, tops, rest = zones(worlds)
    operators = {
        "root": ([root], [ROOT_SERVER]),
        "tops": (tops, [*TOP_SERVER]),
        "rest": (rest, [ip for both in NAMESERVERS.values() for ip in both]),
    }
    for number, (name, (served, addresses)) in enumerate(operators.items(), 1):
        at = [Endpoint(ip, DNS) for ip in (f"127.0.53.{number}", *addresses)]
        nsd(lab, served, f"nsd-{name}", at=at, inside=namespace)
    recursor(lab, root, ROOT_SERVER, Endpoint(RESOLVER, DNS), namespace)
    roots = lab.home / "roots.pem"
    of_worlds = [sys.executable, "-m", "tests.lab.internet.hosts", str(roots), *(str(world.file) for world in worlds)]
    here = {"PYTHONPATH": str(Path(__file__).parents[3])}
    lab.start("hosts", namespace.enter(of_worlds), roots.exists, within=60, env=here)
    return Internet(namespace, {"SSL_CERT_FILE": str(roots), "SSL_CERT_DIR": str(lab.folder("no-roots"))})


def zones(worlds: Sequence[World]) -> tuple[SignedZone, list[SignedZone], list[SignedZone]]:
    """The root, the top-level zones and all others."""
    records = dict(_together(worlds))
    tops = {Name(name.labels[-2:]) for name, _ in records}
    root_server = dns.name.from_text("root.nic.test.")
    records |= {(top, "NS"): frozenset({"a.nic.test."}) for top in tops}
    records |= {(_ROOT, "NS"): frozenset({str(root_server)}), (root_server, "A"): frozenset({ROOT_SERVER})}
    for name in {name for name, _ in records}:
        if not {above for above in _upwards(name) if (above, "NS") in records} - tops - {_ROOT}:
            apex = dns.name.from_text(names.registered(name.to_text(omit_final_dot=True)))
            if apex not in tops and apex != _ROOT:
                records[apex, "NS"] = frozenset(f"{server}." for server in NAMESERVERS)
    apexes = {name for name, rdtype in records if rdtype == "NS"}
    held: dict[Name, set[tuple[Name, str]]] = defaultdict(set)
    for name, rdtype in records:
        held[_zone_of(name, apexes)].add((name, rdtype))
        if rdtype == "NS" and name != _ROOT:
            held[_zone_of(name.parent(), apexes)].add((name, rdtype))
    for apex, keys in held.items():  # glue
        servers = {dns.name.from_text(it) for key in keys if key[1] == "NS" for it in records[key]}
        glue = {(it, rdtype) for it in servers if it.is_subdomain(apex) for rdtype in ("A", "AAAA")}
        keys |= glue & records.keys()
    lines = {apex: [_line(key, records) for key in sorted(keys)] for apex, keys in held.items()}
    wanted = {_zone_of(dns.name.from_text(name), apexes) for world in worlds for name in _SIGNED.findall(world.text)}
    rest = {
        apex: _zone(apex, lines[apex], Signing.GOOD if apex in wanted else Signing.NONE)
        for apex in apexes - tops - {_ROOT}
    }
    for apex, served in rest.items():
        lines[_zone_of(apex.parent(), apexes)] += [served.anchor] if served.anchor else []
    signed = {top: _zone(top, lines[top], Signing.GOOD) for top in tops}
    root = _zone(_ROOT, [*lines[_ROOT], *(it.anchor for it in signed.values() if it.anchor)], Signing.GOOD)
    return root, [*signed.values()], [*rest.values()]


def _zone(apex: Name, lines: Iterable[str], signing: Signing = Signing.NONE) -> SignedZone:
    return zone(apex.to_text(), "\n".join([f"{apex} {_SOA}", *lines, ""]), signing, ttl=_TTL, apex="")


def _line(key: tuple[Name, str], records: Records) -> str:
    return "\n".join(f"{key[0]} {key[1]} {data}" for data in sorted(records[key]))


def _zone_of(name: Name, apexes: set[Name]) -> Name:
    return next(above for above in _upwards(name) if above in apexes)


def _upwards(name: Name) -> Iterator[Name]:
    """The name and its ancestors, the nearest first."""
    return (Name(name.labels[i:]) for i in range(len(name.labels)))


def _together(worlds: Iterable[World]) -> Records:
    """The records of all worlds. What two of them have at one name must be the same."""
    known: Records = {}
    for world in worlds:
        assert not _UNHEEDED.search(world.zone), f"{world.name} orders what no real server does"
        own: dict[tuple[Name, str], set[str]] = defaultdict(set)
        read = dns.zone.from_text(_BEGIN + world.zone, origin=".", relativize=False, check_origin=False)
        for name, _, rdata in read.iterate_rdatas():
            if rdata.rdtype != dns.rdatatype.SOA:
                own[name, dns.rdatatype.to_text(rdata.rdtype)].add(str(rdata))
        for key, data in own.items():
            assert known.setdefault(key, frozenset(data)) == data, f"{world.name} contradicts another world: {key}"
    return known
