"""What waits for the resolver's own test, and when that test is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.check_state import CheckState, FindingPolicy
from exporter.checks.blocklist_health import DEAD
from exporter.checks.ptr import MISSING
from exporter.checks.resolver import DENIES, PUBLIC
from exporter.engine import catalogue
from exporter.engine.confirmations import AGAIN, Confirmations
from exporter.engine.schedule import Job, Schedule
from exporter.engine.store import Store
from exporter.facts import Doubt, Finding, Reason, Severity
from exporter.mail.dnsbl.blocklist import Blocklist, Lists
from exporter.model import Check, Outcome, Target
from exporter.targets import ListHealth, OwnResolver
from tests.support.checks import HOST
from tests.support.clock import FakeClock

CATALOGUE = catalogue.load()
TEST, PTR, LIST = (CATALOGUE.checks[name] for name in ("resolver", "ptr", "blocklist_health"))
RESOLVER = OwnResolver(uses_blocklists=True)
A_LIST = ListHealth(blocklist=Blocklist("ours", "bl.example.net", Lists.IPS))
BAD = MISSING(ip=HOST.ip, pointer="1.2.0.192.in-addr.arpa", helo="mail.example.com")
LIES = DENIES(name="com", answer="NXDOMAIN")


class Life:
    """A schedule that runs nothing, and who says what was seen. All looks take no time."""

    def __init__(self, *, tested: bool = True, saved: CheckState | None = None) -> None:
        self.clock, self.store = FakeClock(), Store()
        self.schedule = Schedule(self._run, self.clock)
        self.changed: list[CheckState] = []
        self.recoveries = 0
        self.confirmations = Confirmations(
            self.store, self.schedule, CATALOGUE, self.clock, self.changed.append, self.recover
        )
        pairs: list[tuple[Check, Target]] = [(PTR, HOST), (LIST, A_LIST), *([(TEST, RESOLVER)] if tested else [])]
        for check, target in pairs:
            self.store.hold(check, target, lambda new: saved if saved and saved.key == new.key else new)
            self.schedule.add(Job(check, target, 900.0))
            self.confirmations.hold(self.store[check.id, target.key])

    def recover(self) -> None:
        self.recoveries += 1

    async def _run(self, check: Check, target: Target) -> None:
        raise AssertionError("nothing ticks")

    def look(self, check: Check, target: Target, *findings: Finding, doubt: Doubt | None = None) -> None:
        doubts = (doubt,) if doubt else ()
        outcome = Outcome(check, target, findings, (), doubts, (), self.clock.wall(), 0.0)
        if entry := self.schedule._find((check.id, target.key)):
            entry.due = self.schedule._on_grid(entry)  # as when it is run
        state = self.store.record(outcome)
        assert state is not None
        self.confirmations.take(state, outcome)

    def thrice(self, check: Check, target: Target, *findings: Finding) -> None:
        for wait in (0, 60, 120):
            self.clock.pass_(wait)
            self.look(check, target, *findings)

    def test(self, *findings: Finding, after: float = 1.0, doubt: Doubt | None = None) -> None:
        self.clock.pass_(after)
        self.look(TEST, RESOLVER, *findings, doubt=doubt)

    def sure(self, check: Check, target: Target) -> list[bool]:
        return [it.confirmed for it in self.store[check.id, target.key].findings]

    def due(self, check: Check, target: Target) -> float:
        wait = self.schedule.due_in((check.id, target.key))
        assert wait is not None
        return wait


async def test_what_has_left_is_not_looked_at_again() -> None:
    life = Life()
    life.test()
    life.look(PTR, HOST, BAD)
    life.confirmations.forget((PTR.id, HOST.key))
    due = life.due(PTR, HOST)
    life.test(LIES)
    life.test()
    assert life.recoveries == 1
    assert life.due(PTR, HOST) >= due - 2, "nothing asked for it"


async def test_the_test_is_asked_for_by_what_begins_to_show_and_by_what_is_ripe() -> None:
    life = Life()
    life.look(PTR, HOST, BAD)
    assert life.due(TEST, RESOLVER) == pytest.approx(1.0)
    life.test()
    life.look(PTR, HOST, BAD)
    assert life.due(TEST, RESOLVER) == pytest.approx(15.0), "not more often"


async def test_a_clock_that_steps_back_does_not_put_the_test_off() -> None:
    life = Life()
    life.test()
    life.clock.step_wall(-3600)
    life.look(PTR, HOST, BAD)
    assert life.due(TEST, RESOLVER) <= 15.0


async def test_while_the_resolver_fails_it_is_tested_each_minute() -> None:
    life = Life()
    for failure in (LIES, LIES):
        life.test(failure)
        assert life.due(TEST, RESOLVER) == pytest.approx(AGAIN)
    life.test(doubt=Doubt(Reason.DNS_SERVFAIL, "no answer"))
    assert life.due(TEST, RESOLVER) == pytest.approx(AGAIN)
    fair = Life()
    fair.test()
    assert fair.due(TEST, RESOLVER) > AGAIN


async def test_after_a_failure_all_that_had_begun_to_show_is_looked_at_again_at_once() -> None:
    life = Life()
    life.thrice(PTR, HOST, BAD)
    life.test(LIES)
    life.test()
    assert life.sure(PTR, HOST) == [False]
    assert life.due(PTR, HOST) == pytest.approx(1.0)
    assert life.changed, "the series say so"
    assert life.recoveries == 1
    life.test()
    assert life.sure(PTR, HOST) == [False], "it has to be seen three times anew"
    life.clock.pass_(60)
    life.thrice(PTR, HOST, BAD)
    life.test()
    assert life.sure(PTR, HOST) == [True]


async def test_a_lie_that_is_over_before_the_last_look_is_noticed() -> None:
    life = Life()
    life.look(PTR, HOST, BAD)
    life.test(LIES)
    for _ in range(2):
        life.clock.pass_(60)
        life.look(PTR, HOST, BAD)
    life.test()
    assert life.sure(PTR, HOST) == [False]


async def test_a_list_that_looks_dead_waits_for_the_test_too() -> None:
    """A resolver that denies everything makes every list look dead."""
    dead = DEAD(blocklist="ours", detail="no test point")
    life = Life()
    life.look(LIST, A_LIST, dead)
    assert life.sure(LIST, A_LIST) == [False]
    life.test(LIES)
    life.test()
    assert life.sure(LIST, A_LIST) == [False]
    assert life.due(LIST, A_LIST) <= 2.0, "it is looked at again at once"
    life.clock.pass_(1)
    life.look(LIST, A_LIST)
    assert life.sure(LIST, A_LIST) == []
    true = Life()
    true.look(LIST, A_LIST, dead)
    true.test()
    assert true.sure(LIST, A_LIST) == [True], "its check has looked often enough"


async def test_what_is_found_about_the_resolver_but_is_no_doubt_is_confirmed_too() -> None:
    life = Life()
    public = PUBLIC(ip="192.0.2.53", operator="somebody")
    for wait in (0, 60):
        life.test(public, after=wait)
    assert life.sure(TEST, RESOLVER) == [False]
    life.test(public, after=120)
    assert life.sure(TEST, RESOLVER) == [True]
    for wait in (1000, 60, 390):
        life.test(after=wait)
    assert life.sure(TEST, RESOLVER) == []


async def test_what_the_operator_has_made_information_is_no_failure() -> None:
    """A network without a way to the Internet's DNS."""
    life = Life()
    life.confirmations.policy = FindingPolicy({DENIES.id: Severity.INFO})
    life.thrice(PTR, HOST, BAD)
    life.test(LIES)
    assert life.sure(PTR, HOST) == [True]


