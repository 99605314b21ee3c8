"""Small real authoritative name servers on loopback, each with its own view of one world, and the dial to them.

The world is one zone file (nameserver.py). Comments in it say which servers there are, which zones each server has, and
how its data differ from the world:

    ; server: ns1.example.com 192.0.2.53 example.com,example.org lame ...
    ; at ns1.example.com: example.com. MX 10 old.example.com.
    ; at ns1.example.com: _dmarc.example.com. TXT

The second line replaces the records of that name and type. The third line removes them. The words after the zones are
those of Manner.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from exporter.demo.nameserver import NameServer, ZoneData
from exporter.facts import IP
from exporter.mail import names

_SERVER = re.compile(r"^;\s*server:\s*(\S+)\s+(\S+)\s+(\S+)(.*)$", re.MULTILINE)
_AT = re.compile(r"^;\s*at\s+(\S+):\s*(\S+)\s+(\S+)(.*)$", re.MULTILINE)
_PORT = 53


class Manner(StrEnum):
    """What is the matter with a server; several can be."""

    LAME = "lame"  # REFUSED
    SERVFAIL = "servfail"
    HEARSAY = "hearsay"  # right answers, without AA
    HEARSAY_TXT = "hearsay-txt"  # the same, for TXT alone
    UPWARD = "upward"  # a referral to the root
    SILENT = "silent"
    NO_TCP = "no-tcp"
    NO_UDP = "no-udp"
    TRUNCATES = "truncates"  # every answer over UDP
    NO_ROUTE = "no-route"  # this machine knows no way there


@dataclass(frozen=True)
class Seat:
    """A server as the world describes it."""

    name: str
    ip: IP
    zones: frozenset[dns.name.Name]
    manners: frozenset[Manner]


class ZoneServer(NameServer):
    """Answers for its zones alone, with AA, signatures if there are any, and referrals at zone cuts."""

    def __init__(self, view: ZoneData, seat: Seat) -> None:
        super().__init__(view)
        self._seat = seat

    def reply(self, wire: bytes, *, udp: bool) -> bytes | None:
        manners = self._seat.manners
        if Manner.SILENT in manners or (Manner.NO_UDP if udp else Manner.NO_TCP) in manners:
            return None
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        name, rdtype = query.question[0].name, query.question[0].rdtype
        self.asked.append(f"{name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(rdtype)}")
        response = dns.message.make_response(query)
        apex = self._apex(name, rdtype)
        if Manner.SERVFAIL in manners:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif Manner.UPWARD in manners:
            response.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "a.root-servers.invalid."))
        elif Manner.LAME in manners or apex is None:
            response.set_rcode(dns.rcode.REFUSED)
        else:
            self._answer(query, response, apex)
        if Manner.HEARSAY in manners or (Manner.HEARSAY_TXT in manners and rdtype == dns.rdatatype.TXT):
            response.flags = (response.flags | dns.flags.RA) & ~dns.flags.AA
        return self.sized(query, response, udp=udp, truncate=Manner.TRUNCATES in manners)

    def _apex(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.name.Name | None:
        """The deepest of its zones that has the name; a DS record stands in the zone above its owner."""
        over = name.parent() if rdtype == dns.rdatatype.DS and name != dns.name.root else name
        return max((zone for zone in self._seat.zones if over.is_subdomain(zone)), key=len, default=None)

    def _answer(self, query: dns.message.Message, response: dns.message.Message, apex: dns.name.Name) -> None:
        name, rdtype = query.question[0].name, query.question[0].rdtype
        cut = next((over for over in _between(name, apex) if self._there(over, dns.rdatatype.NS)), None)
        if cut is not None and not (cut == name and rdtype == dns.rdatatype.DS):
            for rrset in self._there(cut, dns.rdatatype.NS):
                response.authority.append(rrset)
                for record in rrset:
                    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                        response.additional.extend(self._there(record.target, kind))
            return
        response.flags |= dns.flags.AA
        found = self.zone.find(name, dns.rdatatype.to_text(rdtype))
        response.set_rcode(found.rcode)
        answer = [rrset for rrset in found.answer if rrset.name.is_subdomain(apex)]
        for rrset in answer:
            response.answer.append(rrset)
            if query.ednsflags & dns.flags.DO:
                response.answer.extend(self.zone.signatures(rrset))
        if not answer:
            response.authority.extend(self._there(apex, dns.rdatatype.SOA))

    def _there(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[dns.rrset.RRset]:
        """The records at that very name."""
        found = self.zone.find(name, dns.rdatatype.to_text(rdtype)).answer
        return [rrset for rrset in found if rrset.name == name and rrset.rdtype == rdtype]


def _between(name: dns.name.Name, apex: dns.name.Name) -> list[dns.name.Name]:
    """The name and those above it, from the top down, without the apex."""
    return [dns.name.Name(name.labels[-depth:]) for depth in range(len(apex) + 1, len(name) + 1)]


def _otherwise(world: str, server: str) -> list[dns.rrset.RRset]:
    """What a server has otherwise than the world; an empty set is what it does not have."""
    own: dict[tuple[str, str], dns.rrset.RRset] = {}
    for at, owner, rdtype, data in _AT.findall(world):
        if at == server:
            name, kind = dns.name.from_text(owner), dns.rdatatype.from_text(rdtype)
            rrset = own.setdefault((owner, rdtype), dns.rrset.RRset(name, dns.rdataclass.IN, kind))
            for record in dns.rrset.from_text(name, 300, "IN", kind, data.strip()) if data.strip() else ():
                rrset.add(record, 300)
    return list(own.values())


def _view(world: str, zone: ZoneData, seat: Seat) -> ZoneData:
    otherwise = _otherwise(world, seat.name)
    if not otherwise:
        return zone
    own = ZoneData(world)
    for rrset in otherwise:
        own.put(rrset)
    return own


def seats(world: str) -> list[Seat]:
    return [
        Seat(
            name,
            ip_address(ip),
            frozenset(map(dns.name.from_text, zones.split(","))),
            frozenset(map(Manner, manners.split())),
        )
        for name, ip, zones, manners in _SERVER.findall(world)
    ]


class ZoneServers:
    """All servers of a world. `dial` leads to them, for exporter.net.dns.authoritative; nobody else can be reached."""

    def __init__(self, world: str, zone: ZoneData) -> None:
        """`zone` is the same world, as whoever has nothing otherwise sees it. Raise ValueError for unknown servers."""
        self._seats = {seat.ip: seat for seat in seats(world)}
        if strangers := {at for at, *_ in _AT.findall(world)} - {seat.name for seat in self._seats.values()}:
            raise ValueError(f"`; at {min(strangers)}:` names no server of the world")
        self.servers = {ip: ZoneServer(_view(world, zone, seat), seat) for ip, seat in self._seats.items()}

    async def start(self) -> None:
        for server in self.servers.values():
            await server.start()

    async def stop(self) -> None:
        for server in self.servers.values():
            await server.stop()

    async def dial(self, ip: IP, port: int = _PORT) -> tuple[str, int]:
        """Where to ask instead. Raise what asking would, for a place where nobody is."""
        seat = self._seats.get(ip)
        if seat is None and names.not_public(ip):
            return str(ip), port  # that nobody is asked there is up to whoever asks
        fault = errno.ECONNREFUSED if seat is None else errno.ENETUNREACH if Manner.NO_ROUTE in seat.manners else 0
        if fault:
            raise OSError(fault, os.strerror(fault))
        return self.servers[ip].address
