"""What happens to a list while a sweep is under way counts: its "no" is then asked for again, in full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pytest

from exporter.facts import Reason
from exporter.mail.dnsbl.blocklist import Blocklist
from exporter.net import Net
from exporter.net.dns.wire import Query
from exporter.net.dnsbl.answers import HOUR
from exporter.net.dnsbl.verdict import ListVerdict
from tests.support.lists import IP, OTHER, Mode, Scripted, World, absence


class Held:
    """A sweeper whose answers, "no" to all, arrive one by one when the test lets them."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[None] = asyncio.Queue()

    async def sweep(
        self, queries: Sequence[Query], settles: Callable[[int, bytes], bool], zones: Sequence[str] = ()
    ) -> list[int]:
        left = []
        for place, query in enumerate(queries):
            await self.arrived.get()
            if not settles(place, absence(query)):
                left.append(place)
        await self.arrived.get()
        return left


@pytest.fixture
def lists() -> list[Scripted]:
    return [Scripted(Blocklist(name, f"{name}.example")) for name in ("one", "two")]


async def swept(world: World, held: Held) -> asyncio.Task[list[ListVerdict]]:
    """Begin to look at the subject with a sweep."""
    net = Net(world, world.clock, blocklists=world.client, sweeper=held)
    asking = asyncio.create_task(net.listed(ip_address(IP), [one.blocklist for one in world.lists]))
    for _ in range(5):
        await asyncio.sleep(0)
    return asking


async def let(held: Held, answers: int) -> None:
    for _ in range(answers):
        held.arrived.put_nowait(None)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_no_that_a_list_gave_before_it_refused_does_not_count(lists: list[Scripted]) -> None:
    world, held = World(lists), Held()
    await world.look(OTHER)
    asking = await swept(world, held)
    lists[0].mode = Mode.REFUSES
    await world.look(OTHER)
    await let(held, 3)
    one, two = await asking
    assert (one.clean, one.doubt and one.doubt.reason) == (False, Reason.BLOCKLIST_UNHEALTHY)
    assert (two.clean, two.doubt) == (True, None)


async def test_a_no_before_a_list_turned_out_to_name_all_is_void_while_others_are_awaited(
    lists: list[Scripted],
) -> None:
    world, held = World(lists), Held()
    await world.look(OTHER)
    world.clock.pass_(1)
    asking = await swept(world, held)
    await let(held, 1)
    lists[0].mode = Mode.WORLD
    world.clock.pass_(6 * HOUR)
    await world.look(OTHER)
    await let(held, 2)
    one, two = await asking
    assert (one.clean, two.clean) == (False, True)
    assert IP not in world.client._questions.lists["one"].clean


async def test_a_no_about_a_subject_that_is_named_meanwhile_is_asked_for_again(lists: list[Scripted]) -> None:
    world, held = World(lists), Held()
    await world.look(OTHER)
    asking = await swept(world, held)
    lists[0].lists[IP] = "127.0.0.2"
    await world.look(IP)
    since = len(world.asked)
    await let(held, 3)
    one, _ = await asking
    assert one.listing
    assert [str(question) for _, question, _, _ in world.asked[since:]] == ["10.2.0.192.one.example A"]
