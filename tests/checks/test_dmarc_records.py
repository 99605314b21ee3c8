"""What DMARC publishes is remembered: the record of the domain itself, and of the one that it inherits from."""

from __future__ import annotations

from functools import partial

import pytest

from exporter.check_state import CheckState
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Domain
from tests.support.checks import taken
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CHECK = catalogue.load().checks["dmarc"]
START = 1_780_000_000.0
NEWS, ABOVE = "_dmarc.news.example.com TXT", "_dmarc.example.com TXT"


async def seen(domain: str, *worlds: str) -> tuple[dict[str, tuple[str, ...]], CheckState]:
    """The texts by name that the last of these worlds makes, an hour apart, and what is held then."""
    target, store, clock = Domain(name=domain, mail_from=(domain,)), Store(), FakeClock(START)
    store.hold(CHECK, target)
    for world in worlds:
        dns = MemoryResolver(ZoneData(world))
        outcome = await evaluate(CHECK, target, partial(Net, dns, clock, states=store), clock)
        held = taken(store, outcome)
        clock.pass_(3600)
    return {record.name: record.texts for record in outcome.records}, held


@pytest.mark.parametrize(
    ("domain", "zone", "records"),
    [
        ("news.example.com", '_dmarc.news.example.com. TXT "v=DMARC1; p=none"\n', {NEWS: ("v=DMARC1; p=none",)}),
        (
            "news.example.com",
            '_dmarc.example.com. TXT "v=DMARC1; p=none"\n_dmarc.example.com. TXT "proof=1"\n',
            {NEWS: (), ABOVE: ("v=DMARC1; p=none",)},
        ),
        ("news.example.com", "news.example.com. A 192.0.2.1\n", {NEWS: ()}),
        # A name in between is nobody's source; of several records none counts, but they are there.
        (
            "a.b.news.example.com",
            '_dmarc.b.news.example.com. TXT "v=DMARC1; p=none"\n_dmarc.example.com. TXT "v=DMARC1; p=reject"\n',
            {"_dmarc.a.b.news.example.com TXT": (), ABOVE: ("v=DMARC1; p=reject",)},
        ),
        (
            "news.example.com",
            '_dmarc.news.example.com. TXT "v=DMARC1; p=none"\n_dmarc.news.example.com. TXT "v=DMARC1; p=reject"\n',
            {NEWS: ("v=DMARC1; p=none", "v=DMARC1; p=reject")},
        ),
        # What was meant as one is told, too: it is how a slip of the pen shows as a change.
        ("news.example.com", '_dmarc.news.example.com. TXT "v=dmarc1 p=none"\n', {NEWS: ("v=dmarc1 p=none",)}),
        # The registry's record is not the organisation's.
        ("example.com", '_dmarc.com. TXT "v=DMARC1; p=reject; psd=y"\n', {ABOVE: ()}),
        # Without an answer there is no record; what was answered before the doubt is one.
        ("news.example.com", "; servfail: _dmarc.news.example.com. TXT\n", {}),
        ("news.example.com", "; servfail: _dmarc.example.com. TXT\n", {NEWS: ()}),
    ],
)
async def test_what_is_published_is_a_record(domain: str, zone: str, records: dict[str, tuple[str, ...]]) -> None:
    assert (await seen(domain, zone))[0] == records


async def test_a_change_of_the_policy_is_remembered_with_its_time() -> None:
    record = "v=DMARC1; p={}; rua=mailto:d@news.example.com"
    world = f'_dmarc.news.example.com. TXT "{record}"\nnews.example.com. A 192.0.2.1\n'
    _, held = await seen("news.example.com", world.format("none"), world.format("reject"))
    (remembered,) = held.records
    (change,) = remembered.changes
    assert (change.before, change.after, change.at) == (
        (record.format("none"),),
        (record.format("reject"),),
        START + 3600,
    )
