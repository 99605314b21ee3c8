"""A small real name server: it answers from one zone file, over UDP and TCP on loopback, and makes faults on request.

Comments in the zone file order the faults, one on each line, for a name and a type (`*` means every type):

    ; servfail: NAME TYPE        and likewise `refused`
    ; timeout: NAME TYPE         no answer at all
    ; bogus: NAME TYPE           SERVFAIL with the DNSSEC error, but an answer if CD is set
    ; malformed: NAME TYPE       the question, and then octets that are not a record
    ; no-tcp: NAME TYPE          no answer over TCP
    ; signed: NAME TYPE          not a fault: answered as validated, with AD
    ; soa: NAME SERIAL           makes a name the apex of a zone
    ; octets: NAME TYPE HEX      adds a record with these data, even if they are wrong for the type

A comment that begins with any other word and a colon is an error, because nothing would obey it.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone

PORTS_TRIED = 20


class ServerFault(StrEnum):
    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    BOGUS = "bogus"
    MALFORMED = "malformed"
    NO_TCP = "no-tcp"
    SIGNED = "signed"


_ORDER = re.compile(rf"^;\s*({'|'.join(ServerFault)}):\s*(\S+)\s+(\S+)\s*$", re.MULTILINE)
_APEX = re.compile(r"^;\s*soa:\s*(\S+)\s+([0-9]+)\s*$", re.MULTILINE)
_OCTETS = re.compile(r"^;\s*octets:\s*(\S+)\s+(\S+)\s+([0-9a-f]+)\s*$", re.MULTILINE)
_FORMS: dict[str, re.Pattern[str]] = {**dict.fromkeys(map(str, ServerFault), _ORDER), "soa": _APEX, "octets": _OCTETS}
ORDERS = frozenset({*_FORMS, "server", "at"})  # the last two are for zoneserver.py
LIKE_AN_ORDER = re.compile(r"^;\s*(?:(?P<at>at)\s+[^\s:]+|(?P<word>[^\s:;]+)):(?!//)")
_LONGEST_CHAIN = 16
_BOGUS = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "signature verification failed")


@dataclass(frozen=True)
class ZoneLookup:
    rcode: dns.rcode.Rcode
    answer: tuple[dns.rrset.RRset, ...] = ()
    authority: tuple[dns.rrset.RRset, ...] = ()


@dataclass(frozen=True)
class _ZoneFile:
    """What a text says. `sets`: the records by name, type, and the type that they cover if they are signatures."""

    sets: Mapping[tuple[dns.name.Name, dns.rdatatype.RdataType, dns.rdatatype.RdataType], dns.rdataset.Rdataset]
    names: frozenset[dns.name.Name]
    exists: frozenset[dns.name.Name]  # they, and the names above them
    faults: Mapping[tuple[dns.name.Name, str], ServerFault]


class ZoneData:
    """Records of any number of domains in one text; `$ORIGIN` changes the place as usual."""

    def __init__(self, text: str) -> None:
        """Raise dns.exception.DNSException for a text that is no zone file, ValueError for an order that is none."""
        read = _read(text)
        self._faults = read.faults
        self._sets = dict(read.sets)
        self._names = set(read.names)
        self._exists = set(read.exists)
        self._soa = (_rrset(dns.name.root, self._sets[dns.name.root, dns.rdatatype.SOA, dns.rdatatype.NONE]),)

    def put(self, rrset: dns.rrset.RRset) -> None:
        """Let the name have these records of that type and no others; with an empty set, none."""
        key = (rrset.name, rrset.rdtype, dns.rdatatype.NONE)
        if rrset:
            self._sets[key] = rrset.to_rdataset()
            self._names.add(rrset.name)
            self._exists.update(_parents(rrset.name))
        else:
            self._sets.pop(key, None)
            self._names = {name for name, *_ in self._sets}
            self._exists = _with_parents(self._names)

    def at(self, name: dns.name.Name, rdtype: str) -> dns.rrset.RRset:
        """What stands at the name itself, without wildcards and aliases; it may be empty."""
        kind = dns.rdatatype.from_text(rdtype)
        stored = self._sets.get((name, kind, dns.rdatatype.NONE))
        return _rrset(name, stored) if stored else dns.rrset.RRset(name, dns.rdataclass.IN, kind)

    def signatures(self, rrset: dns.rrset.RRset) -> list[dns.rrset.RRset]:
        """The RRSIG records that cover it, as they stand in the text: nothing is signed here."""
        stored = self._sets.get((rrset.name, dns.rdatatype.RRSIG, rrset.rdtype))
        return [_rrset(rrset.name, stored)] if stored else []

    def addresses(self, name: str) -> list[IPv4Address | IPv6Address]:
        """What a client that asks for them gets, by way of aliases too."""
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        found = [self.find(dns.name.from_text(name), kind.name).answer for kind in kinds]
        rrsets = [rrset for answer in found for rrset in answer if rrset.rdtype in kinds]
        return [ip_address(record.address) for rrset in rrsets for record in rrset]

    def fault(self, name: dns.name.Name, rdtype: str) -> ServerFault | None:
        return self._faults.get((name, rdtype)) or self._faults.get((name, "*"))

    def find(self, name: dns.name.Name, rdtype: str) -> ZoneLookup:
        """The answer with its CNAME chain, or what proves absence (wildcards as in RFC 4592)."""
        wanted = dns.rdatatype.from_text(rdtype)
        chain: list[dns.rrset.RRset] = []
        while len(chain) <= _LONGEST_CHAIN:
            owner = self._owner(name)
            if owner is None:
                return ZoneLookup(dns.rcode.NXDOMAIN, tuple(chain), self._soa)
            data = self._sets.get((owner, wanted, dns.rdatatype.NONE))
            alias = self._sets.get((owner, dns.rdatatype.CNAME, dns.rdatatype.NONE))
            if data is not None:
                return ZoneLookup(dns.rcode.NOERROR, (*chain, _rrset(name, data)))
            if alias is None:
                return ZoneLookup(dns.rcode.NOERROR, tuple(chain), self._soa)
            chain.append(_rrset(name, alias))
            name = alias[0].target
        return ZoneLookup(dns.rcode.SERVFAIL)

    def _owner(self, name: dns.name.Name) -> dns.name.Name | None:
        if name in self._exists:
            return name
        while name != dns.name.root:
            name = name.parent()
            wildcard = dns.name.Name((b"*", *name.labels))
            if wildcard in self._names:
                return wildcard
            if name in self._exists:
                return None
        return None


@lru_cache(maxsize=8)  # a world is often read several times: each server has a copy of its own
def _read(text: str) -> _ZoneFile:
    if wrong := next(disorders(text, ORDERS), None):
        raise ValueError("line {}: {}".format(*wrong))
    header = "$TTL 300\n$ORIGIN .\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ NS ns.invalid.\n"
    zone = dns.zone.from_text(header + text, origin=".", relativize=False)
    for owner, rdtype, octets in _OCTETS.findall(text):
        kind = dns.rdatatype.from_text(rdtype)
        odd = dns.rdata.GenericRdata(dns.rdataclass.IN, kind, bytes.fromhex(octets))
        zone.find_rdataset(dns.name.from_text(owner), kind, create=True).add(odd, 300)
    for owner, serial in _APEX.findall(text):  # a zone file may hold but one SOA record
        data = f"ns.invalid. hostmaster.invalid. {serial} 3600 600 86400 300"
        apex = dns.rrset.from_text(owner, 300, "IN", "SOA", data)
        zone.replace_rdataset(apex.name, apex.to_rdataset())
    sets = {(name, stored.rdtype, stored.covers): stored for name, stored in zone.iterate_rdatasets()}
    names = frozenset(name for name, *_ in sets)
    faults = {
        (dns.name.from_text(name), rdtype.upper()): ServerFault(fault) for fault, name, rdtype in _ORDER.findall(text)
    }
    return _ZoneFile(sets, names, frozenset(_with_parents(names)), faults)


def disorders(text: str, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """The lines that look like orders and are none of those known, and what is wrong with each."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := LIKE_AN_ORDER.match(line):
            word = found["at"] or found["word"]
            if word not in known:
                near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
                yield number, f"`; {word}:` is no order; the nearest is `; {near[0]}:`"
            elif word in _FORMS and not _FORMS[word].match(line):
                yield number, f"`; {word}:` cannot be understood"


