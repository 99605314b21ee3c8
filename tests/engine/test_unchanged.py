"""What is given in place of a run is what the run would have found, whatever changes in the world, and when."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.rrset
import pytest

from exporter.check_state import CheckState, Key
from exporter.demo.nameserver import NameServer, ZoneData, records
from exporter.engine import catalogue
from exporter.engine.evaluate import evaluate
from exporter.engine.store import Store
from exporter.engine.unchanged import FULL, SPREAD, Again, Unchanged
from exporter.facts import Doubt, Reason
from exporter.model import Acceptance, Check, Outcome, Target
from exporter.net import DAY, Net
from exporter.net.dns.resolver import Resolver
from exporter.net.trace import Trace
from exporter.targets import Authorisation, Domain, Egress, Selector
from tests.support.checks import outcome
from tests.support.clock import FakeClock
from tests.support.simulation import simulate

CATALOGUE = catalogue.load()
WORLD = """
example.com. TXT "v=spf1 include:spf.example.net mx -all"
example.com. MX 10 a.example.com.
example.com. MX 10 b.example.com.
a.example.com. A 192.0.2.10
a.example.com. AAAA 2001:db8::10
b.example.com. A 192.0.2.11
spf.example.net. TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"
s1._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""
EXAMPLE = Domain(name="example.com", mail_from=("example.com",), signers=("example.com",))
ACCEPTED = Acceptance(finding="mx.single", until=None, reason="r")
SELECTOR = Selector(domain="example.com", selector="s1", signer="example.com")
OURS = Authorisation(
    domain="example.com",
    sender="out",
    mail_from=("example.com",),
    egress=(Egress(ip_address("192.0.2.10"), "a.example.com"),),
)
OF_DOMAIN: list[tuple[str, Target]] = [(check, EXAMPLE) for check in ("mx", "spf", "dmarc")]
PAIRS = [*OF_DOMAIN, ("dkim", SELECTOR), ("spf_sender", OURS)]
ROUNDS = 30
INTERVAL = 900.0  # longer than any TTL here

SPF = '"v=spf1 include:spf.example.net mx -all"'
KEY = '"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="'
DMARC, OURS_ALONE = '"v=DMARC1; p=reject"', '"v=spf1 ip4:192.0.2.0/24 -all"'
CHANGES: list[tuple[str, str, list[tuple[str, ...]]]] = [
    ("example.com", "TXT", [(SPF,), ('"v=spf1 mx -all"',), (SPF, '"v=spf1 -all"'), ()]),
    ("example.com", "MX", [("10 a.example.com.",), ("10 a.example.com.", "10 b.example.com."), ("0 .",), ()]),
    ("a.example.com", "A", [("192.0.2.10",), ("203.0.113.1", "192.0.2.10"), ()]),
    ("b.example.com", "A", [("192.0.2.11",), ("192.0.2.10",), ()]),
    ("spf.example.net", "TXT", [(OURS_ALONE,), ('"v=spf1 include:loop.example.net -all"',), ()]),
    ("loop.example.net", "TXT", [('"v=spf1 include:spf.example.net -all"',), ()]),
    ("_dmarc.example.com", "TXT", [(DMARC,), ('"v=DMARC1; p=none"',), (DMARC, '"x"'), ()]),
    ("s1._domainkey.example.com", "TXT", [(KEY,), ('"v=DKIM1; p="',), ()]),
]


@dataclass
class Mood:
    """How the name server answers: parts of all questions."""

    silence: float = 0.0
    truncation: float = 0.0
    failure: float = 0.0
    noise: float = 0.0  # octets that are no answer


