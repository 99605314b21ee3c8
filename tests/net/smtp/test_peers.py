"""Whatever the peer does, the SMTP client ends in time, keeps little, and ignores what came in clear."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.facts import Reason
from exporter.net.smtp.probe import SmtpResult
from tests.support.peers import EHLO, GO, HERE, HOST, SHORT, Peer, door, say, server_context, silent, to_starttls, until
from tests.support.resolving import SLACK


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
        told = await mail.probe(HOST, HERE)
        assert time.monotonic() - since < SHORT.session + SLACK
    assert told.doubt is not None
    assert told.doubt.reason is reason, told
    assert (told.tls_failure, told.rejected, told.in_clear, told.secured, told.refused) == ("", None, "", None, False)


async def test_forty_endless_peers_at_once_end_in_time_and_keep_little() -> None:
    async with door(never_ends_its_reply) as mail:
        since = time.monotonic()
        told = await asyncio.gather(*(mail.probe(HOST, ip_address(f"192.0.2.{n}")) for n in range(40)))
        assert time.monotonic() - since < 5
    assert {result.doubt and result.doubt.reason for result in told} == {Reason.MALFORMED}
    assert max(sum(map(len, result.lines)) for result in told) < 65536


async def test_garbage_in_tls_records_is_the_server_s_fault_or_ours_but_never_a_pass() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, b"220 go\r\n")
        await reader.read(1)
        await say(writer, b"\x16\x03\x03\x00\x08" + b"\xde\xad\xbe\xef" * 2)
        await reader.read()

    async with door(garbage) as mail:
        told = await mail.probe(HOST, HERE)
    assert told.secured is None
    assert told.tls_failure or (told.doubt and told.doubt.reason is Reason.MALFORMED)


async def test_a_tls_port_that_speaks_in_clear_fails() -> None:
    async def in_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"220 mx.example.com\r\n")
        await reader.read()

    async with door(in_clear) as mail:
        told = await mail.probe(replace(HOST, port=465), HERE)
    assert told.tls_failure == "it sends plaintext: 220 mx.example.com\r\n"
    assert not told.in_clear


INJECTED = b"250-injected.example.net\r\n250-SIZE 1\r\n250 EVIL\r\n"


def injects(cut: int, context: ssl.SSLContext, *, after_the_hello: bool) -> Peer:
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
        await writer.start_tls(context)
        await until(reader, b"EHLO")
        await say(writer, EHLO)

    return peer


@pytest.mark.parametrize("after_the_hello", [False, True], ids=["at-once", "after-the-hello"])
async def test_clear_text_behind_the_220_is_seen_wherever_the_segments_are_cut(after_the_hello: bool) -> None:
    context = server_context()
    cuts = [len(GO)] if after_the_hello else range(1, len(GO + INJECTED))
    for cut in cuts:
        async with door(injects(cut, context, after_the_hello=after_the_hello)) as mail:
            told = await mail.probe(HOST, HERE)
        if after_the_hello:  # then it is an answer to the hello, as of a server that knows no TLS
            assert told.tls_failure.startswith("it sends plaintext: 250-injected"), (cut, told)
            assert not told.in_clear
        else:
            assert told.in_clear.startswith("2"), (cut, told)
        assert told.offered == {"SIZE": "1000", "STARTTLS": ""}, "nothing injected was believed"
        assert told.secured is None
        assert told.doubt is None


async def refuses_the_hello_in_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As Postfix does behind a proxy that has taken STARTTLS for itself."""
    await to_starttls(reader, writer)
    await say(writer, GO)
    await reader.read(1)
    await say(writer, b"500 5.5.2 Error: bad syntax\r\n")
    await reader.read()


async def speaks_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
    await reader.read()


async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As nginx answers a line that is no request."""
    await reader.readuntil(b"\r\n")
    await say(writer, b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nConnection: close\r\n\r\n<html>")


async def speaks_http_by_halves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n")
    await say(writer, b"HTTP/1.1 4")
    await reader.read()


async def speaks_imap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await say(writer, b"* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n")
    await reader.read()


async def greets_only_when_we_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n")
    await say(writer, b"220 mx.example.com\r\n221 bye\r\n")


OTHERS: dict[Peer, str] = {speaks_ssh: "SSH", speaks_http: "HTTP", speaks_imap: "IMAP"}


@pytest.mark.parametrize("peer", OTHERS, ids=lambda it: it.__name__)
async def test_another_protocol_is_a_fact(peer: Peer) -> None:
    async with door(peer) as mail:
        told = await mail.probe(HOST, HERE)
    assert (told.other_protocol, told.doubt, told.silence) == (OTHERS[peer], None, None)


@pytest.mark.parametrize("peer", [speaks_http_by_halves, greets_only_when_we_leave], ids=lambda it: it.__name__)
async def test_what_could_still_be_anything_stays_in_doubt(peer: Peer) -> None:
    async with door(peer) as mail:
        since = time.monotonic()
        told = await mail.probe(HOST, HERE)
        assert time.monotonic() - since < SHORT.session + SLACK
    assert told.other_protocol == ""
    assert told.doubt is not None
    assert told.doubt.reason is Reason.NETWORK


async def test_an_answer_to_the_hello_in_clear_is_no_tls() -> None:
    async with door(refuses_the_hello_in_clear) as mail:
        told = await mail.probe(HOST, HERE)
    assert told.tls_failure == "it sends plaintext: 500 5.5.2 Error: bad syntax\r\n"
    assert (told.in_clear, told.doubt) == ("", None)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("peer", "learnt"),
    [
        (speaks_ssh, ("SSH", "", "")),
        (speaks_http, ("HTTP", "", "")),
        (refuses_the_hello_in_clear, ("", "it sends plaintext: 500 5.5.2 Error: bad syntax\r\n", "")),
        (silent, ("", "", "")),
        (never_ends_its_reply, ("", "", "")),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_either_event_loop_learns_the_same(peer: Peer, learnt: tuple[str, str, str], loop: str) -> None:
    async def talk() -> SmtpResult:
        async with door(peer) as mail:
            return await mail.probe(HOST, HERE)

    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra") if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        told = runner.run(talk())
    assert (told.other_protocol, told.tls_failure, told.in_clear) == learnt
    assert (told.doubt is None) is any(learnt)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_either_event_loop_sees_what_is_injected(loop: str) -> None:
    context = server_context()

    async def talk(cut: int) -> SmtpResult:
        async with door(injects(cut, context, after_the_hello=False)) as mail:
            return await mail.probe(HOST, HERE)

    uvloop = pytest.importorskip("uvloop", reason="uvloop is an optional extra") if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        for cut in (1, len(GO), len(GO) + 3):
            assert runner.run(talk(cut)).in_clear.startswith("2"), cut


async def test_a_220_sent_before_it_is_asked_for_is_seen_too() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, b"220 mx.example.com\r\n")
        await until(reader, b"EHLO")
        await say(writer, EHLO + GO)
        assert b"STARTTLS" not in await reader.read()

    async with door(early) as mail:
        told = await mail.probe(HOST, HERE)
    assert told.in_clear == "220 go\r\n"


async def test_nothing_is_said_after_an_injection() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO + INJECTED)
        heard.set_result(await reader.read())

    async with door(peer) as mail:
        await mail.probe(HOST, HERE)
        assert await heard == b""
