"""DNSSEC failures that are coming: keys that are missing, and signatures that end soon."""

from __future__ import annotations

from operator import itemgetter

from exporter.checks.zone import nameservers
from exporter.checks.zone.nameservers import ZoneAnswers
from exporter.checks.zone.rules import DS_WITHOUT_KEY, SIGNATURE_EXPIRING, SIGNATURES, UNSIGNED
from exporter.mail.zone import ends_soon, keys, wanted_keys
from exporter.model import Fact
from exporter.net import Net
from exporter.text import commas, minute

EXPIRING = 2 * 86400.0  # seconds


async def judge(net: Net, answers: ZoneAnswers) -> list[Fact]:
    apex = answers.zone
    ds = await net.query(apex, "DS")
    if ds.void:
        return [UNSIGNED(zone=apex)]
    if not ds.exists:
        return [nameservers.doubt(ds).over(UNSIGNED, DS_WITHOUT_KEY, SIGNATURE_EXPIRING)]
    said: list[Fact] = []
    wanted = wanted_keys(ds.names)
    replies = await nameservers.ask_each(net, answers, apex, "DNSKEY")
    have = keys(record for reply in replies for record in reply.names)
    lacking = bool(wanted) and not wanted & have
    if lacking and replies and all(reply.authoritative for reply in replies):
        shown = (commas(map(str, sorted(some))) for some in (wanted, have))
        said.append(DS_WITHOUT_KEY(zone=apex, wanted=next(shown), have=next(shown) or "none"))
    for reply in replies:
        if not reply.status.conclusive:
            doubt = nameservers.doubt(reply).over(SIGNATURE_EXPIRING)
            said.append(doubt.over(DS_WITHOUT_KEY) if lacking else doubt)
    signed = [(reply.signature.ends, reply) for reply in (*answers.replies, *replies) if reply.signature]
    if signed:
        ends, reply = min(signed, key=itemgetter(0))
        said.append(SIGNATURES(ends))
        if reply.signature and ends_soon(reply.signature, net.clock.wall(), EXPIRING):
            end = minute(ends)
            said.append(SIGNATURE_EXPIRING(zone=apex, end=end, record=f"{reply.question} at {reply.server}"))
    return said
