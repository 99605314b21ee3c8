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
Egress = tuple[int, bool]  # IP version, and whether over TCP


@dataclass(frozen=True, slots=True)
class ZoneLocation:
    """Where a domain is: its zone, and the delegation in the parent zone (None if it cannot be read).

    `parents` are servers of the zone `above`. `unanswered` is the inconclusive reply because of which the delegation
    is not known.
    """

    zone: str
    delegation: Referral | None
    above: str
    parents: tuple[ServerHost, ...]
    unanswered: ServerReply | None = None


@dataclass(frozen=True, slots=True)
class ZoneAnswers:
    """The servers of a zone, and what they answered. `ns` is the resolver's answer for its NS records.

    `parent` and `child` are the server names in the delegation and in the zone itself; they are empty if not known.
    `replies` are all replies of the zone's servers: the signatures in them count. `ns_by_ip` has the NS records as each
    address answers them.
    """

    zone: str
    ns: Reply
    parent: set[str]
    child: set[str]
    hosts: list[ServerHost]
    servers: list[ServerAnswer]
    replies: list[ServerReply]
    ns_by_ip: dict[IP, ServerReply] = field(default_factory=dict)

    @property
    def named(self) -> set[str]:
        return self.parent | self.child or set(self.ns.names)

    @property
    def good(self) -> list[ServerAnswer]:
        return [answer for answer in self.servers if answer.good]


async def locate(net: Net, domain: str, found: ZoneCut) -> ZoneLocation | None:
    """Find the domain's zone. If the walk (zone.find) met a doubt, the parent's servers say where the zone begins."""
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


async def probe(net: Net, place: ZoneLocation) -> ZoneAnswers:
    """Ask the servers that the parent and the resolver name, and then those that only the zone itself names."""
    apex = place.zone
    ns = await net.query(apex, "NS")
    parent = set(place.delegation.nameservers if place.delegation else ())
    answers = ZoneAnswers(apex, ns, parent, set(), [], [], [])
    await _probe(net, answers, parent.union(ns.names), place.delegation)
    await _ask_for_ns(net, answers)
    for reply in answers.ns_by_ip.values():
        if reply.authoritative:
            answers.child.update(reply.names)
    await _probe(net, answers, answers.child - parent.union(ns.names), None)
    await _ask_for_ns(net, answers)
    answers.replies.extend(answers.ns_by_ip.values())
    answers.replies.extend(reply for answer in answers.good for reply in (answer.udp, answer.tcp))
    return answers


async def _ask_for_ns(net: Net, answers: ZoneAnswers) -> None:
    """Ask each good server for the NS records, once."""
    some = [answer for answer in answers.good if answer.ip not in answers.ns_by_ip]
    replies = await asyncio.gather(*(_ask(net, answer, answers.zone, "NS") for answer in some))
    answers.ns_by_ip.update(zip((answer.ip for answer in some), replies, strict=True))


async def _probe(net: Net, answers: ZoneAnswers, nameservers: set[str], delegation: Referral | None) -> None:
    glue: dict[str, list[IP]] = {}
    for name, ip in delegation.glue if delegation else ():
        glue.setdefault(name, []).append(ip)
    some = sorted(nameservers)[: MOST_SERVERS - len(answers.hosts)]
    hosts = await asyncio.gather(*(net.drive(zone.look_up(name, tuple(glue.get(name, ())))) for name in some))
    known = {answer.ip for answer in answers.servers}
    answers.hosts.extend(hosts)
    answers.servers.extend(await probe_addresses(net, answers.zone, hosts, known))


async def _parents(net: Net, parent: str) -> tuple[ServerHost, ...]:
    """A few servers of the parent zone. Each child gets others, so that not all questions go to the same servers."""
    known = (await net.query(parent, "NS")).names
    some = sorted(known, key=lambda name: crc32(f"{parent} {name}".encode()))[:PARENTS]
    return tuple(await asyncio.gather(*(net.drive(zone.look_up(name)) for name in some)))


