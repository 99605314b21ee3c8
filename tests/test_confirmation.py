"""One look can be wrong: a finding is confirmed by further looks, and a confirmed one ends by several good ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from exporter.check_state import CheckState, FindingPolicy
from exporter.confirmation import Looks
from exporter.engine.store import Store
from exporter.facts import Reason, Record, Severity
from exporter.model import Door, Target
from tests.support.checks import BROKEN, EXAMPLE, HOST, LISTED, NOTE, SAMPLE, outcome

QUARTER = Looks(900)
POLICY = FindingPolicy()
SLOW = Looks(1800, soon=False)
CERTAIN = replace(LISTED, certain=True)
DOUBTING = replace(BROKEN, id="sample.lies", doubts=True)


def bad(at: float) -> object:
    return outcome(BROKEN(what="x"), at=at)


def good(at: float) -> object:
    return outcome(at=at)


def unsure(at: float) -> object:
    return outcome(doubt=Reason.DNS_TIMEOUT, at=at)


def held(*runs: object, looks: Looks = QUARTER, tested: bool = True) -> CheckState:
    """The state after these runs; `tested`: after each, the resolver passed its own test."""
    now = CheckState(SAMPLE, EXAMPLE, looks=looks)
    for run in runs:
        now = now.after(run)  # type: ignore[arg-type]  # outcomes, spelled shortly
        if tested:
            now = now.confirmed(now.last_run + 1)
    return now


def confirmed(state: CheckState) -> list[bool]:
    return [it.confirmed for it in state.findings]


def bad_from(at: float, *more: float) -> list[object]:
    """Three bad looks, and more."""
    return [bad(it) for it in (at, at + 60, at + 180, *more)]


def test_a_finding_is_seen_at_once_and_confirmed_by_the_third_look() -> None:
    assert confirmed(held(bad(1000))) == [False]
    assert confirmed(held(bad(1000), bad(1060))) == [False]
    state = held(*bad_from(1000))
    assert confirmed(state) == [True]
    assert [it.since for it in state.findings] == [1000], "the time of the first look"


def test_bad_looks_come_after_one_minute_and_after_three_good_ones_within_eight() -> None:
    """So a critical finding of DNS is confirmed three minutes after it was first seen."""
    assert held(bad(1000)).next_look(POLICY) == 60
    assert held(bad(1000), bad(1060)).next_look(POLICY) == 120
    assert held(*bad_from(1000)).next_look(POLICY) is None
    assert held(*bad_from(1000), good(2000)).next_look(POLICY) == 60
    assert held(*bad_from(1000), good(2000), good(2060)).next_look(POLICY) == 390
    assert held(*bad_from(1000), good(2000), good(2460)).next_look(POLICY) == 60, "three looks all the same"
    assert held(bad(1000), looks=Looks(2)).next_look(POLICY) == 0.5


def test_what_only_informs_waits_for_the_usual_looks() -> None:
    def noted(at: float) -> object:
        return outcome(NOTE(what="x"), at=at)

    told = held(noted(1000))
    assert told.next_look(POLICY) is None
    assert not told.unsettled(POLICY)
    raised = FindingPolicy({NOTE.id: Severity.CRITICAL})
    assert told.next_look(raised) == 60
    assert told.unsettled(raised)
    assert held(bad(1000)).next_look(FindingPolicy({BROKEN.id: Severity.INFO})) is None
    usual = held(noted(1000), noted(1900), noted(2800))
    assert confirmed(usual) == [True], "an operator who raises it later need not wait again"
    assert held(noted(1000), outcome(NOTE(what="x"), BROKEN(what="x"), at=1900)).next_look(POLICY) == 60


def test_a_check_that_visits_others_waits_for_its_usual_time() -> None:
    assert held(bad(1000), looks=SLOW).next_look(POLICY) is None
    assert confirmed(held(bad(1000), bad(2800), bad(4600), looks=SLOW)) == [True]


def test_a_check_that_runs_every_few_seconds_confirms_within_seconds() -> None:
    assert held(bad(1000), looks=Looks(2)).next_look(POLICY) == 0.5
    assert confirmed(held(bad(1000), bad(1002), bad(1004), looks=Looks(2))) == [True]


def test_runs_that_follow_at_once_are_no_further_looks() -> None:
    assert confirmed(held(*(bad(1000 + second) for second in range(20)))) == [False]


def test_one_good_look_ends_what_is_not_confirmed() -> None:
    state = held(bad(1000), bad(1060), good(1070))
    assert state.findings == ()
    assert state.ended == (), "it was nothing: it is not remembered either"
    assert [it.since for it in held(bad(1000), good(1060), bad(1120)).findings] == [1120]


@pytest.mark.parametrize(
    "looks", [[good(2000)], [good(2000), good(2060)], [good(2000), good(2060), good(2180), good(2449)]]
)
def test_a_confirmed_finding_stays_until_three_good_looks(looks: list[object]) -> None:
    assert confirmed(held(*bad_from(1000), *looks)) == [True]
    assert held(*bad_from(1000), *looks, good(2500), good(2560)).findings == ()


def test_a_bad_look_between_good_ones_begins_the_count_again() -> None:
    state = held(*bad_from(1000), good(2000), good(2060), bad(2180), good(3000), good(3060))
    assert confirmed(state) == [True]
    assert [it.since for it in state.findings] == [1000]


def test_doubt_neither_counts_nor_resets() -> None:
    assert confirmed(held(bad(1000), unsure(1060), unsure(1180), bad(1240), unsure(1300))) == [False]
    assert confirmed(held(bad(1000), unsure(1060), bad(1180), bad(1300))) == [True]
    assert held(*bad_from(1000), good(2000), unsure(2060), good(2120), unsure(2180), good(2450)).findings == ()


def test_nothing_is_confirmed_before_the_resolver_has_passed_its_test_after_the_last_look() -> None:
    state = held(*bad_from(1000), tested=False)
    assert state.awaits_test
    assert confirmed(state) == [False]
    assert confirmed(state.confirmed(1180)) == [False], "that test began before the last look ended"
    assert confirmed(state.confirmed(1181)) == [True]
    later = state.after(bad(2000))  # type: ignore[arg-type]  # as above
    assert confirmed(later.confirmed(1181)) == [False], "another look came after it"


def test_a_finding_about_the_resolver_does_not_wait_for_the_resolver() -> None:
    runs = [outcome(DOUBTING(what="x"), at=at) for at in (1000, 1060, 1180)]
    assert confirmed(held(*runs[:2], tested=False)) == [False]
    assert confirmed(held(*runs, tested=False)) == [True]


def test_a_check_that_has_looked_twice_itself_needs_no_confirmation() -> None:
    state = held(outcome(CERTAIN(blocklist="a"), at=1000), tested=False)
    assert confirmed(state) == [True]
    assert state.next_look(POLICY) is None
    assert held(outcome(CERTAIN(blocklist="a"), at=1000), good(1010)).findings == ()


def test_nothing_ends_before_the_resolver_has_passed_its_test_either() -> None:
    """One that says "no such name" to everything would end what is wrong with a record."""
    state = held(*bad_from(1000), tested=False).confirmed(1181)
    for at in (2000, 2060, 2180, 2900):
        state = state.after(good(at))  # type: ignore[arg-type]  # as above
    assert confirmed(state) == [True]
    assert state.confirmed(2181).findings != (), "another look came after it"
    over = state.confirmed(2901)
    assert over.findings == ()
    assert [(it.since, it.at) for it in over.ended] == [(1000, 2900)]


def test_looks_of_before_a_failed_test_of_the_resolver_prove_nothing() -> None:
    lied = held(*bad_from(1000), tested=False).unproven()
    assert confirmed(lied.confirmed(5000)) == [False]
    assert lied.after(good(5001)).findings == ()  # type: ignore[arg-type]  # as above
    true = lied
    for at in (5001, 5061):
        true = true.after(bad(at)).confirmed(at + 1)  # type: ignore[arg-type]  # as above
        assert confirmed(true) == [False]
    true = true.after(bad(5181))  # type: ignore[arg-type]  # as above
    assert confirmed(true.confirmed(5182)) == [True]
    assert true.findings[0].since == 1000, "when it was first seen"
    healing = held(*bad_from(1000), good(2000), good(2060), tested=True).unproven()
    assert confirmed(healing.after(good(2180)).confirmed(2181)) == [True]  # type: ignore[arg-type]  # as above
    certain = held(outcome(CERTAIN(blocklist="a"), at=1000))
    assert certain.unproven() == certain


def test_a_record_has_changed_once_the_resolver_has_passed_its_test() -> None:
    def read(text: str, at: float) -> object:
        return outcome(Record.of("example.com TXT", [text]), at=at)

    def changes(state: CheckState) -> list[tuple[str, float]]:
        return [(change.after[0], change.at) for it in state.records for change in it.changes]

    state = held(read("a", 1000), read("b", 2000), tested=False)
    assert state.awaits_test
    assert changes(state) == []
    assert changes(state.confirmed(2001)) == [("b", 2000)]
    later = state.after(read("b", 2900))  # type: ignore[arg-type]  # as above
    assert changes(later.confirmed(2001)) == [("b", 2000)], "it was seen first before the test"
    back = state.after(read("a", 2900))  # type: ignore[arg-type]  # as above
    assert changes(back.confirmed(3000)) == [], "what a lie said has never stood"
    assert changes(state.unproven().confirmed(3000)) == []


def test_a_found_target_that_is_missed_goes_after_the_test_of_the_resolver() -> None:
    """One that says "no such name" to everything finds no mail host any more."""

    def found(*targets: Target, at: float) -> object:
        return replace(outcome(at=at), found=targets)

    state = held(found(HOST, at=1000))
    missed = held(found(HOST, at=1000)).after(found(at=2000))  # type: ignore[arg-type]  # as above
    assert missed.awaits_test
    assert missed.found == missed.confirmed(2000).found == state.found
    assert missed.confirmed(2001).found == ()
    assert missed.unproven().confirmed(3000).found == state.found
    assert not missed.after(found(HOST, at=3000)).awaits_test  # type: ignore[arg-type]  # as above
    twice = missed.after(found(at=3000))  # type: ignore[arg-type]  # as above
    assert twice.confirmed(2001).found == state.found, "another look came after it"
    assert twice.confirmed(3001).found == ()


def healed(*since: float) -> list[object]:
    return [good(it) for it in since]


def test_what_returns_within_two_intervals_keeps_its_old_since() -> None:
    """Fifteen minutes bad, fifteen good: it is one finding that flaps."""
    once = [*bad_from(1000), *healed(1900, 1960, 2350)]
    assert held(*once).findings == ()
    back = held(*once).after(bad(2800))  # type: ignore[arg-type]  # as above
    assert [(it.since, it.confirmed) for it in back.findings] == [(1000, False)]
    assert confirmed(back.confirmed(2800)) == [False]
    assert confirmed(back.confirmed(2801)) == [True], "it was confirmed a few minutes ago"
    late = held(*once, bad(2350 + 2 * 900 + 1))
    assert [(it.since, it.confirmed) for it in late.findings] == [(2350 + 2 * 900 + 1, False)]


def test_what_has_returned_ends_only_after_good_looks_for_an_interval() -> None:
    back = [*bad_from(1000), *healed(1900, 1960, 2350), *bad_from(2800)]
    assert confirmed(held(*back, *healed(3700, 3760, 3880))) == [True]
    assert confirmed(held(*back, *healed(3700, 3760, 3880), bad(4600))) == [True]
    assert held(*back, *healed(3700, 3760, 3880, 4600)).findings == ()
    again = [*back, good(3700), bad(4600), good(5500), good(6400)]
    assert confirmed(held(*again)) == [True], "it has turned bad twice: it takes two intervals"
    assert held(*again, good(7300)).findings == ()


def flaps(period: float, hours: float = 24) -> Iterable[tuple[float, CheckState]]:
    """Bad for one period and good for one, looked at every 15 minutes and when a further look is due."""
    state, now, due = CheckState(SAMPLE, EXAMPLE, looks=QUARTER), 0.0, 0.0
    while now < hours * 3600:
        run = bad(now) if now % (2 * period) < period else good(now)
        state = state.after(run).confirmed(now + 1)  # type: ignore[arg-type]  # as above
        yield now, state
        due = due + 900 if now >= due else due
        now = min(due, now + (state.next_look(POLICY) or 900))


def test_what_flaps_every_quarter_of_an_hour_ends_at_most_once() -> None:
    course = [(now, bool(state.findings and state.findings[0].confirmed)) for now, state in flaps(900)]
    ends = [now for (_, before), (now, after) in pairwise(course) if before and not after]
    assert len(ends) == 1
    assert all(alerting for now, alerting in course if now > 7200), "two hours after it began it is there for good"


@pytest.mark.parametrize(("period", "most"), [(600, 1), (900, 0), (1200, 2)])
def test_what_is_bad_and_good_by_turns_is_away_but_for_minutes(period: float, most: int) -> None:
    """So that an alert that fires for ten minutes longer does not end: of that kind of ends there are a few alone."""
    course = [(now, bool(state.findings and state.findings[0].confirmed)) for now, state in flaps(period)]
    ends = [now for (_, before), (now, after) in pairwise(course) if before and not after]
    begins = [now for (_, before), (now, after) in pairwise(course) if after and not before]
    long = [end for end in ends if min((it for it in begins if it > end), default=float("inf")) - end > 600]
    assert len(long) <= most


def test_it_is_said_to_flap_while_it_does() -> None:
    last = [state for _, state in flaps(900, hours=3)][-1]
    (active,) = last.findings
    assert active.flapping(last.last_run, QUARTER)
    assert not active.flapping(last.last_run + 6 * 900 + 900, QUARTER)
    (steady,) = held(*bad_from(1000)).findings
    assert not steady.flapping(1200, QUARTER)


def test_a_store_confirms_what_is_ripe_and_says_whether_it_did() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE, looks=QUARTER)
    key = (SAMPLE.id, EXAMPLE.key)
    for run in bad_from(1000):
        store.record(run)  # type: ignore[arg-type]  # as above
    assert store.confirm(key, 1000) is None
    sure = store.confirm(key, 2000)
    assert sure is not None
    assert confirmed(sure) == [True]
    assert store.confirm(key, 3000) is None
    assert store.confirm(("nothing", "there"), 3000) is None


def test_the_looks_of_a_pair_follow_a_new_interval() -> None:
    store = Store()
    store.hold(SAMPLE, EXAMPLE, looks=QUARTER)
    assert store.hold(SAMPLE, EXAMPLE, looks=Looks(60))
    assert store[SAMPLE.id, EXAMPLE.key].looks.interval == 60


def test_only_checks_that_visit_nobody_look_again_soon() -> None:
    assert SAMPLE.asks_dns_alone
    assert not replace(SAMPLE, may_need=frozenset({Door.SMTP})).asks_dns_alone
    assert replace(SAMPLE, needs=frozenset({Door.NAMESERVERS})).asks_dns_alone
