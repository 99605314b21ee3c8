"""What a plain handshake does not show: certificates demanded, clear text obeyed, old ciphers, an offer taken back."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import pytest

from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.facts import IP
from exporter.mail.tls import Version
from exporter.net.smtp.probe import DEADLINES
from tests.support.clock import FakeClock
from tests.support.peers import FIRST, GO, HERE, HOST, door, say, server_context, to_starttls, world


@pytest.mark.parametrize("resets", [True, False])
async def test_who_demands_our_certificate_is_told_alike_however_the_conversation_ends(resets: bool) -> None:
    """The alert may be lost when the connection is reset behind it."""
    context = server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO)
        await writer.start_tls(context)
        if resets:
            writer.transport.abort()
        else:
            writer.close()

    async with door(peer, DEADLINES) as mail:  # a busy machine must not end the handshake
        told = await mail.probe(HOST, HERE)
    assert told.tls_failure == "certificate required: it ends the conversation unless the client shows one"
    assert told.doubt is None


async def test_who_asks_for_our_certificate_and_goes_on_without_is_all_right() -> None:
    """Postfix with smtpd_tls_ask_ccert = yes, or Exim with tls_try_verify_hosts."""
    async with world(Behaviour(oldest=Version.TLS_1_3)) as (mail, servers):
        servers.servers[FIRST, 25]._context.verify_mode = ssl.CERT_OPTIONAL
        told = await mail.probe(HOST, FIRST)
    assert told.secured is not None
    assert told.secured.asks_for_certificate
    assert (told.tls_failure, told.doubt) == ("", None)


async def test_who_breaks_off_behind_the_handshake_without_asking_for_a_certificate_is_in_doubt() -> None:
    context = server_context()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO)
        await writer.start_tls(context)
        writer.close()

    async with door(peer, DEADLINES) as mail:  # a busy machine must not end the handshake
        told = await mail.probe(HOST, HERE)
    assert told.tls_failure == ""
    assert told.doubt is not None


async def test_nothing_is_said_in_clear_behind_starttls_unless_the_host_is_configured() -> None:
    async with world(Behaviour(fault=SmtpFault.OBEYS_CLEAR_TEXT)) as (mail, servers):
        sessions = servers.servers[FIRST, 25].sessions
        assert not (await mail.probe(HOST, FIRST)).obeys_clear_text
        assert not any("NOOP" in session for session in sessions)
        sessions.clear()
        mine = replace(HOST, configured=True)
        assert (await mail.probe(mine, FIRST)).obeys_clear_text
        assert sum("NOOP" in session for session in sessions) == 1
        sessions.clear()
        assert (await mail.probe(mine, FIRST)).obeys_clear_text, "it is asked once a day, and remembered"
        assert len(sessions) == 1


async def test_what_is_known_of_outdated_ciphers_is_kept_while_the_question_comes_to_nothing() -> None:
    clock, refuse = FakeClock(), False
    async with world(Behaviour(fault=SmtpFault.OLD_EXCHANGE), clock=clock) as (mail, servers):
        calls = 0

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            nonlocal calls
            calls += 1
            if refuse and calls > 1:
                raise ConnectionResetError
            return await servers.dial(ip, port)

        mail._context = replace(mail._context, dial=dial)
        assert (await mail.probe(HOST, FIRST)).outdated == "dh key too small"
        clock.pass_(86400)
        calls, refuse = 0, True
        assert (await mail.probe(HOST, FIRST)).outdated == "dh key too small"


async def test_an_offer_of_starttls_is_remembered_for_a_week() -> None:
    clock = FakeClock()
    async with world(Behaviour(offers_for=4), clock=clock) as (mail, _):
        assert (await mail.probe(HOST, FIRST)).starttls_last is None
        clock.step_wall(1e6)  # it was wrong until now
        offered = clock.wall()
        for days, last in ((1, offered), (5, offered), (2, None), (1, None)):
            clock.pass_(days * 86400)
            told = await mail.probe(HOST, FIRST)
            assert (told.starttls, told.starttls_last) == (False, last)