class Restless(NameServer):
    """Calls `between` before each answer. Records come in any order, with any TTL that is shorter than the interval."""

    def __init__(self, zone: ZoneData, chance: random.Random) -> None:
        super().__init__(zone)
        self.chance = chance
        self.between: Callable[[], None] = lambda: None
        self.mood = Mood()
        self.ttl: int | None = None

    def reply(self, wire: bytes, *, udp: bool) -> bytes | None:
        self.between()
        made = super().reply(wire, udp=udp)
        if made is None or self.chance.random() < self.mood.silence:
            return None
        if self.chance.random() < self.mood.failure:
            return made[:3] + bytes([made[3] & 0xF0 | 2]) + b"\0\1" + bytes(6) + wire[12:-11]
        if self.chance.random() < self.mood.noise:
            return made[: self.chance.randrange(12, len(made))]
        response = dns.message.from_wire(made)
        ttl = self.chance.randrange(600) if self.ttl is None else self.ttl
        turned = [self._turned(rrset, ttl) for rrset in response.answer]
        response.answer = turned
        if udp and self.chance.random() < self.mood.truncation:
            response.flags |= dns.flags.TC
            response.answer.clear()
        return response.to_wire()

    def _turned(self, rrset: dns.rrset.RRset, ttl: int) -> dns.rrset.RRset:
        data = list(rrset)
        self.chance.shuffle(data)
        return dns.rrset.from_rdata_list(rrset.name, ttl, data)


@dataclass
class Exporter:
    """One that recognises what is unchanged; `shadow` always asks and evaluates."""

    clock: FakeClock
    resolver: Resolver
    shadow: Resolver
    store: Store = field(default_factory=Store)
    counts: dict[str, int] = field(default_factory=lambda: {"same": 0, "evaluated": 0})

    def __post_init__(self) -> None:
        self.unchanged = Unchanged(self.clock)
        for check, target in PAIRS:
            self.store.hold(CATALOGUE.checks[check], target)

    async def plain(self, check: Check, target: Target, dns: Resolver) -> tuple[Outcome, Net]:
        net = Net(dns, self.clock, states=self.store)
        return await evaluate(check, target, lambda: net, self.clock), net

    async def round(self, *, quiet: bool = False) -> None:
        """Run all that is not run by another of its target. In a quiet one, compare with a plain evaluation."""
        done: set[Key] = set()
        for check_id, target in PAIRS:
            key = check_id, target.key
            if key in done:
                continue
            again = await self.again(key, target, partial(_free, done))
            done |= {(it.id, target.key) for it in again.same}
            for check in again.same:
                state = self.store[check.id, target.key]
                if quiet:
                    assert told(state) == plainly((await self.plain(check, target, self.shadow))[0])
                self.counts["same"] += 1
                self.store.stand(state.key, again.at)
            if key in again.differ:
                done.add(key)
                await self.evaluate(CATALOGUE.checks[check_id], target)

    async def again(self, key: Key, target: Target, may: Callable[[Key], bool] = lambda _: False) -> Again:
        def stands(it: Key) -> bool:
            return self.store[it].stands and may(it)

        together = self.unchanged.together(key, target, stands) if self.store[key].stands else []
        return await self.unchanged.again(together, self.resolver) if together else Again([], [key], 0.0, 0.0)

    async def evaluate(self, check: Check, target: Target) -> None:
        made, net = await self.plain(check, target, self.resolver)
        self.counts["evaluated"] += 1
        self.unchanged.keep(made, net.trace, self.unchanged.era)
        self.store.record(made)
        self.store.confirm((check.id, target.key), float("inf"))


def _free(done: set[Key], key: Key) -> bool:
    return key not in done


def plainly(it: Outcome) -> tuple[object, ...]:
    """What a run says of its target: of a state that stands, the same as `told`."""
    records = {record.name: record for record in it.records}
    return [*it.findings], it.samples, it.doubt, it.found, records


def told(state: CheckState) -> tuple[object, ...]:
    records = {it.record.name: it.record for it in state.records}
    return [it.finding for it in state.findings], state.samples, state.doubt, state.found, records


@asynccontextmanager
async def exporter(clock: FakeClock, server: NameServer) -> AsyncIterator[Exporter]:
    await server.start()
    made = [Resolver([server.address], clock, timeout=3.0, queries_per_second=1e9) for _ in range(2)]
    for resolver in made:
        await resolver.start()
    try:
        yield Exporter(clock, made[0], made[1])
    finally:
        for resolver in made:
            await resolver.close()
        await server.stop()


