"""Since when a DKIM key has been what it is: remembered between runs and over restarts, and of the key alone."""

from __future__ import annotations

from pathlib import Path

from exporter.check_state import CheckState, RecordHistory
from exporter.checks.dkim import FIRST_SEEN
from exporter.demo.nameserver import ZoneData
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.state_file import StateFile
from exporter.engine.store import Store
from exporter.net import Net
from exporter.targets import Selector
from tests.support.checks import taken
from tests.support.clock import FakeClock
from tests.support.memory import MemoryResolver

CATALOGUE = catalogue.load()
CHECK = CATALOGUE.checks["dkim"]
TARGET = Selector(domain="example.com", selector="s1", signer="example.com")
NAME = "s1._domainkey.example.com"
KEY = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8463 appendix A.2
OTHER = "p=yi50DjK5O9pqbFpNHklsv9lqaS0ArSYu02qp1S0DW1Y="
START = 1_780_000_000.0


class Watch:
    """The check, run again and again on one selector."""

    def __init__(self, held: CheckState | None = None, at: float = START) -> None:
        self.store, self.clock = Store(), FakeClock(at)
        self.store.hold(CHECK, TARGET, lambda new: held or new)

    async def sees(self, record: str, *, after: float = 0.0) -> CheckState:
        """What is held when this has been met."""
        self.clock.pass_(after)
        dns = MemoryResolver(ZoneData(record))
        outcome = await evaluate(CHECK, TARGET, lambda: Net(dns, self.clock, states=self.store), self.clock)
        assert outcome.verdict == "pass" or outcome.doubt
        return taken(self.store, outcome)


def key(tags: str) -> str:
    return f'{NAME}. TXT "v=DKIM1; k=ed25519; {tags}"'


def first_seen(held: CheckState) -> float:
    (value,) = (sample.value for sample in held.samples if sample.metric is FIRST_SEEN)
    return value


def remembered(held: CheckState, what: str) -> RecordHistory:
    (it,) = (it for it in held.records if it.record.name == f"{NAME} {what}")
    return it


async def test_the_age_of_a_key_begins_at_its_first_sight_and_goes_on() -> None:
    watch = Watch()
    assert first_seen(await watch.sees(key(KEY))) == START
    held = await watch.sees(key(KEY), after=3600)
    assert first_seen(held) == remembered(held, "key").since == START


async def test_another_key_is_a_new_one() -> None:
    watch = Watch()
    await watch.sees(key(KEY))
    held = await watch.sees(key(OTHER), after=3600)
    assert first_seen(held) == remembered(held, "key").since == START + 3600
    assert remembered(held, "TXT").changes[0].at == START + 3600


async def test_other_tags_beside_the_same_key_make_it_no_younger() -> None:
    watch = Watch()
    await watch.sees(key(KEY))
    held = await watch.sees(key(f"t=s; {KEY}"), after=3600)
    assert first_seen(held) == START
    assert remembered(held, "TXT").since == START + 3600
    assert remembered(held, "key").changes == ()


async def test_a_run_that_could_not_tell_leaves_the_age_alone() -> None:
    watch = Watch()
    await watch.sees(key(KEY))
    await watch.sees(f"; servfail: {NAME}. TXT\n", after=3600)
    assert first_seen(await watch.sees(key(KEY), after=3600)) == START


async def test_the_age_survives_a_restart(tmp_path: Path) -> None:
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    state.save(await Watch().sees(key(KEY)))
    await state.close()
    state = await StateFile.open(tmp_path / "state", CATALOGUE)
    watch = Watch(state.recall(CheckState(CHECK, TARGET)), START + 400 * 86400)
    await state.close()
    held = await watch.sees(key(KEY))
    assert first_seen(held) == START
    assert [standing.finding.id for standing in held.findings] == ["dkim.ed25519", "dkim.old-key"]


async def test_the_way_to_the_key_is_remembered_too() -> None:
    watch = Watch()
    there = f'keys.example.net. TXT "v=DKIM1; k=ed25519; {KEY}"'
    held = await watch.sees(f"{NAME}. CNAME s1.example.net.\ns1.example.net. CNAME keys.example.net.\n{there}")
    assert remembered(held, "CNAME").record.texts == ("s1.example.net -> keys.example.net",)
    held = await watch.sees(f"{NAME}. CNAME keys.example.net.\n{there}", after=3600)
    assert remembered(held, "CNAME").changes[0].after == ("keys.example.net",)
    assert first_seen(held) == START


async def test_a_key_that_its_provider_takes_away_is_missed_only_when_no_other_is_left() -> None:
    """Providers revoke and remove the keys that they have changed, and nobody sees from outside which one signs."""
    target = Selector(domain="example.com", selector="selector2", signer="example.com", siblings=("selector1",))
    first, second = (f"selector{number}-example-com._domainkey.example.onmicrosoft.com" for number in (1, 2))
    aliases = f"selector1._domainkey.example.com. CNAME {first}.\nselector2._domainkey.example.com. CNAME {second}.\n"
    one = f'{first}. TXT "v=DKIM1; k=ed25519; {KEY}"\n'
    two = f'{second}. TXT "v=DKIM1; k=ed25519; {OTHER}"\n'
    store, clock = Store(), FakeClock(START)
    store.hold(CHECK, target)
    found = []
    for keys in (one, one + two, one, ""):
        dns = MemoryResolver(ZoneData(aliases + keys))
        store.record(await evaluate(CHECK, target, lambda dns=dns: Net(dns, clock, states=store), clock))  # type: ignore[misc]  # a default cannot be inferred
        found.append([standing.finding.id for standing in store[CHECK.id, target.key].findings])
        clock.pass_(3600)
    assert found == [["dkim.key-to-come"], ["dkim.ed25519"], ["dkim.key-to-come"], ["dkim.dangling-cname"]]
