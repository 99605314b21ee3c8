"""When a list is tested, and what becomes of one that cannot be believed."""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import ip_address

import pytest

from exporter.facts import Reason, Verdict
from exporter.mail.dns import Question, Reply
from exporter.net import Net
from exporter.net.dnsbl.answers import HOUR
from exporter.net.dnsbl.list_state import TEST_HEALTHY, TEST_INCONCLUSIVE, TEST_UNHEALTHY
from tests.support.lists import (
    ASKED,
    IP,
    NAME,
    OTHER,
    POINTS,
    TEST,
    Mode,
    Scripted,
    World,
    health,
    run,
    stands,
)


class TestBelief:
    async def test_a_list_is_tested_before_its_first_answer_counts_and_only_once_for_all_that_wait(
        self, world: World
    ) -> None:
        world.slow = True
        await asyncio.gather(*(world.look(f"192.0.2.{n}") for n in range(50)))
        assert world.names()[:2] == TEST
        assert Counter(world.names())[TEST[0]] == 1

    async def test_who_comes_while_the_first_test_runs_waits_for_it(self, world: World) -> None:
        world.slow = True
        first = asyncio.create_task(world.look(OTHER))
        while not world.asked:
            await asyncio.sleep(0)
        assert (await run(world)).verdict is Verdict.PASS
        assert not stands(await first)
        assert Counter(world.names())[TEST[0]] == 1

    @pytest.mark.parametrize("mode", [Mode.DEAD, Mode.SILENT])
    async def test_what_went_badly_while_the_resolver_lied_is_tested_again_at_once(
        self, world: World, one: Scripted, mode: Mode
    ) -> None:
        one.mode = mode
        assert (await health(world, one)).verdict is not Verdict.PASS
        one.mode = Mode.GOOD
        world.clock.pass_(60)
        assert (await health(world, one)).verdict is not Verdict.PASS, "its test is not due"
        world.client.test_again()
        assert (await health(world, one)).verdict is Verdict.PASS
        since = len(world.asked)
        world.client.test_again()
        await health(world, one)
        assert world.asked[since:] == [], "one that went well stays as it is"

    async def test_a_test_for_a_new_listing_is_no_doubt_about_the_list(self, world: World, one: Scripted) -> None:
        await world.look(OTHER)
        one.lists[IP] = "127.0.0.2"
        world.slow = True
        since = len(world.asked)
        looking = asyncio.create_task(world.look(IP))
        while TEST[0] not in world.names(since):
            await asyncio.sleep(0)
        assert (await health(world, one)).verdict is Verdict.PASS
        assert stands(await looking)

    async def test_an_untested_list_is_not_asked(self, world: World) -> None:
        world.lost = {POINTS[1]}
        outcome = await run(world)
        assert world.names() == TEST
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.BLOCKLIST_UNHEALTHY

    @pytest.mark.parametrize("mode", [Mode.REFUSES, Mode.WORLD, Mode.DEAD, Mode.PARKED])
    async def test_a_list_that_cannot_be_believed_is_asked_nothing_but_the_hourly_test(
        self, world: World, one: Scripted, mode: Mode
    ) -> None:
        one.mode = mode
        for _ in range(24 * 60):
            await world.look(IP)
            world.clock.pass_(60)
        assert Counter(world.names()) == dict.fromkeys(TEST, 24)

    async def test_a_refusal_in_a_plain_answer_pauses_the_zone_for_an_hour(self, world: World, one: Scripted) -> None:
        await world.look(OTHER)
        world.clock.pass_(TEST_HEALTHY - 1)
        one.mode = Mode.REFUSES
        since = len(world.asked)
        for _ in range(59):
            await world.look(IP)
            world.clock.pass_(60)
        assert world.names(since) == [ASKED]

    async def test_it_is_believed_again_after_a_good_test(self, world: World, one: Scripted) -> None:
        one.mode = Mode.REFUSES
        await world.look(IP)
        one.mode = Mode.GOOD
        world.clock.pass_(TEST_UNHEALTHY)
        assert (await run(world)).verdict is Verdict.PASS

    async def test_a_test_that_proves_nothing_changes_no_belief(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        world.clock.pass_(TEST_HEALTHY)
        world.lost = {POINTS[0]}
        assert (await run(world)).verdict is Verdict.PASS
        outcome = await health(world, one)
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.DNS_SERVFAIL

    async def test_a_fault_outlives_a_test_that_proves_nothing(self, world: World, one: Scripted) -> None:
        one.mode = Mode.DEAD
        await health(world, one)
        one.mode = Mode.SILENT
        world.clock.pass_(TEST_UNHEALTHY)
        outcome = await health(world, one)
        assert outcome.verdict is Verdict.FAIL
        assert outcome.doubt

    async def test_an_answer_that_was_under_way_when_belief_was_lost_counts_for_nothing(
        self, world: World, one: Scripted
    ) -> None:
        await world.look(OTHER)
        one.lists[IP] = "127.0.0.2"
        world.clock.pass_(TEST_HEALTHY - 1)
        waiting = asyncio.Event()

        async def gate(question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
            if str(question) == ASKED:
                await waiting.wait()
            return await world.ask(question, fresh=fresh)

        class Gate:
            ask = staticmethod(gate)

        asking = asyncio.create_task(
            Net(Gate(), world.clock, blocklists=world.client).listed(ip_address(IP), [one.blocklist])
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        one.mode = Mode.REFUSES
        await world.look(OTHER)
        one.mode = Mode.GOOD
        waiting.set()
        (standing,) = await asking
        assert standing.listing is None
        assert standing.doubt
        assert standing.doubt.reason is Reason.BLOCKLIST_UNHEALTHY
        world.clock.pass_(TEST_UNHEALTHY)
        world.lost = {NAME}
        assert not stands(await world.look(IP)), "nor later, when the list is believed again"

    async def test_a_list_that_refuses_while_it_is_tested_is_not_asked_for_its_reason(
        self, world: World, one: Scripted
    ) -> None:
        one.lists[IP] = "127.0.0.10"
        world.watch = lambda question: world.lost.update({NAME} if question.rdtype == "TXT" else ())
        await world.look(IP)
        world.lost.clear()
        one.lists[IP] = "127.0.0.4"
        since = len(world.asked)

        def turn(_: Question) -> None:
            if world.names(since).count(ASKED):
                one.mode = Mode.REFUSES

        world.watch = turn
        await world.look(IP)
        assert world.names(since) == [ASKED, *TEST]

    async def test_a_believed_list_is_tested_every_six_hours_and_told_so(self, world: World, one: Scripted) -> None:
        for _ in range(24):
            assert (await health(world, one)).verdict is Verdict.PASS
            world.clock.pass_(HOUR)
        assert world.names() == TEST * 4
        assert "not due again" in str((await health(world, one)).transcript + (await health(world, one)).transcript)

    async def test_a_run_that_is_broken_off_leaves_no_lock_behind(self, world: World) -> None:
        async def never(question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
            await asyncio.Event().wait()
            raise AssertionError

        class Stuck:
            ask = staticmethod(never)

        stuck = asyncio.create_task(
            Net(Stuck(), world.clock, blocklists=world.client).listed(ip_address(IP), [world.lists[0].blocklist])
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        assert (await world.look(IP))[0].doubt
        world.clock.pass_(TEST_INCONCLUSIVE)
        assert (await run(world)).verdict is Verdict.PASS
