"""The places of questions in flight go to who waits longest, and none is lost."""

from __future__ import annotations

import asyncio

from exporter.net.dns.window import Window


async def test_a_place_goes_to_who_waits_longest() -> None:
    window, came = Window(1), []
    await window.acquire()

    async def wait(who: int) -> None:
        await window.acquire()
        came.append(who)

    waiting = [asyncio.ensure_future(wait(who)) for who in range(4)]
    await asyncio.sleep(0)
    assert not window.take()
    waiting[1].cancel()
    window.release()
    waiting[0].cancel()  # it had the place already
    for _ in range(3):
        await asyncio.sleep(0)
    assert came == [2]
    window.release()
    await waiting[3]
    window.release()
    assert window.take()
    assert window.locked()
