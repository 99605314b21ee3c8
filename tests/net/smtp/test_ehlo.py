"""The EHLO probe says the name exactly and nothing else, is gentle with servers of others, and believes no accident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from exporter.checks.ehlo_probe import ehlo_probe
from exporter.demo.nameserver import ZoneData
from exporter.engine.evaluate import evaluate
from exporter.facts import IP, Reason, Severity
from exporter.model import Outcome
from exporter.net import Net
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.ehlo import EVERY, PAUSE, UNREACHED, EhloClient, EhloResult
from exporter.net.smtp.probe import Deadlines
from exporter.targets import EhloProbe, MailHost, Peer
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver
from tests.support.peers import HERE, SECOND, SHORT

MX = Peer("mx1.example.net")
GREETING = "220 AM4PEPF00027A63.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready"

# What senders said to Office 365 and what they heard. The server's mark in brackets is as in the report; where a
# report shows none, there is none.
REFUSAL = "501 5.5.4 Invalid domain name"
OFFICE_365 = {
    "two dots": ("MacBook..", ""),
    "trailing dot": (
        "mylaptopname.",
        " [AS4P189CA0060.EURP189.PROD.OUTLOOK.COM 2023-10-24T06:56:46.567Z 08DBD2CBA8497480]",
    ),
    "library's default": (
        "[127.0.1.1]",
        " [SCZP152CA0017.LAMP152.PROD.OUTLOOK.COM 2023-05-04T21:24:07.002Z 08DB4C5CCB756BD2]",
    ),
    "trailing space": ("mail.example.com ", ""),
    "inner space": ("say hello", ""),
}


@dataclass
class Script:
    """A server that greets, answers EHLO as told and says goodbye. `heard` is what each client said, octet by octet."""

    ehlo: str = "250 mx1.example.net"
    greeting: str = GREETING
    shut: bool = False  # hang up instead of answering EHLO
    heard: list[bytes] = field(default_factory=list)
    present: int = 0
    most: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.present += 1
        self.most = max(self.most, self.present)
        self.heard.append(b"")
        mine = len(self.heard) - 1
        try:
            writer.write(self.greeting.encode() + b"\r\n")
            while line := await reader.readline():
                self.heard[mine] += line
                if line == b"QUIT\r\n":
                    writer.write(b"221 2.0.0 Service closing transmission channel\r\n")
                    break
                if self.shut:
                    break
                writer.write(self.ehlo.encode() + b"\r\n")
        finally:
            self.present -= 1
            writer.close()


@dataclass
class Lab:
    script: Script
    clock: FakeClock
    mail: SmtpClient
    slept: list[float]

    async def ask(self, name: str, server: Peer = MX, *ips: IP) -> EhloResult:
        return await self.mail.ehlo(server, ips or (HERE,), name)

    async def judge(self, name: str, peers: tuple[Peer, ...] = (MX,)) -> Outcome:
        dns = MemoryResolver(ZoneData(f"{MX.name}. A {HERE}\nmx2.example.net. A {SECOND}"))
        target = EhloProbe(sender="out", ip=ip_address("192.0.2.10"), helo=name, peers=peers)
        return await evaluate(ehlo_probe, target, lambda: Net(dns, self.clock, mail=self.mail), self.clock)


@asynccontextmanager
async def lab(script: Script, deadlines: Deadlines = SHORT, queue_timeout: float = 5.0) -> AsyncIterator[Lab]:
    """A client that finds the script wherever it dials. To sleep moves the clock and takes no time."""
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    address: tuple[str, int] = server.sockets[0].getsockname()[:2]
    clock, slept = FakeClock(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.pass_(seconds)

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return address

    mail = SmtpClient(None, clock, dial=dial, deadlines=deadlines)
    mail._ehlo = EhloClient(mail._context, mail._egress, queue_timeout=queue_timeout, sleep=sleep)
    try:
        yield Lab(script, clock, mail, slept)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("case", OFFICE_365)
async def test_what_office_365_said_is_told_word_by_word(case: str) -> None:
    name, mark = OFFICE_365[case]
    reply = REFUSAL + mark
    async with lab(Script(reply)) as it:
        outcome = await it.judge(name)
    (finding,) = outcome.findings
    assert (finding.id, finding.severity, outcome.doubt) == ("ehlo_probe.refused", Severity.CRITICAL, None)
    assert finding.subject == (("mail_host", MX.name),)
    assert finding.text == f'EHLO "{name}" is rejected by {MX.name}: {reply} (from [{HERE}])'
    assert it.script.heard == [f"EHLO {name}\r\nQUIT\r\n".encode()]
    assert outcome.transcript[-1].got == (
        f"-- to {HERE} port 25",
        f"S: {GREETING}",
        f"C: EHLO {name}",
        f"S: {reply}",
        "C: QUIT",
        "S: 221 2.0.0 Service closing transmission channel",
    )


@pytest.mark.parametrize(
    "name", ["mail.example.com", "mail.example.com.", "", " ", "\t", "a  b", "münchen.example", "\x7f\x1b", "x" * 512]
)
async def test_a_name_is_sent_octet_by_octet_as_it_is_configured(name: str) -> None:
    async with lab(Script()) as it:
        said = await it.ask(name)
    assert it.script.heard == [b"EHLO " + name.encode() + b"\r\nQUIT\r\n"]
    assert (said.reached, said.refusal, said.doubt) == (True, None, None)


@pytest.mark.parametrize("name", ["a\r\nMAIL FROM:<>", "a\nb", "a\rb", "a\0b", "\ud800"])
async def test_a_name_that_is_no_line_is_never_sent(name: str) -> None:
    async with lab(Script()) as it:
        outcome = await it.judge(name)
    assert it.script.heard == []
    assert outcome.findings == ()
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("reply", "severity"),
    {
        "501 Syntactically invalid EHLO argument(s)": Severity.CRITICAL,
        "504 5.5.2 <smtp>: Helo command rejected: need fully-qualified hostname": Severity.CRITICAL,
        "550 Host names have more than one DNS label": Severity.CRITICAL,
        "553 5.7.1 go away": Severity.WARNING,
        "554 5.7.1 your address is listed": Severity.WARNING,
    }.items(),
)
async def test_a_5xx_to_ehlo_is_a_refusal_and_critical_where_it_can_only_mean_the_name(
    reply: str, severity: Severity
) -> None:
    async with lab(Script(reply)) as it:
        outcome = await it.judge("mail.example.com")
    assert [(finding.severity, dict(finding.evidence)["reply"]) for finding in outcome.findings] == [(severity, reply)]
    assert outcome.doubt is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script("421 4.3.2 not now"), Reason.TEMPFAIL),
        (Script("450 4.7.1 Helo command rejected: Host not found"), Reason.TEMPFAIL),
        (Script("500 5.5.1 Command unrecognized"), Reason.MALFORMED),
        (Script("502 5.5.1 no such command"), Reason.MALFORMED),
        (Script("503 5.5.1 bad sequence"), Reason.MALFORMED),
        (Script("521 this host takes no mail"), Reason.MALFORMED),
        (Script("252 perhaps"), Reason.MALFORMED),
        (Script("354 go on"), Reason.MALFORMED),
        (Script("hello yourself"), Reason.MALFORMED),
        (Script(shut=True), Reason.NETWORK),
        (Script(greeting="421 4.7.0 busy"), Reason.TEMPFAIL),
        (Script(greeting="554 5.7.1 blocked"), Reason.EGRESS),
        (Script(greeting="250 hm"), Reason.MALFORMED),
        (Script(greeting="+OK POP3"), Reason.MALFORMED),
    ],
    ids=lambda given: f"{given.greeting} / {given.ehlo}" if isinstance(given, Script) else str(given),
)
async def test_an_answer_that_does_not_speak_of_the_name_is_no_verdict(script: Script, reason: Reason) -> None:
    script.heard.clear()
    async with lab(script) as it:
        outcome = await it.judge("MacBook..")
    assert outcome.findings == ()
    assert outcome.doubt is not None
    assert outcome.doubt.reason is reason
    assert len(script.heard) == 1, "and nothing more is tried"
    assert b"HELO" not in script.heard[0].replace(b"EHLO", b"")


async def test_the_same_name_is_said_once_however_many_addresses_say_it_and_at_whatever_time() -> None:
    async with lab(Script(REFUSAL)) as it:
        together = await asyncio.gather(*(it.ask("MacBook..") for _ in range(20)))
        it.clock.pass_(EVERY / 2)
        later = await it.ask("MacBook..")
        assert len(it.script.heard) == 1
        assert {str(said.reply) for said in (*together, later)} == {REFUSAL}
        assert later.lines[0].startswith("-- asked 10800 s ago; ")
        it.clock.pass_(EVERY / 2)
        await it.ask("MacBook..")
        assert len(it.script.heard) == 2


async def test_a_not_now_is_kept_as_long_as_a_yes() -> None:
    async with lab(Script("421 4.3.2 not now")) as it:
        await it.ask("mail.example.com")
        it.clock.pass_(EVERY / 2)
        again = await it.ask("mail.example.com")
        assert len(it.script.heard) == 1
        assert again.doubt is not None
        assert again.doubt.reason is Reason.TEMPFAIL


async def test_a_server_that_was_never_reached_has_not_been_asked() -> None:
    async with lab(Script()) as it:
        refuse = True
        through = it.mail._context.dial

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            if refuse:
                raise ConnectionRefusedError(111, "Connection refused")
            return await through(ip, port)

        object.__setattr__(it.mail._context, "dial", dial)
        first = await it.ask("mail.example.com")
        refuse = False
        it.clock.pass_(UNREACHED - 1)
        soon = await it.ask("mail.example.com")
        it.clock.pass_(1)
        later = await it.ask("mail.example.com")
    assert [said.doubt and said.doubt.reason for said in (first, soon, later)] == [Reason.EGRESS, Reason.EGRESS, None]


async def test_one_connection_at_a_time_with_a_pause_behind_each() -> None:
    async with lab(Script()) as it:
        said = await asyncio.gather(*(it.ask(f"mail{n}.example.com") for n in range(5)))
    assert all(answer.reply and answer.reply.code == 250 for answer in said)
    assert it.script.most == 1
    assert it.slept == [PAUSE] * 4
    assert len(it.script.heard) == 5


async def test_servers_do_not_wait_for_each_other() -> None:
    async with lab(Script()) as it:
        await asyncio.gather(*(it.ask("mail.example.com", Peer(f"mx{n}.example.net")) for n in range(5)))
    assert it.slept == []
    assert len(it.script.heard) == 5


async def test_who_waits_too_long_for_a_busy_server_cannot_tell_and_may_ask_again() -> None:
    async with lab(Script(greeting="220-so\r\n220-slow"), queue_timeout=0.05) as it:
        slow, waiting = await asyncio.gather(it.ask("a.example.com"), it.ask("b.example.com"))
        assert slow.doubt is not None
        assert waiting.doubt is not None
        assert [slow.doubt.reason, waiting.doubt.reason] == [Reason.NETWORK, Reason.RATE_LIMITED]
        it.script.greeting = GREETING
        assert (await it.ask("b.example.com")).doubt is None


async def test_a_run_that_is_broken_off_leaves_the_server_free_for_the_next() -> None:
    async with lab(Script(greeting="220-so\r\n220-slow")) as it:
        run = asyncio.ensure_future(it.ask("mail.example.com"))
        while not it.script.heard:
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        it.script.greeting = GREETING
        assert (await it.ask("mail.example.com")).doubt is None


async def test_memory_is_bounded_by_the_interval() -> None:
    async with lab(Script()) as it:
        for n in range(5):
            await it.ask("mail.example.com", Peer(f"mx{n}.example.net"))
        it.clock.pass_(2 * EVERY)
        await it.ask("mail.example.com")
        assert len(it.mail._ehlo._kept) == len(it.mail._ehlo._servers) == 1


async def test_without_a_name_of_our_own_names_of_senders_can_be_said_but_no_dialogue_held() -> None:
    async with lab(Script()) as it:
        assert (await it.ask("mail.example.com")).reached
        with pytest.raises(RuntimeError, match="helo_name"):
            await it.mail.probe(MailHost(host=MX.name), HERE)


async def test_one_peer_that_cannot_tell_hides_no_refusal_of_another() -> None:
    async with lab(Script(REFUSAL)) as it:
        outcome = await it.judge("MacBook..", (Peer("lost.example.net"), MX, Peer("mx2.example.net")))
    assert [dict(finding.subject)["mail_host"] for finding in outcome.findings] == [MX.name, "mx2.example.net"]
    assert outcome.doubt is not None
    assert outcome.doubt.reason is Reason.NETWORK
    assert "lost.example.net" in outcome.doubt.detail


async def test_an_address_that_dns_of_others_names_is_not_dialled_unless_it_is_public() -> None:
    async def straight(ip: IP, port: int) -> tuple[str, int]:
        return str(ip), port

    async with lab(Script()) as it:
        _, port = await it.mail._context.dial(HERE, 25)
        object.__setattr__(it.mail._context, "dial", straight)
        it.mail._egress._dial = straight
        loopback = ip_address("127.0.0.1")
        found = await it.ask("mail.example.com", Peer("mx.example.net", port=port), loopback)
        configured = await it.ask("mail.example.com", Peer("relay.example.net", exactly=True, port=port), loopback)
    assert found.doubt is not None
    assert "no public address (loopback)" in found.doubt.detail
    assert (configured.doubt, len(it.script.heard)) == (None, 1)