def perhaps(zone: ZoneData, chance: random.Random, often: float) -> None:
    """Change something, so often."""
    if chance.random() >= often:
        return
    name, rdtype, forms = chance.choice(CHANGES)
    data = chance.choice(forms)
    empty = dns.rrset.RRset(dns.name.from_text(name), dns.rdataclass.IN, dns.rdatatype.from_text(rdtype))
    zone.put(records(name, rdtype, *data) if data else empty)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_changes_and_whenever_the_result_is_that_of_an_evaluation(seed: int) -> None:
    """Between questions, too: of a run that is evaluated, and of the questions that recognise it."""
    clock, chance = FakeClock(), random.Random(seed)

    async def story() -> Exporter:
        zone = ZoneData(WORLD)
        server = Restless(zone, chance)
        async with exporter(clock, server) as ours:
            for number in range(ROUNDS):
                busy = number % 2
                often = chance.choice((0.05, 0.3, 1.0)) if busy else 0.0
                server.between = partial(perhaps, zone, chance, often)
                server.mood = Mood(*(chance.choice((0.0, 0.0, 0.2)) for _ in range(4))) if busy else Mood()
                perhaps(zone, chance, 0.3)
                clock.pass_(INTERVAL)
                await ours.round(quiet=not busy)
                for check, target in () if busy else PAIRS:
                    state = ours.store[check, target.key]
                    again, _ = await ours.plain(state.check, target, ours.shadow)
                    assert told(state) == told(replace(state.after(again), missed=()))
        return ours

    ours = simulate(clock, story())
    assert ours.counts["same"] > 10, ours.counts
    assert ours.counts["evaluated"] > 10, ours.counts


# --- what is recognised, and how often --------------------------------------------------------------------------------


def still(story: Callable[[Exporter, Restless], Any], text: str = WORLD, ttl: int | None = 0) -> Exporter:
    """Play a story in a world where nothing changes by itself, after all pairs have been evaluated."""
    clock = FakeClock()

    async def play() -> Exporter:
        server = Restless(ZoneData(text), random.Random(0))
        server.ttl = ttl
        async with exporter(clock, server) as ours:
            for _ in range(4):  # three looks make a finding certain
                await ours.round()
                clock.pass_(INTERVAL)
            ours.counts.update(same=0, evaluated=0)
            server.asked.clear()
            await story(ours, server)
        return ours

    return simulate(clock, play())


def test_nothing_is_evaluated_while_nothing_changes() -> None:
    async def story(ours: Exporter, _: Restless) -> None:
        for _round in range(3):
            await ours.round(quiet=True)
            ours.clock.pass_(INTERVAL)

    assert still(story).counts == {"same": 15, "evaluated": 0}


def test_the_checks_of_one_target_share_their_questions() -> None:
    async def story(ours: Exporter, server: Restless) -> None:
        await ours.round()
        of_domain = [it for it in server.asked if not it.startswith("s1.")]
        assert len(of_domain) == len(set(of_domain)) + 2, "spf_sender has a target of its own, and two questions of spf"

    still(story)


def test_answers_that_may_be_kept_are_not_asked_for() -> None:
    async def story(ours: Exporter, server: Restless) -> None:
        for passed, asked in ((0.0, 11), (100.0, 0), (300.0, 3)):  # absences are kept for 300 seconds
            server.asked.clear()
            ours.clock.pass_(passed)
            await ours.round()
            assert len(server.asked) == asked

    assert still(story, ttl=3600).counts == {"same": 15, "evaluated": 0}


def test_each_pair_is_evaluated_now_and_then() -> None:
    async def story(ours: Exporter, _: Restless) -> None:
        times = {}
        for number in range(int(FULL / INTERVAL) + 1):
            before = ours.counts["evaluated"]
            await ours.round()
            ours.clock.pass_(INTERVAL)
            times[number * INTERVAL] = ours.counts["evaluated"] - before
        assert sum(times.values()) == len(PAIRS)
        assert min(at for at, count in times.items() if count) >= FULL * (1 - SPREAD) - 4 * INTERVAL

    still(story)


