"""What a connection leaves behind goes at once: a collection of everything would hold up the loop (cli/garbage.py)."""

from __future__ import annotations

import asyncio
import gc

import pytest

from exporter.net.https_connection import WebConnection
from tests.support.web import URL, peer, saying


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_web_connection_that_is_over_is_no_circle(said: bytes) -> None:
    gc.collect()
    before = {id(it) for it in gc.get_objects() if isinstance(it, WebConnection)}
    gc.disable()
    try:
        for _ in range(3):
            async with peer(saying(said)) as https:
                await https.get(URL)
        await asyncio.sleep(0)
        assert not [it for it in gc.get_objects() if isinstance(it, WebConnection) and id(it) not in before]
    finally:
        gc.enable()
