"""Asks each name server of a domain's zone directly. A resolver asks only one of them, and hides what the others say.

Servers that contradict each other are worse than a silent one: mail then fails for the receivers that happen to ask the
wrong server. Different data are critical if they do not heal by themselves. They must still differ when asked again,
and one of these must be true:

- The serials are equal.
- One server has been behind for longer than the SOA's refresh. Until then, a zone transfer may be under way.

How long a server has been behind is kept in memory only. After a restart, it counts from zero.

The exporter's resolver validates DNSSEC, because it follows the whole chain of trust. We do not validate here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from operator import itemgetter
from typing import Any

from exporter.checks.zone import nameservers
from exporter.checks.zone.nameservers import MOST_SERVERS, Egress, ZoneAnswers, ZoneLocation
from exporter.facts import Dead, Doubt, Metric, Reason, Rule, Severity
from exporter.mail import names
from exporter.mail.dns import Reply, Status, doubts
from exporter.mail.zone import (
    Item,
    ItemKind,
    ServerAnswer,
    ServerState,
    ends_soon,
    find,
    is_subdomain,
    keys,
    wanted_keys,
    word,
)
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.targets import Zone
from exporter.text import commas, minute


@check(over=Zone, interval=timedelta(hours=1), timeout=timedelta(seconds=60), needs={Door.NAMESERVERS})
async def zone(target: Zone, net: Net) -> Facts:
    """Does every server of the domain's zone answer, and do all say the same?"""
    found = await net.drive(find(target.name))
    if not found.exists and not found.doubt and not is_subdomain(found.zone or ".", names.registrable(target.name)):
        yield NO_SUCH_DOMAIN(domain=target.name, zone=found.zone or ".")
        return
    seen = await nameservers.validated(net, list(_items(target)))
    yield _bogus(target.name, [*seen, *([found.doubt] if found.doubt else [])])
    place = await nameservers.locate(net, target.name, found)
    if place is None:
        above = Doubt(Reason.MALFORMED, f"nothing above {target.name} has a SOA record")
        yield _doubt(found.doubt) if found.doubt else above
        return
    yield doubts(*seen)
    answers = await nameservers.probe(net, place)
    if not answers.hosts:
        yield _doubt(answers.ns)
        return
    yield (*_named(answers), *await _reached(net, place, answers))
    yield await _alike(target, net, answers)
    yield await _signed(net, answers)