def test_a_number_of_days_is_evaluated_when_it_grows() -> None:
    def days(ours: Exporter) -> list[str]:
        found = (dict(it.finding.evidence) for it in ours.store["dkim", SELECTOR.key].findings)
        return [it["days"] for it in found if "days" in it]

    async def story(ours: Exporter, _: Restless) -> None:
        state = ours.store["dkim", SELECTOR.key]
        since = next(it.since for it in state.records if it.record.name.endswith("key"))
        ours.clock.step_wall(since + 400 * DAY - 400.0 - ours.clock.wall())
        for _round in range(4):  # three looks make a finding certain
            await ours.round()
            ours.clock.pass_(90.0)
        assert ours.store["dkim", SELECTOR.key].stands
        assert days(ours) == ["399"]
        ours.clock.pass_(90.0)
        await ours.round()
        assert days(ours) == ["400"]

    still(story, ttl=3600)


def test_a_target_that_is_configured_otherwise_is_evaluated() -> None:
    async def story(ours: Exporter, _: Restless) -> None:
        ours.clock.pass_(INTERVAL)
        for target in (replace(EXAMPLE, receives_mail=False), replace(EXAMPLE, accept=(ACCEPTED,))):
            assert (await ours.again(("mx", EXAMPLE.key), target)).differ == [("mx", EXAMPLE.key)]
        again = await ours.again(("mx", EXAMPLE.key), replace(EXAMPLE))
        assert [it.id for it in again.same] == ["mx"], "the same, loaded anew"

    still(story)


@pytest.mark.parametrize("end", ["forget", "forget_all", "keep"])
def test_what_is_forgotten_while_it_is_asked_is_evaluated(end: str) -> None:
    async def story(ours: Exporter, server: Restless) -> None:
        key = "mx", EXAMPLE.key
        made, net = await ours.plain(CATALOGUE.checks["mx"], EXAMPLE, ours.shadow)
        ways: dict[str, Callable[[], None]] = {
            "forget": lambda: ours.unchanged.forget(key),
            "forget_all": ours.unchanged.forget_all,
            "keep": lambda: ours.unchanged.keep(made, net.trace, ours.unchanged.era),
        }
        server.between = ways[end]
        assert (await ours.again(key, EXAMPLE)).differ == [key]

    still(story)


def test_a_run_of_before_all_was_forgotten_is_not_kept() -> None:
    async def story(ours: Exporter, _: Restless) -> None:
        made, net = await ours.plain(CATALOGUE.checks["mx"], EXAMPLE, ours.resolver)
        era = ours.unchanged.era
        ours.unchanged.forget_all()
        ours.unchanged.keep(made, net.trace, era)
        key = "mx", EXAMPLE.key
        assert (await ours.again(key, EXAMPLE)).differ == [key]

    still(story)


@pytest.mark.parametrize(
    ("more", "trace"),
    [({}, None), ({"doubts": (Doubt(Reason.BUG, "b"),)}, Trace(())), ({"again": 60.0}, Trace(()))],
    ids=["no trace", "in doubt", "wants to look again"],
)
def test_what_may_be_otherwise_by_itself_is_not_kept(more: dict[str, Any], trace: Trace | None) -> None:
    ours = Unchanged(FakeClock())
    ours.keep(replace(outcome(), **more), trace, ours.era)
    assert not ours._kept


def test_a_silent_server_leads_to_the_plain_evaluation() -> None:
    async def story(ours: Exporter, server: Restless) -> None:
        server.mood = Mood(silence=1.0)
        await ours.round()
        assert all(state.doubt and state.doubt.reason is Reason.DNS_TIMEOUT for state in ours.store)
        server.mood = Mood()
        ours.clock.pass_(INTERVAL)
        await ours.round()
        assert not any(state.doubt for state in ours.store)

    assert still(story).counts["same"] == 0


def test_a_bug_leads_to_the_plain_evaluation(caplog: pytest.LogCaptureFixture) -> None:
    async def story(ours: Exporter, _: Restless) -> None:
        def bug(*_: object) -> None:
            raise ZeroDivisionError

        (kept,) = ours.unchanged._kept[SELECTOR.key]
        read = kept.reads[0]._replace(look=bug)
        ours.unchanged._kept[SELECTOR.key] = (replace(kept, reads=(read,)),)
        await ours.round()
        assert ours.counts == {"same": 4, "evaluated": 1}
        assert "could not be compared" in caplog.text

    still(story)
