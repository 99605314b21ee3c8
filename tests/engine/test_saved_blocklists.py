"""What is known of the blocklists is one row: the longer it is, the more seldom it is written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from exporter.engine.saved_blocklists import LONGEST, SavedBlocklists
from exporter.engine.state_file import StateFile
from exporter.facts import Severity
from exporter.net.dnsbl.answers import Listing, plain_listing
from exporter.net.dnsbl.client import DnsblClient
from exporter.net.dnsbl.list_state import ListState
from tests.engine.test_state_damage import CATALOGUE
from tests.support.clock import FakeClock

LISTED = Listing(("127.0.0.2",), "spam", Severity.CRITICAL, "ask", 1000.0, "text")


def known(subjects: int) -> dict[str, Any]:
    """A snapshot in which one list names so many."""
    answer = {"generation": 1, "ago": 5.0, "said": plain_listing(LISTED), "listing": plain_listing(LISTED)}
    named = {f"10.0.{it // 250}.{it % 250}": [answer, None] for it in range(subjects)}
    return {"at": 1_780_000_000.0, "lists": {"one": ListState("x").plain(0.0) | {"named": named}}}


@pytest.mark.parametrize(("subjects", "seconds"), [(0, 1.0), (500, 10.0), (4000, LONGEST)])
async def test_the_more_it_is_the_more_seldom_it_is_written(tmp_path: Path, subjects: int, seconds: float) -> None:
    clock = FakeClock()
    client, file = DnsblClient(clock), await StateFile.open(tmp_path / "state", CATALOGUE)
    client.restore(known(subjects))
    saver, written = SavedBlocklists(client, clock), list[str]()
    assert file._database._db is not None
    file._database._db.set_trace_callback(lambda said: written.append(said[:20]) if "REPLACE" in said[:20] else None)
    for _ in range(120):
        client._questions.revision += 1
        saver.save(file)
        await file.written()
        clock.pass_(1.0)
    assert len(written) == 120 / seconds
    saver.save(file)
    saver.save(file, now=True)
    client._questions.revision += 1
    saver.save(file, now=True)
    await file.close()
    file = await StateFile.open(tmp_path / "state", CATALOGUE)
    assert file.recall_blocklists()["at"] == clock.wall(), "the end does not wait"
    await file.close()


def test_a_listing_is_saved_with_all_that_it_says() -> None:
    assert plain_listing(LISTED) == asdict(LISTED)
