"""Do the servers of a zone have the same data, and do they answer for it with authority?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.checks.zone import nameservers
from exporter.checks.zone.nameservers import ZoneAnswers
from exporter.checks.zone.rules import DATA_DIFFER, NOT_AUTHORITATIVE, SERIALS_DIFFER, SIGNATURE_EXPIRING
from exporter.facts import Doubt, Reason, Severity
from exporter.mail.dns import ServerReply
from exporter.mail.zone import Gathered, Item, ItemKind
from exporter.model import Fact
from exporter.net import Net
from exporter.text import commas


async def judge(net: Net, domain: str, answers: ZoneAnswers, items: Sequence[Item]) -> list[Fact]:
    """Data that differ or come without authority are asked for again, because they may just be changing."""
    first = await nameservers.gather(net, answers, items)
    ns = [answers.ns_by_ip[answer.ip] for answer in answers.good if answer.ip in answers.ns_by_ip]
    every = [*first, *([Gathered(Item(ItemKind.NS, answers.zone), tuple(ns))] if ns else [])]
    disputed = [gathered.item for gathered in every if gathered.differ or _without_aa(answers, gathered)]
    again = await nameservers.gather(net, answers, disputed)
    said: list[Fact] = [fact for gathered in (*first, *again) for fact in _unanswered(answers, gathered)]
    soas = await nameservers.soas(net, answers) if disputed else [answer.soa for answer in answers.good]
    serials = {answer.label: it.serial for answer, it in zip(answers.good, soas, strict=True) if it}
    complete = all(answer.label in serials for answer in answers.servers)
    lag = net.serial_lag(domain, set(serials.values()), complete=complete)
    late = lag > max((it.refresh for it in soas if it), default=0)
    if not all(soas):
        missing = Doubt(Reason.NETWORK, f"a server of {answers.zone} does not give its serial when asked again")
        said.append(missing.over(SERIALS_DIFFER))
    differ = len(set(serials.values())) > 1
    if differ:
        shown = commas(f"{serial} at {server}" for server, serial in serials.items())
        said.append(SERIALS_DIFFER(zone=answers.zone, serials=shown, severity=Severity.WARNING if late else None))
    for gathered in again:
        if gathered.differ:
            kind, name = gathered.item
            lasts = kind in (ItemKind.MX, ItemKind.SPF) and (late or not differ)
            texts = gathered.shown([answer.label for answer in answers.good])
            severity = Severity.CRITICAL if lasts else None
            said.append(DATA_DIFFER(zone=answers.zone, kind=kind, name=name, answers=texts, severity=severity))
    said.extend(_without_authority(answers, again))
    answers.replies.extend(reply for gathered in first for reply in gathered.replies)
    return said


def _unanswered(answers: ZoneAnswers, gathered: Gathered) -> Iterator[Fact]:
    kind, name = gathered.item
    for answer, reply in zip(answers.good, gathered.replies, strict=True):
        if reply in gathered.unanswered:
            doubt = nameservers.doubt(reply).over(DATA_DIFFER, kind=kind, name=name)
            yield doubt.over(NOT_AUTHORITATIVE, ip=answer.ip).over(SIGNATURE_EXPIRING)


def _without_aa(answers: ZoneAnswers, gathered: Gathered) -> tuple[int, ...]:
    """The positions of the good servers that answered without authority.

    Below the apex, another zone may begin. Servers then may answer from a cache, unless one of them has authority.
    """
    own = gathered.item.name == answers.zone or any(reply.authoritative for reply in gathered.replies)
    return gathered.without_authority if own else ()


def _without_authority(answers: ZoneAnswers, again: Sequence[Gathered]) -> Iterator[Fact]:
    """Servers that have the zone, but answer some questions without authority."""
    without: dict[int, list[ServerReply]] = {}
    for gathered in again:
        for at in _without_aa(answers, gathered):
            without.setdefault(at, []).append(gathered.replies[at])
    for at, replies in without.items():
        answer = answers.good[at]
        questions = commas(dict.fromkeys(str(reply.question) for reply in replies))
        yield NOT_AUTHORITATIVE(zone=answers.zone, server=answer.server, ip=answer.ip, questions=questions)
