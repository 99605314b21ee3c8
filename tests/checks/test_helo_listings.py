"""A HELO name that a list names in every second answer is found, although each look asks several times."""

from __future__ import annotations

import random
from ipaddress import ip_address

from exporter.checks.helo.check import helo
from exporter.engine.evaluate import evaluate
from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.net import Net
from exporter.net.dnsbl.client import DnsblClient
from exporter.targets import Greeting
from tests.support.clock import FakeClock

DAY, INTERVAL = 86400.0, 900.0
OURS = Blocklist("ours", "bl.example.org", lists=Lists.DOMAINS, whole_name=True)
TARGET = Greeting(sender="out", ip=ip_address("192.0.2.10"), helo="mail.example.com", lists=(OURS,))
CODE = ip_address("127.0.0.2")


class Half:
    """A resolver. The list names the HELO name in every second answer, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        if question.name == OURS.question("mail.example.com"):
            named = self.chance.random() < 0.5
        else:
            named = question.name == OURS.test_points[0]
        if named and question.rdtype == "A":
            return Reply(question, Status.ANSWER, (CODE,))
        return Reply(question, Status.NXDOMAIN)


async def test_a_name_in_every_second_answer_is_listed_within_two_days() -> None:
    for seed in range(3):
        clock, half = FakeClock(), Half(seed)
        lists = DnsblClient(clock)
        due = regular = clock.monotonic()
        found = False
        while not found and clock.monotonic() < 2 * DAY:
            clock.pass_(due - clock.monotonic())
            outcome = await evaluate(helo, TARGET, lambda: Net(half, clock, blocklists=lists), clock)  # noqa: B023  (it is run at once)
            found = "helo.listed" in {finding.id for finding in outcome.findings}
            while regular <= clock.monotonic():
                regular += INTERVAL
            due = min(regular, clock.monotonic() + outcome.again) if outcome.again else regular
        assert found
