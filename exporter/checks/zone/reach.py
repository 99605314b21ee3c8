"""What each address of a zone's servers did when asked for the SOA: the part of the check about who answers at all.

Only what our own way out cannot explain is charged to a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exporter.checks.zone import nameservers
from exporter.checks.zone.nameservers import Way, ZoneAnswers, ZoneLocation
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


async def judge(net: Net, domain: str, place: ZoneLocation, heard: ZoneAnswers) -> list[Fact]:
    ways = await nameservers.ways_out(net, heard, place)
    alive = {voice.version for voice in heard.good}
    if heard.good:
        net.zone_silences().answered(domain)
        said = [fact for voice in heard.voices for fact in _one(heard, voice, ways, alive)]
        return _without_a_way_in(place, heard, said)
    # Others may have shown the way, for other zones.
    ways |= net.zone_silences().proven(domain, {voice.ip for voice in heard.voices})
    said = [fact for voice in heard.voices for fact in _one(heard, voice, ways, alive)]
    return [*said, await _nobody(net, domain, heard, ways)]


def _one(heard: ZoneAnswers, voice: ServerAnswer, ways: set[Way], alive: set[int]) -> Iterator[Fact]:
    apex = heard.zone
    who: dict[str, Any] = {"zone": apex, "server": voice.server, "ip": voice.ip}
    if voice.stale:
        yield from _stale(heard, voice, ways, alive)
        return
    if voice.passed_over or (nameservers.fictitious(apex, voice.server, voice.ip) and not voice.good):
        return
    if voice.good:
        for reply, over in ((voice.udp, "UDP"), (voice.tcp, "TCP")):
            rule = NO_TCP if over == "TCP" else SERVER_SILENT
            match word(reply):
                case ServerState.GOOD:
                    pass
                case ServerState.SILENT if (voice.version, over == "TCP") not in ways:
                    closed = Doubt(Reason.EGRESS, f"no server at all answers over {over}: is our own way out closed?")
                    yield closed.over(rule, ip=voice.ip)
                case ServerState.SILENT:
                    yield NO_TCP(**who) if over == "TCP" else SERVER_SILENT(**who, transports=over)
                case _:
                    yield nameservers.doubt(reply).over(rule, ip=voice.ip)
    elif alive and _no_way(voice, ways):
        return  # nothing at all gets out over this IP version, as if there were no route
    elif not _proven(voice, ways, alive):
        yield _unproven(voice).over(*OF_A_SERVER, ip=voice.ip).over(*OF_THE_DATA)
    elif voice.word is ServerState.SILENT:
        yield SERVER_SILENT(**who, transports="UDP and TCP")
    else:
        yield LAME(**who, how=voice.how)


def _stale(heard: ZoneAnswers, voice: ServerAnswer, ways: set[Way], alive: set[int]) -> Iterator[Fact]:
    """An address that only the parent zone gives: it misleads whoever comes from there, unless the zone is there."""
    has = next((host.addresses for host in heard.hosts if host.name == voice.server), ())
    shown = commas(ip for ip in has if ip != voice.ip) or "it has none"
    who: dict[str, Any] = {"zone": heard.zone, "server": voice.server, "ip": voice.ip, "addresses": shown}
    if voice.good:
        yield STALE_GLUE(**who, how="answers for the zone all the same", severity=Severity.INFO)
    elif names.not_public(voice.ip):
        yield STALE_GLUE(**who, how="is not public")
    elif names.documentation(voice.ip) and nameservers.fictitious(heard.zone, voice.server, voice.ip):
        yield STALE_GLUE(**who, how="is one of examples")
    elif voice.passed_over or (alive and _no_way(voice, ways)):
        yield STALE_GLUE(**who, how="cannot be asked from here", severity=Severity.INFO)
    elif _proven(voice, ways, alive):
        silent = voice.word is ServerState.SILENT
        yield STALE_GLUE(**who, how="gives no answer" if silent else voice.how)
    else:
        yield _unproven(voice).over(STALE_GLUE, ip=voice.ip)


def _proven(voice: ServerAnswer, ways: set[Way], alive: set[int]) -> bool:
    """Is it the server's own doing that it is not good?"""
    match voice.word:
        case ServerState.SILENT:
            return voice.version in alive
        case ServerState.LAME:
            return (voice.version, voice.fault is voice.tcp) in ways
        case ServerState.FAILING:
            return bool(alive)
        case _:
            return False


