"""A look that takes long: results as they come, progress, a summary on Ctrl-C, and looking again until all is well."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import dns.rrset
import pytest

from exporter import clients
from exporter.check_state import CheckState, FindingPolicy
from exporter.cli import check, watch
from exporter.cli.arguments import parser
from exporter.cli.exit_codes import FailOn
from exporter.cli.named import DomainFlags, named
from exporter.cli.once import Looker
from exporter.cli.progress import MOST_OF_A_RULE, ProgressLines
from exporter.clock import SystemClock
from exporter.config import Nameserver, defaults
from exporter.demo.nameserver import NameServer, ZoneData, records
from exporter.demo.registry import IANA, IANA_IP, REGISTRY, REGISTRY_IP, Name
from exporter.demo.small_world import SmallWorld
from exporter.engine.store import Store
from exporter.net import Net
from exporter.views import terminal
from tests.support.checks import BROKEN, EXAMPLE, ODD, SAMPLE, outcome
from tests.support.clock import FakeClock
from tests.support.configuration import CATALOGUE
from tests.support.memory import MemoryResolver
from tests.views.test_golden import same

KEY = re.findall(r'("v=DKIM1; h=sha256.*")', (Path(__file__).parents[1] / "worlds/postfix-vps.zone").read_text())[0]
VPS = f"""
; server: ns1.dns-host.test 185.10.53.53 example.com,com
; server: ns2.dns-host.test 194.20.53.53 example.com,com
; signed: com. NS
; soa: com. 1
; soa: example.com. 2026050101
com.                             NS   ns1.dns-host.test.
com.                             NS   ns2.dns-host.test.
ns1.dns-host.test.               A    185.10.53.53
ns2.dns-host.test.               A    194.20.53.53
{IANA}.                          A    {IANA_IP}
{REGISTRY}.                      A    {REGISTRY_IP}
example.com.                     NS   ns1.dns-host.test.
example.com.                     NS   ns2.dns-host.test.
example.com.                     A    192.0.2.10
example.com.                     MX   10 mail.example.com.
mail.example.com.                A    192.0.2.10
10.2.0.192.in-addr.arpa.         PTR  mail.example.com.
example.com.                     TXT  "v=spf1 a mx ~all"
mail._domainkey.example.com.     TXT  {KEY}
default._domainkey.example.com.  TXT  {KEY}
"""
DNS_ALONE = "mx,spf,dmarc,dkim,tls_rpt,bimi"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    server = NameServer(ZoneData(VPS))
    await server.start()
    yield server
    await server.stop()


def at(server: NameServer) -> str:
    return f"{server.address[0]}:{server.address[1]}"


async def test_the_owner_of_a_domain_gets_about_twenty_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server on the Internet that says HELO localhost, and a domain without DMARC."""
    clock = SystemClock()
    async with SmallWorld(VPS, {}, {"example.com": Name()}, (), clock) as world:
        words = ["example.com", "192.0.2.10", "--helo", "localhost", "--resolver", at(world.nameserver)]
        opened = partial(clients.open_clients, dial=world.dial, authorities=world.authorities, pause=0.0)
        code = await check.check_once(parser().parse_args(["check", *words]), opened)
    told = re.sub(
        r"\([0-9.]+ s, resolver 127\.0\.0\.1:[0-9]+\)", "(1.5 s, resolver 127.0.0.1:53)", capsys.readouterr().out
    )
    assert code == 2
    assert len(told.splitlines()) <= 22
    same(told, "check-vps.txt", tmp_path)


