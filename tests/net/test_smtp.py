"""The SMTP door keeps its manners, ends in time whatever the peer does, and blames nobody without proof."""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.demo.mailserver import Behaviour, Fault, MailServers
from exporter.mail.certificate import CertificateSyntaxError, Roots
from exporter.mail.tls import Version
from exporter.model import Reason
from exporter.net.conversation import IP, Deadlines, Dialogue
from exporter.net.session import Session
from exporter.net.smtp import Mail
from exporter.targets import MailHost
from tests.support.clock import FakeClock

HOST = MailHost(host="mx.example.com")
HERE, THERE = ip_address("192.0.2.25"), ip_address("192.0.2.99")
SHORT = Deadlines(turn=0.4, session=0.4, connect=0.2, reply=0.2, handshake=0.2, farewell=0.1, versions=0.4)
EHLO = b"250-mx.example.com\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def door(peer: Peer, deadlines: Deadlines = SHORT) -> AsyncIterator[Mail]:
    """A Mail that finds this peer wherever it dials."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address: tuple[str, int] = server.sockets[0].getsockname()[:2]

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return address

    try:
        yield Mail("probe.example.net", FakeClock(), dial=dial, deadlines=deadlines)
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def world(
    *behaviours: Behaviour, port: int = 25, clock: FakeClock | None = None
) -> AsyncIterator[tuple[Mail, MailServers]]:
    """Real servers at 192.0.2.1, .2 and so on."""
    clock = clock or FakeClock()
    hosts = {(ip_address(f"192.0.2.{n}"), port): told for n, told in enumerate(behaviours, 1)}
    servers = MailServers(hosts, clock.wall())
    await servers.start()
    try:
        yield Mail("probe.example.net", clock, dial=servers.dial, authorities=servers.pem), servers
    finally:
        await servers.stop()


FIRST, SECOND = ip_address("192.0.2.1"), ip_address("192.0.2.2")


async def say(writer: asyncio.StreamWriter, octets: bytes) -> None:
    writer.write(octets)
    await writer.drain()


async def until(reader: asyncio.StreamReader, verb: bytes) -> None:
    """Read lines up to this command."""
    while not (await reader.readuntil(b"\n")).startswith(verb):
        pass


async def to_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"220 mx.example.com\r\n")
    await until(reader, b"EHLO")
    await say(writer, EHLO)
    await until(reader, b"STARTTLS")


# --- hostile peers ---------------------------------------------------------------------------------------------------


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await say(writer, b"2")
        await asyncio.sleep(0.01)


async def drips_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await say(writer, b"220-wait\r\n")
        await asyncio.sleep(0.02)


async def never_ends_its_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await say(writer, b"220 " + b"x" * 65536)


async def never_ends_its_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await say(writer, b"220-x\r\n" * 10_000)


async def ehlo_of_100_000_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"220 mx\r\n")
    await until(reader, b"EHLO")
    await say(writer, b"250-x\r\n" * 100_000 + b"250 x\r\n")
    await reader.read()


async def hangs_up_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def hangs_up_in_a_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"220-mx.exam")


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"220 mx\r\n")
    await until(reader, b"EHLO")
    writer.transport.abort()


async def speaks_another_protocol(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"\x00\x01\x02\xff\r\n")
    await reader.read()


async def greets_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"220 mx\r\n220 mx\r\n")
    await reader.read()


async def says_nothing_to_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await to_starttls(reader, writer)
    await reader.read()


async def closes_on_starttls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await to_starttls(reader, writer)
    await say(writer, b"421 4.4.2 closing\r\n")


async def says_nothing_to_the_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await to_starttls(reader, writer)
    await say(writer, b"220 go\r\n")
    await reader.read()


async def hangs_up_on_the_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await to_starttls(reader, writer)
    await say(writer, b"220 go\r\n")
    await reader.read(1)


async def drips_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await to_starttls(reader, writer)
    await say(writer, b"220 go\r\n")
    await reader.read(1)
    await say(writer, b"\x16\x03\x03\x40\x00")
    while True:
        await say(writer, b"\x02")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (silent, Reason.NETWORK),
        (drips, Reason.NETWORK),
        (drips_lines, Reason.NETWORK),
        (never_ends_its_line, Reason.MALFORMED),
        (never_ends_its_reply, Reason.MALFORMED),
        (ehlo_of_100_000_lines, Reason.MALFORMED),
        (hangs_up_at_once, Reason.NETWORK),
        (hangs_up_in_a_reply, Reason.NETWORK),
        (resets, Reason.NETWORK),
        (speaks_another_protocol, Reason.MALFORMED),
        (greets_twice, Reason.MALFORMED),
        (says_nothing_to_starttls, Reason.NETWORK),
        (closes_on_starttls, Reason.TEMPFAIL),
        (says_nothing_to_the_hello, Reason.NETWORK),
        (hangs_up_on_the_hello, Reason.NETWORK),
        (drips_tls, Reason.NETWORK),
    ],
    ids=lambda it: getattr(it, "__name__", str(it)),
)
async def test_a_hostile_peer_ends_in_doubt_and_in_time(peer: Peer, reason: Reason) -> None:
    async with door(peer) as mail:
        since = time.monotonic()
        told = await mail.dialogue(HOST, HERE)
        assert time.monotonic() - since < SHORT.session + 0.25
    assert told.doubt is not None
    assert told.doubt.reason is reason, told
    assert (told.tls_failure, told.rejected, told.in_clear, told.secured, told.refused) == ("", None, "", None, False)


async def test_forty_endless_peers_at_once_end_in_time_and_keep_little() -> None:
    async with door(never_ends_its_reply) as mail:
        since = time.monotonic()
        told = await asyncio.gather(*(mail.dialogue(HOST, ip_address(f"192.0.2.{n}")) for n in range(40)))
        assert time.monotonic() - since < 5
    assert {dialogue.doubt and dialogue.doubt.reason for dialogue in told} == {Reason.MALFORMED}
    assert max(sum(map(len, dialogue.lines)) for dialogue in told) < 65536


async def test_garbage_in_tls_records_is_the_server_s_fault_or_ours_but_never_a_pass() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, b"220 go\r\n")
        await reader.read(1)
        await say(writer, b"\x16\x03\x03\x00\x08" + b"\xde\xad\xbe\xef" * 2)
        await reader.read()

    async with door(garbage) as mail:
        told = await mail.dialogue(HOST, HERE)
    assert told.secured is None
    assert told.tls_failure or (told.doubt and told.doubt.reason is Reason.MALFORMED)


async def test_a_tls_port_that_speaks_in_clear_fails() -> None:
    async def in_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"220 mx.example.com\r\n")
        await reader.read()

    async with door(in_clear) as mail:
        told = await mail.dialogue(replace(HOST, port=465), HERE)
    assert told.tls_failure == "it speaks in clear: 220 mx.example.com\r\n"
    assert not told.in_clear


# --- injection of a reply behind the 220 to STARTTLS -----------------------------------------------------------------

GO, INJECTED = b"220 go\r\n", b"250-injected.example.net\r\n250-SIZE 1\r\n250 EVIL\r\n"


def injects(cut: int, ssl_context: ssl.SSLContext, *, after_the_hello: bool) -> Peer:
    """The 220 and the injected reply in two segments; then honest TLS, for clients that go on."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        octets = GO + INJECTED
        await say(writer, octets[:cut])
        if after_the_hello:
            await reader.read(1)
        else:
            await asyncio.sleep(0)
        await say(writer, octets[cut:])
        await writer.start_tls(ssl_context)
        await until(reader, b"EHLO")
        await say(writer, EHLO)

    return peer


