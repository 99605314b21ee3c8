"""Asks each name server of a domain's zone directly. A resolver asks only one of them, and hides what the others say.

Servers that contradict each other are worse than a silent one: mail then fails for the receivers that happen to ask the
wrong server. Different data are critical if they do not heal by themselves. They must still differ when asked again,
and one of these must be true:

- The serials are equal.
- One server has been behind for longer than the SOA's refresh. Until then, a zone transfer may be under way.

How long a server has been behind, and how long all of them have been silent, is kept in memory only. After a restart,
it counts from zero.

The exporter's resolver validates DNSSEC, because it follows the whole chain of trust. We do not validate here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from exporter.checks.zone import data, delegation, nameservers, reach, signing
from exporter.checks.zone.rules import BOGUS, DELEGATION_DIFFERS, NO_SUCH_DOMAIN, STALE_GLUE
from exporter.facts import Doubt, Reason
from exporter.mail import names
from exporter.mail.dns import Reply, Status
from exporter.mail.zone import Item, ItemKind, find, is_subdomain
from exporter.model import Door, Fact, Facts, check
from exporter.net import Net
from exporter.targets import Zone
from exporter.text import commas


@check(over=Zone, interval=timedelta(minutes=20), timeout=timedelta(seconds=90), needs={Door.NAMESERVERS}, questions=15)
async def zone(target: Zone, net: Net) -> Facts:
    """Do all name servers of the domain answer, with the same data?"""
    found = await net.drive(find(target.name))
    if not found.exists and not found.doubt and not is_subdomain(found.zone or ".", names.registrable(target.name)):
        yield NO_SUCH_DOMAIN(domain=target.name, zone=found.zone or ".")
        return
    items = list(_items(target))
    seen = await nameservers.validated(net, items)
    yield _bogus(target.name, [*seen, *([found.doubt] if found.doubt else [])])
    place = await nameservers.locate(net, target.name, found)
    if place is None:
        above = Doubt(Reason.MALFORMED, f"nothing above {target.name} has a SOA record")
        yield nameservers.doubt(found.doubt) if found.doubt else above
        return
    if found.doubt and place.delegation is None:
        yield nameservers.doubt(found.doubt)  # is this the zone at all?
    yield (nameservers.doubt(reply).over(BOGUS) for reply in seen if reply.doubt)
    if place.unanswered:
        yield nameservers.doubt(place.unanswered).over(DELEGATION_DIFFERS, STALE_GLUE)
    answers = await nameservers.probe(net, place)
    if not answers.hosts:
        yield nameservers.doubt(answers.ns)
        return
    yield delegation.judge(answers)
    yield await reach.judge(net, target.name, place, answers)
    yield await data.judge(net, target.name, answers, [item for item in items if is_subdomain(item.name, answers.zone)])
    yield await signing.judge(net, answers)


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
