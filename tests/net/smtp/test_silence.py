"""Whose fault is silence: that of a host only while our own way out is proven, and after a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from exporter.demo.mailserver import Behaviour, SmtpFault
from exporter.facts import IP, Reason
from exporter.net.smtp.client import SmtpClient
from exporter.net.smtp.probe import SmtpResult
from tests.support.clock import FakeClock
from tests.support.peers import (
    FIRST,
    HOST,
    SECOND,
    world,
)


class Fleet:
    """Two hosts whose reachability a test switches."""

    def __init__(self, mail: SmtpClient, clock: FakeClock, down: set[IP]) -> None:
        self.mail, self.clock, self.down = mail, clock, down

    async def ask(self, ip: IP) -> SmtpResult:
        return await self.mail.probe(replace(HOST, host=f"mx-{ip}.example"), ip)


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    clock, down = FakeClock(), set[IP]()
    async with world(Behaviour(fault=SmtpFault.REJECTS), Behaviour(fault=SmtpFault.REJECTS), clock=clock) as (
        mail,
        servers,
    ):

        async def dial(ip: IP, port: int) -> tuple[str, int]:
            if ip in down:
                raise TimeoutError
            return await servers.dial(ip, port)

        mail._context = replace(mail._context, dial=dial)
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


async def test_a_clock_that_is_put_right_meanwhile_changes_nothing() -> None:
    async with fleet() as it:
        it.down.add(FIRST)
        await it.ask(SECOND)
        await it.ask(FIRST)
        it.clock.step_wall(-1e9)
        began = it.clock.wall()
        for _ in range(3):
            it.clock.pass_(1800)
            await it.ask(SECOND)
            told = await it.ask(FIRST)
        assert told.silence
        assert told.silence.since == pytest.approx(began)


async def test_what_a_silent_host_cost_is_forgotten_when_nobody_asks_any_more() -> None:
    async with fleet() as it:
        it.down.add(FIRST)
        await it.ask(SECOND)
        for n in range(3):
            await it.mail.probe(replace(HOST, host=f"gone{n}.example"), FIRST)
        it.clock.pass_(90_000)
        await it.ask(SECOND)
        await it.ask(FIRST)
        assert len(it.mail._quiet) == 1