@pytest.fixture
def server_context() -> ssl.SSLContext:
    servers = MailServers({(FIRST, 25): Behaviour()}, time.time())
    return servers.servers[FIRST, 25]._context


@pytest.mark.parametrize("after_the_hello", [False, True], ids=["at-once", "after-the-hello"])
async def test_an_injected_reply_is_seen_wherever_the_segments_are_cut(
    server_context: ssl.SSLContext, after_the_hello: bool
) -> None:
    cuts = range(len(GO) if after_the_hello else 1, len(GO + INJECTED))
    for cut in cuts:
        async with door(injects(cut, server_context, after_the_hello=after_the_hello and cut == len(GO))) as mail:
            told = await mail.dialogue(HOST, HERE)
        assert told.in_clear, (cut, told)
        assert told.in_clear.startswith("2"), cut
        assert told.offered == {"SIZE": "1000", "STARTTLS": ""}, "nothing injected was believed"
        assert told.secured is None
        assert told.doubt is None


async def test_a_220_sent_before_it_is_asked_for_is_seen_too() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"220 mx.example.com\r\n")
        await until(reader, b"EHLO")
        await say(writer, EHLO + GO)
        assert b"STARTTLS" not in await reader.read()

    async with door(early) as mail:
        told = await mail.dialogue(HOST, HERE)
    assert told.in_clear == "220 go\r\n"