async def test_without_the_test_nothing_waits() -> None:
    life = Life(tested=False)
    life.thrice(PTR, HOST, BAD)
    assert life.sure(PTR, HOST) == [True]


@pytest.mark.parametrize("what", [{"findings": (LIES,)}, {"doubts": (Doubt(Reason.DNS_TIMEOUT, "silent"),)}])
async def test_a_restart_knows_that_the_resolver_failed(what: dict[str, tuple[object, ...]]) -> None:
    run = Outcome(TEST, RESOLVER, (), (), (), (), 1_780_000_000.0 - 60, 0.0)
    saved = CheckState(TEST, RESOLVER).after(replace(run, **what))  # type: ignore[arg-type]  # one of its fields
    life = Life(saved=saved)
    assert life.due(TEST, RESOLVER) == pytest.approx(1.0)
    life.thrice(PTR, HOST, BAD)
    life.test()
    assert life.sure(PTR, HOST) == [False], "these looks were made while it failed"


async def test_what_was_ripe_before_a_restart_does_not_wait_for_the_usual_test() -> None:
    run = Outcome(PTR, HOST, (BAD,), (), (), (), 1_780_000_000.0, 0.0)
    ripe = CheckState(PTR, HOST)
    for at in (300, 200, 100):
        ripe = ripe.after(replace(run, started=run.started - at))
    assert Life(saved=ripe).due(TEST, RESOLVER) == pytest.approx(1.0)
