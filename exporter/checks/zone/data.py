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


async def judge(net: Net, domain: str, heard: ZoneAnswers, items: Sequence[Item]) -> list[Fact]:
    """What differs, or lacks authority, is asked once more: it may have been changing just then."""
    first = await nameservers.gather(net, heard, items)
    named = [heard.named_by[voice.ip] for voice in heard.good if voice.ip in heard.named_by]
    told = [*first, *([Gathered(Item(ItemKind.NS, heard.zone), tuple(named))] if named else [])]
    disputed = [gathered.item for gathered in told if gathered.differ or _hearsay(heard, gathered)]
    again = await nameservers.gather(net, heard, disputed)
    said: list[Fact] = [fact for gathered in (*first, *again) for fact in _unanswered(heard, gathered)]
    soas = await nameservers.soas(net, heard) if disputed else [voice.soa for voice in heard.good]
    serials = {voice.label: it.serial for voice, it in zip(heard.good, soas, strict=True) if it}
    late = net.serial_lag(domain, set(serials.values())) > max((it.refresh for it in soas if it), default=0)
    if not all(soas):
        missing = Doubt(Reason.NETWORK, f"a server of {heard.zone} does not tell its serial when asked again")
        said.append(missing.over(SERIALS_DIFFER))
    differ = len(set(serials.values())) > 1
    if differ:
        shown = commas(f"{serial} at {server}" for server, serial in serials.items())
        said.append(SERIALS_DIFFER(zone=heard.zone, serials=shown, severity=Severity.WARNING if late else None))
    for gathered in again:
        if gathered.differ:
            kind, name = gathered.item
            lasts = kind in (ItemKind.MX, ItemKind.SPF) and (late or not differ)
            answers = gathered.shown([voice.label for voice in heard.good])
            severity = Severity.CRITICAL if lasts else None
            said.append(DATA_DIFFER(zone=heard.zone, kind=kind, name=name, answers=answers, severity=severity))
    said.extend(_without_authority(heard, again))
    heard.answers.extend(reply for gathered in first for reply in gathered.replies)
    return said


def _unanswered(heard: ZoneAnswers, gathered: Gathered) -> Iterator[Fact]:
    kind, name = gathered.item
    for voice, reply in zip(heard.good, gathered.replies, strict=True):
        if reply in gathered.unanswered:
            doubt = nameservers.doubt(reply).over(DATA_DIFFER, kind=kind, name=name)
            yield doubt.over(NOT_AUTHORITATIVE, ip=voice.ip).over(SIGNATURE_EXPIRING)


def _hearsay(heard: ZoneAnswers, gathered: Gathered) -> tuple[int, ...]:
    """Which good servers lack authority. Below the apex, another zone may begin that some know by hearsay."""
    own = gathered.item.name == heard.zone or any(reply.authoritative for reply in gathered.replies)
    return gathered.without_authority if own else ()


def _without_authority(heard: ZoneAnswers, again: Sequence[Gathered]) -> Iterator[Fact]:
    """A server that has the zone, but answers some questions from hearsay."""
    hearsay: dict[int, list[ServerReply]] = {}
    for gathered in again:
        for at in _hearsay(heard, gathered):
            hearsay.setdefault(at, []).append(gathered.replies[at])
    for at, replies in hearsay.items():
        voice = heard.good[at]
        questions = commas(dict.fromkeys(str(reply.question) for reply in replies))
        yield NOT_AUTHORITATIVE(zone=heard.zone, server=voice.server, ip=voice.ip, questions=questions)