async def started(*words: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "exporter", "check", *words)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def test_ctrl_c_tells_what_has_been_looked_at() -> None:
    """Each result is a line at once, so the pipe shows when it is time. One question is never answered."""
    slow = NameServer(ZoneData(f"; timeout: _dmarc.example.com. *\n{VPS}"))
    await slow.start()
    try:
        words = ("example.com", "--resolver", at(slow), "--only", "resolver,mx,dmarc", "--format", "ndjson")
        process = await started(*words)
        assert process.stdout
        lines = [json.loads(await process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        lines += map(json.loads, (await process.stdout.read()).splitlines())
        assert await process.wait() == 130
    finally:
        await slow.stop()
    assert {it["schema"] for it in lines} == {1}
    assert [it["check"] for it in lines if it["kind"] == "result"] == ["resolver", "mx"]
    assert lines[-1]["kind"] == "end"
    assert lines[-1]["stopped"] == {"done": 1, "total": 2}
    assert lines[-1]["exit"] == 130
    assert lines[-1]["summary"] == {"pass": 2, "fail": 0, "unknown": 0}, "what did not run is not unknown"


def looker(server: NameServer, *checks: str) -> Looker:
    clock = FakeClock()
    settings = replace(defaults(CATALOGUE), nameservers=(Nameserver(*server.address),))
    targets = named(["example.com"], None, (), DomainFlags())
    return Looker(CATALOGUE, replace(settings, targets=tuple(targets)), frozenset(checks), clock)


async def test_looking_goes_on_until_all_is_well_and_only_changes_are_told(server: NameServer) -> None:
    said: list[str] = []
    steps: list[dns.rrset.RRset] = [
        records("example.com", "TXT", '"v=spf1 mx -all"', '"v=spf1 a -all"'),
        records("example.com", "TXT", '"v=spf1 mx -all"'),
        records("_dmarc.example.com", "TXT", '"v=DMARC1; p=reject; rua=mailto:d@example.com"'),
    ]
    look, store = looker(server, "resolver", "spf", "dmarc"), Store()

    async def pause(seconds: float) -> None:
        assert seconds == 30
        assert isinstance(look.clock, FakeClock)
        look.clock.pass_(seconds)
        server.zone.put(steps.pop(0))

    try:
        await look.test_resolver(store)
        await look.sweep(store, await look.targets())
        await watch.until_well(look, store, 30, FindingPolicy(), FailOn.WARNING, said.append, pause)
    finally:
        await look.close()
    assert steps == []
    told = [re.sub(r"^[0-9:]{8}  ", "", line) for line in said[1:]]
    assert [re.sub(r"  .*  ", " ", line) for line in told] == [
        "new [spf.multiple-records]",
        "gone [spf.multiple-records]",
        "gone [dmarc.missing]",
        "nothing is left at or above warning",
    ]


async def test_a_resolver_that_dies_meanwhile_is_said_once_and_heals_nothing(server: NameServer) -> None:
    said: list[str] = []
    look, store, rounds = looker(server, "resolver", "dmarc"), Store(), iter(range(4))
    healthy = server.zone

    async def pause(_: float) -> None:
        number = next(rounds)
        if number == 0:
            server.zone = ZoneData("; refused: com. *\n; refused: _dmarc.example.com. *\n")
        if number == 2:
            server.zone = healthy
        if number == 3:
            healthy.put(records("_dmarc.example.com", "TXT", '"v=DMARC1; p=reject; rua=mailto:d@example.com"'))

    try:
        await look.test_resolver(store)
        await look.sweep(store, await look.targets())
        await watch.until_well(look, store, 30, FindingPolicy(), FailOn.WARNING, said.append, pause)
    finally:
        await look.close()
    told = [re.sub(r"^[0-9:]{8}  ", "", line) for line in said[1:]]
    expected = ("the resolver does not answer: ", "the resolver answers again", "gone  WARNING", "nothing is left")
    assert len(told) == len(expected), told
    assert all(line.startswith(it) for line, it in zip(told, expected, strict=True)), told


@pytest.mark.parametrize(
    "flags", [["--with"], ["--watch"], ["--watch", "5s"], ["--format", "ndjson"], ["--with", "--fail-on", "new"]]
)
async def test_a_dead_resolver_is_one_line_at_once_whatever_is_wanted(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = NameServer(ZoneData("; refused: com. *\n"))
    await dead.start()
    plan = tmp_path / "plan.zone"
    plan.write_text("example.com. TXT v=spf1\n")
    words = [f"--with={plan}" if it == "--with" else it for it in flags]
    try:
        arguments = parser().parse_args(["check", *words, "example.com", "--resolver", at(dead)])
        assert await check.check_once(arguments) == 3
    finally:
        await dead.stop()
    told = capsys.readouterr().out.splitlines()
    assert "does not answer: " in told[-1 if "ndjson" in flags else 0]
    assert len(told) <= 2, "what is wrong, and what to do"
    assert len(dead.asked) < 10, "nothing else was asked"


def test_a_look_that_somebody_ended_says_so_first() -> None:
    stream = io.StringIO()
    look = terminal.Look("3,000 domains", 4.0, "192.0.2.53", stopped=(1234, 30080))
    terminal.as_text(Store(), FindingPolicy(), 0, look, stream)
    assert stream.getvalue().splitlines()[1] == "stopped: 1,234 of 30,080 checks. Nothing is said of the rest."


def test_a_target_may_stand_behind_watch() -> None:
    arguments = parser().parse_args(["check", "--watch", "example.com"])
    assert check._watch_interval(arguments) == watch.USUAL
    assert arguments.targets == ["example.com"]
    assert check._watch_interval(parser().parse_args(["check", "example.com", "--watch"])) == watch.USUAL
    assert check._watch_interval(parser().parse_args(["check", "example.com", "--watch", "5m"])) == 300
    with pytest.raises(ValueError, match="'5x' is no duration from 5s to 1d"):
        check._watch_interval(parser().parse_args(["check", "example.com", "--watch", "5x"]))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_after(stream: io.StringIO, seconds: float) -> str:
    """Progress lines of a look that found many faults, each with a cause of its own, and one warning."""
    clock, store = FakeClock(), Store()
    lines = ProgressLines(stream, clock, FindingPolicy())
    net = Net(MemoryResolver(ZoneData("")), clock)
    with lines:
        clock.pass_(seconds)
        for number in range(30):
            result = outcome(BROKEN(what=f"[b]{number}"), ODD(what="x"))
            result = replace(result, target=replace(EXAMPLE, name=f"d{number}.example"))
            store.hold(result.check, result.target)
            store.record(result)
            lines.ended(store[result.check.id, result.target.key], net)
            lines.show(number + 1, 3000)
            lines.ended(store[result.check.id, result.target.key], net)
        lines.tick()
    return stream.getvalue()


def test_where_nobody_reads_along_a_line_says_how_far_it_is() -> None:
    assert lines_after(io.StringIO(), 12) == "checking: 30 of 3,000 checks, 30 critical, 12 s\n"


def test_another_world_is_counted_for_itself() -> None:
    stream, clock = io.StringIO(), FakeClock()
    lines = ProgressLines(stream, clock, FindingPolicy())
    state = CheckState(SAMPLE, EXAMPLE).after(outcome(BROKEN(what="x")))
    for what in ("checking", "checking the planned world"):
        lines.begin(what)
        lines.ended(state, Net(MemoryResolver(ZoneData("")), clock))
        lines.tick()
    assert [line.partition(" of ")[0] for line in stream.getvalue().splitlines()] == [
        "checking: 0",
        "checking the planned world: 0",
    ]
    assert stream.getvalue().count(" 1 critical,") == 2


def test_on_a_terminal_what_is_critical_is_told_at_once_and_a_few_times_only() -> None:
    told = lines_after(Terminal(), 12)
    assert told.count("CRITICAL") == MOST_OF_A_RULE
    assert "[b]0 is broken" in told, "markup is not obeyed"
    assert "checking:" not in told
    assert "CRITICAL" not in lines_after(Terminal(), 1), "a short look tells it in a moment"
