"""What the scenarios of smtp_tls cannot say: certificates of any lifetime, hosts of many addresses, and no client."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exporter.checks.smtp_tls import smtp_tls as check
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.facts import IP, Reason
from exporter.mail.certificate import Certificate, Shown
from exporter.mail.smtp import SmtpReply
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.smtp.probe import SmtpResult
from exporter.targets import MailHost
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver
from tests.support.peers import HOST

DAY = 86400.0
LEAF = Certificate(0, 0, ("mx.example.com",), "CN=mx", "CN=ca", self_signed=False, key="EC 256", weak="", sha256="")


class Told(Net):
    """Every address tells the same."""

    told: SmtpResult
    asked: list[IP]

    async def probe(self, target: MailHost, ip: IP) -> SmtpResult:
        self.asked.append(ip)
        return self.told


async def judged(
    told: SmtpResult, zone: str = "mx.example.com. A 192.0.2.25", port: int = 25
) -> tuple[Outcome, list[IP]]:
    clock, asked = FakeClock(), list[IP]()

    def net() -> Net:
        it = Told(MemoryResolver(ZoneData(zone)), clock)
        it.told, it.asked = told, asked
        return it

    return await evaluate(check, MailHost(host=HOST.host, port=port), net, clock), asked


def shown(lifetime: float, left: float) -> SmtpResult:
    """With so many days of life, and left of it."""
    end = FakeClock().wall() + left * DAY
    leaf = Certificate(
        end - lifetime * DAY, end, LEAF.names, LEAF.subject, LEAF.issuer, self_signed=False, key="", weak="", sha256=""
    )
    return SmtpResult(
        ip_address("192.0.2.25"),
        greeting=SmtpReply(220, ("mx",)),
        offered={"SIZE": "1"},
        starttls=True,
        shown=Shown(leaf, 2, trusted=True),
    )


@pytest.mark.parametrize(
    ("lifetime", "left", "expiring"),
    [
        (365, 22, False),
        (365, 20, True),
        (90, 22, False),
        (90, 20, True),
        (47, 15, False),  # where ACME clients renew with a third of the life left
        (47, 11, True),
        (6, 2, False),
        (6, 1, True),
    ],
)
async def test_renewal_is_overdue_by_the_certificate_s_own_measure(
    lifetime: float, left: float, expiring: bool
) -> None:
    """A fixed number of days would call every short-lived certificate overdue all its life."""
    outcome, _ = await judged(shown(lifetime, left))
    assert [finding.id for finding in outcome.findings] == ["smtp_tls.certificate-expiring"] * expiring


@pytest.mark.parametrize(
    ("port", "left", "severity"), [(25, 2, "warning"), (587, 4, "warning"), (587, 2, "critical"), (465, 2, "critical")]
)
async def test_the_last_days_are_critical_only_where_clients_verify(port: int, left: float, severity: str) -> None:
    outcome, _ = await judged(shown(365, left), port=port)
    assert [finding.severity for finding in outcome.findings] == [severity]


async def test_no_more_than_eight_addresses_are_visited_and_that_is_said() -> None:
    zone = "\n".join(f"mx.example.com. A 192.0.2.{n}" for n in range(1, 11))
    outcome, asked = await judged(shown(90, 60), zone)
    assert len(set(asked)) == len(asked) == 8
    assert ("2 more addresses, which are not looked at",) in [exchange.got for exchange in outcome.transcript]


async def test_in_whatever_order_dns_tells_them_the_same_addresses_are_visited() -> None:
    every = [f"mx.example.com. A 192.0.2.{n}" for n in range(1, 11)]
    visited = [(await judged(shown(90, 60), "\n".join(order)))[1] for order in (every, every[::-1])]
    assert visited[0] == visited[1]


async def test_without_a_door_the_check_is_no_verdict() -> None:
    clock = FakeClock()
    dns = MemoryResolver(ZoneData("mx.example.com. A 192.0.2.25"))
    outcome = await evaluate(check, HOST, lambda: Net(dns, clock), clock)
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.BUG
