"""Judges what each address of a zone's servers answered when it was asked for the SOA.

A failure is a finding about the server only if our own network cannot be its cause. Otherwise it is a doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exporter.checks.zone import nameservers
from exporter.checks.zone.nameservers import Egress, ZoneAnswers, ZoneLocation
from exporter.checks.zone.rules import (
    DELEGATION_DIFFERS,
    DS_WITHOUT_KEY,
    LAME,
    NO_TCP,
    NONE_AUTHORITATIVE,
    OF_A_SERVER,
    OF_NOBODY,
    OF_THE_DATA,
    SERVER_SILENT,
    SILENT,
    STALE_GLUE,
)
from exporter.facts import IP, Doubt, Finding, Reason, Severity
from exporter.mail import names
from exporter.mail.zone import ServerAnswer, ServerHost, ServerState, inside, word
from exporter.model import Fact
from exporter.net import Net
from exporter.text import commas, minute


async def judge(net: Net, domain: str, place: ZoneLocation, answers: ZoneAnswers) -> list[Fact]:
    egress = await nameservers.proven_egress(net, answers, place)
    alive = {answer.version for answer in answers.good}
    if answers.good:
        net.zone_silences().answered(domain)
        said = [fact for answer in answers.servers for fact in _one(answers, answer, egress, alive)]
        return _raise_if_all_glue_is_dead(place, answers, said)
    # Servers of other zones may have proven an egress too.
    egress |= net.zone_silences().proven(domain, {answer.ip for answer in answers.servers})
    said = [fact for answer in answers.servers for fact in _one(answers, answer, egress, alive)]
    return [*said, await _nobody(net, domain, answers, egress)]


def _one(answers: ZoneAnswers, answer: ServerAnswer, egress: set[Egress], alive: set[int]) -> Iterator[Fact]:
    apex = answers.zone
    who: dict[str, Any] = {"zone": apex, "server": answer.server, "ip": answer.ip}
    if answer.stale:
        yield from _stale(answers, answer, egress, alive)
        return
    if answer.passed_over or (nameservers.fictitious(apex, answer.server, answer.ip) and not answer.good):
        return
    if answer.good:
        for reply, over in ((answer.udp, "UDP"), (answer.tcp, "TCP")):
            rule = NO_TCP if over == "TCP" else SERVER_SILENT
            match word(reply):
                case ServerState.GOOD:
                    pass
                case ServerState.SILENT if (answer.version, over == "TCP") not in egress:
                    closed = Doubt(Reason.EGRESS, f"no server answers over {over}: is outbound traffic blocked here?")
                    yield closed.over(rule, ip=answer.ip)
                case ServerState.SILENT:
                    yield NO_TCP(**who) if over == "TCP" else SERVER_SILENT(**who, transports=over)
                case _:
                    yield nameservers.doubt(reply).over(rule, ip=answer.ip)
    elif alive and _no_egress(answer, egress):
        return  # nothing gets out over this IP version, so it counts as if there were no route
    elif not _proven(answer, egress, alive):
        yield _unproven(answer).over(*OF_A_SERVER, ip=answer.ip).over(*OF_THE_DATA)
    elif answer.word is ServerState.SILENT:
        yield SERVER_SILENT(**who, transports="UDP and TCP")
    else:
        yield LAME(**who, how=answer.how)


def _stale(answers: ZoneAnswers, answer: ServerAnswer, egress: set[Egress], alive: set[int]) -> Iterator[Fact]:
    """An address that only the parent zone has. Resolvers that follow the delegation may ask it in vain."""
    has = next((host.addresses for host in answers.hosts if host.name == answer.server), ())
    shown = commas(ip for ip in has if ip != answer.ip) or "it has none"
    who: dict[str, Any] = {"zone": answers.zone, "server": answer.server, "ip": answer.ip, "addresses": shown}
    if answer.good:
        yield STALE_GLUE(**who, how="still answers for the zone", severity=Severity.INFO)
    elif names.not_public(answer.ip):
        yield STALE_GLUE(**who, how="is not public")
    elif names.documentation(answer.ip) and nameservers.fictitious(answers.zone, answer.server, answer.ip):
        yield STALE_GLUE(**who, how="is reserved for documentation")
    elif answer.passed_over or (alive and _no_egress(answer, egress)):
        yield STALE_GLUE(**who, how="cannot be reached from here", severity=Severity.INFO)
    elif _proven(answer, egress, alive):
        silent = answer.word is ServerState.SILENT
        yield STALE_GLUE(**who, how="does not answer" if silent else answer.how)
    else:
        yield _unproven(answer).over(STALE_GLUE, ip=answer.ip)


def _proven(answer: ServerAnswer, egress: set[Egress], alive: set[int]) -> bool:
    """Is the server the proven cause of its failure?"""
    match answer.word:
        case ServerState.SILENT:
            return answer.version in alive
        case ServerState.LAME:
            return (answer.version, answer.fault is answer.tcp) in egress
        case ServerState.FAILING:
            return bool(alive)
        case _:
            return False


def _no_egress(answer: ServerAnswer, egress: set[Egress]) -> bool:
    """Is it silent over an IP version over which no server at all has answered?"""
    return answer.word is ServerState.SILENT and (answer.version, False) not in egress


def _unproven(answer: ServerAnswer) -> Doubt:
    if answer.word is ServerState.LAME:
        return Doubt(
            Reason.EGRESS, f"{answer} {answer.how}, but nothing shows that queries leave this network unchanged"
        )
    return nameservers.doubt(answer.fault)


def _raise_if_all_glue_is_dead(place: ZoneLocation, answers: ZoneAnswers, said: list[Fact]) -> list[Fact]:
    """Make stale glue critical if no address in the delegation answers: then no resolver reaches the zone."""
    glue = dict.fromkeys(place.delegation.glue if place.delegation else ())
    dead = {ip for fact in said if isinstance(fact, Finding) and (ip := _dead_address(fact))}
    delegated = {name for name, _ in glue}
    whole = answers.parent <= delegated and all(inside(name, answers.zone) for name in delegated)
    if not (glue and whole and all(str(ip) in dead for _, ip in glue)):
        return said
    return [
        STALE_GLUE(severity=Severity.CRITICAL, **dict(fact.evidence))
        if isinstance(fact, Finding) and fact.rule is STALE_GLUE and fact.severity is Severity.WARNING
        else fact
        for fact in said
    ]


def _dead_address(found: Finding) -> str | None:
    """The address that does not serve the zone, if the finding is about one; else None."""
    gone = found.rule in (LAME, STALE_GLUE) and found.severity.fails
    silent = found.rule is SERVER_SILENT and dict(found.evidence)["transports"] == "UDP and TCP"
    return dict(found.evidence)["ip"] if gone or silent else None


async def _nobody(net: Net, domain: str, answers: ZoneAnswers, egress: set[Egress]) -> Fact:
    """No server of the zone is good. Say why, if that is certain.

    All are lame: only if each has shown it twice and nothing else can explain it. None answers: only if all have been
    silent for long while servers of other zones answered. Each has already been asked twice in this run.
    """
    lost = [f"{host.name} has no address" for host in answers.hosts if host.without_address]
    if _lame(answers.servers, egress) and all(host.addresses or host.without_address for host in answers.hosts):
        again = await nameservers.probe_addresses(net, answers.zone, answers.hosts)
        if _lame(again, egress):
            return NONE_AUTHORITATIVE(zone=answers.zone, servers="; ".join([*(f"{v} {v.how}" for v in again), *lost]))
    by_ip = {answer.ip: answer for answer in answers.servers}
    if by_ip and all(_unusable(answers.zone, host, by_ip, egress) for host in answers.hosts):
        since = net.zone_silences().silent(domain)
        if since is not None:
            shown = "; ".join([*(f"{v} {_failure(v)}" for v in answers.servers if not v.passed_over), *lost])
            return SILENT(zone=answers.zone, since=minute(since), servers=shown)
    none = Doubt(Reason.NETWORK, f"no server of {answers.zone} that can be reached from here is authoritative for it")
    return none.over(*OF_NOBODY, *OF_A_SERVER, *OF_THE_DATA, DS_WITHOUT_KEY, DELEGATION_DIFFERS)


def _lame(servers: Iterable[ServerAnswer], egress: set[Egress]) -> bool:
    return all(v.word is ServerState.LAME and (v.version, v.fault is v.tcp) in egress for v in servers)


def _unusable(apex: str, host: ServerHost, by_ip: Mapping[IP, ServerAnswer], egress: set[Egress]) -> bool:
    """Does the server not answer for the zone, and is it itself the only possible cause?"""
    there = [answer for ip in (*host.addresses, *host.stale) if (answer := by_ip.get(ip))]
    asked = [answer for answer in there if not (answer.passed_over or _no_egress(answer, egress))]
    if asked:
        return all(_at_fault(answer, egress) for answer in asked)
    if host.doubt and not host.addresses:
        return inside(host.name, apex)  # its address is in this zone, whose servers do not answer
    return all(names.not_public(ip) for ip in host.addresses)  # true too if it has no address


def _at_fault(answer: ServerAnswer, egress: set[Egress]) -> bool:
    """A useless answer comes from the server itself only if the egress is proven to lead to real servers."""
    if answer.word in (ServerState.LAME, ServerState.FAILING):
        return (answer.version, answer.fault is answer.tcp) in egress
    return answer.word is ServerState.SILENT  # its egress is proven: the caller has left out the others


def _failure(answer: ServerAnswer) -> str:
    return "does not answer" if answer.word is ServerState.SILENT else answer.how
