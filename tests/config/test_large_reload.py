"""What a reload costs where little changes: counted, not timed."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterable
from pathlib import Path

from exporter import clients
from exporter.app import Daemon
from exporter.clock import SystemClock
from exporter.config import load
from exporter.model import Target
from tests.support.configuration import CATALOGUE

MANY = 100  # domains and addresses


def fleet(path: Path, numbers: Iterable[int], more: str = "") -> None:
    numbers = list(numbers)
    senders = (
        f"  - {{name: s{it}, addresses: [11.0.{it // 250}.{it % 250}], helo: out{it}.example.net}}" for it in numbers
    )
    domains = (
        f"  - {{name: d{it}.example.net, senders: [s{it}], dkim_selectors: [s1], "
        f"labels: {{team: {'b' if it in (3, MANY) else 'a'}}}}}"
        for it in numbers
    )
    lists = (f"  - {{name: l{it}, zone: l{it}.lists.example.org}}" for it in range(20))
    path.write_text(
        "\n".join(
            (
                'resolver: {nameservers: ["127.0.0.1:9"]}',
                "smtp: {helo_name: probe.example.net}",
                "label_names: [team]",
                *(more, "blocklists:", *lists, "senders:", *senders, "domains:", *domains),
            )
        )
    )


def objects(daemon: Daemon) -> dict[int, Target]:
    """The targets that are held, by id."""
    return {id(it.target): it.target for it in daemon.store}


async def test_a_reload_keeps_what_has_not_changed_and_puts_what_has(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    daemon = Daemon(lambda files: load(config, CATALOGUE, files), clients.open_clients, CATALOGUE, SystemClock())

    async def reload() -> tuple[set[str], set[str], int]:
        """The keys of targets whose objects have come, of those that have gone, and the pairs that were written."""
        before, census = objects(daemon), daemon.store.census
        assert await daemon.reload(force=True) == []
        after = objects(daemon)
        come, gone = (
            {these[it].key for it in these.keys() - those.keys()} for these, those in ((after, before), (before, after))
        )
        return come, gone, daemon.store.census - census

    fleet(config, range(MANY))
    await daemon._swap(await daemon._read())
    pairs = len(daemon.store)
    assert pairs > 10 * MANY
    try:
        before = daemon._current.targets
        assert await reload() == (set(), set(), 0)
        assert all(map(operator.is_, before, daemon._current.targets)), "memory holds them once"
        fleet(config, range(1, MANY + 1))
        come, gone, written = await reload()
        names = {0: gone, MANY: come}
        assert all(f"d{number}.example.net" in str(keys) for number, keys in names.items())
        assert len(daemon.store) == pairs
        assert written == 2 * pairs // MANY, "one domain and one address came, and as many left"
        fleet(config, range(1, MANY + 1), more="checks: {spf: {enabled: false}}")
        await reload()
        assert len(daemon.store) == pairs - MANY, "each target has changed"
        assert not [it for it in daemon.store if it.check.id == "spf"]
        fleet(config, range(1, MANY + 1), more="schedule: {dmarc: 7m}\nchecks: {spf: {enabled: false}}")
        assert await reload() == (set(), set(), MANY), "the looks of one check of each domain"
        assert {it.interval for it in daemon.schedule._queues["dmarc"].entries.values()} == {420}
    finally:
        await daemon.stop()


async def test_a_reload_lets_others_have_turns(tmp_path: Path) -> None:
    """Also where each target leaves, and others come."""
    config = tmp_path / "config.yaml"
    daemon = Daemon(lambda files: load(config, CATALOGUE, files), clients.open_clients, CATALOGUE, SystemClock())
    fleet(config, range(MANY))
    await daemon._swap(await daemon._read())
    fleet(config, range(MANY, 2 * MANY))
    new, turns, ended = await daemon._read(), 0, asyncio.Event()

    async def swap() -> None:
        await daemon._swap(new)
        ended.set()

    task, most, held = asyncio.create_task(swap()), 0, len(daemon.store)
    while not ended.is_set():
        await asyncio.sleep(0)
        turns += 1
        most, held = max(most, abs(len(daemon.store) - held)), len(daemon.store)
    await task
    await daemon.stop()
    assert turns > 2 * MANY * 9 / 50
    assert most <= 200, "pairs that came or left in one turn"
