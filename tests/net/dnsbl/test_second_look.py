"""Truth rule 3: when a second look is made, what it decides, and what a list must not begin that contradicts itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from exporter.facts import Reason, Severity, Verdict
from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.answers import HOUR
from exporter.net.dnsbl.client import PATIENCE, DnsblClient
from exporter.net.dnsbl.conduct import BEGINS_NOTHING_FOR, CONTRADICTIONS, SUSPECT_FOR
from tests.support.lists import IP, KEY, NAME, OTHER, POINTS, Mode, Scripted, World, health, reborn, run, stands

TTL = 600
V6 = "2001:db8::25"
V6_POINT = f"2.0.0.0.0.0.f.7.f.f.f.f.{'0.' * 20}{KEY}.zen.example"


@dataclass
class Lasting(Scripted):
    """A list whose answers have a TTL."""

    ttl: int = TTL
    also: set[str] = field(default_factory=set)  # names that it lists besides

    def answer(self, question: Question) -> Reply:
        if question.name in self.also and question.rdtype == "A":
            return Reply(question, Status.ANSWER, (ip_address("127.0.0.2"),), ttl=self.ttl)
        return replace(super().answer(question), ttl=self.ttl)


@pytest.fixture
def one() -> Lasting:
    return Lasting(Blocklist("keyed", f"{KEY}.zen.example"))


@pytest.fixture
def world(one: Lasting) -> World:
    return World([one])


class TestWhenItIsMade:
    async def test_after_the_ttl_and_meanwhile_it_is_pending(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        outcome = await run(world)
        assert outcome.verdict is Verdict.UNKNOWN
        assert outcome.doubt
        assert outcome.doubt.reason is Reason.PENDING
        assert outcome.again == TTL
        world.clock.pass_(TTL - 1)
        since = len(world.asked)
        assert (await run(world)).again == 1
        assert world.names(since) == [], "it is too early to ask"
        world.clock.pass_(1)
        outcome = await run(world)
        assert outcome.verdict is Verdict.FAIL
        assert outcome.again is None

    async def test_at_most_a_quarter_of_an_hour_after_the_first(self, world: World, one: Lasting) -> None:
        one.ttl, one.lists[IP] = 86400, "127.0.0.2"
        assert (await run(world)).again == PATIENCE

    async def test_one_that_gets_no_answer_is_not_repeated_at_once(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await run(world)
        world.clock.pass_(TTL)
        world.lost.add(NAME)
        assert (await run(world)).again == PATIENCE, "each further look asks all other lists too"
        world.lost.clear()
        world.clock.pass_(PATIENCE)
        assert (await run(world)).verdict is Verdict.FAIL

    async def test_past_our_own_cache(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        question = Question(NAME, "A")
        world.cached[question] = one.answer(question)
        one.lists.clear()
        world.clock.pass_(TTL)
        assert not stands(await world.look(IP))

    async def test_at_once_for_who_looks_only_once(self, world: World, one: Lasting) -> None:
        world.client = DnsblClient(world.clock, patience=0.0)
        one.lists[IP] = "127.0.0.2"
        assert (await run(world)).verdict is Verdict.FAIL

    async def test_it_survives_a_restart(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        reborn(world)
        assert (await run(world)).again == TTL
        world.clock.pass_(TTL)
        assert stands(await world.look(IP))

    async def test_the_list_is_tested_again_when_the_second_look_comes_later(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        world.clock.pass_(TTL)
        one.mode = Mode.WORLD
        assert not stands(await world.look(IP)), "it names everybody by now"

    async def test_the_end_waits_for_one_too(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        world.clock.pass_(TTL)
        assert stands(await world.look(IP))
        one.lists.clear()
        assert stands(await world.look(IP))
        world.clock.pass_(TTL)
        assert not stands(await world.look(IP))


class TestTwoLooksThatDisagree:
    async def test_are_doubt_until_the_next_look(self, world: World, one: Lasting) -> None:
        await contradict(world, one, IP)
        outcome = await run(world)
        assert outcome.verdict is Verdict.PASS, "the next look says no"

    async def test_do_not_end_a_listing(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        world.clock.pass_(TTL)
        await world.look(IP)
        one.lists.clear()
        await world.look(IP)
        one.lists[IP] = "127.0.0.2"
        world.clock.pass_(TTL)
        assert stands(await world.look(IP))

    async def test_after_one_a_listing_needs_two_more_looks(self, world: World, one: Lasting) -> None:
        await contradict(world, one, OTHER)
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        for _ in range(2):
            world.clock.pass_(TTL)
            assert (await run(world)).again == TTL
        world.clock.pass_(TTL)
        assert stands(await world.look(IP))

    async def test_about_three_subjects_let_the_list_begin_nothing_for_a_day(self, world: World, one: Lasting) -> None:
        good = Scripted(Blocklist("good", "good.example"))
        world.lists.append(good)
        for n in range(CONTRADICTIONS):
            await contradict(world, one, f"198.51.100.{n}")
        one.lists[IP] = "127.0.0.2"
        for _ in range(23):
            world.clock.pass_(HOUR)
            outcome = await run(world)
            assert outcome.verdict is Verdict.PASS, "no verdict waits for the list"
            assert not outcome.findings
        assert [f.id for f in (await health(world, one)).findings] == ["blocklist_health.contradicts-itself"]
        reborn(world)
        assert (await health(world, one)).findings
        world.clock.pass_(BEGINS_NOTHING_FOR)
        for _ in range(6):
            await run(world)
            world.clock.pass_(TTL)
        assert (await run(world)).verdict is Verdict.FAIL
        assert (await health(world, one)).verdict is Verdict.PASS

    async def test_what_stands_already_stands_meanwhile(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await world.look(IP)
        world.clock.pass_(TTL)
        await world.look(IP)
        for n in range(CONTRADICTIONS):
            await contradict(world, one, f"198.51.100.{n}")
        assert (await run(world)).verdict is Verdict.FAIL


async def contradict(world: World, one: Lasting, subject: str) -> None:
    """The list names the subject, and not at the second look."""
    one.lists[subject] = "127.0.0.2"
    await world.look(subject)
    del one.lists[subject]
    world.clock.pass_(TTL)
    (verdict, *_) = await world.look(subject)
    assert not verdict.listing
    assert not verdict.clean


class TestIpv6:
    async def test_the_points_of_ipv4_do_not_vouch_for_it(self, world: World, one: Lasting) -> None:
        """A list that names all addresses of IPv6 that are in use, and none of IPv4 wrongly."""

        def everybody(question: Question) -> None:
            if question.name.endswith(f".2.{KEY}.zen.example"):
                one.also.add(question.name)

        world.watch = everybody
        for _ in range(3):
            (verdict,) = await world.look(V6)
            assert not verdict.listing
            assert not verdict.quorum
            world.clock.pass_(HOUR)
        assert (await run(world, IP)).verdict is Verdict.PASS
        assert [f.id for f in (await health(world, one)).findings] == ["blocklist_health.not-for-ipv6"]

    async def test_its_own_points_are_asked_and_an_address_of_nobodys(self, world: World, one: Lasting) -> None:
        one.also.add(V6_POINT)
        assert (await world.look(V6))[0].clean
        asked = [name.removesuffix(" A") for name in world.names()]
        assert asked[:4] == [*POINTS, V6_POINT, V6_POINT.replace("2", "1", 1)]
        assert asked[4].endswith(f".8.b.d.0.1.0.0.2.{KEY}.zen.example")
        assert asked[4] != one.blocklist.question(ip_address(V6))

    async def test_a_list_without_the_points_is_believed_if_it_is_right_otherwise(
        self, world: World, one: Lasting
    ) -> None:
        assert (await world.look(V6))[0].clean
        one.mode = Mode.DEAD
        world.clock.pass_(6 * HOUR)
        (verdict,) = await world.look(V6)
        assert not verdict.quorum, "nothing shows that it is alive"

    async def test_a_list_of_ipv6_alone_needs_its_points(self) -> None:
        one = Lasting(Blocklist("keyed", f"{KEY}.zen.example", ipv4=False))
        world = World([one])
        assert not (await world.look(V6))[0].quorum
        assert [f.id for f in (await health(world, one)).findings] == ["blocklist_health.dead"]
        one.also.add(V6_POINT)
        world.clock.pass_(HOUR)
        assert (await world.look(V6))[0].clean
        assert (await health(world, one)).verdict is Verdict.PASS


class TestSuspect:
    SUBJECTS = tuple(f"192.0.{n}.{m}" for n in range(5) for m in range(4))

    @pytest.fixture
    def other(self) -> Lasting:
        return Lasting(Blocklist("other", "other.example"), ttl=0)

    @pytest.fixture
    def world(self, one: Lasting, other: Lasting) -> World:
        one.ttl = 0
        return World([one, other])

    async def begin(self, world: World, one: Lasting, subjects: tuple[str, ...], *, clean: int = 0) -> None:
        for subject in (*subjects, *(f"198.51.100.{n}" for n in range(clean))):
            await run(world, subject)
        world.clock.pass_(HOUR)
        one.lists |= dict.fromkeys(subjects, "127.0.0.2")
        for subject in subjects:
            await run(world, subject)

    async def test_nobody_is_paged_for_six_hours_and_then_it_counts(self, world: World, one: Lasting) -> None:
        await self.begin(world, one, self.SUBJECTS)
        outcome = await run(world, self.SUBJECTS[0])
        assert [f.severity for f in outcome.findings] == [Severity.INFO]
        assert outcome.verdict is Verdict.UNKNOWN
        assert [f.id for f in (await health(world, one)).findings] == ["blocklist_health.suspect"]
        reborn(world)
        assert (await run(world, self.SUBJECTS[0])).verdict is Verdict.UNKNOWN
        world.clock.pass_(SUSPECT_FOR)
        assert (await run(world, self.SUBJECTS[0])).verdict is Verdict.FAIL
        assert (await health(world, one)).verdict is Verdict.PASS

    async def test_unless_another_list_agrees(self, world: World, one: Lasting, other: Lasting) -> None:
        await self.begin(world, one, self.SUBJECTS)
        other.lists[self.SUBJECTS[0]] = "127.0.0.2"
        outcome = await run(world, self.SUBJECTS[0])
        assert [f.severity for f in outcome.findings] == [Severity.WARNING] * 2
        assert (await run(world, self.SUBJECTS[1])).verdict is Verdict.UNKNOWN

    async def test_a_list_of_the_same_operator_is_no_other(self, one: Lasting) -> None:
        one.ttl = 0
        sibling = Lasting(Blocklist("sibling", "second.zen.example"), ttl=0)
        world = World([one, sibling])
        await self.begin(world, one, self.SUBJECTS)
        sibling.lists[self.SUBJECTS[0]] = "127.0.0.2"
        found = {dict(f.evidence)["blocklist"]: f.severity for f in (await run(world, self.SUBJECTS[0])).findings}
        assert found == {"keyed": Severity.INFO, "sibling": Severity.WARNING}

    @pytest.mark.parametrize(
        ("subjects", "clean"),
        [
            (SUBJECTS[:19], 0),
            (tuple(f"192.0.{n}.{m}" for n in range(4) for m in range(5)), 0),
            (SUBJECTS, 80),
        ],
        ids=["too few", "too few networks", "no more than a fifth"],
    )
    async def test_a_smaller_event_counts_as_ever(
        self, world: World, one: Lasting, subjects: tuple[str, ...], clean: int
    ) -> None:
        await self.begin(world, one, subjects, clean=clean)
        world.clock.pass_(HOUR)  # the tests of an hour are limited
        verdicts = [(await run(world, subject)).verdict for subject in subjects]
        assert set(verdicts) == {Verdict.FAIL}

    async def test_what_stood_before_still_fails(self, world: World, one: Lasting) -> None:
        one.lists[IP] = "127.0.0.2"
        await run(world)
        await self.begin(world, one, self.SUBJECTS)
        assert (await run(world)).verdict is Verdict.FAIL


class TestOlderStates:
    async def test_a_state_of_an_earlier_version_is_read(self, world: World, one: Lasting) -> None:
        one.also.add(V6_POINT)
        one.lists |= {IP: "127.0.0.2", V6: "127.0.0.2"}
        one.ttl = 0
        await world.look(IP)
        await world.look(V6)
        saved = json.loads(json.dumps(world.client.snapshot()))
        kept = saved["lists"]["keyed"]
        kept["named"] |= kept.pop("ipv6")["named"]  # they were together
        del kept["conduct"], kept["looks"]
        for pair in kept["named"].values():
            for answer in pair:
                for key in ("again_ago", "agreed", "second", "second_ago"):
                    answer.pop(key, None)
        kept["of tomorrow"] = 1
        world.client = DnsblClient(world.clock)
        world.client.restore(saved)
        one.mode = Mode.SILENT
        assert stands(await world.look(IP))
        assert stands(await world.look(V6))