def _parents(name: dns.name.Name) -> list[dns.name.Name]:
    """The name and its ancestors: an empty non-terminal exists too (RFC 8020)."""
    return [dns.name.Name(name.labels[i:]) for i in range(len(name.labels))]


def _with_parents(names: Collection[dns.name.Name]) -> set[dns.name.Name]:
    return {parent for name in names for parent in _parents(name)}


def _rrset(name: dns.name.Name, data: object) -> dns.rrset.RRset:
    rrset: dns.rrset.RRset = dns.rrset.from_rdata_list(name, data.ttl, list(data))  # type: ignore[attr-defined, call-overload]  # an Rdataset; dnspython leaves it untyped here
    return rrset


def records(name: str, rdtype: str, *data: str) -> dns.rrset.RRset:
    """Records of one name and type, for Zone.put."""
    return dns.rrset.from_text(f"{name}.", 300, "IN", rdtype, *data)


class NameServer(asyncio.DatagramProtocol):
    """Serves a Zone over UDP and TCP on the same port of loopback. `asked` lists the questions it saw.

    With `truncate` every answer over UDP has TC set and no records, as if all were too long for it.
    """

    def __init__(self, zone: ZoneData, *, truncate: bool = False) -> None:
        self.zone = zone
        self.truncate = truncate
        self.asked: list[str] = []
        self.address: tuple[str, int] = ("", 0)
        self._streams: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Raise OSError when the port is taken; without one, a port that is free for both transports is found."""
        loop = asyncio.get_running_loop()
        for left in reversed(range(1 if port else PORTS_TRIED)):
            self._tcp = await asyncio.start_server(self._stream, host, port)
            self.address = (host, self._tcp.sockets[0].getsockname()[1])
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self.address)
            except OSError:
                self._tcp.close()
                await self._tcp.wait_closed()
                if not left:
                    raise
            else:
                return

    async def stop(self) -> None:
        self._udp.close()
        self._tcp.close()
        for writer in self._streams.values():
            writer.close()
        await asyncio.gather(*filter(None, self._streams))
        await self._tcp.wait_closed()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self.reply(data, udp=True)
        if reply is not None:
            self._transport.sendto(reply, addr)  # type: ignore[attr-defined]  # a datagram transport

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        self._streams[me] = writer
        try:
            while size := await reader.readexactly(2):
                reply = self.reply(await reader.readexactly(int.from_bytes(size)), udp=False)
                if reply is None:
                    continue
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            del self._streams[me]

    def reply(self, wire: bytes, *, udp: bool) -> bytes | None:
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if not query.question:
            return None
        name, rdtype = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append(f"{name.to_text(omit_final_dot=True)} {rdtype}")
        fault = self.zone.fault(name, rdtype)
        if fault is ServerFault.TIMEOUT or (fault is ServerFault.NO_TCP and not udp):
            return None
        if fault is ServerFault.MALFORMED and not (udp and self.truncate):
            return wire[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + wire[12:] + b"\xff" * 20
        response = dns.message.make_response(query, recursion_available=True)
        if fault is ServerFault.REFUSED:
            response.set_rcode(dns.rcode.REFUSED)
        elif fault is ServerFault.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif fault is ServerFault.BOGUS and not query.flags & dns.flags.CD:
            response.set_rcode(dns.rcode.SERVFAIL)
            if query.edns >= 0:
                response.use_edns(0, options=[_BOGUS])
        else:
            found = self.zone.find(name, rdtype)
            response.set_rcode(found.rcode)
            response.answer.extend(found.answer)
            response.authority.extend(found.authority)
            if fault is ServerFault.SIGNED:
                response.flags |= dns.flags.AD
        return self.sized(query, response, udp=udp, truncate=self.truncate and fault is not ServerFault.NO_TCP)

    def sized(
        self, query: dns.message.Message, response: dns.message.Message, *, udp: bool, truncate: bool = False
    ) -> bytes:
        """As octets, and no more of them than whoever asks can take."""
        size = max(512, query.payload) if query.edns >= 0 else 512
        return _truncated(response) if udp and truncate else _fit(response, size if udp else 65535)


def _fit(response: dns.message.Message, size: int) -> bytes:
    try:
        return response.to_wire(max_size=size)
    except dns.exception.TooBig:
        return _truncated(response)


def _truncated(response: dns.message.Message) -> bytes:
    response.flags |= dns.flags.TC
    response.answer.clear()
    response.authority.clear()
    return response.to_wire()
