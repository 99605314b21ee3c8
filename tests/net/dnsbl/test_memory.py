"""Budgets, restarts, reloads, and the secret in a zone."""

from __future__ import annotations

import asyncio
import json
import logging
from ipaddress import ip_address

import pytest

from exporter.facts import Reason, Verdict
from exporter.mail.dns import TXT, Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.answers import DAY, HOUR
from exporter.net.dnsbl.list_state import TEST_HEALTHY, TEST_INCONCLUSIVE
from tests.support.lists import (
    ASKED,
    IP,
    KEY,
    NAME,
    OTHER,
    POINTS,
    TEST,
    Mode,
    Scripted,
    World,
    health,
    reborn,
    run,
    scripted,
    stands,
)


class TestBudget:
    async def test_the_ceiling_holds_and_tests_count(self) -> None:
        one = scripted(queries_per_day=100)
        world = World([one])
        for _ in range(24 * 60):
            await world.look(IP)
            world.clock.pass_(59)
        assert len(world.asked) <= 100
        assert world.names().count(TEST[0]) == 4, "the tests of the day are set aside"
        assert 0 <= world.client.budgets()["keyed"] <= 0.1
        world.clock.pass_(HOUR)
        assert world.client.budgets()["keyed"] == 1
        assert (await run(world)).verdict is Verdict.PASS

    async def test_beyond_it_the_reason_is_our_own_pace(self) -> None:
        world = World([scripted(queries_per_day=3)])
        await world.look(OTHER)
        outcome = await run(world)
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.RATE_LIMITED
        assert len(world.asked) == 3

    async def test_it_holds_for_a_crowd(self) -> None:
        world = World([scripted(queries_per_day=50)], slow=True)
        await asyncio.gather(*(world.look(f"192.0.2.{n}") for n in range(250)))
        assert len(world.asked) <= 50

    async def test_a_test_that_the_ceiling_forbids_proves_nothing(self) -> None:
        world = World([scripted(queries_per_day=1)])
        outcome = await health(world, world.lists[0])
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.RATE_LIMITED

    async def test_what_the_cache_answers_costs_nothing(self) -> None:
        world = World([scripted(queries_per_day=100)])
        await world.look(IP)
        left = world.client.budgets()
        question = Question(NAME, "A")
        world.cached[question] = Reply(question, Status.NXDOMAIN, transport="cache")
        await world.look(IP)
        assert world.client.budgets() == left

    async def test_a_list_without_a_ceiling_has_no_budget(self, world: World) -> None:
        await world.look(IP)
        assert world.client.budgets() == {}


