"""The EHLO probe against real servers that refuse bad names: each is told in its own words."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exporter.checks.ehlo_probe import ehlo_probe
from exporter.clock import SystemClock
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.facts import IP, Reason, Severity
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.smtp.client import SmtpClient
from exporter.targets import EhloProbe, Peer
from tests.lab import postfix
from tests.lab.exim import exim
from tests.lab.opensmtpd import opensmtpd
from tests.lab.process import Endpoint, Lab
from tests.support.memory import MemoryResolver

pytestmark = pytest.mark.lab

MX = ip_address("192.0.2.25")
STRICT = {"smtpd_helo_restrictions": "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname"}

EXIM = "501 Syntactically invalid EHLO argument(s)"
OPENSMTPD = "501 5.5.4 Invalid command arguments: Invalid domain name"
INVALID = "501 5.5.2 <{}>: Helo command rejected: Invalid name"
NOT_QUALIFIED = "504 5.5.2 <{}>: Helo command rejected: need fully-qualified hostname"

# What each says to a name; nothing where it accepts it. They agree about little, hence the probe.
NAMES = {
    # said in EHLO          Exim, OpenSMTPD, Postfix
    "mail.example.com": ("", "", ""),
    "MacBook..": ("", OPENSMTPD, INVALID),
    "mylaptopname.": ("", OPENSMTPD, NOT_QUALIFIED),
    "mail.example.com ": ("", OPENSMTPD, ""),
    "say hello": (EXIM, OPENSMTPD, INVALID),
    "": (EXIM, OPENSMTPD, "501 Syntax: EHLO hostname"),
    "mail_out.example.com": (EXIM, "", ""),
    "a..b.example": ("", OPENSMTPD, INVALID),
    "-a.example": ("", OPENSMTPD, INVALID),
    "smtp": ("", "", NOT_QUALIFIED),
    "198.51.100.9": ("", "", NOT_QUALIFIED),
    "[198.51.100.9]": ("", "", ""),
    "[nonsense]": (EXIM, OPENSMTPD, "501 5.5.2 <{}>: Helo command rejected: invalid ip address"),
    "münchen.example": (EXIM, OPENSMTPD, INVALID),
}


async def judged(at: Endpoint, name: str) -> Outcome:
    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return at

    clock, dns = SystemClock(), MemoryResolver(ZoneData(f"mx.lab.test. A {MX}"))
    mail = SmtpClient(None, clock, dial=dial, pause=0)
    target = EhloProbe(sender="out", ip=ip_address("192.0.2.10"), helo=name, peers=(Peer("mx.lab.test"),))
    return await evaluate(ehlo_probe, target, lambda: Net(dns, clock, mail=mail), clock)


async def says(at: Endpoint, name: str, reply: str) -> None:
    """Assert that this server, and so the check, says this of the name, and nothing where the reply is empty."""
    outcome = await judged(at, name)
    assert outcome.doubt is None, outcome.transcript
    wanted = [(reply.format(name), Severity.CRITICAL)] if reply else []
    assert [(dict(f.evidence)["reply"], f.severity) for f in outcome.findings] == wanted, outcome.transcript
    (talk,) = (exchange.got for exchange in outcome.transcript if exchange.via == "smtp")
    assert [line for line in talk if line.startswith("C: ")] == [f"C: EHLO {name}", "C: QUIT"]
    assert talk[-1].startswith("S: 221 ")


@pytest.fixture(scope="module")
def exim_at(lab: Lab) -> Endpoint:
    return exim(lab)


@pytest.fixture(scope="module")
def opensmtpd_at(lab: Lab) -> Endpoint:
    return opensmtpd(lab)


@pytest.fixture(scope="module")
def postfixes(lab: Lab) -> postfix.Postfix:
    listeners = {
        "at once": postfix.Listener(options={**STRICT, "smtpd_delay_reject": "no"}),
        "after RCPT": postfix.Listener(options=STRICT),
        "our address": postfix.Listener(
            options={"smtpd_client_restrictions": "reject", "smtpd_delay_reject": "no", "smtpd_helo_required": "yes"}
        ),
        "not now": postfix.Listener(
            options={
                "smtpd_helo_restrictions": "check_helo_access static:{450 4.7.1 not found}",
                "smtpd_delay_reject": "no",
            }
        ),
    }
    return postfix.postfix(lab, listeners)


@pytest.mark.parametrize("name", NAMES)
async def test_exim_is_quoted(exim_at: Endpoint, name: str) -> None:
    await says(exim_at, name, NAMES[name][0])


@pytest.mark.parametrize("name", NAMES)
async def test_opensmtpd_is_quoted(opensmtpd_at: Endpoint, name: str) -> None:
    await says(opensmtpd_at, name, NAMES[name][1])


@pytest.mark.parametrize("name", NAMES)
async def test_postfix_is_quoted(postfixes: postfix.Postfix, name: str) -> None:
    await says(postfixes.at["at once"], name, NAMES[name][2])


async def test_what_postfix_holds_back_until_rcpt_is_not_seen(postfixes: postfix.Postfix) -> None:
    """Its default. The probe never says MAIL FROM, so a pass is a pass of EHLO alone, as its documentation says."""
    await says(postfixes.at["after RCPT"], "MacBook..", "")


async def test_a_postfix_that_refuses_our_address_says_nothing_of_the_name(postfixes: postfix.Postfix) -> None:
    outcome = await judged(postfixes.at["our address"], "mail.example.com")
    assert (outcome.findings, outcome.doubt and outcome.doubt.reason) == ((), Reason.EGRESS), outcome.transcript


async def test_a_postfix_that_says_not_now_gives_no_verdict(postfixes: postfix.Postfix) -> None:
    outcome = await judged(postfixes.at["not now"], "MacBook..")
    assert (outcome.findings, outcome.doubt and outcome.doubt.reason) == ((), Reason.TEMPFAIL), outcome.transcript