NO_SUCH_DOMAIN = Rule(
    "zone.no-such-domain",
    Severity.WARNING,
    says="{domain} does not exist: the zone {zone} delegates no such name",
    why="There is no zone to publish mail's records in.",
    fix="Register or renew {domain}, or correct the name in the configuration.",
    ref="RFC 1034 section 4.2.1",
)
NONE_AUTHORITATIVE = Rule(
    "zone.none-authoritative",
    Severity.CRITICAL,
    says="no name server of {zone} answers for it: {servers}",
    why="Nobody can look up anything of the domain: receivers defer or refuse its mail, and none reaches it.",
    fix="Load the zone {zone} on its name servers, or delegate it to servers that have it.",
    ref="RFC 1912 section 2.8; Zonemaster delegation04",
    refusals=("Postfix: 450 4.1.8 Sender address rejected: Domain not found",),
    implies=Dead.ZONE,
)
LAME = Rule(
    "zone.lame",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} {how}",
    why="Whoever asks it loses time or gets nothing: lookups are slow, and some of them fail.",
    fix="Load {zone} on {server} or mend its transfer, else remove it from the NS records here and at the registrar.",
    ref="RFC 1912 section 2.8; Zonemaster delegation04",
    subjects=("ip",),
)
SERVER_SILENT = Rule(
    "zone.server-silent",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} gives no answer over {transports}, while others do",
    why="Each resolver that tries it waits for seconds; some lookups during an SMTP session time out.",
    fix="Bring {server} ({ip}) back or open its port 53, else remove it from the NS records here and at the registrar.",
    ref="RFC 2182 section 3; Zonemaster connectivity01",
    subjects=("ip",),
)
NO_TCP = Rule(
    "zone.no-tcp",
    Severity.WARNING,
    says="the name server {server} ({ip}) of {zone} gives no answer over TCP",
    why="Answers that do not fit into a datagram are lost, and long SPF and DKIM records are the first of them.",
    fix="Open TCP port 53 on {server} ({ip}), and in front of it.",
    ref="RFC 7766 section 5; Zonemaster connectivity02",
    subjects=("ip",),
)
NO_ADDRESS = Rule(
    "zone.no-address",
    Severity.WARNING,
    says="name servers of {zone} have no address: {servers}",
    why="They can never be asked; if such a name can be registered, a stranger can take over the zone.",
    fix="Publish addresses for {servers}, or remove the names from the NS records here and at the registrar.",
    ref="RFC 1912 section 2.8",
)
ALIAS = Rule(
    "zone.alias",
    Severity.WARNING,
    says="name servers of {zone} are aliases (CNAME): {servers}",
    why="An NS record must not name an alias; many resolvers do not follow it.",
    fix="Name {servers} in the NS records by names that have address records themselves.",
    ref="RFC 2181 section 10.3; RFC 1912 section 2.4; Zonemaster delegation05",
)
NOT_PUBLIC = Rule(
    "zone.not-public",
    Severity.WARNING,
    says="name servers of {zone} have no public address: {servers}",
    why="Nobody outside can ask them.",
    fix="Publish the public addresses of {servers}; if the exporter's resolver shows an internal view of DNS, "
    "give it one that sees what the Internet sees.",
    ref="RFC 6890",
)
SINGLE = Rule(
    "zone.single",
    Severity.WARNING,
    says="{zone} has a single name server, {server}",
    why="While it is down, the domain does not exist for anybody.",
    fix="Add a second name server for {zone} in another network.",
    ref="RFC 1034 section 4.1; RFC 2182 section 5",
)
SAME_NETWORK = Rule(
    "zone.same-network",
    Severity.WARNING,
    says="all {count} name servers of {zone} are in one network, {network}",
    why="What takes that network down takes the domain down.",
    fix="Place a name server for {zone} in another network.",
    ref="RFC 2182 section 3.1; Zonemaster connectivity03",
)
TOO_MANY = Rule(
    "zone.too-many",
    Severity.INFO,
    says="{zone} has {count} name servers; only the first {limit} are asked",
    why="A delegation of so many does not fit into a small answer, and no more are looked at here.",
    fix="Reduce the name servers of {zone}.",
    ref="RFC 2182 section 5",
)
DELEGATION_DIFFERS = Rule(
    "zone.delegation-differs",
    Severity.WARNING,
    says="the parent zone delegates {zone} to {parent}, the zone itself names {child}",
    why="Resolvers ask one set or the other; servers that stand in one of them alone are forgotten until they fail.",
    fix="Make the NS records of {zone} and its delegation at the registrar the same.",
    ref="RFC 1034 section 4.2.2; Zonemaster consistency04",
)
DATA_DIFFER = Rule(
    "zone.data-differ",
    Severity.WARNING,
    says="the name servers of {zone} disagree about the {kind} record of {name}: {answers}",
    why="It depends on the server that a receiver asks whether mail is accepted or arrives: it fails for some of them.",
    fix="Mend the zone transfer of {zone} (NOTIFY, AXFR/IXFR, TSIG) until each server has the same {name} {kind}.",
    ref="RFC 1034 section 4.3.5; Zonemaster Z09_INCONSISTENT_MX_DATA and Z11_INCONSISTENT_SPF_POLICIES",
)
SERIALS_DIFFER = Rule(
    "zone.serials-differ",
    Severity.INFO,
    says="the name servers of {zone} have different serials: {serials}",
    why="A change has not reached all of them; for longer than the SOA's refresh that is no delay but a fault.",
    fix="Mend the zone transfer of {zone} to the servers with the older serial.",
    ref="RFC 1035 section 3.3.13; RFC 1982 section 3.2; Zonemaster consistency01",
)
BOGUS = Rule(
    "zone.bogus",
    Severity.CRITICAL,
    says="DNSSEC validation of {domain} fails for {questions}: {reason}",
    why="For receivers that validate, these records do not exist: they see no MX, SPF, DKIM or DMARC.",
    fix="Sign the zone of {domain} anew, or set its DS record at the registrar to the key that signs it, or remove it.",
    ref="RFC 4035 section 5.5; RFC 8914",
    implies=Dead.ZONE,
)
DS_WITHOUT_KEY = Rule(
    "zone.ds-without-key",
    Severity.CRITICAL,
    says="the DS records of {zone} are for the keys {wanted}, but its servers have {have}",
    why="Receivers that validate see no MX, SPF, DKIM or DMARC.",
    fix="Set the DS record of {zone} at the registrar to a key that its servers publish, or remove it.",
    ref="RFC 4035 section 5; Zonemaster dnssec02",
    implies=Dead.ZONE,
)
SIGNATURE_EXPIRING = Rule(
    "zone.signature-expiring",
    Severity.WARNING,
    says="a DNSSEC signature of {zone} is good until {end} only: {record}",
    why="From then on, receivers that validate see no MX, SPF, DKIM or DMARC.",
    fix="Look why {zone} is not signed anew in time, and whether the signed zone reaches all its servers.",
    ref="RFC 4034 section 3.1.5; RFC 6781 section 4.4.2; Zonemaster dnssec04",
)
UNSIGNED = Rule(
    "zone.unsigned",
    Severity.INFO,
    says="{zone} is not protected by DNSSEC: its parent zone has no DS record for it",
    why="Forged answers about it cannot be told, and DANE (RFC 7672) cannot be used for its mail.",
    fix="Sign {zone} and have the DS record published at the registrar.",
    ref="RFC 4035 section 4.3",
)
NAMESERVERS = Metric("deliverability_zone_nameservers", "Name servers that the domain's zone names.")
SIGNATURES = Metric(
    "deliverability_zone_signature_not_after_timestamp_seconds",
    "The earliest end of a DNSSEC signature over the SOA, NS and mail records of the domain's zone; absent unless "
    "the zone has a DS record.",
)

