"""The daemon's runs: what is unchanged is only looked at, what people ask for is evaluated, and pages say which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from exporter import clients
from exporter.app import Daemon
from exporter.config import load
from exporter.demo.nameserver import NameServer, ZoneData, records
from tests.support.clock import FakeClock
from tests.support.configuration import CATALOGUE

INTERVAL, STEP = 900.0, 150.0
CHECKS = ("dkim", "dmarc", "mx", "spf")
CONFIG = """
resolver: {{nameservers: ["127.0.0.1:{port}"], timeout: 5s}}
checks: {{{off}}}
schedule: {{default: 15m}}
blocklists: []
domains:
  - {{name: example.com, dkim_selectors: [s1]}}
"""
WORLD = """
example.com. TXT "v=spf1 mx -all"
example.com. MX 10 a.example.com.
a.example.com. A 192.0.2.10
_dmarc.example.com. TXT "v=DMARC1; p=reject"
s1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""
SPF = "spf", "domain=example.com"


class Story:
    def __init__(self, daemon: Daemon, clock: FakeClock, server: NameServer) -> None:
        self.daemon, self.clock, self.server = daemon, clock, server
        self._before: dict[str, tuple[int, int]] = dict.fromkeys(CHECKS, (0, 0))

    def begin(self) -> None:
        """Count from here on."""
        own = self.daemon._own
        self._before = {check: (own.runs[check], own.unchanged[check]) for check in CHECKS}

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """The runs of each check, and how many of them evaluated nothing."""
        own = self.daemon._own
        return {it: (own.runs[it] - runs, own.unchanged[it] - same) for it, (runs, same) in self._before.items()}

    async def now(self) -> None:
        """Run what is due."""
        for check in CHECKS:
            self.daemon.schedule.tick(check)
        await until(lambda: self.daemon.schedule.idle)

    async def round(self) -> None:
        """Run everything once, at its own time."""
        for _ in range(int(INTERVAL / STEP)):
            self.clock.pass_(STEP)
            await self.now()

    async def page(self) -> str:
        url = f"{self.daemon.web.addresses[0]}/targets/domain=example.com?check=spf"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[Story]:
    """After a few rounds: what was new in the first is known in the others."""
    clock, server, path = FakeClock(), NameServer(ZoneData(WORLD)), home / "config.yaml"
    await server.start()
    off = ", ".join(f"{it}: {{enabled: false}}" for it in CATALOGUE.checks if it not in CHECKS)
    path.write_text(CONFIG.format(port=server.address[1], off=off))
    daemon = Daemon(lambda files: load(path, CATALOGUE, files), clients.open_clients, CATALOGUE, clock)
    await daemon.start([("127.0.0.1", 0)])
    story = Story(daemon, clock, server)
    try:
        await story.now()
        for _ in range(3):
            await story.round()
        story.begin()
        yield story
    finally:
        await daemon.stop()
        await server.stop()


async def test_the_checks_of_a_target_run_together_and_evaluate_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        story.server.asked.clear()
        repeated = story.daemon.store[SPF].repeated
        await story.round()
        assert story.counts == dict.fromkeys(CHECKS, (1, 1))
        assert len(story.server.asked) == len(set(story.server.asked)) > 5, "each question once for all of them"
        assert not story.daemon.schedule.skipped
        state = story.daemon.store[SPF]
        assert state.last_conclusive == state.last_run > story.clock.wall() - INTERVAL
        assert state.repeated == repeated + 1


async def test_the_page_says_that_the_evidence_is_of_an_earlier_run(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        await story.round()
        assert "with the same answers as at" in await story.page()
        story.server.zone.put(records("example.com", "TXT", '"v=spf1 mx ~all"'))
        await story.round()
        assert "with the same answers as at" not in await story.page()


async def test_a_change_is_evaluated_at_the_next_run_and_its_confirmation_too(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        story.server.zone.put(records("example.com", "TXT", '"v=spf1 +all"'))
        await story.round()
        assert [it.finding.id for it in story.daemon.store[SPF].findings] == ["spf.allows-everyone"]
        runs, unchanged = story.counts["spf"]
        assert (runs >= 3, unchanged) == (True, 0), "what is not certain is looked at past all that is known"
        assert story.counts["dmarc"] == (1, 1)


async def test_what_people_ask_for_is_evaluated(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        story.daemon.actions.recheck("example.com", "spf", "somebody")
        story.clock.pass_(STEP)
        await story.now()
        assert story.counts["spf"] == (1, 0)
        assert story.daemon.store[SPF].repeated == 0


async def test_a_target_that_a_reload_changes_is_evaluated(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        path = tmp_path / "config.yaml"
        path.write_text(path.read_text().replace("dkim_selectors", "receives_mail: false, dkim_selectors"))
        assert await story.daemon.reload(force=True) == []
        await story.now()
        assert story.counts == {"mx": (1, 0), "spf": (1, 0), "dmarc": (1, 0), "dkim": (0, 0)}


async def test_a_reload_that_changes_nothing_keeps_all_traces(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        assert await story.daemon.reload(force=True) == []
        await story.round()
        assert story.counts == dict.fromkeys(CHECKS, (1, 1))


async def test_other_name_servers_are_asked_and_evaluated(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        other, path = NameServer(ZoneData(WORLD)), tmp_path / "config.yaml"
        await other.start()
        path.write_text(path.read_text().replace(str(story.server.address[1]), str(other.address[1])))
        assert await story.daemon.reload() == []
        await story.round()
        assert story.counts == dict.fromkeys(CHECKS, (1, 0))
        await other.stop()


async def test_after_the_resolver_has_lied_all_is_evaluated(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        story.daemon._forget_answers()
        await story.round()
        assert story.counts == dict.fromkeys(CHECKS, (1, 0))


async def test_what_one_run_does_for_others_and_finds_changed_runs_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as story:
        story.server.zone.put(records("_dmarc.example.com", "TXT", '"v=DMARC1; p=none"'))
        await story.round()
        assert story.counts["spf"] == (1, 1)
        assert story.counts["dmarc"] == (1, 0)
        assert [it.finding.id for it in story.daemon.store["dmarc", SPF[1]].findings][-1:] == ["dmarc.policy-none"]