async def test_nothing_is_said_after_an_injection() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO + INJECTED)
        heard.set_result(await reader.read())

    async with door(peer) as mail:
        await mail.dialogue(HOST, HERE)
        assert await heard == b""


# --- manners ---------------------------------------------------------------------------------------------------------


async def test_each_command_waits_for_the_last_line_of_the_reply_before() -> None:
    """Postscreen sends a teaser and bans who does not wait; Postfix since 3.9 refuses pipelining without leave."""
    early: list[bytes] = []

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def teased(first: bytes, last: bytes) -> None:
            await say(writer, first)
            try:
                async with asyncio.timeout(0.02):
                    early.append(await reader.read(1))
            except TimeoutError:
                await say(writer, last)

        await teased(b"220-teaser\r\n220", b" mx\r\n")
        await until(reader, b"EHLO")
        await teased(b"250-mx\r\n250-SIZE 1\r\n", b"250 HELP\r\n")
        await until(reader, b"QUIT")
        await say(writer, b"221 bye\r\n")

    async with door(patient) as mail:
        told = await mail.dialogue(HOST, HERE)
    assert not early
    assert told.doubt is None
    assert told.greeting is not None
    assert told.greeting.lines == ("teaser", "mx")


@pytest.mark.parametrize("fault", [None, Fault.BUSY, Fault.REJECTS, Fault.REJECTS_NAME, Fault.NO_EHLO, Fault.TLS_LATER])
async def test_every_conversation_that_can_ends_with_quit(fault: Fault | None) -> None:
    async with world(Behaviour(fault=fault)) as (mail, servers):
        await mail.dialogue(HOST, FIRST)
    assert servers.servers[FIRST, 25].sessions[0][-1] == "QUIT"


async def test_we_say_our_own_name_and_say_it_again_under_tls() -> None:
    async with world(Behaviour()) as (mail, servers):
        await mail.dialogue(HOST, FIRST)
    first = servers.servers[FIRST, 25].sessions[0]
    assert first == ["EHLO probe.example.net", "STARTTLS", "EHLO probe.example.net", "QUIT"]


async def test_a_server_that_knows_no_ehlo_is_greeted_with_helo() -> None:
    async with world(Behaviour(fault=Fault.NO_EHLO)) as (mail, servers):
        told = await mail.dialogue(HOST, FIRST)
    assert servers.servers[FIRST, 25].sessions == [["EHLO probe.example.net", "HELO probe.example.net", "QUIT"]]
    assert (told.offered, told.starttls) == ({}, False)


async def test_a_command_is_one_line() -> None:
    async def none(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"220 mx\r\n")

    async with door(none) as mail:
        reader, writer = await asyncio.open_connection(*(await mail._means.dial(HERE, 25)))
        session = Session(reader, writer, lambda _: None)
        with pytest.raises(ValueError, match="no SMTP command"):
            await session.command("EHLO a\r\nMAIL FROM:<>")
        session.close()


def counting(at_once: list[int]) -> Peer:
    """Keeps each client waiting, and notes how many there are."""
    present = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal present
        present += 1
        at_once.append(present)
        await asyncio.sleep(0.02)
        await say(writer, b"554 no\r\n")
        await until(reader, b"QUIT")
        present -= 1

    return peer


async def test_an_address_is_visited_by_one_connection_at_a_time() -> None:
    at_once: list[int] = []
    async with door(counting(at_once)) as mail:
        hosts = [replace(HOST, host=f"mx{n}.example.com") for n in range(4)]
        await asyncio.gather(*(mail.dialogue(host, HERE) for host in hosts))
    assert at_once == [1, 1, 1, 1]


async def test_the_number_of_connections_overall_is_bounded() -> None:
    at_once: list[int] = []
    async with door(counting(at_once)) as mail:
        mail._at_once = asyncio.Semaphore(2)
        await asyncio.gather(*(mail.dialogue(HOST, ip_address(f"192.0.2.{n}")) for n in range(6)))
    assert len(at_once) == 6
    assert max(at_once) == 2


async def test_who_does_not_get_a_turn_in_time_cannot_tell() -> None:
    async with door(silent, replace(SHORT, turn=0.05)) as mail:
        first, second = await asyncio.gather(*(mail.dialogue(HOST, HERE) for _ in range(2)))
        assert first.doubt is not None
        assert second.doubt is not None
        assert [first.doubt.reason, second.doubt.reason] == [Reason.NETWORK, Reason.RATE_LIMITED]
        assert not mail._turns, "and nothing is kept of addresses at rest"


