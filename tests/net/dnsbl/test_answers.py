"""Truth rule 3: what is kept, how a listing ends, when a new one counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.facts import Reason, Verdict
from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.answers import DAY, HOUR
from exporter.net.dnsbl.client import RECENT, SECOND_LOOK
from exporter.net.dnsbl.list_state import (
    MOST_CONFIRMATIONS,
    TEST_HEALTHY,
    TEST_INCONCLUSIVE,
    TEST_UNHEALTHY,
)
from exporter.net.dnsbl.verdict import ListVerdict
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
    run,
    scripted,
    stands,
)


class TestKeptAnswers:
    """The last conclusive answer is kept per (address, list)."""

    async def test_a_recent_no_stands_in_for_a_question_without_answer(self, world: World) -> None:
        await world.look(IP)
        world.lost = {NAME}
        world.clock.pass_(HOUR)
        assert (await run(world)).verdict is Verdict.PASS

    async def test_an_old_no_does_not(self, world: World) -> None:
        await world.look(IP)
        world.lost = {NAME}
        world.clock.pass_(RECENT)
        outcome = await run(world)
        assert outcome.verdict is Verdict.UNKNOWN
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.DNS_SERVFAIL

    async def test_each_address_has_its_own(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        assert stands(await world.look(IP))
        assert not stands(await world.look(OTHER))

    @pytest.mark.parametrize("mode", [m for m in Mode if m is not Mode.GOOD])
    async def test_a_list_that_cannot_be_believed_or_does_not_answer_changes_none(
        self, world: World, one: Scripted, mode: Mode
    ) -> None:
        one.lists[IP] = "127.0.0.2"
        before = await world.look(IP)
        one.mode = mode
        for _ in range(30):
            world.clock.pass_(HOUR)
            after = await world.look(IP)
            assert after[0].listing == before[0].listing
        assert not stands(await world.look(OTHER))

    async def test_two_lists_are_kept_apart(self) -> None:
        a, b = scripted(), Scripted(Blocklist("other", "other.example"))
        world = World([a, b])
        a.lists[IP] = "127.0.0.2"
        assert [s.listing is not None for s in await world.look(IP)] == [True, False]


class TestTheEndOfAListing:
    """A standing listing ends only by a "no" from that list while believed, or when the operator removes the list."""

    async def test_a_no_of_a_believed_list_ends_it(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        assert stands(await world.look(IP))
        one.lists.clear()
        assert not stands(await world.look(IP))

    async def test_the_no_of_a_dead_list_does_not(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        world.clock.pass_(TEST_HEALTHY)
        one.mode = Mode.DEAD
        outcome = await run(world)
        assert outcome.verdict is Verdict.FAIL
        assert [f.id for f in outcome.findings] == ["blocklist.listed"]

    async def test_nor_does_the_no_of_one_that_has_died_since_its_last_test(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        one.mode = Mode.DEAD
        assert stands(await world.look(IP))
        one.mode = Mode.GOOD
        world.clock.pass_(TEST_UNHEALTHY)
        assert stands(await world.look(IP))

    async def test_the_no_of_another_list_does_not(self) -> None:
        a, b = scripted(), Scripted(Blocklist("other", "other.example"))
        world = World([a, b])
        a.lists[IP] = "127.0.0.2"
        await world.look(IP)
        a.mode = Mode.SILENT
        assert (await run(world)).verdict is Verdict.FAIL

    async def test_silence_and_age_do_not(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        one.mode = Mode.SILENT
        world.clock.pass_(400 * DAY)
        assert stands(await world.look(IP))

    async def test_removing_the_list_does(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        list(world.client.keep_only([], frozenset({IP})))
        one.mode = Mode.SILENT
        assert not stands(await world.look(IP))

    async def test_another_zone_under_the_same_name_is_another_list(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        moved = Scripted(replace(one.blocklist, zone="moved.example"), Mode.SILENT)
        world.lists.append(moved)
        assert not stands(await world.look(IP, moved))

    async def test_a_no_from_our_own_cache_is_asked_again(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        question = Question(NAME, "A")
        world.cached[question] = Reply(question, Status.NXDOMAIN, transport="cache")
        assert stands(await world.look(IP))


class TestANewListing:
    """A new listing counts only after both test points answered rightly again after it, and it was seen again."""

    async def test_the_test_points_are_asked_again_past_the_cache_and_then_the_reason(
        self, world: World, one: Scripted
    ) -> None:
        one.lists[IP] = "127.0.0.2"
        (standing,) = await world.look(IP)
        second_look = [ASKED] * SECOND_LOOK
        assert world.names() == [*TEST, ASKED, *TEST, *second_look, ASKED.replace(" A", " TXT")]
        assert world.fresh == [True, True, False, True, True, True, True, True, False]
        assert standing.listing
        assert standing.listing.text == "because"

    async def test_a_standing_listing_is_not_tested_each_time(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        since = len(world.asked)
        world.clock.pass_(HOUR)
        assert stands(await world.look(IP))
        assert world.names(since) == [ASKED]

    @pytest.mark.parametrize("mode", [Mode.WORLD, Mode.DEAD, Mode.REFUSES, Mode.PARKED])
    async def test_it_does_not_count_when_the_test_goes_wrong(self, world: World, one: Scripted, mode: Mode) -> None:
        await world.look(OTHER)
        one.lists[IP] = "127.0.0.2"

        def turn(question: Question) -> None:
            if world.names().count(ASKED):
                one.mode = mode

        world.watch = turn
        outcome = await run(world)
        assert outcome.verdict is Verdict.UNKNOWN
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.BLOCKLIST_UNHEALTHY

    @pytest.mark.parametrize("point", POINTS)
    async def test_it_does_not_count_while_one_test_point_is_silent_and_counts_when_both_have_answered(
        self, world: World, one: Scripted, point: str
    ) -> None:
        await world.look(OTHER)
        one.lists[IP] = "127.0.0.2"
        world.lost = {point}
        outcome = await run(world)
        assert outcome.verdict is Verdict.UNKNOWN
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.DNS_SERVFAIL
        world.lost = {NAME}
        world.clock.pass_(TEST_INCONCLUSIVE)
        assert stands(await world.look(OTHER)) is False
        assert not stands(await world.look(IP)), "a good test after it is not enough"
        world.lost.clear()
        assert stands(await world.look(IP)), "it was seen again"

    async def test_many_at_once_cause_few_tests(self, world: World, one: Scripted) -> None:
        subjects = [f"192.0.2.{n}" for n in range(200)]
        await world.look(OTHER)
        one.lists |= dict.fromkeys(subjects, "127.0.0.2")
        world.slow = True
        since = len(world.asked)
        found = await asyncio.gather(*(world.look(subject) for subject in subjects))
        assert all(map(stands, found))
        assert world.names(since).count(TEST[0]) <= 2

    async def test_one_that_arrives_while_a_test_runs_waits_for_the_next(self, world: World, one: Scripted) -> None:
        await world.look("192.0.2.99")
        one.lists |= {IP: "127.0.0.2", OTHER: "127.0.0.2"}
        world.slow = True

        async def late() -> list[ListVerdict]:
            while TEST[0] not in world.names(3):
                await asyncio.sleep(0)
            return await world.look(OTHER)

        found = await asyncio.gather(world.look(IP), late())
        assert all(map(stands, found))
        asked = world.names(3)
        second = [n for n, name in enumerate(asked) if name == TEST[0]][1]
        assert second > asked.index(ASKED.replace("10.2", "20.2"))

    async def test_the_tests_for_new_listings_are_bounded_and_nothing_is_lost(
        self, world: World, one: Scripted
    ) -> None:
        subjects = [f"192.0.2.{n}" for n in range(100)]
        for subject in subjects:
            one.lists[subject] = "127.0.0.2"
            await world.look(subject)
        assert world.names().count(TEST[0]) <= 1 + MOST_CONFIRMATIONS
        outcome = await run(world, subjects[-1])
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.RATE_LIMITED
        world.clock.pass_(HOUR)
        assert all([stands(await world.look(subject)) for subject in subjects])

    async def test_another_code_counts_only_after_a_test_and_the_old_one_stands_meanwhile(
        self, world: World, one: Scripted
    ) -> None:
        one.lists[IP] = "127.0.0.10"
        await world.look(IP)
        one.lists[IP] = "127.0.0.4"
        world.lost = {POINTS[0]}
        (standing,) = await world.look(IP)
        assert standing.listing
        assert standing.listing.codes == ("127.0.0.10",)
        world.lost.clear()
        (standing,) = await world.look(IP)
        assert standing.listing
        assert standing.listing.codes == ("127.0.0.4",)

    async def test_one_from_our_own_cache_is_asked_again(self, world: World) -> None:
        await world.look(IP)
        question = Question(NAME, "A")
        world.cached[question] = Reply(question, Status.ANSWER, (ip_address("127.0.0.2"),), transport="cache")
        assert not stands(await world.look(IP))

    async def test_a_first_look_that_finds_a_listing_reports_it(self, world: World, one: Scripted) -> None:
        """State, not change: an address that was listed before we started is listed."""
        one.lists[IP] = "127.0.0.2"
        assert (await run(world)).verdict is Verdict.FAIL

    async def test_the_reason_in_words_is_no_doubt_when_it_is_not_to_be_had(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(OTHER)
        world.watch = lambda question: world.lost.update({question.name} if question.rdtype == "TXT" else ())
        outcome = await run(world)
        assert outcome.verdict is Verdict.FAIL
        assert outcome.doubt is None