def _no_way(voice: ServerAnswer, ways: set[Way]) -> bool:
    """Is it silent over an IP version by which nobody at all has answered?"""
    return voice.word is ServerState.SILENT and (voice.version, False) not in ways


def _unproven(voice: ServerAnswer) -> Doubt:
    if voice.word is ServerState.LAME:
        return Doubt(Reason.EGRESS, f"{voice} {voice.how}, but nothing shows that questions get out unharmed")
    return nameservers.doubt(voice.fault)


def _without_a_way_in(place: ZoneLocation, heard: ZoneAnswers, said: list[Fact]) -> list[Fact]:
    """If no address in the delegation answers, whoever comes from the parent zone gets nowhere."""
    glue = dict.fromkeys(place.delegation.glue if place.delegation else ())
    lost = {ip for fact in said if isinstance(fact, Finding) and (ip := _dead_address(fact))}
    delegated = {name for name, _ in glue}
    whole = heard.parent <= delegated and all(inside(name, heard.zone) for name in delegated)
    if not (glue and whole and all(str(ip) in lost for _, ip in glue)):
        return said
    return [
        STALE_GLUE(severity=Severity.CRITICAL, **dict(fact.evidence))
        if isinstance(fact, Finding) and fact.rule is STALE_GLUE and fact.severity is Severity.WARNING
        else fact
        for fact in said
    ]


def _dead_address(found: Finding) -> str | None:
    """The address at which nobody answers for the zone, as it was found."""
    gone = found.rule in (LAME, STALE_GLUE) and found.severity.fails
    silent = found.rule is SERVER_SILENT and dict(found.evidence)["transports"] == "UDP and TCP"
    return dict(found.evidence)["ip"] if gone or silent else None


async def _nobody(net: Net, domain: str, heard: ZoneAnswers, ways: set[Way]) -> Fact:
    """That no server has the zone is said only when each has shown it twice, and nothing else can explain it.

    That none answers is said only when each has been silent for long, while servers of others answer. Each has been
    asked twice in this run already.
    """
    lost = [f"{host.name} has no address" for host in heard.hosts if host.without_address]
    if _lame(heard.voices, ways) and all(host.addresses or host.without_address for host in heard.hosts):
        again = await nameservers.voices(net, heard.zone, heard.hosts)
        if _lame(again, ways):
            return NONE_AUTHORITATIVE(zone=heard.zone, servers="; ".join([*(f"{v} {v.how}" for v in again), *lost]))
    by_ip = {voice.ip: voice for voice in heard.voices}
    if by_ip and all(_mute(heard.zone, host, by_ip, ways) for host in heard.hosts):
        since = net.zone_silences().silent(domain)
        if since is not None:
            told = "; ".join([*(f"{v} {_shown(v)}" for v in heard.voices if not v.passed_over), *lost])
            return SILENT(zone=heard.zone, since=minute(since), servers=told)
    none = Doubt(Reason.NETWORK, f"none of the servers of {heard.zone} that can be asked from here answers for it")
    return none.over(*OF_NOBODY, *OF_A_SERVER, *OF_THE_DATA, DS_WITHOUT_KEY, DELEGATION_DIFFERS)


def _lame(voices: Iterable[ServerAnswer], ways: set[Way]) -> bool:
    return all(v.word is ServerState.LAME and (v.version, v.fault is v.tcp) in ways for v in voices)


def _mute(apex: str, host: ServerHost, by_ip: Mapping[IP, ServerAnswer], ways: set[Way]) -> bool:
    """Does it not answer for the zone, by what nothing but itself can explain?"""
    there = [voice for ip in (*host.addresses, *host.stale) if (voice := by_ip.get(ip))]
    asked = [voice for voice in there if not (voice.passed_over or _no_way(voice, ways))]
    if asked:
        return all(_helpless(voice, ways) for voice in asked)
    if host.doubt and not host.addresses:
        return inside(host.name, apex)  # whoever could tell its address is among those that do not answer
    return all(names.not_public(ip) for ip in host.addresses)  # without any address, too


def _helpless(voice: ServerAnswer, ways: set[Way]) -> bool:
    """An answer that is no use is its own only over a way that is shown to lead to servers, and not to others."""
    if voice.word in (ServerState.LAME, ServerState.FAILING):
        return (voice.version, voice.fault is voice.tcp) in ways
    return voice.word is ServerState.SILENT  # over a shown way, too: see above


def _shown(voice: ServerAnswer) -> str:
    return "gives no answer" if voice.word is ServerState.SILENT else voice.how
