"""The SMTP client and a real Postfix: each listener gets the right verdict."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exporter.checks.smtp_tls.check import smtp_tls as check
from exporter.clock import SystemClock
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.facts import IP, Reason
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.smtp.client import SmtpClient
from exporter.targets import MailHost
from tests.lab import postfix
from tests.lab.process import Lab
from tests.support.memory import MemoryResolver

pytestmark = pytest.mark.lab

LISTENERS = {
    "good": postfix.GOOD,
    **{version: postfix.only(version) for version in ("1.0", "1.1", "1.2", "1.3")},
    "all versions": postfix.Listener(tls=">=TLSv1"),
    "expired": postfix.EXPIRED,
    "wrong name": postfix.WRONG_NAME,
    "untrusted": postfix.UNTRUSTED,
    "no starttls": postfix.NO_STARTTLS,
    "small": postfix.size(10_240),
    "busy": postfix.BUSY,
    "from the first octet": postfix.Listener(options={"smtpd_tls_wrappermode": "yes"}),
    "forbids pipelining": postfix.Listener(options={"smtpd_forbid_unauth_pipelining": "yes"}),
    "no key": postfix.Listener(options={"smtpd_tls_chain_files": "/nonexistent.pem"}),
}
ADDRESSES = {case: ip_address(f"192.0.2.{n}") for n, case in enumerate(LISTENERS, 1)}


@pytest.fixture(scope="module")
def mail_servers(lab: Lab) -> postfix.Postfix:
    return postfix.postfix(lab, LISTENERS)


@pytest.fixture
def door(mail_servers: postfix.Postfix) -> SmtpClient:
    cases = {ip: case for case, ip in ADDRESSES.items()}

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return mail_servers.at[cases[ip]]

    return SmtpClient("probe.lab.test", SystemClock(), dial=dial, authorities=mail_servers.authority.cert_pem.bytes())


async def judged(door: SmtpClient, case: str, port: int = 25) -> Outcome:
    clock, ip = SystemClock(), ADDRESSES[case]
    dns = MemoryResolver(ZoneData(f"{postfix.HOSTNAME}. A {ip}"))
    target = MailHost(host=postfix.HOSTNAME, port=port)
    return await evaluate(check, target, lambda: Net(dns, clock, mail=door), clock)


@pytest.mark.parametrize(
    ("case", "findings", "versions"),
    [
        ("good", [], "0011"),
        ("1.0", ["smtp_tls.obsolete-only"], "1000"),
        ("1.1", ["smtp_tls.obsolete-only"], "0100"),
        ("1.2", [], "0010"),
        ("1.3", [], "0001"),
        ("all versions", ["smtp_tls.obsolete-version"], "1111"),
        ("expired", ["smtp_tls.certificate-expired"], "0011"),
        ("wrong name", ["smtp_tls.certificate-name"], "0011"),
        ("untrusted", ["smtp_tls.certificate-untrusted"], "0011"),
        ("no starttls", ["smtp_tls.no-starttls"], "0000"),
        ("small", [], "0011"),
        ("forbids pipelining", [], "0011"),
    ],
)
async def test_a_listener_is_told_for_what_it_is(
    door: SmtpClient, case: str, findings: list[str], versions: str
) -> None:
    outcome = await judged(door, case)
    assert outcome.doubt is None, outcome.transcript
    assert [finding.id for finding in outcome.findings] == findings, outcome.transcript
    spoken = [it.value for it in outcome.samples if it.metric.name == "deliverability_smtp_tls_version_supported"]
    assert "".join(f"{value:.0f}" for value in spoken) == versions, outcome.transcript


async def test_a_size_limit_is_read(door: SmtpClient) -> None:
    values = {it.metric.name: it.value for it in (await judged(door, "small")).samples}
    assert values["deliverability_smtp_size_limit_bytes"] == 10_240


async def test_a_busy_server_is_no_verdict(door: SmtpClient) -> None:
    outcome = await judged(door, "busy")
    assert not outcome.findings
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.TEMPFAIL


async def test_a_port_that_is_tls_from_the_first_octet_is_spoken_to_so(door: SmtpClient) -> None:
    outcome = await judged(door, "from the first octet", port=465)
    assert (outcome.findings, outcome.doubt) == ((), None), outcome.transcript


async def test_a_server_that_cannot_read_its_key_fails(door: SmtpClient) -> None:
    outcome = await judged(door, "no key")
    assert [finding.id for finding in outcome.findings] == ["smtp_tls.tls-fails"]
    assert outcome.findings[0].text.endswith("fails: alert handshake failure")
