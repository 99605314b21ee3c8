"""Truth rule 3: lists that list the world, and what the verdict rests on."""

from __future__ import annotations

from ipaddress import ip_address

from exporter.checks.blocklist import blocklist as check
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.facts import Reason, Verdict
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dnsbl.answers import HOUR
from exporter.net.dnsbl.conduct import PROBE, WINDOW
from exporter.net.dnsbl.list_state import TEST_HEALTHY, TEST_UNHEALTHY
from exporter.net.dnsbl.verdict import missing
from exporter.targets import Reputation
from tests.support.lists import (
    IP,
    NAME,
    OTHER,
    POINTS,
    Mode,
    Scripted,
    World,
    health,
    run,
    stands,
)


async def test_the_number_of_listings_is_that_of_the_findings_while_a_list_is_silent() -> None:
    first, second = (Scripted(Blocklist(f"l{n}", f"l{n}.example")) for n in range(2))
    world, store = World([first, second]), Store()
    lists = first.blocklist, second.blocklist

    async def seen(subject: str = IP) -> tuple[list[str], dict[str, float]]:
        target = Reputation(subject=ip_address(subject), lists=lists)
        store.hold(check, target)
        world.clock.pass_(3 * HOUR)
        for _ in range(2):  # a second look decides
            outcome = await evaluate(
                check, target, lambda: Net(world, world.clock, blocklists=world.client, states=store), world.clock
            )
            state = store.record(outcome)
            world.clock.pass_(HOUR / 2)
        assert state
        named = [dict(it.finding.subject)["blocklist"] for it in state.findings]
        return named, {it.metric.name.rpartition("_")[2]: it.value for it in state.samples}

    assert await seen() == ([], {"checked": 2, "listings": 0})
    second.mode = Mode.SILENT
    assert await seen(OTHER) == ([], {"checked": 1}), "none is known, and that is not zero"
    first.lists[IP] = "127.0.0.2"
    assert await seen() == (["l0"], {"checked": 1, "listings": 1})
    second.mode, second.lists[IP] = Mode.GOOD, "127.0.0.2"
    assert await seen() == (["l0", "l1"], {"checked": 2, "listings": 2})
    second.mode = Mode.SILENT
    first.lists.clear()
    assert await seen() == (["l1"], {"checked": 2, "listings": 1})


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
        world.clock.pass_(TEST_HEALTHY)
        assert stands(await world.look(IP))
        one.mode = Mode.GOOD
        world.lost = {NAME}
        world.clock.pass_(TEST_UNHEALTHY)
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
        assert stands(await world.look(OTHER)), "whose good test is one for the end as well"
        assert not stands(await world.look(IP)), "as it is seen again"
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
        world.clock.pass_(TEST_UNHEALTHY)
        assert (await world.look(IP))[0].listing == before.listing

    async def test_an_answer_confirmed_by_a_good_test_survives(self, world: World, one: Scripted) -> None:
        one.lists[IP] = "127.0.0.2"
        first = (await world.look(IP))[0].listing
        world.clock.pass_(TEST_HEALTHY)
        await world.look(IP)
        one.mode = Mode.WORLD
        world.clock.pass_(TEST_HEALTHY)
        assert (await world.look(IP))[0].listing == first

    async def test_a_listing_that_waited_is_void_when_the_list_recovers(self, world: World, one: Scripted) -> None:
        await world.look(OTHER)
        one.mode = Mode.WORLD
        await world.look(IP)
        one.mode = Mode.GOOD
        world.clock.pass_(TEST_UNHEALTHY)
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
        assert {r.metric.name: r.value for r in outcome.samples}["deliverability_blocklist_checked"] == 1

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
        assert [doubt.detail for doubt in missing([])] == ["no list holds it"]

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
        assert verdicts == [Verdict.UNKNOWN] * (WINDOW // 2) + [Verdict.PASS] * (WINDOW // 2)
        assert [f.id for f in (await health(world, other)).findings] == ["blocklist_health.unreliable"]
        assert (await health(world, one)).verdict is Verdict.PASS
        world.lost.clear()
        world.clock.pass_(PROBE)
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