EXPIRING = 2 * 86400.0  # seconds


def _items(target: Zone) -> Iterator[Item]:
    for name in dict.fromkeys((target.name, *target.mail_from)):
        yield Item(ItemKind.MX, name)
        yield Item(ItemKind.SPF, name)
    yield Item(ItemKind.DMARC, f"_dmarc.{target.name}")
    for key in dict.fromkeys(target.keys):
        yield Item(ItemKind.DKIM, key)


def _bogus(domain: str, seen: Iterable[Reply]) -> Iterator[Fact]:
    replies = [reply for reply in seen if reply.status is Status.BOGUS]
    if replies:
        said = dict.fromkeys(error for reply in replies for error in reply.extended_errors)
        questions = commas(dict.fromkeys(reply.question for reply in replies))
        yield BOGUS(domain=domain, questions=questions, reason=commas(said) or "the resolver gives no reason")


def _named(answers: ZoneAnswers) -> Iterator[Fact]:
    """Findings about the names and addresses of the servers, whatever they answer."""
    apex, hosts, named = answers.zone, answers.hosts, answers.named
    yield NAMESERVERS(len(named))
    if len(named) > MOST_SERVERS:
        yield TOO_MANY(zone=apex, count=len(named), limit=MOST_SERVERS)
    if len(named) == 1:
        yield SINGLE(zone=apex, server=hosts[0].name)
    private = [h for h in hosts if h.addresses and all(names.not_public(ip) for ip in h.addresses)]
    for rule, some in (
        (NO_ADDRESS, [host for host in hosts if host.without_address]),
        (ALIAS, [host for host in hosts if host.alias]),
        (NOT_PUBLIC, private),
    ):
        if some:
            yield rule(zone=apex, servers=commas(host.name for host in some))
    networks = {ip_network((ip, 24 if ip.version == 4 else 48), strict=False) for h in hosts for ip in h.addresses}
    if len(networks) == 1 and len(hosts) > 1 and all(host.addresses and not host.doubt for host in hosts):
        yield SAME_NETWORK(zone=apex, count=len(hosts), network=networks.pop())
    if answers.parent and answers.child and answers.parent != answers.child:
        parent, child = commas(sorted(answers.parent)), commas(sorted(answers.child))
        yield DELEGATION_DIFFERS(zone=apex, parent=parent, child=child)
    for host in hosts:
        if host.doubt:
            yield _doubt(host.doubt)


async def _reached(net: Net, place: ZoneLocation, answers: ZoneAnswers) -> list[Fact]:
    """Findings about each address that was asked for the SOA, unless our own way out may be closed."""
    egress = await nameservers.proven_egress(net, answers, place)
    alive = {answer.version for answer in answers.good}
    said = [fact for answer in answers.servers for fact in _one(answers.zone, answer, egress, alive)]
    return said if answers.good else [*said, await _nobody(net, answers, egress)]


def _one(apex: str, answer: ServerAnswer, egress: set[Egress], alive: set[int]) -> Iterator[Fact]:
    who: dict[str, Any] = {"zone": apex, "server": answer.server, "ip": answer.ip}
    version = answer.version
    match answer.word:
        case _ if answer.passed_over:
            return
        case ServerState.GOOD:
            for reply, over in ((answer.udp, "UDP"), (answer.tcp, "TCP")):
                match word(reply):
                    case ServerState.GOOD:
                        pass
                    case ServerState.SILENT if (version, over == "TCP") not in egress:
                        yield Doubt(Reason.EGRESS, f"no server at all answers over {over}: is our own way out closed?")
                    case ServerState.SILENT:
                        yield NO_TCP(**who) if over == "TCP" else SERVER_SILENT(**who, transports=over)
                    case _:
                        yield _doubt(reply)
        case ServerState.SILENT if version in alive:
            yield SERVER_SILENT(**who, transports="UDP and TCP")
        case ServerState.SILENT if alive and (version, False) not in egress:
            return  # nothing at all gets out over this IP version, as if there were no route
        case ServerState.LAME if (version, answer.fault is answer.tcp) in egress:
            yield LAME(**who, how=answer.how)
        case ServerState.LAME:
            yield Doubt(Reason.EGRESS, f"{answer} {answer.how}, but nothing shows that questions get out unharmed")
        case ServerState.FAILING if alive:
            yield LAME(**who, how=answer.how)
        case _:
            yield _doubt(answer.fault)


