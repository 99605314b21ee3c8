"""A silent resolver is no list's fault, and a silent list is found beside others that answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_address

import pytest

from exporter.mail.dns import Question, Reply, Status
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dns.sweep import PATIENCE
from exporter.net.dns.wire import Query
from exporter.net.dnsbl.client import DnsblClient
from tests.support.clock import FakeClock
from tests.support.lists import Scripted, absence, asked
from tests.support.torture import seed, size

TIMEOUT = 5.0
AT_ONCE = 32  # runs, as the schedule starts them


class Held:
    """A resolver under load. Questions wait until the test answers them, in an order by chance, or lets them time out.

    `answers` says whether a question of this list is answered now. `sweeps`: many questions can be asked at once.
    """

    def __init__(self, chance: random.Random, lists: int, subjects: int, *, sweeps: bool = False) -> None:
        self.chance, self.sweeps = chance, sweeps
        self.clock = FakeClock()
        self.client = DnsblClient(self.clock)
        self.lists = [Scripted(Blocklist(f"list{n}", f"list{n}.example")) for n in range(lists)]
        self.subjects = [f"192.0.{n // 250}.{n % 250 + 1}" for n in range(subjects)]
        self.answers: Callable[[Scripted], bool] = lambda _: True
        self.open: list[tuple[float, Scripted, Question, asyncio.Future[Reply]]] = []
        self.asked: Counter[str] = Counter()  # by list

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        return await self._send(question, TIMEOUT)

    async def sweep(
        self, queries: Sequence[Query], settles: Callable[[int, bytes], bool], zones: Sequence[str] = ()
    ) -> list[int]:
        left: list[int] = []

        def arrived(place: int, answer: asyncio.Future[Reply]) -> None:
            if answer.result().status is not Status.NXDOMAIN or not settles(place, absence(queries[place])):
                left.append(place)

        answers = [self._send(asked(query), PATIENCE) for query in queries]
        for place, answer in enumerate(answers):
            answer.add_done_callback(partial(arrived, place))
        await asyncio.wait(answers)
        return sorted(left)

    def _send(self, question: Question, patience: float) -> asyncio.Future[Reply]:
        of = next(one for one in self.lists if question.name.endswith(f".{one.blocklist.zone}"))
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.open.append((self.clock.monotonic() + patience, of, question, answer))
        self.asked[of.blocklist.name] += 1
        return answer

    def net(self) -> Net:
        return Net(self, self.clock, blocklists=self.client, sweeper=self if self.sweeps else None)

    async def move(self, seconds: float = 0.1) -> None:
        """Time passes. Then half of what can be answered is, and what is too old times out."""
        self.clock.pass_(seconds)
        self.chance.shuffle(self.open)
        left = []
        for until, of, question, answer in self.open:
            if answer.done():  # whoever asked has gone
                continue
            if self.answers(of) and self.chance.random() < 0.5:
                answer.set_result(of.answer(question))
            elif self.clock.monotonic() >= until:
                answer.set_result(Reply(question, Status.TIMEOUT, detail="no answer"))
            else:
                left.append((until, of, question, answer))
        self.open = left
        for _ in range(20):  # the runs go on as far as they can
            await asyncio.sleep(0)

    async def run(self, subjects: Iterable[str], until: float = float("inf")) -> None:
        """Look at each subject, AT_ONCE of them at a time, at most for so many seconds; the rest stays under way."""
        left = iter(subjects)
        blocklists = [one.blocklist for one in self.lists]
        end = self.clock.monotonic() + until

        async def work() -> None:
            for subject in left:
                await self.net().listed(ip_address(subject), blocklists)

        tasks = {asyncio.create_task(work()) for _ in range(AT_ONCE)}
        while self.clock.monotonic() < end and not all(task.done() for task in tasks):
            await self.move(self.chance.choice([0.02, 0.1, 1.0]))
        self.tasks = tasks
        if until == float("inf"):
            await asyncio.gather(*tasks)

    async def unreliable(self) -> list[str]:
        """The lists that `blocklist_health` calls unreliable."""
        told = []
        for one in self.lists:
            asking = asyncio.create_task(self.client.condition(self.net(), one.blocklist))
            while not asking.done():
                await self.move(1.0)
            if (await asking).unreliable:
                told.append(one.blocklist.name)
        return told


@pytest.mark.torture
@pytest.mark.parametrize("sweeps", [False, True])
def test_ten_minutes_of_a_silent_resolver_are_no_lists_fault(
    record_property: Callable[[str, object], None], *, sweeps: bool
) -> None:
    """Whatever is under way when the silence begins and ends is answered or not, in any order."""
    worlds, subjects = size(2, 40), size(40, 600)
    chance = random.Random(seed())

    async def world() -> None:
        held = Held(chance, lists=chance.choice([2, 5, 12]), subjects=subjects, sweeps=sweeps)
        await held.run(held.subjects)
        for _ in range(2):
            await held.run(held.subjects, until=chance.uniform(0, 1))
            held.answers = lambda _: False
            for _ in range(6):
                await held.move(TIMEOUT / 4)
            assert await held.unreliable() == []
            await held.run(held.subjects, until=600)
            assert await held.unreliable() == []
            held.answers = lambda _: True
            await held.run(held.subjects)
            assert await held.unreliable() == []

    for _ in range(worlds):
        asyncio.run(world())
    record_property("silent resolvers of 20 minutes", worlds)
    record_property("addresses beside each", subjects)
    record_property("findings of blocklist_health", 0)


@pytest.mark.parametrize("lists", [2, 12])
@pytest.mark.parametrize("others_lose", [0.0, 0.05])
@pytest.mark.parametrize("sweeps", [False, True])
async def test_a_list_that_falls_silent_beside_others_is_found(lists: int, others_lose: float, *, sweeps: bool) -> None:
    held = Held(random.Random(seed()), lists=lists, subjects=30, sweeps=sweeps)
    await held.run(held.subjects)
    silent = held.lists[lists // 2]
    lossy = random.Random(seed())
    held.answers = lambda one: one is not silent and lossy.random() >= others_lose
    began = held.clock.monotonic()
    while await held.unreliable() != [silent.blocklist.name]:
        await held.run(held.subjects)
        assert held.clock.monotonic() - began < 600
    held.answers = lambda _: True
    while await held.unreliable():
        await held.run(held.subjects)
        assert held.clock.monotonic() - began < 1200


@pytest.mark.parametrize("sweeps", [False, True])
@pytest.mark.parametrize("first", [True, False])
async def test_a_resolver_that_is_silent_in_every_second_hour_is_no_lists_fault(*, first: bool, sweeps: bool) -> None:
    held = Held(random.Random(seed()), lists=3, subjects=1, sweeps=sweeps)
    for hour in range(48):
        held.answers = (lambda _: True) if (hour % 2) == first else (lambda _: False)
        await held.run(held.subjects)
        assert await held.unreliable() == []
        held.clock.pass_(3600)


@pytest.mark.parametrize("sweeps", [False, True])
async def test_a_list_that_loses_two_of_three_questions_is_found_with_one_target(*, sweeps: bool) -> None:
    held = Held(random.Random(seed()), lists=3, subjects=1, sweeps=sweeps)
    half = held.lists[1]
    for hour in range(60):
        held.answers = lambda one, hour=hour: one is not half or hour % 3 == 0  # type: ignore[misc]  # a default that binds
        await held.run(held.subjects)
        held.clock.pass_(3600)
    assert await held.unreliable() == [half.blocklist.name]
