"""The blocklist door keeps truth rule 3, sentence by sentence; then a machine of random events against an oracle."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.catalogue import load
from exporter.checks.blocklist import blocklist as check
from exporter.checks.blocklist_health import blocklist_health
from exporter.engine import evaluate
from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl import Blocklist
from exporter.model import CannotTell, Outcome, Reason, Verdict
from exporter.net.blocklists import RECENT, Blocklists, Standing, quorum
from exporter.net.kept import (
    DAY,
    HOUR,
    MOST_CONFIRMATIONS,
    TEST_BELIEVED,
    TEST_INCONCLUSIVE,
    TEST_UNBELIEVED,
    WINDOW,
)
from exporter.targets import ListHealth, Reputation
from tests.support.lists import Mode, Scripted, World

KEY = "abcdefghijklmnopqrstuvwxyz"
IP, OTHER = "192.0.2.10", "192.0.2.20"
NAME = f"10.2.0.192.{KEY}.zen.example"
POINTS = [f"2.0.0.127.{KEY}.zen.example", f"1.0.0.127.{KEY}.zen.example"]
ASKED, TEST = f"{NAME} A", [f"{point} A" for point in POINTS]


def scripted(**given: object) -> Scripted:
    return Scripted(Blocklist("keyed", f"{KEY}.zen.example", **given))  # type: ignore[arg-type]  # fields of Blocklist


@pytest.fixture
def one() -> Scripted:
    return scripted()


@pytest.fixture
def world(one: Scripted) -> World:
    return World([one])


def stands(standings: Sequence[Standing]) -> bool:
    (only,) = standings
    return only.listing is not None


async def run(world: World, subject: str = IP, lists: Sequence[Scripted] = ()) -> Outcome:
    blocklists = tuple(one.blocklist for one in lists or world.lists)
    return await evaluate(check, Reputation(subject=ip_address(subject), lists=blocklists), world.net, world.clock)


async def health(world: World, of: Scripted) -> Outcome:
    return await evaluate(blocklist_health, ListHealth(blocklist=of.blocklist), world.net, world.clock)


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
        world.clock.pass_(TEST_BELIEVED)
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
        world.clock.pass_(TEST_UNBELIEVED)
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
        world.door.keep_only([], [ip_address(IP)])
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
    """A new listing counts only after both test points answered rightly again after it."""

    async def test_the_test_points_are_asked_again_past_the_cache_and_then_the_reason(
        self, world: World, one: Scripted
    ) -> None:
        one.lists[IP] = "127.0.0.2"
        (standing,) = await world.look(IP)
        assert world.names() == [*TEST, ASKED, *TEST, ASKED.replace(" A", " TXT")]
        assert world.fresh == [True, True, False, True, True, False]
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
        assert stands(await world.look(IP)), "a good test after it confirms it, though it is not seen again"

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

        async def late() -> list[Standing]:
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


class TestListingTheWorld:
    """When a list is found to list the world, its answers since its last good test are void."""

    async def test_a_thousand_addresses_and_no_false_listing(self, world: World, one: Scripted) -> None:
        subjects = [f"198.51.{n // 250}.{n % 250}" for n in range(1000)]
        for subject in subjects[:500]:
            assert not stands(await world.look(subject))
        one.mode = Mode.WORLD
        for subject in subjects:
            assert not stands(await world.look(subject))
        assert [f.id for f in (await health(world, one)).findings] == ["blocklist_health.lists-the-world"]

    async def test_what_was_said_since_is_void_and_what_was_said_before_stands(
        self, world: World, one: Scripted
    ) -> None:
        one.lists |= {IP: "127.0.0.2"}
        await world.look(IP)  # a good test has come after it
        one.lists.clear()
        world.lost = set(POINTS)
        assert stands(await world.look(IP)), "the end waits for a test"
        world.lost.clear()
        one.mode = Mode.WORLD
        world.clock.pass_(TEST_BELIEVED)
        assert stands(await world.look(IP))
        one.mode = Mode.GOOD
        world.lost = {NAME}
        world.clock.pass_(TEST_UNBELIEVED)
        assert stands(await world.look(IP)), "the end was void"
        world.lost.clear()
        assert not stands(await world.look(IP)), "and comes anew"

    async def test_a_no_since_is_void_too(self, world: World, one: Scripted) -> None:
        await world.look(OTHER)
        world.clock.pass_(60)
        assert (await world.look(IP))[0].clean
        one.mode = Mode.WORLD
        world.clock.pass_(60)
        await world.look(OTHER)  # its listing has the list tested
        assert not (await world.look(IP))[0].clean

    async def test_a_no_since_is_not_what_is_gone_back_to(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        one.lists[IP] = "127.0.0.2"
        world.lost = set(POINTS)
        await world.look(IP)
        one.mode = Mode.WORLD
        world.lost.clear()
        assert not (await world.look(IP))[0].clean

    async def test_an_end_that_a_good_test_has_confirmed_is_not_undone(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        one.lists = {OTHER: "127.0.0.2"}
        world.lost = set(POINTS)
        assert stands(await world.look(IP)), "the end waits"
        world.lost.clear()
        assert stands(await world.look(OTHER)), "whose good test confirms the end as well"
        one.mode = Mode.WORLD
        await world.look("192.0.2.99")
        assert not stands(await world.look(IP))

    async def test_of_several_answers_since_none_survives(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.10"
        (before,) = await world.look(IP)
        one.lists[IP] = "127.0.0.4"
        world.lost = set(POINTS)
        await world.look(IP)
        await world.look(IP)
        world.lost.clear()
        one.mode = Mode.WORLD
        await world.look(IP)
        one.mode = Mode.GOOD
        world.lost = {NAME}
        world.clock.pass_(TEST_UNBELIEVED)
        assert (await world.look(IP))[0].listing == before.listing

    async def test_an_answer_confirmed_by_a_good_test_survives(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        first = (await world.look(IP))[0].listing
        world.clock.pass_(TEST_BELIEVED)
        await world.look(IP)
        one.mode = Mode.WORLD
        world.clock.pass_(TEST_BELIEVED)
        assert (await world.look(IP))[0].listing == first

    async def test_a_listing_that_waited_is_void_when_the_list_recovers(self, world: World, one: Scripted) -> None:
        await world.look(OTHER)
        one.mode = Mode.WORLD
        await world.look(IP)
        one.mode = Mode.GOOD
        world.clock.pass_(TEST_UNBELIEVED)
        await health(world, one)
        world.lost = {NAME}
        assert not stands(await world.look(IP))


class TestTheVerdict:
    """Fails while a kept listing stands; passes when every believed list has a recent kept "no"; else unknown."""

    async def test_all_no(self, world: World) -> None:
        assert (await run(world)).verdict is Verdict.PASS

    async def test_a_list_that_cannot_be_believed_is_not_needed(self, one: Scripted) -> None:
        dead = Scripted(Blocklist("dead", "dead.example"), Mode.DEAD)
        outcome = await run(World([one, dead]))
        assert outcome.verdict is Verdict.PASS
        assert {r.measure.name: r.value for r in outcome.readings}["deliverability_blocklist_checked"] == 1

    async def test_a_believed_list_without_a_recent_no_is(self, one: Scripted) -> None:
        other = Scripted(Blocklist("other", "other.example"))
        world = World([one, other], lost={"10.2.0.192.other.example"})
        outcome = await run(world)
        assert outcome.verdict is Verdict.UNKNOWN
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.DNS_SERVFAIL

    async def test_without_any_believable_list_nothing_is_known(self, world: World, one: Scripted) -> None:
        one.mode = Mode.DEAD
        outcome = await run(world)
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.BLOCKLIST_UNHEALTHY

    def test_without_any_list_nothing_is_known(self) -> None:
        with pytest.raises(CannotTell, match="no list"):
            quorum([])

    async def test_a_standing_listing_of_an_unbelievable_list_still_fails(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        one.mode = Mode.REFUSES
        world.clock.pass_(HOUR)
        assert (await run(world)).verdict is Verdict.FAIL

    async def test_a_list_that_leaves_many_questions_unanswered_leaves_the_quorum(self, one: Scripted) -> None:
        other = Scripted(Blocklist("other", "other.example"))
        world = World([one, other])
        subjects = [f"192.0.2.{n}" for n in range(WINDOW)]
        world.lost = {other.blocklist.question(ip_address(subject)) for subject in subjects}
        verdicts = [(await run(world, subject)).verdict for subject in subjects]
        assert verdicts == [Verdict.UNKNOWN] * (WINDOW // 2 - 1) + [Verdict.PASS] * (WINDOW // 2 + 1)
        assert [f.id for f in (await health(world, other)).findings] == ["blocklist_health.unreliable"]
        assert (await health(world, one)).verdict is Verdict.PASS
        world.lost.clear()
        for subject in subjects:
            await run(world, subject)
        assert (await health(world, other)).verdict is Verdict.PASS

    async def test_when_no_list_answers_none_is_blamed(self, one: Scripted) -> None:
        other = Scripted(Blocklist("other", "other.example"))
        world = World([one, other])
        await run(world, OTHER)
        one.mode = other.mode = Mode.SILENT
        world.clock.pass_(HOUR)
        for n in range(3 * WINDOW):
            assert (await run(world, f"198.51.100.{n}")).verdict is Verdict.UNKNOWN
        for each in (one, other):
            assert not [f for f in (await health(world, each)).findings if f.id == "blocklist_health.unreliable"]


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

    async def test_an_untested_list_is_not_asked(self, world: World) -> None:
        world.lost = {POINTS[1]}
        outcome = await run(world)
        assert world.names() == TEST
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.DNS_SERVFAIL

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
        world.clock.pass_(TEST_BELIEVED - 1)
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
        world.clock.pass_(TEST_UNBELIEVED)
        assert (await run(world)).verdict is Verdict.PASS

    async def test_a_test_that_proves_nothing_changes_no_belief(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        world.clock.pass_(TEST_BELIEVED)
        world.lost = {POINTS[0]}
        assert (await run(world)).verdict is Verdict.PASS
        outcome = await health(world, one)
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.DNS_SERVFAIL

    async def test_a_fault_outlives_a_test_that_proves_nothing(self, world: World, one: Scripted) -> None:
        one.mode = Mode.DEAD
        await health(world, one)
        one.mode = Mode.SILENT
        world.clock.pass_(TEST_UNBELIEVED)
        outcome = await health(world, one)
        assert outcome.verdict is Verdict.FAIL
        assert outcome.doubt

    async def test_an_answer_that_was_under_way_when_belief_was_lost_counts_for_nothing(
        self, world: World, one: Scripted
    ) -> None:
        await world.look(OTHER)
        one.lists[IP] = "127.0.0.2"
        world.clock.pass_(TEST_BELIEVED - 1)
        waiting = asyncio.Event()

        async def gate(question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
            if str(question) == ASKED:
                await waiting.wait()
            return await world.ask(question, fresh=fresh)

        from exporter.net import Net

        class Gate:
            ask = staticmethod(gate)

        asking = asyncio.create_task(
            Net(Gate(), world.clock, blocklists=world.door).listed(ip_address(IP), [one.blocklist])
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
        world.clock.pass_(TEST_UNBELIEVED)
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

        from exporter.net import Net

        class Stuck:
            ask = staticmethod(never)

        stuck = asyncio.create_task(
            Net(Stuck(), world.clock, blocklists=world.door).listed(ip_address(IP), [world.lists[0].blocklist])
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        assert (await world.look(IP))[0].doubt
        world.clock.pass_(TEST_INCONCLUSIVE)
        assert (await run(world)).verdict is Verdict.PASS


class TestBudget:
    async def test_the_ceiling_holds_and_tests_count(self) -> None:
        one = scripted(queries_per_day=100)
        world = World([one])
        for _ in range(24 * 60):
            await world.look(IP)
            world.clock.pass_(59)
        assert len(world.asked) <= 100
        assert world.names().count(TEST[0]) == 4, "the tests of the day are set aside"
        assert 0 <= world.door.budgets()["keyed"] <= 0.1
        world.clock.pass_(HOUR)
        assert world.door.budgets()["keyed"] == 1
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
        left = world.door.budgets()
        question = Question(NAME, "A")
        world.cached[question] = Reply(question, Status.NXDOMAIN, transport="cache")
        await world.look(IP)
        assert world.door.budgets() == left

    async def test_a_list_without_a_ceiling_has_no_budget(self, world: World) -> None:
        await world.look(IP)
        assert world.door.budgets() == {}


class TestMemory:
    @staticmethod
    def reborn(world: World) -> None:
        saved = json.loads(json.dumps(world.door.snapshot()))
        world.door = Blocklists(world.clock)
        world.door.restore(saved)

    async def test_listings_beliefs_and_budgets_survive_a_restart(self) -> None:
        one = scripted(queries_per_day=1000)
        world = World([one])
        one.lists[IP] = "127.0.0.2"
        (before,) = await world.look(IP)
        self.reborn(world)
        world.clock.pass_(60)
        since = len(world.asked)
        (after,) = await world.look(IP)
        assert after.listing == before.listing
        assert world.names(since) == [ASKED], "neither test nor reason again"
        assert world.door.budgets()["keyed"] == pytest.approx(1 - len(world.asked) / 1000)

    async def test_what_waits_and_what_can_be_gone_back_to_survive(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        one.lists = {OTHER: "127.0.0.2"}
        world.watch = lambda _: world.lost.add(POINTS[0])
        await world.look(OTHER)
        await world.look(IP)
        self.reborn(world)
        world.watch = lambda _: None
        world.lost.clear()
        world.clock.pass_(TEST_INCONCLUSIVE)
        one.mode = Mode.WORLD
        assert not stands(await world.look(OTHER))
        assert stands(await world.look(IP))

    async def test_a_fault_survives(self, world: World, one: Scripted) -> None:
        one.mode = Mode.REFUSES
        await world.look(IP)
        self.reborn(world)
        since = len(world.asked)
        assert (await health(world, one)).verdict is Verdict.FAIL
        assert world.names(since) == []

    async def test_restarts_do_not_multiply_tests(self, world: World, one: Scripted) -> None:
        for mode in (Mode.SILENT, Mode.GOOD, Mode.REFUSES):
            one.mode = mode
            world.clock.pass_(TEST_BELIEVED)
            since = len(world.asked)
            for _ in range(20):
                await health(world, one)
                self.reborn(world)
            assert world.names(since) == TEST

    async def test_a_clock_that_stepped_back_makes_nothing_younger_than_now(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        saved = world.door.snapshot()
        world.clock.step_wall(-10 * DAY)
        world.door.restore(saved)
        world.clock.pass_(TEST_BELIEVED)
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
            world.door.restore(wreck)
        assert "asked anew" in caplog.text
        assert (await run(world)).verdict is Verdict.PASS

    async def test_the_revision_moves_when_there_is_something_to_save(self, world: World, one: Scripted) -> None:
        await world.look(IP)
        before = world.door.revision
        await world.look(IP)
        assert world.door.revision == before, "a no again is not worth a write"
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        assert world.door.revision > before

    async def test_only_what_the_config_names_is_kept(self, world: World, one: Scripted) -> None:
        one.lists |= {IP: "127.0.0.2", OTHER: "127.0.0.2"}
        await world.look(IP)
        world.door.keep_only([one.blocklist], [ip_address(IP)])
        assert stands(await world.look(OTHER)), "a guest is judged"
        one.mode = Mode.SILENT
        assert not stands(await world.look(OTHER)), "and forgotten"
        assert stands(await world.look(IP))

    async def test_a_removed_address_is_forgotten(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        await world.look(OTHER)
        world.door.keep_only([one.blocklist], [])
        assert json.dumps(world.door.snapshot()).count(IP) == 0


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
                    world.clock.pass_(TEST_BELIEVED)
                    outcomes = [await run(world), await health(world, one)]
                    told += [repr(outcome) for outcome in outcomes]
                    told += [f"{f.text} {f.fix}" for outcome in outcomes for f in outcome.findings]
            told += [caplog.text, json.dumps(world.door.snapshot()), repr(world.door.budgets())]
        text = "\n".join(told).lower()
        assert KEY not in text
        assert "10.2.0.192.<keyed> a" in text
        assert "2.0.0.127.<keyed> a" in text

    async def test_a_list_that_repeats_the_key_is_not_repeated(self, world: World, one: Scripted) -> None:
        from exporter.mail.dns import TXT

        one.lists[IP] = "127.0.0.2"
        question = Question(NAME, "TXT")
        text = f"{KEY.upper()} over quota, see {KEY}.zen.example".encode()
        world.cached[question] = Reply(
            question, Status.ANSWER, (TXT((text,)),), (f"x.{KEY}.zen.example",), extended_errors=(f"EDE {KEY}",)
        )
        outcome = await run(world)
        assert KEY not in repr(outcome).lower()
        assert "<keyed> over quota" in outcome.findings[0].text


SUBJECTS = [IP, OTHER, "192.0.2.30"]


class Machine(RuleBasedStateMachine):
    """Two lists that turn as they like; after each look the verdict is that of the log read afresh by `told`."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = [scripted(), Scripted(Blocklist("other", "other.example"))]
        self.world = World(self.lists)
        self.loop = asyncio.Runner()

    def teardown(self) -> None:
        self.loop.close()

    @rule(which=st.integers(0, 1), mode=st.sampled_from(Mode))
    def turn(self, which: int, mode: Mode) -> None:
        self.lists[which].mode = mode

    @rule(which=st.integers(0, 1))
    def recover(self, which: int) -> None:
        self.lists[which].mode = Mode.GOOD

    @rule(
        which=st.integers(0, 1), subject=st.sampled_from(SUBJECTS), code=st.sampled_from(["", "127.0.0.2", "127.0.0.4"])
    )
    def list_or_delist(self, which: int, subject: str, code: str) -> None:
        self.lists[which].lists.pop(subject, None)
        if code:
            self.lists[which].lists[subject] = code

    @rule(which=st.integers(0, 1), point=st.integers(0, 1))
    def lose_a_test_point(self, which: int, point: int) -> None:
        self.world.lost.add(self.lists[which].blocklist.test_points[point])

    @precondition(lambda self: self.world.lost)
    @rule()
    def find_all_again(self) -> None:
        self.world.lost.clear()

    @rule(minutes=st.sampled_from([1, 31, 61, 200, 361]))
    def wait(self, minutes: int) -> None:
        self.world.clock.pass_(minutes * 60)

    @rule()
    def restart(self) -> None:
        self.world.clock.pass_(1)
        TestMemory.reborn(self.world)

    @rule(which=st.integers(0, 1))
    def test_health(self, which: int) -> None:
        self.loop.run(health(self.world, self.lists[which]))

    @rule(subject=st.sampled_from(SUBJECTS))
    def look(self, subject: str) -> None:
        outcome = self.loop.run(run(self.world, subject))
        found = {dict(f.evidence)["blocklist"]: dict(f.evidence)["codes"] for f in outcome.findings}
        told = {one.blocklist.name: told_by(self.world, one, subject) for one in self.lists}
        assert found == {name: codes for name, (codes, _, _) in told.items() if codes}
        if outcome.verdict is Verdict.PASS:
            assert any(believed for _, believed, _ in told.values())
            needed = [
                clean
                for one, (_, believed, clean) in zip(self.lists, told.values(), strict=True)
                if believed and not leaves_questions_unanswered(self.world, one)
            ]
            assert all(at is not None and self.world.clock.monotonic() - at < RECENT for at in needed)
        if all(believed and clean == self.world.clock.monotonic() for _, believed, clean in told.values()):
            assert outcome.verdict is Verdict.PASS, "all has just been answered: there is nothing to doubt"

    @invariant()
    def tests_keep_their_pace(self) -> None:
        now = self.world.clock.monotonic()
        for one in self.lists:
            point = one.blocklist.test_points[0]
            hour = [at for _, question, _, at in self.world.asked if question.name == point and now - at < HOUR]
            assert len(hour) <= 2 + MOST_CONFIRMATIONS