async def _nobody(net: Net, answers: ZoneAnswers, egress: set[Egress]) -> Fact:
    """Say that no server has the zone, but only if each has shown it twice and nothing else can explain it."""
    lost = [f"{host.name} has no address" for host in answers.hosts if host.without_address]
    again = await nameservers.probe_addresses(net, answers.zone, answers.hosts)
    lame = all(
        v.word is ServerState.LAME and (v.version, v.fault is v.tcp) in egress for v in (*answers.servers, *again)
    )
    if lame and all(host.addresses or host.without_address for host in answers.hosts):
        return NONE_AUTHORITATIVE(zone=answers.zone, servers="; ".join([*(f"{v} {v.how}" for v in again), *lost]))
    return Doubt(Reason.NETWORK, f"none of the servers of {answers.zone} that can be asked from here answers for it")


async def _alike(target: Zone, net: Net, answers: ZoneAnswers) -> list[Fact]:
    """Do the servers have the same data? Data that differ are asked for again, because they may just be changing."""
    items = [item for item in _items(target) if is_subdomain(item.name, answers.zone)]
    first = await nameservers.gather(net, answers, items)
    disputed = [gathered.item for gathered in first if gathered.differ]
    said: list[Fact] = [_doubt(reply) for gathered in first for reply in gathered.unanswered]
    again = await nameservers.gather(net, answers, disputed)
    soas = await nameservers.soas(net, answers) if disputed else [answer.soa for answer in answers.good]
    serials = {answer.server: it.serial for answer, it in zip(answers.good, soas, strict=True) if it}
    late = net.serial_lag(target.name, set(serials.values())) > max((it.refresh for it in soas if it), default=0)
    differ = len(set(serials.values())) > 1
    if differ:
        shown = commas(f"{serial} at {server}" for server, serial in serials.items())
        said.append(SERIALS_DIFFER(zone=answers.zone, serials=shown, severity=Severity.WARNING if late else None))
    for gathered in again:
        if gathered.differ:
            kind, name = gathered.item
            lasts = kind in (ItemKind.MX, ItemKind.SPF) and (late or not differ)
            texts = gathered.shown([answer.server for answer in answers.good])
            severity = Severity.CRITICAL if lasts else None
            said.append(DATA_DIFFER(zone=answers.zone, kind=kind, name=name, answers=texts, severity=severity))
    answers.replies.extend(reply for gathered in first for reply in gathered.replies)
    return said


async def _signed(net: Net, answers: ZoneAnswers) -> list[Fact]:
    """DNSSEC failures that are coming: keys that are missing, and signatures that end soon."""
    apex = answers.zone
    ds = await net.query(apex, "DS")
    if ds.void:
        return [UNSIGNED(zone=apex)]
    if not ds.exists:
        return [_doubt(ds)]
    said: list[Fact] = []
    wanted = wanted_keys(ds.names)
    replies = await nameservers.ask_each(net, answers, apex, "DNSKEY")
    have = keys(record for reply in replies for record in reply.names)
    if wanted and replies and all(reply.authoritative for reply in replies) and not wanted & have:
        shown = (commas(map(str, sorted(some))) for some in (wanted, have))
        said.append(DS_WITHOUT_KEY(zone=apex, wanted=next(shown), have=next(shown) or "none"))
    signed = [(reply.signature.ends, reply) for reply in (*answers.replies, *replies) if reply.signature]
    if signed:
        ends, reply = min(signed, key=itemgetter(0))
        said.append(SIGNATURES(ends))
        if reply.signature and ends_soon(reply.signature, net.clock.wall(), EXPIRING):
            end = minute(ends)
            said.append(SIGNATURE_EXPIRING(zone=apex, end=end, record=f"{reply.question} at {reply.server}"))
    return said


def _doubt(reply: Reply) -> Doubt:
    return reply.doubt or Doubt(Reason.MALFORMED, f"{reply.question}: an answer that leaves the question open")