class TestMemory:
    async def test_listings_beliefs_and_budgets_survive_a_restart(self) -> None:
        one = scripted(queries_per_day=1000)
        world = World([one])
        one.lists[IP] = "127.0.0.2"
        (before,) = await world.look(IP)
        reborn(world)
        world.clock.pass_(60)
        since = len(world.asked)
        (after,) = await world.look(IP)
        assert after.listing == before.listing
        assert world.names(since) == [ASKED], "neither test nor reason again"
        assert world.client.budgets()["keyed"] == pytest.approx(1 - len(world.asked) / 1000)

    async def test_what_waits_and_what_can_be_gone_back_to_survive(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        one.lists = {OTHER: "127.0.0.2"}
        world.watch = lambda _: world.lost.add(POINTS[0])
        await world.look(OTHER)
        await world.look(IP)
        reborn(world)
        world.watch = lambda _: None
        world.lost.clear()
        world.clock.pass_(TEST_INCONCLUSIVE)
        one.mode = Mode.WORLD
        assert not stands(await world.look(OTHER))
        assert stands(await world.look(IP))

    async def test_a_fault_survives(self, world: World, one: Scripted) -> None:
        one.mode = Mode.REFUSES
        await world.look(IP)
        reborn(world)
        since = len(world.asked)
        assert (await health(world, one)).verdict is Verdict.FAIL
        assert world.names(since) == []

    async def test_restarts_do_not_multiply_tests(self, world: World, one: Scripted) -> None:
        for mode in (Mode.SILENT, Mode.GOOD, Mode.REFUSES):
            one.mode = mode
            world.clock.pass_(TEST_HEALTHY)
            since = len(world.asked)
            for _ in range(20):
                await health(world, one)
                reborn(world)
            assert world.names(since) == TEST

    async def test_a_restart_in_the_middle_of_the_first_test_has_it_repeated(self, world: World) -> None:
        world.watch = lambda _: reborn(world)
        await world.look(IP)
        world.watch = lambda _: None
        assert (await run(world)).verdict is Verdict.UNKNOWN
        world.clock.pass_(TEST_INCONCLUSIVE)
        assert (await run(world)).verdict is Verdict.PASS

    async def test_a_clock_that_stepped_back_makes_nothing_younger_than_now(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        saved = world.client.snapshot()
        world.clock.step_wall(-10 * DAY)
        world.client.restore(saved)
        world.clock.pass_(TEST_HEALTHY)
        since = len(world.asked)
        await health(world, one)
        assert world.names(since) == TEST

    @pytest.mark.parametrize(
        "wreck", [None, [], {}, {"at": "x"}, {"at": 1, "lists": []}, {"at": 1, "lists": {"a": {}}}]
    )
    async def test_what_cannot_be_read_is_left_out_with_a_warning(
        self, world: World, wreck: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            world.client.restore(wreck)
        assert "queried again" in caplog.text
        assert (await run(world)).verdict is Verdict.PASS

    async def test_the_revision_moves_when_there_is_something_to_save(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        before = world.client.revision
        await world.look(IP)
        assert world.client.revision == before, "a no again is not worth a write"
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        assert world.client.revision > before

    async def test_only_what_the_config_names_is_kept(self, world: World, one: Scripted) -> None:
        one.lists |= {IP: "127.0.0.2", OTHER: "127.0.0.2"}
        await world.look(IP)
        list(world.client.keep_only([one.blocklist], frozenset({IP})))
        assert stands(await world.look(OTHER)), "a guest is judged"
        one.mode = Mode.SILENT
        assert not stands(await world.look(OTHER)), "and forgotten"
        assert stands(await world.look(IP))

    async def test_what_was_said_not_long_ago_is_forgotten_as_a_list_may_have_another_zone(
        self, world: World, one: Scripted
    ) -> None:
        async def asked() -> int:
            since = len(world.asked)
            await world.net().listed(ip_address(IP), [one.blocklist], within=HOUR)
            return world.names(since).count(ASKED)

        assert [await asked(), await asked()] == [1, 0]
        list(world.client.keep_only([one.blocklist], frozenset({IP})))
        assert await asked() == 1

    async def test_a_removed_address_is_forgotten(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        await world.look(OTHER)
        list(world.client.keep_only([one.blocklist], frozenset()))
        assert json.dumps(world.client.snapshot()).count(IP) == 0


class TestSecrets:
    async def test_the_zone_shows_in_no_transcript_finding_doubt_log_or_snapshot(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Every mode, every outcome, with a list that repeats its key in its own words."""
        one = scripted(queries_per_day=200)
        world = World([one, Scripted(Blocklist("other", "other.example"))])
        told: list[str] = []
        with caplog.at_level(logging.DEBUG):
            for mode in (*Mode, Mode.GOOD):
                one.mode = mode
                one.lists[IP] = "127.0.0.2"
                for lost in (set(), {NAME, POINTS[0]}):
                    world.lost = lost
                    world.clock.pass_(TEST_HEALTHY)
                    outcomes = [await run(world), await health(world, one)]
                    told += [repr(outcome) for outcome in outcomes]
                    told += [f"{f.text} {f.fix}" for outcome in outcomes for f in outcome.findings]
            told += [caplog.text, json.dumps(world.client.snapshot()), repr(world.client.budgets())]
        text = "\n".join(told).lower()
        assert KEY not in text
        assert "10.2.0.192.<keyed> a" in text
        assert "2.0.0.127.<keyed> a" in text

    async def test_a_list_that_repeats_the_key_is_not_repeated(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        question = Question(NAME, "TXT")
        text = f"{KEY.upper()} over quota, see {KEY}.zen.example".encode()
        world.cached[question] = Reply(
            question, Status.ANSWER, (TXT((text,)),), (f"x.{KEY}.zen.example",), extended_errors=(f"EDE {KEY}",)
        )
        outcome = await run(world)
        assert KEY not in repr(outcome).lower()
        assert "<keyed> over quota" in outcome.findings[0].text
