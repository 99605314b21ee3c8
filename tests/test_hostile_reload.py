"""Mutated configurations through the real reload, under scrapes: all or nothing, soon, and never a secret."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from exporter import clients
from exporter.app import Daemon
from exporter.clients import Clients
from exporter.clock import Clock, SystemClock
from exporter.config import ConfigError, Nameserver, Settings, load
from exporter.engine.plan import pairs
from exporter.files import Files
from exporter.net.dnsbl.client import DnsblClient
from tests.support.configuration import CATALOGUE, EXAMPLE
from tests.support.torture import seed, size

pytestmark = [pytest.mark.torture, pytest.mark.long]

CANARY = "k3y0fthecustomer"
LISTS = """
blocklists:
  - {name: spamhaus-zen, zone_file: zen-zone}
  - {name: spamhaus-dbl, zone_env: DBL_ZONE}
  - {name: ours, zone: bl.example.net}
"""
INCLUDED = "domains: [{name: included.example, senders: [mail-out-1]}]\n"
WORDS = (
    *"{}[]&*!|>'\"#?~-:,%\t\n\0\x07\u2028\ud800é ",
    *("no", "null", "true", "0025", "1:20", "&a x", "*a", "!!int ", "- ", ": ", "\n---\n", "include: ['/**/*']\n"),
    *(
        "zone_file: zen-zone",
        "zone_env: DBL_ZONE",
        "zone: ",
        "name: ",
        "[]",
        "{}",
        "domains:",
        "9" * 30,
        "../",
        "/dev/zero",
    ),
)
MARKS = re.compile(r"deliverability_exporter_config_hash_info\{hash=\"(\w+)\"\} 1")
TARGETS = re.compile(r"^deliverability_targets\{.*\} (\S+)$", re.MULTILINE)


def mutated(text: str, chance: random.Random) -> str:
    """Cut, said twice, moved, or with something else in it."""
    for _ in range(chance.randint(1, 3)):
        start, length = chance.randrange(len(text) + 1), chance.choice((0, 1, 3, 10, 40, 400))
        piece = chance.choice((chance.choice(WORDS), text[start : start + length] * 2, ""))
        place = chance.choice((start, chance.randrange(len(text) + 1)))
        text = text[:place] + piece + text[place + chance.choice((0, len(piece), length)) :]
    return text


def nowhere(settings: Settings, blocklists: DnsblClient, clock: Clock) -> Clients:
    """Clients that ask nobody: whatever the configuration says, it is on this machine that nobody answers."""
    return clients.open_clients(replace(settings, nameservers=(Nameserver("127.0.0.1", 9),)), blocklists, clock)


def pairs_of(settings: Settings) -> set[tuple[str, str]]:
    """What is looked at under this configuration, when no run has found more."""
    made = pairs(CATALOGUE, settings.targets, settings.running.__contains__)
    return {(check.id, target.key) for check, target in made}


def targets_of(settings: Settings) -> int:
    made = pairs(CATALOGUE, settings.targets, settings.running.__contains__)
    return len({(target.kind, target.key) for _, target in made})


class Scrapes:
    """Scrapes and looks at pages without a pause, and keeps which configuration they saw with how many targets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: set[tuple[str, int]] = set()
        self.leaks = 0
        self.slowest = 0.0
        self.count = 0

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                for path in ("/metrics", "/"):
                    before = time.monotonic()
                    async with session.get(self.url + path) as answer:
                        text = await answer.text()
                    self.slowest = max(self.slowest, time.monotonic() - before)
                    self.leaks += CANARY in text
                    self.count += 1
                    if path == "/metrics":
                        (which,) = MARKS.findall(text)
                        self.seen.add((which, int(sum(map(float, TARGETS.findall(text))))))
                await asyncio.sleep(0)


async def test_no_mutated_configuration_is_put_in_force_in_part(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random(seed())
    monkeypatch.setenv("DBL_ZONE", f"{CANARY}.dbl.dq.spamhaus.net")
    (tmp_path / "zen-zone").write_text(f"{CANARY}.zen.dq.spamhaus.net\n")
    (tmp_path / "more.yaml").write_text(INCLUDED)
    good = EXAMPLE.read_text() + LISTS + "include: [more.yaml]\n"
    good = re.sub(r"^blocklists:.*?(?=^\w)", "", good, count=1, flags=re.MULTILINE | re.DOTALL)
    config = tmp_path / "config.yaml"
    config.write_text(good)
    read: list[Settings] = []

    def reading(files: Files) -> Settings:
        read.append(load(config, CATALOGUE, files))
        return read[-1]

    # patient, since on a busy machine even a small configuration may take long
    daemon = Daemon(reading, nowhere, CATALOGUE, SystemClock(), patience=60.0)
    await daemon.start([("127.0.0.1", 0)])
    scrapes = Scrapes(daemon.web.addresses[0])
    scraping = asyncio.create_task(scrapes.run())
    current = read[-1]
    allowed = {(current.digest, targets_of(current))}
    swaps, wrong, slowest, leaks, runs = 0, 0, 0.0, 0, size(25, 10_000)
    try:
        for _ in range(runs):
            config.write_bytes(mutated(good, chance).encode("utf-8", "surrogatepass"))
            expected: Settings | None = None
            try:
                expected = load(config, CATALOGUE)
            except ConfigError as error:
                leaks += CANARY in f"{error} {error!r}"
            before = time.process_time()
            problems = await daemon.reload(force=True)  # a mutation may drop most of it
            slowest = max(slowest, time.process_time() - before)
            leaks += CANARY in "\n".join(problems)
            wrong += bool(problems) != (expected is None)
            if expected is not None:
                swaps += 1
                current = expected
                allowed.add((expected.digest, targets_of(expected)))
                leaks += CANARY in repr(expected.targets) + repr(expected.warnings)
            wrong += daemon.store.keys() != pairs_of(current)
            assert not scraping.done(), scraping.result()
            if len(caplog.records) > 1000:
                leaks += CANARY in caplog.text
                assert "Traceback" not in caplog.text
                caplog.clear()
    finally:
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
        await daemon.stop()
    leaks += CANARY in caplog.text
    for name, figure in {
        "mutated configurations": runs,
        "of them good, and put in force": swaps,
        "scrapes and pages meanwhile": scrapes.count,
        "the longest decision, seconds of CPU": round(slowest, 2),
        "the slowest scrape or page, seconds": round(scrapes.slowest, 2),
        "wrong swaps": wrong,
        "secrets shown": leaks + scrapes.leaks,
    }.items():
        record_property(name, figure)
    assert scrapes.seen
    assert scrapes.seen <= allowed, "each scrape saw one configuration, with all its targets and no other"
    assert swaps
    assert wrong == 0
    assert leaks + scrapes.leaks == 0
    assert slowest < 2
    assert "Traceback" not in caplog.text
