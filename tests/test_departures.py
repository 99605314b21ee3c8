"""Nothing is forgotten by mistake: a reload that drops much is refused, and what has left is remembered for a week."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.check_state import CheckState, Key, RecordHistory
from exporter.checks.smtp_tls.connection import NO_STARTTLS
from exporter.config import load
from exporter.engine import catalogue
from exporter.engine.departures import DAY, Departures
from exporter.engine.events import Kind
from exporter.engine.families import FINDING, SINCE
from exporter.engine.slices import SLICE
from exporter.engine.state_file import StateFile
from exporter.facts import Record
from exporter.targets import Domain, MailHost
from tests.engine.test_state_file import CHECK, ran
from tests.support.checks import EXAMPLE
from tests.support.clock import FakeClock
from tests.support.exposed import lines_of

CATALOGUE = catalogue.load()
HEAD = """
smtp: {helo_name: probe.example.net}
resolver: {nameservers: ["127.0.0.1:9"]}
blocklists: []
"""
SENDER = "senders: [{name: out, addresses: [192.0.2.1], helo: mail.example.com}]\n"
PTR = ("ptr", "ip=192.0.2.1")
TRUE = 1_780_000_000.0


def domains(first: int, last: int) -> str:
    return "domains:\n" + "".join(f"- {{name: d{n}.example, sends_mail: false}}\n" for n in range(first, last + 1))


@asynccontextmanager
async def running(home: Path, clock: FakeClock, text: str, *, state: bool = True) -> AsyncIterator[Daemon]:
    config = home / "config.yaml"
    config.write_text(HEAD + text)
    daemon = Daemon(
        partial(load, config, CATALOGUE),
        clients.open_clients,
        CATALOGUE,
        clock,
        state_path=home / "state" if state else None,
        lifecycle=True,
    )
    await daemon.start([("127.0.0.1", 0)])
    daemon.schedule._scheduler.pause()  # the test says what was looked at
    try:
        yield daemon
    finally:
        await daemon.stop()


async def reload(daemon: Daemon, home: Path, text: str) -> None:
    (home / "config.yaml").write_text(HEAD + text)
    assert await daemon.reload() == []


def look(daemon: Daemon, at: float, key: Key = PTR) -> CheckState:
    """Another bad look, and then the resolver passes its own test."""
    state = daemon.store.record(ran(at))
    assert state is not None
    daemon._changed(state)
    daemon._changed(daemon.store.confirm(key, at + 1) or daemon.store[key])
    return daemon.store[key]


def alerting(daemon: Daemon) -> list[float]:
    return [float(line.split()[-1]) for line in lines_of(SINCE, daemon.exposition)]


async def stood(daemon: Daemon, clock: FakeClock) -> float:
    """A finding is confirmed. Return since when it is there."""
    began = clock.wall()
    for wait in (0, 60, 120):
        clock.pass_(wait)
        look(daemon, clock.wall())
    assert alerting(daemon) == [began]
    return began


def comes_back(daemon: Daemon, clock: FakeClock) -> list[list[float]]:
    """What alerts know, before and after each of three bad looks."""
    state = daemon.store[PTR]
    assert (state.findings, state.last_run, lines_of(FINDING, daemon.exposition)) == ((), 0.0, []), "it is pending"
    assert daemon.schedule.due_in(PTR) == 0.0, "it runs at once"
    told = [alerting(daemon)]
    for wait in (1, 60, 120):
        clock.pass_(wait)
        look(daemon, clock.wall())
        told.append(alerting(daemon))
    return told


@pytest.mark.parametrize(("days", "kept"), [(6.9, True), (7.1, False)])
async def test_a_target_that_comes_back_is_pending_and_keeps_its_since(tmp_path: Path, days: float, kept: bool) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER, state=False) as daemon:
        began = await stood(daemon, clock)
        await reload(daemon, tmp_path, "")
        assert PTR not in daemon.store.keys()  # noqa: SIM118  (a Store is no mapping)
        assert alerting(daemon) == []
        clock.pass_(days * DAY)
        await reload(daemon, tmp_path, SENDER)
        since = began if kept else clock.wall() + 1
        assert comes_back(daemon, clock) == [[], [], [], [since]]


@pytest.mark.parametrize("what", ["checks: {ptr: {enabled: false}}\n", "checks: {ptr: {enabled: true}}\n"])
async def test_it_is_the_same_with_a_check_that_was_off_and_across_restarts(tmp_path: Path, what: str) -> None:
    """Three restarts: with it, without it in one of two ways, and with it."""
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER) as daemon:
        began = await stood(daemon, clock)
    without = SENDER + what if "false" in what else what
    async with running(tmp_path, clock, without):
        clock.pass_(3.9 * DAY)
    async with running(tmp_path, clock, without):
        clock.pass_(3 * DAY)
    async with running(tmp_path, clock, SENDER) as daemon:
        assert comes_back(daemon, clock) == [[], [], [], [began]]
    async with running(tmp_path, clock, SENDER) as daemon:
        assert alerting(daemon) == [began], "from now on it is saved as always"


async def test_the_time_of_leaving_is_kept_across_restarts(tmp_path: Path) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER) as daemon:
        await stood(daemon, clock)
        await reload(daemon, tmp_path, "")
    for _ in range(4):
        clock.pass_(2 * DAY)
        async with running(tmp_path, clock, ""):
            pass
    file = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert (file.departed, file.left()) == ({}, {("resolver", "resolver")} & file.left()), (
        "the file keeps no more of it"
    )
    await file.close()
    async with running(tmp_path, clock, SENDER) as daemon:
        assert comes_back(daemon, clock)[-1] == [clock.wall() - 180]


async def test_its_events_and_acknowledgements_go_with_it_across_restarts(tmp_path: Path) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER) as daemon:
        for findings in ((), *[ran(TRUE).findings] * 3, (), (), ()):
            clock.pass_(300)
            daemon.store.record(replace(ran(clock.wall()), findings=findings))
            daemon._changed(daemon.store.confirm(PTR, clock.wall() + 1) or daemon.store[PTR])
        assert [event.kind for event in daemon.history] == [Kind.HEALED, Kind.BROKE]
        daemon.actions.acknowledged.give(PTR[1], ran(TRUE).findings[0].id, TRUE + 90 * DAY, "moving", "")
    for known in ((2, 1), (2, 1), (0, 0)):
        async with running(tmp_path, clock, "") as daemon:
            assert (len(list(daemon.history)), len(list(daemon.actions.acknowledged))) == known
            clock.pass_(4 * DAY)


async def test_what_last_ran_long_before_a_start_without_it_is_forgotten(tmp_path: Path) -> None:
    """The exporter was off for eight days, and is then started without the target."""
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER) as daemon:
        await stood(daemon, clock)
    clock.pass_(8 * DAY)
    async with running(tmp_path, clock, ""):
        pass
    async with running(tmp_path, clock, SENDER) as daemon:
        assert comes_back(daemon, clock)[-1] == [clock.wall() - 180]


async def test_who_leaves_again_before_a_look_keeps_it_too(tmp_path: Path) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER, state=False) as daemon:
        began = await stood(daemon, clock)
        for text in ("", SENDER, "", SENDER):
            await reload(daemon, tmp_path, text)
            clock.pass_(DAY)
        await reload(daemon, tmp_path, "")
        await reload(daemon, tmp_path, SENDER)
        assert comes_back(daemon, clock) == [[], [], [], [began]]


async def test_a_run_in_doubt_forgets_nothing(tmp_path: Path) -> None:
    """The target is back while nobody can look."""
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER, state=False) as daemon:
        began = await stood(daemon, clock)
        await reload(daemon, tmp_path, "")
        await reload(daemon, tmp_path, SENDER)
        for _ in range(3):
            clock.pass_(DAY)
            daemon.store.record(replace(ran(clock.wall(), doubt=True), findings=()))
        for wait in (1, 60, 120):
            clock.pass_(wait)
            look(daemon, clock.wall())
        assert alerting(daemon) == [began]
        assert daemon.store[PTR].ended == ()


async def test_what_was_mended_while_it_was_away_is_new_when_it_comes_back(tmp_path: Path) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER, state=False) as daemon:
        began = await stood(daemon, clock)
        await reload(daemon, tmp_path, "")
        await reload(daemon, tmp_path, SENDER)
        daemon.store.record(replace(ran(clock.wall()), findings=()))
        for wait in (60, 60, 120):
            clock.pass_(wait)
            look(daemon, clock.wall())
        assert alerting(daemon) == [clock.wall() - 180] != [began]


async def test_a_mail_host_that_no_record_names_for_an_hour_keeps_it_too(tmp_path: Path) -> None:
    """An MX record is wrong, and then right again."""
    clock = FakeClock(TRUE)
    mx, smtp = CATALOGUE.checks["mx"], CATALOGUE.checks["smtp_tls"]
    host = MailHost(host="mx.example.net", port=25)
    key = (smtp.id, host.key)
    text = "domains: [{name: d1.example, sends_mail: false}]\n"
    bad = NO_STARTTLS(host=host.host, ip="192.0.2.25", port=25)
    async with running(tmp_path, clock, text, state=False) as daemon:
        domain = next(state.target for state in daemon.store if state.check is mx and isinstance(state.target, Domain))

        def found(*targets: MailHost) -> None:
            run = replace(ran(clock.wall()), check=mx, target=domain, findings=(), samples=(), found=targets)
            state = daemon.store.record(run)
            assert state is not None
            daemon._changed(state)
            daemon._changed(daemon.store.confirm(state.key, clock.wall() + 1) or state)

        def hurt() -> None:
            run = replace(ran(clock.wall()), check=smtp, target=host, findings=(bad,), samples=())
            assert daemon.store.record(run)
            daemon._changed(daemon.store.confirm(key, clock.wall() + 1) or daemon.store[key])

        found(host)
        began = clock.wall()
        for _ in range(3):
            hurt()
            clock.pass_(1800)
        assert alerting(daemon) == [began]
        found()
        assert key not in daemon.store.keys()  # noqa: SIM118  (a Store is no mapping)
        clock.pass_(3600)
        found(host)
        assert alerting(daemon) == []
        for _ in range(3):
            hurt()
            clock.pass_(1800)
        assert alerting(daemon) == [began]


async def test_a_corrected_clock_moves_what_has_left(tmp_path: Path) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, SENDER) as daemon:
        began = await stood(daemon, clock)
        await reload(daemon, tmp_path, "")
        clock.step_wall(-30 * DAY)
        daemon.clock_steps.jumped(-30 * DAY)
        await asyncio.gather(*daemon.clock_steps.tasks)
    async with running(tmp_path, clock, SENDER) as daemon:
        assert comes_back(daemon, clock)[-1] == [began - 30 * DAY]


def test_what_is_kept_is_bounded() -> None:
    departures, history = Departures(FakeClock(TRUE), most=3), RecordHistory(Record.of("x", ["b"]), TRUE)
    changed = history.now(Record.of("x", ["a"]), TRUE).confirmed(TRUE + 1)
    for number in range(5):
        departures.leave(CheckState(CHECK, replace(EXAMPLE, name=f"d{number}.example"), records=(changed,)))
    departures.settle(set())
    back = [departures.recall(CheckState(CHECK, replace(EXAMPLE, name=f"d{number}.example"))) for number in range(5)]
    assert [bool(it.records) for it in back] == [False, False, True, True, True], "the latest stay"


async def test_a_reload_that_drops_much_is_refused_until_it_is_forced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock(TRUE)
    many = "include: [many.yaml]\n"
    (tmp_path / "many.yaml").write_text(domains(1, 40))
    async with running(tmp_path, clock, many, state=False) as daemon, aiohttp.ClientSession() as session:
        url = daemon.web.addresses[0]

        async def post(query: str = "") -> tuple[int, str]:
            async with session.post(f"{url}/-/reload{query}") as answer:
                return answer.status, await answer.text()

        async def scraped() -> str:
            async with session.get(f"{url}/metrics") as answer:
                return await answer.text()

        pairs = daemon.store.keys()
        (tmp_path / "many.yaml").write_text(domains(1, 5))
        status, body = await post()
        assert status == 500
        assert "35 of 40 senders, domains and mail hosts would leave (domain d6.example, domain d7.example, " in body
        assert "limits.reload_drop allows (20%)" in body
        assert "POST /-/reload?force=true" in body
        assert "reload_drop: 100%" in body
        assert daemon.store.keys() == pairs
        assert "deliverability_exporter_config_last_reload_successful 0.0" in await scraped()
        assert "35 of 40" in caplog.text
        async with session.get(url) as page:
            assert "35 of 40" in await page.text()
        assert len(await daemon.reload()) == 1, "as SIGHUP does, which cannot force"
        assert (await post("?force=yes"))[0] == 400
        assert (await post("?force=true"))[0] == 200
        assert len(daemon.store.keys()) < len(pairs) / 4
        assert "deliverability_exporter_config_last_reload_successful 1.0" in await scraped()
        (tmp_path / "many.yaml").write_text(domains(1, 40))
        assert (await post())[0] == 200
        (tmp_path / "many.yaml").write_text("")
        assert (await post())[0] == 500, "force was for one reload"
        (tmp_path / "config.yaml").write_text(HEAD + many + "limits: {reload_drop: 100%}\n")
        assert (await post())[0] == 200


@pytest.mark.parametrize(
    ("before", "after", "refused"), [(40, 31, False), (40, 30, True), (60, 48, False), (60, 47, True), (9, 0, False)]
)
async def test_more_than_a_fifth_and_at_least_ten(tmp_path: Path, before: int, after: int, refused: bool) -> None:
    async with running(tmp_path, FakeClock(TRUE), domains(1, before), state=False) as daemon:
        (tmp_path / "config.yaml").write_text(HEAD + (domains(1, after) if after else ""))
        assert bool(await daemon.reload()) == refused


async def test_a_start_that_knows_much_less_than_the_state_file_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock(TRUE)
    async with running(tmp_path, clock, domains(1, 20)) as daemon:
        for state in daemon.store:
            daemon._changed(state)
    caplog.set_level(logging.WARNING)
    async with running(tmp_path, clock, domains(1, 2)) as daemon:
        assert "targets of the state file are not configured any more (" in caplog.text
        (notice,) = (it for it in daemon._notices() if "state file" in it)
        assert "kept for 7 days" in notice
        await reload(daemon, tmp_path, domains(1, 3))
        assert not [it for it in daemon._notices() if "state file" in it]
    caplog.clear()
    async with running(tmp_path, clock, domains(1, 3)):
        assert "state file" not in caplog.text, "it is told once"


async def test_what_a_domain_finds_while_it_leaves_leaves_with_it(tmp_path: Path) -> None:
    clock, leaving = FakeClock(TRUE), "- {name: leaving.example}\n"
    many = 2 * SLICE  # so that runs end while a reload is under way
    async with running(tmp_path, clock, domains(1, many) + leaving, state=False) as daemon:
        plan = daemon._runs.plan
        (tmp_path / "config.yaml").write_text(HEAD + domains(1, many))
        reloading = asyncio.create_task(daemon.reload(force=True))
        while daemon._runs.plan is plan:
            await asyncio.sleep(0)
        state = daemon.store["mx", "domain=leaving.example"]
        daemon._changed(replace(state, found=(MailHost(host="mx.leaving.example"),)))
        assert [it.target.key for it in daemon.store if "mx.leaving" in it.target.key], (
            "it was found before the reload had ended"
        )
        assert await reloading == []
        assert not [it.target.key for it in daemon.store if "leaving" in it.target.key]
