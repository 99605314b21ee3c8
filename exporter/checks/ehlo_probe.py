"""Asks peers what they answer to a sender's name in EHLO. It is off unless it is configured.

Receivers refuse different names, and only they know which. So we ask them. A peer is found through the MX records of
its domain, as mail finds it. exporter/net/smtp/ehlo.py says what is sent.

The first server of a peer that answers decides. The answer may depend on the address that asks. So this check is most
useful on the machine that sends the mail. Elsewhere it still shows whether the peer accepts the form of the name.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from exporter.checks.helo.syntax import EXIM, GMAIL, OFFICE_365, SET
from exporter.facts import Doubt, Reason, Rule, Severity
from exporter.mail import host_remedies, mx
from exporter.mail.dns import Reply
from exporter.mail.helo import parse
from exporter.mail.mx import Way
from exporter.model import Door, Facts, Light, check
from exporter.net import Net
from exporter.net.smtp.ehlo import EVERY, EhloResult
from exporter.targets import EhloProbe, Peer


@check(
    light=Light.HELO,
    over=EhloProbe,
    interval=timedelta(seconds=EVERY),
    min_interval=timedelta(seconds=EVERY),
    timeout=timedelta(minutes=10),
    needs={Door.EHLO},
    questions=3,
)
async def ehlo_probe(target: EhloProbe, net: Net) -> Facts:
    """Do the probed receivers accept the sender's EHLO name?"""
    said = await asyncio.gather(*(_ask(peer, target.helo, net) for peer in target.peers))
    meant = parse(target.helo).repaired
    plain = meant if meant and meant != target.helo else f"one that resolves to {target.ip} and is its PTR name"
    for peer, answer in zip(target.peers, said, strict=True):
        reply = answer.refusal
        if reply:
            severity = None if reply.code in OF_THE_NAME else Severity.WARNING
            yield REFUSED(
                mail_host=peer.name,
                helo=target.helo,
                reply=reply,
                server=answer.server.removeprefix(f"{peer.name} "),
                plain=plain,
                severity=severity,
            )
        if answer.doubt:
            yield answer.doubt.over(REFUSED, mail_host=peer.name)


REFUSED = Rule(
    "ehlo_probe.refused",
    Severity.CRITICAL,
    says='EHLO "{helo}" is rejected by {mail_host}: {reply} (from {server})',
    why="The rejection comes before any address, so no mail of this machine is accepted there. If the reply is about "
    "an address or a blocklist, it means the exporter's machine.",
    fix=SET,
    ref="RFC 5321 section 4.1.4; RFC 3463 section 3.6",
    refusals=(
        OFFICE_365,
        GMAIL,
        EXIM,
        "Postfix: 501 5.5.2 Helo command rejected: Invalid name",
        "Postfix: 504 5.5.2 Helo command rejected: need fully-qualified hostname",
        "OpenSMTPD: 501 5.5.4 Invalid command arguments: Invalid domain name",
    ),
    subjects=("mail_host",),
    merged=host_remedies.greet_words,
    remedy=host_remedies.greet,
)

MOST_SERVERS = 2  # of one peer, while none of them says a word
OF_THE_NAME = frozenset({501, 504, 550})  # RFC 5321 sections 4.1.4, 4.3.2; with other codes it may mean our address


async def _ask(peer: Peer, name: str, net: Net) -> EhloResult:
    """What the peer's most preferred server says, or the next if that says nothing."""
    servers, said = await _servers(peer, net)
    for server in servers[:MOST_SERVERS]:
        host = await net.drive(mx.look_up(server.name))
        if host.addresses:
            said = await net.ehlo(server, host.addresses, name)
        else:
            said = EhloResult(server.name, doubt=_unanswered(host.doubt) or _nowhere(server.name, "has no address"))
        if said.reached:
            break
    return said


async def _servers(peer: Peer, net: Net) -> tuple[list[Peer], EhloResult]:
    """In the order in which mail tries them; and why there are none, if there are none."""
    if peer.exactly:
        return [peer], EhloResult(peer.name)
    route = await net.drive(mx.route(peer.name))
    names = [peer.name] if route.way is Way.IMPLICIT else list(route.hosts)
    doubt = _unanswered(route.doubt) or _nowhere(peer.name, "accepts no mail: it has no mail host in DNS")
    return [Peer(name) for name in names], EhloResult(peer.name, doubt=doubt)


def _unanswered(reply: Reply | None) -> Doubt | None:
    return reply.doubt if reply else None


def _nowhere(name: str, why: str) -> Doubt:
    return Doubt(Reason.NETWORK, f"{name} {why}; correct it in the configuration")