async def test_addresses_that_are_not_public_are_dialled_only_when_configured() -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"554 no\r\n")
        await until(reader, b"QUIT")

    async with door(refuses) as redirected:
        _, port = await redirected._means.dial(HERE, 25)
        mail, loopback = Mail("probe.example.net", FakeClock(), deadlines=SHORT), ip_address("127.0.0.1")
        found = await mail.dialogue(MailHost(host="mx.example.com", port=port), loopback)
        configured = await mail.dialogue(MailHost(host="mx.example.com", port=port, configured=True), loopback)
        assert "127.0.0.1 is no public address (loopback)" in found.passed_over
        assert found.greeting is None
        assert configured.rejected is not None
        assert (await redirected.dialogue(HOST, loopback)).rejected is not None, "the dial knows better"


# --- versions of TLS -------------------------------------------------------------------------------------------------


async def test_versions_are_asked_once_a_day_and_when_the_handshake_speaks_another() -> None:
    clock = FakeClock()
    async with world(Behaviour(), clock=clock) as (mail, servers):
        server = servers.servers[FIRST, 25]

        async def connections() -> int:
            server.sessions.clear()
            told = await mail.dialogue(HOST, FIRST)
            assert told.versions[Version.TLS_1_2] is True
            return len(server.sessions)

        assert await connections() == 4
        clock.pass_(1800)
        assert await connections() == 1
        server._context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await connections() == 4
        clock.pass_(86399)
        assert await connections() == 1
        clock.pass_(1)
        assert await connections() == 4


async def test_a_version_is_asked_again_if_the_connection_for_it_came_to_nothing() -> None:
    answers: list[OSError | None] = [None, OSError("broken"), OSError("broken"), None]
    async with world(Behaviour()) as (mail, servers):

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            trouble = answers.pop(0)
            if trouble:
                raise trouble
            return await servers.dial(ip, port)

        mail._means = replace(mail._means, dial=dial)
        first = await mail.dialogue(HOST, FIRST)
        assert set(first.versions) == {Version.TLS_1_3, Version.TLS_1_2}
        answers += [None] * 4
        second = await mail.dialogue(HOST, FIRST)
        assert [second.versions[version] for version in Version] == [False, False, True, True]
        assert len(answers) == 1, "and only the open ones were asked"


async def test_a_server_that_hangs_up_on_a_version_is_not_said_to_lack_it(server_context: ssl.SSLContext) -> None:
    """Python's own server closes without an alert, as old Exchange servers do."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO)
        try:
            await writer.start_tls(server_context, ssl_handshake_timeout=5)
        except (ssl.SSLError, asyncio.CancelledError):
            return
        await until(reader, b"EHLO")
        await say(writer, EHLO)
        await until(reader, b"QUIT")

    async with door(peer) as mail:
        told = await mail.dialogue(HOST, HERE)
    assert told.versions == {
        Version.TLS_1_0: None,
        Version.TLS_1_1: None,
        Version.TLS_1_2: True,
        Version.TLS_1_3: True,
    }


async def test_what_our_own_library_cannot_do_is_never_the_server_s_fault() -> None:
    """At its default level OpenSSL 3 has no cipher for TLS 1.0 and fails before anything is sent."""
    unable = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unable.check_hostname, unable.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        unable.minimum_version = unable.maximum_version = ssl.TLSVersion.TLSv1
    async with world(Behaviour(oldest=Version.TLS_1_0)) as (mail, _):
        mail._means = replace(mail._means, context=unable)
        told = await mail.dialogue(HOST, FIRST)
    assert told.tls_failure == ""
    assert told.doubt is not None
    assert (told.doubt.reason, told.doubt.detail) == (
        Reason.MALFORMED,
        "our TLS library cannot go on: no ciphers available",
    )


async def test_an_alert_after_the_handshake_is_a_failure_of_tls() -> None:
    """TLS 1.3 asks for the client's certificate when the client believes that all is done."""
    async with world(Behaviour(oldest=Version.TLS_1_3)) as (mail, servers):
        servers.servers[FIRST, 25]._context.verify_mode = ssl.CERT_REQUIRED
        told = await mail.dialogue(HOST, FIRST)
    assert "certificate required" in told.tls_failure
    assert told.doubt is None


