"""Many hostile mail hosts at once: each conversation ends in time, keeps little, and proves nothing false."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address

import pytest

from exporter.facts import IP, Reason
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.probe import DEADLINES as DEADLINES_OF_DAEMON
from exporter.net.smtp.probe import Deadlines, SmtpResult
from tests.net.smtp.test_peers import INJECTED
from tests.support.clock import FakeClock
from tests.support.hostile_smtp import hostile_smtp, kinds
from tests.support.peers import EHLO, GO, HERE, HOST, Peer, door, say, server_context, to_starttls, until
from tests.support.torture import FULL, size
from tests.support.watch import LOOPS, Watched, run_on, watching

KINDS = kinds(lambda _names, _tickets: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # which nobody uses here
RUNS = size(2, 500)
AT_ONCE = 200
LONG, SHORT = (2.0, 1.0) if FULL else (0.6, 0.3)
DEADLINES = Deadlines(30, session=LONG, connect=SHORT, reply=SHORT, handshake=SHORT, quit=SHORT / 5, versions=LONG)
GRACE = 0.25  # seconds
HELD = 0.5  # seconds: 200 conversations that begin in the same turn take 0.3
KEPT = 2**20  # octets for a session
FACTS = ("refused", "other_protocol", "rejected", "in_clear", "tls_failure", "secured", "obeys_clear_text", "silence")


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[bytes, dict[str, int]]]:
    with hostile_smtp() as it:
        yield it


async def attack(
    authority: bytes, ports: dict[str, int], names: list[str], sessions: int
) -> tuple[Watched, list[tuple[str, SmtpResult, float]]]:
    """So many conversations, with these kinds of hosts in turn, `AT_ONCE` at the same time."""
    base = int(ip_address("198.18.0.0"))

    async def dial(ip: IP, port: int) -> tuple[str, int]:
        return "127.0.0.1", ports[names[(int(ip) - base) % len(names)]]

    mail = SmtpClient(
        "probe.example.net", FakeClock(), dial=dial, authorities=authority, deadlines=DEADLINES, at_once=AT_ONCE
    )
    todo, found = iter(range(sessions)), list[tuple[str, SmtpResult, float]]()

    async def work() -> None:
        for number in todo:
            since = time.perf_counter()
            told = await mail.probe(HOST, ip_address(base + number))
            found.append((names[number % len(names)], told, time.perf_counter() - since))

    async with watching() as watched:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return watched, found


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
def test_no_mail_host_outlasts_the_deadline_or_makes_us_tell_something_false(
    hosts: tuple[bytes, dict[str, int]], loop: str, record_property: Callable[[str, object], None]
) -> None:
    watched, found = run_on(loop, partial(attack, *hosts, list(KINDS), RUNS * len(KINDS)))
    assert len(found) == RUNS * len(KINDS)
    stolen = watched.late - min(watched.held, watched.late)  # by whatever else runs on this machine
    beyond = 0.0
    for kind, told, seconds in found:
        facts = {name for name in FACTS if getattr(told, name)}
        assert facts <= {KINDS[kind].fact}, (kind, told)
        assert told.doubt or facts or told.passed_over, (kind, told)
        limit = LONG + (LONG if told.secured else 0.0)
        assert seconds <= limit + GRACE + 4 * stolen, (kind, seconds, told, watched)  # four timers, each of them late
        beyond = max(beyond, seconds - limit)
    assert watched.held <= HELD, watched
    assert watched.memory <= KEPT * min(AT_ONCE, len(found)), watched
    assert (watched.files, watched.tasks) == (0, 0), watched
    record_property(f"sessions of hostile mail hosts, {loop}", len(found))
    record_property("seconds of the longest session beyond its deadline", round(beyond, 3))
    record_property("MiB for a session at once", round(watched.memory / min(AT_ONCE, len(found)) / 2**20, 3))
    record_property("seconds that the loop was held at worst", round(watched.held, 3))
    record_property("seconds of the longest scrape", round(max(watched.scrapes), 3))


@pytest.mark.parametrize("loop", LOOPS)
def test_tls_without_end_is_left(loop: str) -> None:
    """Session tickets come below SMTP, where no reply has a limit."""
    context = server_context()
    context.num_tickets = 8000

    async def gives_tickets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO)
        await writer.start_tls(context)
        await until(reader, b"EHLO")
        await say(writer, EHLO)

    async def talk() -> SmtpResult:
        async with door(gives_tickets, DEADLINES_OF_DAEMON) as mail:
            return await mail.probe(HOST, HERE)

    told = run_on(loop, talk)
    assert told.doubt is not None
    assert told.doubt.reason is Reason.MALFORMED
    assert told.doubt.detail == "more than 1048576 bytes of TLS"


def answers_the_hello(cut: int, context: ssl.SSLContext) -> Peer:
    """Octets in clear after our hello, in two segments."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await to_starttls(reader, writer)
        await say(writer, GO)
        await reader.read(1)
        await say(writer, INJECTED[:cut])
        await asyncio.sleep(0)
        await say(writer, INJECTED[cut:])
        await writer.start_tls(context)
        await until(reader, b"EHLO")
        await say(writer, EHLO)

    return peer


@pytest.mark.torture
@pytest.mark.parametrize("loop", LOOPS)
def test_octets_after_our_hello_are_a_failure_of_tls_wherever_they_are_cut(loop: str) -> None:
    """Nobody has injected anything into what we had asked: the server itself answers the hello like that."""
    context = server_context()

    async def talk() -> None:
        for cut in range(1, len(INJECTED), size(7, 1)):
            async with door(answers_the_hello(cut, context)) as mail:
                told = await mail.probe(HOST, HERE)
            assert told.tls_failure.startswith("it sends plaintext: 2"), (cut, told)
            assert (told.in_clear, told.secured, told.doubt) == ("", None, None), (cut, told)

    run_on(loop, talk)