async def _delegation(
    net: Net, parents: Sequence[ServerHost], name: str, parent: str
) -> tuple[Referral | None, ServerReply | None]:
    """The delegation of the name. If it is not known because of an inconclusive reply, that reply.

    Both are None if the parent's servers also serve the child, or if none of them can be asked.
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


async def probe_addresses(
    net: Net, apex: str, hosts: Iterable[ServerHost], known: AbstractSet[IP] = frozenset()
) -> list[ServerAnswer]:
    """Ask each address once, except the known ones. One that does not answer is asked again."""
    hosts = list(hosts)
    where: dict[IP, tuple[str, bool]] = {}
    for host in hosts:
        for ip in host.addresses[:MOST_ADDRESSES]:
            where.setdefault(ip, (host.name, ip in host.stale))
    for host in hosts:
        for ip in host.stale[:MOST_ADDRESSES]:
            where.setdefault(ip, (host.name, True))
    asked = {ip: who for ip, who in where.items() if ip not in known}
    return await asyncio.gather(
        *(_probe_address(net, apex, name, ip, stale=stale) for ip, (name, stale) in asked.items())
    )


async def _probe_address(net: Net, apex: str, server: str, ip: IP, *, stale: bool) -> ServerAnswer:
    udp, tcp = await asyncio.gather(_ask_with_retry(net, apex, ip, tcp=False), _ask_with_retry(net, apex, ip, tcp=True))
    return ServerAnswer(server, ip, udp, tcp, stale)


async def _ask_with_retry(net: Net, apex: str, ip: IP, *, tcp: bool) -> ServerReply:
    reply = await net.ask_server(ip, apex, "SOA", tcp=tcp)
    silent = zone.word(reply) is ServerState.SILENT
    return await net.ask_server(ip, apex, "SOA", tcp=tcp) if silent else reply


async def proven_egress(net: Net, answers: ZoneAnswers, place: ZoneLocation) -> set[Egress]:
    """The egress over which some server has answered with authority. A failure over it is not our own.

    Networks that answer DNS questions in place of the asked server never set AA. If the zone's servers do not prove an
    egress, the parent's servers are asked over it.
    """
    asked = [answer for answer in answers.servers if not answer.passed_over]
    proven = {(v.version, tcp) for v in asked for tcp in (False, True) if zone.soa(v.tcp if tcp else v.udp)}
    unproven = sorted({(v.version, tcp) for v in asked for tcp in (False, True)} - proven)
    by_parents = await asyncio.gather(*(_proven_by_parents(net, place, it) for it in unproven))
    return proven | {it for it, is_proven in zip(unproven, by_parents, strict=True) if is_proven}


async def _proven_by_parents(net: Net, place: ZoneLocation, egress: Egress) -> bool:
    version, tcp = egress
    for ip in [ip for server in place.parents for ip in server.addresses if ip.version == version][:PARENTS]:
        if zone.soa(await net.ask_server(ip, place.above, "SOA", tcp=tcp)):
            return True
    return False


async def ask_each(net: Net, answers: ZoneAnswers, name: str, rdtype: str) -> list[ServerReply]:
    """Ask all good servers the same question, over UDP unless only TCP was answered. The replies keep their order."""
    return await asyncio.gather(*(_ask(net, answer, name, rdtype) for answer in answers.good))


async def _ask(net: Net, answer: ServerAnswer, name: str, rdtype: str) -> ServerReply:
    return await net.ask_server(answer.ip, name, rdtype, tcp=zone.soa(answer.udp) is None)


async def soas(net: Net, answers: ZoneAnswers) -> list[SOA | None]:
    return [zone.soa(reply) for reply in await ask_each(net, answers, answers.zone, "SOA")]


async def gather(net: Net, answers: ZoneAnswers, items: Sequence[Item]) -> list[Gathered]:
    """What the good servers have of each item."""
    replies = await asyncio.gather(*(ask_each(net, answers, *item.question) for item in items))
    return [Gathered(item, tuple(some)) for item, some in zip(items, replies, strict=True)]


async def validated(net: Net, items: Sequence[Item]) -> list[Reply]:
    """The resolver's answer for each item."""
    return await asyncio.gather(*(net.query(*item.question) for item in items))


def fictitious(apex: str, server: str, ip: IP) -> bool:
    """Is it an address for documentation (RFC 5737, RFC 3849), although the zone and the server are no examples?"""
    return names.documentation(ip) and not (names.is_example(apex) or names.is_example(server))


def doubt(reply: Reply) -> Doubt:
    return reply.doubt or Doubt(Reason.MALFORMED, f"{reply.question}: an inconclusive answer")
