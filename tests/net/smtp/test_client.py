"""The SMTP client is polite, finds out the versions of TLS, and blames nobody without proof."""

from __future__ import annotations

import asyncio
import errno
import ssl
import warnings
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.facts import IP, Reason
from exporter.mail.certificate import CertificateSyntaxError, Roots
from exporter.mail.tls import Version
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.connection import SmtpConnection
from exporter.net.smtp.probe import Deadlines, SmtpResult
from exporter.net.tls import system_authorities
from exporter.targets import MailHost
from tests.support.clock import FakeClock
from tests.support.peers import (
    EHLO,
    FIRST,
    GO,
    HERE,
    HOST,
    SHORT,
    Peer,
    door,
    say,
    server_context,
    silent,
    to_starttls,
    until,
    world,
)


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
        told = await mail.probe(HOST, HERE)
    assert not early
    assert told.doubt is None
    assert told.greeting is not None
    assert told.greeting.lines == ("teaser", "mx")


@pytest.mark.parametrize(
    "fault", [None, SmtpFault.BUSY, SmtpFault.REJECTS, SmtpFault.REJECTS_NAME, SmtpFault.NO_EHLO, SmtpFault.TLS_LATER]
)
async def test_every_conversation_that_can_ends_with_quit(fault: SmtpFault | None) -> None:
    async with world(Behaviour(fault=fault)) as (mail, servers):
        await mail.probe(HOST, FIRST)
    assert servers.servers[FIRST, 25].sessions[0][-1] == "QUIT"


async def test_we_say_our_own_name_and_say_it_again_under_tls() -> None:
    async with world(Behaviour()) as (mail, servers):
        await mail.probe(HOST, FIRST)
    first = servers.servers[FIRST, 25].sessions[0]
    assert first == ["EHLO probe.example.net", "STARTTLS", "EHLO probe.example.net", "QUIT"]


async def test_a_server_that_knows_no_ehlo_is_greeted_with_helo() -> None:
    async with world(Behaviour(fault=SmtpFault.NO_EHLO)) as (mail, servers):
        told = await mail.probe(HOST, FIRST)
    assert servers.servers[FIRST, 25].sessions == [["EHLO probe.example.net", "HELO probe.example.net", "QUIT"]]
    assert (told.offered, told.starttls) == ({}, False)


async def test_a_command_is_one_line() -> None:
    async def none(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"220 mx\r\n")

    async with door(none) as mail:
        reader, writer = await asyncio.open_connection(*(await mail._context.dial(HERE, 25)))
        session = SmtpConnection(reader, writer, lambda _: None)
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
        await asyncio.gather(*(mail.probe(host, HERE) for host in hosts))
    assert at_once == [1, 1, 1, 1]


async def test_the_number_of_connections_overall_is_bounded() -> None:
    at_once: list[int] = []
    async with door(counting(at_once)) as mail:
        mail._egress._at_once = asyncio.Semaphore(2)
        await asyncio.gather(*(mail.probe(HOST, ip_address(f"192.0.2.{n}")) for n in range(6)))
    assert len(at_once) == 6
    assert max(at_once) == 2


async def test_who_does_not_get_a_turn_in_time_cannot_tell() -> None:
    async with door(silent, replace(SHORT, slot=0.05)) as mail:
        first, second = await asyncio.gather(*(mail.probe(HOST, HERE) for _ in range(2)))
        assert first.doubt is not None
        assert second.doubt is not None
        assert [first.doubt.reason, second.doubt.reason] == [Reason.NETWORK, Reason.RATE_LIMITED]
        assert not mail._egress._slots, "and nothing is kept of addresses at rest"


async def test_addresses_that_are_not_public_are_dialled_only_when_configured() -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"554 no\r\n")
        await until(reader, b"QUIT")

    async with door(refuses) as redirected:
        _, port = await redirected._context.dial(HERE, 25)
        mail, loopback = SmtpClient("probe.example.net", FakeClock(), deadlines=SHORT), ip_address("127.0.0.1")
        found = await mail.probe(MailHost(host="mx.example.com", port=port), loopback)
        configured = await mail.probe(MailHost(host="mx.example.com", port=port, configured=True), loopback)
        assert "127.0.0.1 is no public address (loopback)" in found.passed_over
        assert found.greeting is None
        assert configured.rejected is not None
        assert (await redirected.probe(HOST, loopback)).rejected is not None, "the dial knows better"


