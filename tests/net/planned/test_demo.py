"""With a full dump of each zone of the demonstration, all its records are answered as before, one by one."""

from __future__ import annotations

from importlib.resources import files

import dns.name
import dns.rdatatype
import dns.zone

from exporter.demo.nameserver import ZoneData
from exporter.mail import names
from exporter.mail.dns import Question
from exporter.net.dns.wire import name_text
from exporter.net.planned import zone_file
from exporter.net.planned.client import PlannedDns
from exporter.net.planned.records import PlannedRecords
from tests.support.memory import MemoryResolver

HEAD = "$TTL 300\n$ORIGIN .\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ NS ns.invalid.\n"
TYPES = ("A", "AAAA", "MX", "TXT", "NS", "CNAME", "PTR", "TLSA")


async def test_with_full_dumps_the_demonstration_stays_as_it_is() -> None:
    text = (files("exporter.demo") / "world.zone").read_text()
    world = ZoneData(text)
    zone = dns.zone.from_text(HEAD + text, origin=".", relativize=False)
    dumps: dict[str, list[str]] = {}
    owners = set()
    for name, stored in zone.iterate_rdatasets():
        owner = name_text(name)
        if stored.rdtype != dns.rdatatype.SOA and owner != ".":
            owners.add(owner)
            dumps.setdefault(names.registered(owner), []).append(stored.to_text(name))
    plan = []
    for apex, lines in dumps.items():
        soa = f"{apex}. 300 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300"
        plan.append(zone_file.parse(apex, "\n".join([soa, *lines]).encode()))
    real = MemoryResolver(world)
    dns_then = PlannedDns(real, PlannedRecords(plan))
    compared, other = 0, []
    for owner in owners:
        for rdtype in TYPES:
            question = Question(owner, rdtype)
            right = await real.ask(question)
            if right.status.conclusive:  # the demonstration has faults, too
                reply = await dns_then.ask(question)
                compared += reply.transport == "planned"
                if (reply.status, set(reply.records), reply.chain) != (right.status, set(right.records), right.chain):
                    other.append((question, right, reply))
    assert compared > len(owners)
    assert other == []
