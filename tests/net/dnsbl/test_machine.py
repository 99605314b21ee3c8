"""Truth rule 3 under random events, against an oracle that reads the whole log afresh."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.facts import Verdict
from exporter.mail.dns import Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net.dnsbl.answers import HOUR
from exporter.net.dnsbl.client import RECENT
from exporter.net.dnsbl.conduct import WINDOW
from exporter.net.dnsbl.list_state import MOST_CONFIRMATIONS
from tests.support.lists import (
    IP,
    OTHER,
    Mode,
    Scripted,
    World,
    health,
    reborn,
    run,
    scripted,
)

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
        reborn(self.world)

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
    return not any(answered[-2:]) or answered[-WINDOW:].count(False) * 2 >= WINDOW


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


# The same events in each run: the oracle knows nothing of looks that disagree, which are doubt whatever the log says.
Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
TestMachine = pytest.mark.long(Machine.TestCase)
