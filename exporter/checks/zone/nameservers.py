"""Finds the servers of a zone and of its parent, and asks each of them: the questions of the check `zone`.

The problem: to ask a server we need its address, and a broken zone may not give it. And a server that does not answer
may be down, or our own network may block the question.

The rules:

- The resolver finds the servers, as it does for everybody. The parent's servers are asked for the delegation; the
  addresses in it (glue) are asked, too, even if the servers' names do not have them.
- Each address is asked for the SOA, over UDP and over TCP. One that does not answer is asked once more.
- Silence counts only over an egress (IP version and transport) that is proven: some server has answered over it with
  authority. Networks that answer in place of the asked server never set AA.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from zlib import crc32

from exporter.facts import IP, Doubt, Reason
from exporter.mail import names, zone
from exporter.mail.dns import SOA, Referral, Reply, ServerReply
from exporter.mail.zone import Gathered, Item, ServerAnswer, ServerHost, ServerState, ZoneCut, inside, is_subdomain
from exporter.net import Net

MOST_SERVERS = 13  # names; as many as the root has, and what a delegation of 512 octets holds
MOST_ADDRESSES = 4  # of one name
PARENTS = 3  # of the parent's servers that are asked until one answers
Way = tuple[int, bool]  # IP version, and whether over TCP


@dataclass(frozen=True, slots=True)
class ZoneLocation:
    """Where a domain lies: its zone, and the parent's word for it, None if that is not to be had.

    `parents` are servers of the zone `above`. `unanswered` is the reply for want of which there is no such word.
    """

    zone: str
    delegation: Referral | None
    above: str
    parents: tuple[ServerHost, ...]
    unanswered: ServerReply | None = None


@dataclass(frozen=True, slots=True)
class ZoneAnswers:
    """The servers of a zone, and what they said of it. `told` is the resolver's word for its NS records.

    `parent` and `child` are the names in the delegation and in the zone itself, empty where not known. `answers`
    are those of the zone's servers, whose signatures count. `named_by` has what each address says of the NS records.
    """

    zone: str
    told: Reply
    parent: set[str]
    child: set[str]
    hosts: list[ServerHost]
    voices: list[ServerAnswer]
    answers: list[ServerReply]
    named_by: dict[IP, ServerReply] = field(default_factory=dict)

    @property
    def named(self) -> set[str]:
        return self.parent | self.child or set(self.told.names)

    @property
    def good(self) -> list[ServerAnswer]:
        return [voice for voice in self.voices if voice.good]


async def locate(net: Net, domain: str, found: ZoneCut) -> ZoneLocation | None:
    """Where the walk (zone.find) met doubt, the servers above know whether a zone begins there."""
    if found.zone is None:
        return None
    if found.doubt:
        parents = await _parents(net, found.zone)
        delegation, _ = await _delegation(net, parents, domain, found.zone)
        if delegation:
            return ZoneLocation(delegation.zone, delegation, found.zone, parents)
    over = await net.drive(zone.find(zone.parent(found.zone)))
    if over.zone is None:
        return ZoneLocation(found.zone, None, ".", ())
    parents = await _parents(net, over.zone)
    delegation, unanswered = await _delegation(net, parents, found.zone, over.zone)
    return ZoneLocation(found.zone, delegation, over.zone, parents, unanswered)


async def hear(net: Net, place: ZoneLocation) -> ZoneAnswers:
    """Ask the servers that the parent and the resolver name, and then those that only the zone itself names."""
    apex = place.zone
    told = await net.query(apex, "NS")
    parent = set(place.delegation.nameservers if place.delegation else ())
    heard = ZoneAnswers(apex, told, parent, set(), [], [], [])
    await _hear(net, heard, parent.union(told.names), place.delegation)
    await _name(net, heard)
    for reply in heard.named_by.values():
        if reply.authoritative:
            heard.child.update(reply.names)
    await _hear(net, heard, heard.child - parent.union(told.names), None)
    await _name(net, heard)
    heard.answers.extend(heard.named_by.values())
    heard.answers.extend(reply for voice in heard.good for reply in (voice.udp, voice.tcp))
    return heard


async def _name(net: Net, heard: ZoneAnswers) -> None:
    """Ask the good voices for the NS records, each once."""
    some = [voice for voice in heard.good if voice.ip not in heard.named_by]
    replies = await asyncio.gather(*(_over_good(net, voice, heard.zone, "NS") for voice in some))
    heard.named_by.update(zip((voice.ip for voice in some), replies, strict=True))


async def _hear(net: Net, heard: ZoneAnswers, nameservers: set[str], delegation: Referral | None) -> None:
    glue: dict[str, list[IP]] = {}
    for name, ip in delegation.glue if delegation else ():
        glue.setdefault(name, []).append(ip)
    some = sorted(nameservers)[: MOST_SERVERS - len(heard.hosts)]
    hosts = await asyncio.gather(*(net.drive(zone.look_up(name, tuple(glue.get(name, ())))) for name in some))
    known = {voice.ip for voice in heard.voices}
    heard.hosts.extend(hosts)
    heard.voices.extend(await voices(net, heard.zone, hosts, known))


async def _parents(net: Net, parent: str) -> tuple[ServerHost, ...]:
    """A few servers of the zone above: for each child others, so that not all questions meet the first one."""
    known = (await net.query(parent, "NS")).names
    some = sorted(known, key=lambda name: crc32(f"{parent} {name}".encode()))[:PARENTS]
    return tuple(await asyncio.gather(*(net.drive(zone.look_up(name)) for name in some)))


async def _delegation(
    net: Net, parents: Sequence[ServerHost], name: str, parent: str
) -> tuple[Referral | None, ServerReply | None]:
    """The cut above the name, or the reply for want of which it is not known.

    Neither if the parent's servers are the child's, too, or none of them can be asked.
    """
    unanswered = None
    for server in parents:
        for ip in server.addresses[:1]:
            reply = await net.ask_server(ip, name, "NS")
            referral = reply.referral
            if referral and is_subdomain(name, referral.zone) and inside(referral.zone, parent):
                return referral, None
            if reply.authoritative:
                return None, None
            if not reply.passed_over and not reply.status.conclusive:
                unanswered = reply
    return None, unanswered


async def voices(
    net: Net, apex: str, hosts: Iterable[ServerHost], known: AbstractSet[IP] = frozenset()
) -> list[ServerAnswer]:
    """Each address once, but for those known. Whoever does not answer is asked once more."""
    hosts = list(hosts)
    where: dict[IP, tuple[str, bool]] = {}
    for host in hosts:
        for ip in host.addresses[:MOST_ADDRESSES]:
            where.setdefault(ip, (host.name, ip in host.stale))
    for host in hosts:
        for ip in host.stale[:MOST_ADDRESSES]:
            where.setdefault(ip, (host.name, True))
    asked = {ip: who for ip, who in where.items() if ip not in known}
    return await asyncio.gather(*(_voice(net, apex, name, ip, stale=stale) for ip, (name, stale) in asked.items()))


async def _voice(net: Net, apex: str, server: str, ip: IP, *, stale: bool) -> ServerAnswer:
    udp, tcp = await asyncio.gather(_insist(net, apex, ip, tcp=False), _insist(net, apex, ip, tcp=True))
    return ServerAnswer(server, ip, udp, tcp, stale)


async def _insist(net: Net, apex: str, ip: IP, *, tcp: bool) -> ServerReply:
    reply = await net.ask_server(ip, apex, "SOA", tcp=tcp)
    silent = zone.word(reply) is ServerState.SILENT
    return await net.ask_server(ip, apex, "SOA", tcp=tcp) if silent else reply


async def ways_out(net: Net, heard: ZoneAnswers, place: ZoneLocation) -> set[Way]:
    """The ways by which some server has answered with authority: what fails there is not our own doing.

    Networks that answer DNS questions in the place of those who were asked never set AA. The parent's servers are asked
    for what the zone's own do not prove.
    """
    asked = [voice for voice in heard.voices if not voice.passed_over]
    proven = {(v.version, tcp) for v in asked for tcp in (False, True) if zone.soa(v.tcp if tcp else v.udp)}
    open_still = sorted({(v.version, tcp) for v in asked for tcp in (False, True)} - proven)
    shown = await asyncio.gather(*(_shown_by_parents(net, place, way) for way in open_still))
    return proven | {way for way, is_shown in zip(open_still, shown, strict=True) if is_shown}


async def _shown_by_parents(net: Net, place: ZoneLocation, way: Way) -> bool:
    version, tcp = way
    for ip in [ip for server in place.parents for ip in server.addresses if ip.version == version][:PARENTS]:
        if zone.soa(await net.ask_server(ip, place.above, "SOA", tcp=tcp)):
            return True
    return False


async def ask_each(net: Net, heard: ZoneAnswers, name: str, rdtype: str) -> list[ServerReply]:
    """The same question to all good voices, over UDP unless only TCP had an answer; their replies in order."""
    return await asyncio.gather(*(_over_good(net, voice, name, rdtype) for voice in heard.good))


async def _over_good(net: Net, voice: ServerAnswer, name: str, rdtype: str) -> ServerReply:
    return await net.ask_server(voice.ip, name, rdtype, tcp=zone.soa(voice.udp) is None)


async def soas(net: Net, heard: ZoneAnswers) -> list[SOA | None]:
    return [zone.soa(reply) for reply in await ask_each(net, heard, heard.zone, "SOA")]


async def gather(net: Net, heard: ZoneAnswers, items: Sequence[Item]) -> list[Gathered]:
    """What the good voices have of each item."""
    replies = await asyncio.gather(*(ask_each(net, heard, *item.question) for item in items))
    return [Gathered(item, tuple(some)) for item, some in zip(items, replies, strict=True)]


async def validated(net: Net, items: Sequence[Item]) -> list[Reply]:
    """What the resolver makes of the items."""
    return await asyncio.gather(*(net.query(*item.question) for item in items))


def fictitious(apex: str, server: str, ip: IP) -> bool:
    """Is it an address of examples, where nothing else is an example?"""
    return names.documentation(ip) and not (names.is_example(apex) or names.is_example(server))


def doubt(reply: Reply) -> Doubt:
    return reply.doubt or Doubt(Reason.MALFORMED, f"{reply.question}: an answer that leaves the question open")
