"""Who of us may talk with which mail host when: a wait of our own making is told as nobody else's."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from exporter.net.interfaces import dial_direct
from exporter.net.smtp.egress import EgressPaths, SlotTimeout
from tests.support.clock import FakeClock

HERE, THERE = ip_address("192.0.2.25"), ip_address("192.0.2.26")


async def visit(egress: EgressPaths, ip: str = str(THERE)) -> bool:
    async with egress.slot(ip_address(ip), 25, 0):
        return True


async def turns_of_the_loop() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_waiting_until_others_are_done_elsewhere_uses_up_no_patience_with_an_address() -> None:
    """When many hosts are silent at once, the one that would answer is not called busy for it."""
    egress = EgressPaths(FakeClock(), dial_direct, at_once=1)
    async with egress.slot(HERE, 25, 0):
        other = asyncio.create_task(visit(egress))
        await turns_of_the_loop()
        assert not other.done()
    assert await other


async def test_patience_is_with_an_address_that_is_busy_with_us() -> None:
    egress = EgressPaths(FakeClock(), dial_direct, at_once=2)
    async with egress.slot(HERE, 25, 0):
        with pytest.raises(SlotTimeout, match=r"192\.0\.2\.25 was busy with other questions of ours"):
            await visit(egress, str(HERE))
        assert await visit(egress), "and the place of who gave up is free again"