@pytest.mark.parametrize("configured", [False, True])
async def test_addresses_for_documentation_are_never_dialled(configured: bool) -> None:
    mail = SmtpClient("probe.example.net", FakeClock(), deadlines=SHORT)
    for host, ip in (("mx.kunde.de", "203.0.113.25"), ("mx.example.com", "2001:db8::25")):
        found = await mail.probe(MailHost(host=host, port=25, configured=configured), ip_address(ip))
        assert found.passed_over == f"{ip} is an address for documentation, where nobody is"
        assert found.doubt is None


async def test_versions_are_asked_once_a_day_and_when_the_handshake_speaks_another() -> None:
    clock = FakeClock()
    async with world(Behaviour(), clock=clock) as (mail, servers):
        server = servers.servers[FIRST, 25]

        async def connections() -> int:
            server.sessions.clear()
            told = await mail.probe(HOST, FIRST)
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

        mail._context = replace(mail._context, dial=dial)
        first = await mail.probe(HOST, FIRST)
        assert set(first.versions) == {Version.TLS_1_3, Version.TLS_1_2}
        answers += [None] * 4
        second = await mail.probe(HOST, FIRST)
        assert [second.versions[version] for version in Version] == [False, False, True, True]
        assert len(answers) == 1, "and only the open ones were asked"


async def test_a_server_that_hangs_up_on_a_version_is_not_said_to_lack_it() -> None:
    """Python's own server closes without an alert, as old Exchange servers do."""
    context = server_context()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO)
        try:
            await writer.start_tls(context, ssl_handshake_timeout=5)
        except (ssl.SSLError, asyncio.CancelledError):
            return
        await until(reader, b"EHLO")
        await say(writer, EHLO)
        await until(reader, b"QUIT")

    async with door(peer) as mail:
        told = await mail.probe(HOST, HERE)
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
        mail._context = replace(mail._context, context=unable)
        told = await mail.probe(HOST, FIRST)
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
        told = await mail.probe(HOST, FIRST)
    assert "certificate required" in told.tls_failure
    assert told.doubt is None


async def test_a_certificate_that_cannot_be_read_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: Roots, __: tuple[bytes, ...], ___: float) -> None:
        raise CertificateSyntaxError("odd")

    monkeypatch.setattr(Roots, "examine", unreadable)
    async with world(Behaviour()) as (mail, _):
        told = await mail.probe(HOST, FIRST)
    assert (told.shown, told.doubt and told.doubt.reason) == (None, Reason.MALFORMED)
    assert told.offered, "the conversation goes on"


def test_the_authorities_of_the_system_are_found_where_openssl_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = tmp_path / "roots.pem", tmp_path / "certs"
    folder.mkdir()
    file.write_bytes(b"bundle")
    (folder / "0a1b2c3d.0").write_bytes(b"one")
    (folder / "4e5f6a7b.1").mkdir()
    (folder / "readme.txt").write_bytes(b"no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert list(system_authorities()) == [b"bundle", b"one"]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    assert list(system_authorities()) == []


async def test_the_port_for_implicit_tls_needs_no_starttls() -> None:
    async with world(Behaviour(oldest=Version.TLS_1_1), port=465) as (mail, servers):
        told = await mail.probe(replace(HOST, port=465), FIRST)
    assert servers.servers[FIRST, 465].sessions[0] == ["EHLO probe.example.net", "QUIT"]
    assert [told.versions[version] for version in Version] == [False, True, True, True]
    assert (told.starttls, told.shown and told.shown.trusted) == (None, True)


async def test_running_out_of_files_is_our_own_fault() -> None:
    async def dial(ip: IP, port: int) -> tuple[str, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    told = await SmtpClient("probe.example.net", FakeClock(), dial=dial).probe(HOST, HERE)
    assert told.doubt
    assert told.doubt.reason is Reason.LOCAL_RESOURCES


async def test_a_conversation_that_is_cancelled_leaves_no_connection() -> None:
    closed = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with door(peer, Deadlines()) as mail:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await mail.probe(HOST, HERE)
        async with asyncio.timeout(2):
            await closed.wait()


def test_the_door_works_under_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra")

    async def talk() -> SmtpResult:
        async with world(Behaviour()) as (mail, _):
            return await mail.probe(HOST, FIRST)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(talk())
    assert [told.versions[version] for version in Version] == [False, False, True, True]
    assert told.doubt is None
