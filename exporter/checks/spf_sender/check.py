"""May our senders use the envelope domains? It evaluates SPF for each of their addresses, as a receiver does."""

from __future__ import annotations

from exporter.checks.spf_sender import addresses, providers
from exporter.facts import Metric
from exporter.mail.spf.check_host import SpfEvaluation, check_host
from exporter.model import Facts, Light, check
from exporter.net import Net
from exporter.targets import Authorisation, Egress


@check(over=Authorisation, light=Light.SPF, questions=4)
async def spf_sender(target: Authorisation, net: Net) -> Facts:
    """Does the SPF policy of the envelope sender domains authorise the sender?"""
    results: list[SpfEvaluation] = []
    for egress in target.egress:
        found = {name: await _evaluated(name, egress, net) for name in target.mail_from}
        yield addresses.judge(egress, found)
        results += found.values()
    if target.spf_include is not None:
        replies = providers.Replies(net)
        for name in target.mail_from:
            async for fact in providers.judge(name, target.sender, target.spf_include, replies):
                yield fact
    if results and not any(result.reason for result in results):
        yield LOOKUPS(max(result.lookups for result in results))
        if voids := max(result.voids for result in results):
            yield VOIDS(voids)


async def _evaluated(name: str, egress: Egress, net: Net) -> SpfEvaluation:
    result = await net.drive(check_host(egress.ip, name, f"postmaster@{name}", egress.helo))
    question = f"check_host {egress.ip}, MAIL FROM postmaster@{name}, HELO {egress.helo}"
    net.transcript.note(question, result.lines, "evaluated", result.seconds)
    return result


LOOKUPS = Metric(
    "deliverability_spf_sender_dns_lookups",
    "DNS lookups that SPF needs for the sender's most expensive address; the eleventh ends it in permerror.",
)
VOIDS = Metric(
    "deliverability_spf_sender_void_lookups",
    "SPF mechanisms without records (void lookups) for the sender's most expensive address; the third ends it in "
    "permerror. Absent if there is none.",
)