def leaves_questions_unanswered(world: World, one: Scripted) -> bool:
    answered = [reply.status.conclusive for name, _, reply, _ in world.asked if name == one.blocklist.name]
    return not any(answered[-4:]) or answered[-WINDOW:].count(False) * 2 >= WINDOW


def told_by(world: World, one: Scripted, subject: str) -> tuple[str | None, bool, float | None]:
    """Truth rule 3 over the whole log of one list: the codes that stand, is it believed, the time of the last "no"."""
    points = one.blocklist.test_points
    name = one.blocklist.question(ip_address(subject))
    log = [
        (question.name, reply, at)
        for _, question, reply, at in world.asked
        if question.name.endswith(one.blocklist.zone) and question.rdtype == "A"
    ]
    believed, good = False, -1
    answers: list[tuple[int, str, float]] = []  # position in the log, codes or "", time
    good_tests: list[int] = []  # positions where they began
    for place, (asked, reply, at) in enumerate(log):
        addresses = [str(a) for a in reply.addresses]
        broken = any(not a.startswith("127.") or a.startswith("127.255.255.") for a in addresses)
        if asked == points[0]:
            continue
        if asked == points[1]:
            first = log[place - 1][1]
            first_broken = any(not str(a).startswith("127.0.0.") for a in first.addresses)
            world_found = bool(addresses) and not broken
            if broken or first_broken or world_found or first.status is Status.NXDOMAIN:
                believed = False
                if world_found and not first_broken:
                    answers = [answer for answer in answers if answer[0] < good]
            elif reply.status.conclusive and first.status.conclusive:
                believed, good = True, place - 1
                good_tests.append(place - 1)
        elif broken:
            believed = False
        elif believed and asked == name and reply.status.conclusive:
            answers.append((place, ", ".join(addresses), at))
    standing: str | None = None
    clean: float | None = None
    for n, (place, codes, at) in enumerate(answers):
        until = answers[n + 1][0] if n + 1 < len(answers) else len(log)
        if (codes or None) != standing and any(place < test < until for test in good_tests):
            standing = codes or None
        clean = None if codes or standing else at
    return standing, believed, clean


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase


def test_both_checks_are_in_the_catalogue() -> None:
    assert {"blocklist", "blocklist_health"} <= load().checks.keys()