async def test_a_certificate_that_cannot_be_read_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: Roots, __: tuple[bytes, ...], ___: float) -> None:
        raise CertificateSyntaxError("odd")

    monkeypatch.setattr(Roots, "examine", unreadable)
    async with world(Behaviour()) as (mail, _):
        told = await mail.dialogue(HOST, FIRST)
    assert (told.shown, told.doubt and told.doubt.reason) == (None, Reason.MALFORMED)
    assert told.offered, "the conversation goes on"


async def test_the_port_for_implicit_tls_needs_no_starttls() -> None:
    async with world(Behaviour(oldest=Version.TLS_1_1), port=465) as (mail, servers):
        told = await mail.dialogue(replace(HOST, port=465), FIRST)
    assert servers.servers[FIRST, 465].sessions[0] == ["EHLO probe.example.net", "QUIT"]
    assert [told.versions[version] for version in Version] == [False, True, True, True]
    assert (told.starttls, told.shown and told.shown.trusted) == (None, True)


# --- whose fault is silence? -----------------------------------------------------------------------------------------


class Fleet:
    """Two hosts whose reachability a test switches."""

    def __init__(self, mail: Mail, clock: FakeClock, down: set[IP]) -> None:
        self.mail, self.clock, self.down = mail, clock, down

    async def ask(self, ip: IP) -> Dialogue:
        return await self.mail.dialogue(replace(HOST, host=f"mx-{ip}.example"), ip)


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    clock, down = FakeClock(), set[IP]()
    async with world(Behaviour(fault=Fault.REJECTS), Behaviour(fault=Fault.REJECTS), clock=clock) as (mail, servers):

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            if ip in down:
                raise TimeoutError
            return await servers.dial(ip, port)

        mail._means = replace(mail._means, dial=dial)
        yield Fleet(mail, clock, down)


@pytest.mark.parametrize("every", [60, 300, 900, 1200, 1800])
async def test_an_outage_of_our_own_is_charged_to_nobody(every: int) -> None:
    async with fleet() as it:
        await it.ask(FIRST), await it.ask(SECOND)
        it.down |= {FIRST, SECOND}
        for _ in range(3 * 3600 // every):
            it.clock.pass_(every)
            for ip in (FIRST, SECOND):
                told = await it.ask(ip)
                assert told.silence is None
                assert told.doubt is not None


async def test_a_host_that_answers_once_begins_anew() -> None:
    async with fleet() as it:
        for answers in (False, False, False, True, False, False, False):
            it.clock.pass_(1800)
            await it.ask(SECOND)
            it.down.clear() if answers else it.down.add(FIRST)
            assert (await it.ask(FIRST)).silence is None


async def test_silence_is_a_fact_after_four_runs_over_an_hour_and_ends_with_the_first_word() -> None:
    async with fleet() as it:
        it.down.add(FIRST)
        facts = []
        for _ in range(6):
            await it.ask(SECOND)
            told = await it.ask(FIRST)
            facts.append((told.silence and told.silence.runs, told.doubt and told.doubt.reason))
            it.clock.pass_(1800)
        assert facts == [(None, Reason.NETWORK)] * 3 + [(4, None), (5, None), (6, None)]
        assert told.silence is not None
        assert told.silence.since == 1_780_000_000.0
        it.down.clear()
        told = await it.ask(FIRST)
        assert (told.silence, told.doubt) == (None, None)


async def test_what_a_silent_host_cost_is_forgotten_when_nobody_asks_any_more() -> None:
    async with fleet() as it:
        it.down.add(FIRST)
        await it.ask(SECOND)
        for n in range(3):
            await it.mail.dialogue(replace(HOST, host=f"gone{n}.example"), FIRST)
        it.clock.pass_(90_000)
        await it.ask(SECOND)
        await it.ask(FIRST)
        assert len(it.mail._quiet) == 1


async def test_running_out_of_files_is_our_own_fault() -> None:
    async def dial(ip: IP, port: int) -> tuple[str, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        await Mail("probe.example.net", FakeClock(), dial=dial).dialogue(HOST, HERE)


async def test_a_conversation_that_is_cancelled_leaves_no_connection() -> None:
    closed = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with door(peer, Deadlines()) as mail:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await mail.dialogue(HOST, HERE)
        async with asyncio.timeout(2):
            await closed.wait()


def test_the_door_works_under_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra")

    async def talk() -> Dialogue:
        async with world(Behaviour()) as (mail, _):
            return await mail.dialogue(HOST, FIRST)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(talk())
    assert [told.versions[version] for version in Version] == [False, False, True, True]
    assert told.doubt is None
