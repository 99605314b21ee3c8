"""What an evaluation and the keeping of its verdict cost without a network. python -m bench.evaluations [DOMAINS]

All replies are in memory, so this is the processor's part alone. Each pass looks at domains that no earlier pass has
seen; what they share (a provider's SPF policy, mail hosts) is read once, as in a fleet. Told are the least and the
median of the passes, in microseconds of CPU for one run. `faulty`: each domain has some fault for nearly every check.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import functools
import gc
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import dns.message
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporter.check_state import CheckState
from exporter.clock import SystemClock
from exporter.config import load
from exporter.engine import catalogue
from exporter.engine.chronicle import Chronicle
from exporter.engine.confirmations import Confirmations
from exporter.engine.evaluate import evaluate
from exporter.engine.plan import Plan
from exporter.engine.schedule import Schedule
from exporter.engine.store import Store
from exporter.mail.dns import Question, Reply, Status
from exporter.model import Check, Outcome, Target
from exporter.net import Net
from exporter.net.dns import wire
from exporter.net.dnsbl.client import DnsblClient
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth

OFF = ("registration", "zone", "ehlo_probe", "smtp_tls", "dane")
SHARED = """
_spf.fleet-provider.net TXT "v=spf1 ip4:11.0.0.0/8 ip6:2a02:10::/32 include:_spf2.fleet-provider.net -all"
_spf2.fleet-provider.net TXT "v=spf1 ip4:30.0.0.0/8 ip4:31.1.0.0/16 ip4:32.1.0.0/16 ip4:33.1.0.0/16 ~all"
_spf.fleet-provider.org TXT "another text"
mx1.fleet-hoster{hoster}.net A 20.0.0.1
mx2.fleet-hoster{hoster}.net A 20.0.0.2
mx2.fleet-hoster{hoster}.net AAAA 2a00:1450::2
"""
HEALTHY = """
{domain} MX 10 mx1.fleet-hoster{hoster}.net.
{domain} MX 20 mx2.fleet-hoster{hoster}.net.
{domain} TXT "v=spf1 include:_spf.fleet-provider.net -all"
{domain} TXT "some-verification={number:032x}"
_dmarc.{domain} TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{domain}"
_smtp._tls.{domain} TXT "v=TLSRPTv1; rua=mailto:tls@{domain}"
s1._domainkey.{domain} TXT "v=DKIM1; k=rsa; p=" {key}
out{number}.fleet-sender.net A {ip}
out{number}.fleet-sender.net TXT "v=spf1 a -all"
{reverse}.in-addr.arpa PTR out{number}.fleet-sender.net.
"""
FAULTY = """
{domain} MX 10 192.0.2.1.
{domain} MX 10 gone.{domain}.
{domain} TXT "v=spf1 include:_spf.fleet-provider.org include:_spf.fleet-provider.net a:gone.{domain} ?all"
{domain} TXT "v=spf1x"
_dmarc.{domain} TXT "v=DMARC1; p=none; pct=20; what=else"
_smtp._tls.{domain} TXT "v=TLSRPTv1; rua=tls@{domain}"
s1._domainkey.{domain} TXT "v=DKIM1; t=y; k=rsa; p=" {key}
{reverse}.in-addr.arpa PTR host-{number}.pool.fleet-provider.net.
"""
HOSTERS = 20
KEYS = 40  # more would take long to make; a key is remembered by nobody
REMEMBERING = type(functools.cache(len))
T = TypeVar("T")


def lines(template: str, **values: object) -> Iterator[tuple[str, str, str]]:
    for line in template.format(**values).strip().splitlines():
        name, rdtype, data = line.split(" ", 2)
        yield name, rdtype, data


class Memory:
    """A resolver that has read all its answers before it is asked."""

    def __init__(self) -> None:
        self._zone: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._known: dict[Question, Reply] = {}
        self._names: set[str] = set()
        self.asked = 0

    def add(self, rows: Iterable[tuple[str, str, str]]) -> None:
        for name, rdtype, data in rows:
            self._zone[name, rdtype].append(data)
            labels = name.split(".")
            self._names.update(".".join(labels[at:]) for at in range(len(labels)))

    async def ask(self, question: Question, *, fresh: bool = False, tcp: bool = False) -> Reply:
        self.asked += 1
        reply = self._known.get(question)
        if reply is None:
            reply = self._known[question] = self._made(question)
        return reply

    def _made(self, question: Question) -> Reply:
        if data := self._zone.get(question):
            rrset = dns.rrset.from_text_list(question.name + ".", 300, "IN", question.rdtype, data)
            return Reply(
                question, Status.ANSWER, tuple(map(wire.record, rrset)), ttl=300, server="memory", transport="udp"
            )
        status = Status.NODATA if question.name in self._names else Status.NXDOMAIN
        return Reply(question, status, ttl=300, server="memory", transport="udp")


def configuration(numbers: Iterable[int]) -> str:
    rows = [
        "resolver: {nameservers: ['127.0.0.1']}",
        f"checks: {{{', '.join(f'{check}: {{enabled: false}}' for check in OFF)}}}",
        "blocklists: []",
        "smtp: {helo_name: probe.fleet-provider.net}",
    ]
    senders, domains = ["senders:"], ["domains:"]
    for number in numbers:
        ip = address(number)
        senders.append(f"  - {{name: s{number}, addresses: [{ip}], helo: out{number}.fleet-sender.net}}")
        domains.append(f"  - {{name: d{number}-fleet.com, senders: [s{number}], dkim_selectors: [s1]}}")
    return "\n".join(rows + senders + domains)


def address(number: int) -> str:
    return ".".join(map(str, (11).to_bytes(1) + number.to_bytes(3)))


def keys(bits: int) -> list[str]:
    """As strings of TXT records."""
    made = []
    for _ in range(KEYS):
        der = (
            rsa.generate_private_key(65537, bits)
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        text = base64.b64encode(der).decode()
        made.append(" ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255)))
    return made


def world(numbers: Iterable[int], template: str, material: list[str]) -> Memory:
    memory = Memory()
    for hoster in range(HOSTERS):
        memory.add(lines(SHARED, hoster=hoster))
    for number in numbers:
        ip = address(number)
        memory.add(
            lines(
                template,
                domain=f"d{number}-fleet.com",
                number=number,
                hoster=number % HOSTERS,
                key=material[number % KEYS],
                ip=ip,
                reverse=".".join(reversed(ip.split("."))),
            )
        )
    return memory


class Costs:
    """Seconds of CPU by name, over many calls, pass by pass."""

    def __init__(self) -> None:
        self.passes: dict[str, list[float]] = defaultdict(list)

    def each(self, name: str, work: Callable[..., T], *of: Sequence[Any]) -> list[T]:
        """The results of all calls."""
        began = time.process_time()
        made = list(map(work, *of))
        self.passes[name].append((time.process_time() - began) / len(made))
        return made

    async def runs(self, name: str, todo: list[tuple[Check, Target]], one: Callable[..., Any]) -> list[Outcome]:
        began = time.process_time()
        made = [await one(check, target) for check, target in todo]
        self.passes[name].append((time.process_time() - began) / len(todo))
        return made

    def tell(self, title: str) -> None:
        print(title)
        for name, passes in self.passes.items():
            print(f"  {name:34} {min(passes) * 1e6:8.1f}   median {median(passes) * 1e6:8.1f}")


class Fleet:
    """What the daemon keeps of each verdict, without its disk and its web server."""

    def __init__(self, settings: Any, known: catalogue.Catalogue, memory: Memory) -> None:
        self.clock = SystemClock()
        self.store = Store()
        self.plan = Plan(known, settings.targets, settings.running.__contains__, self.store)
        self.exposition = Exposition(known, self.clock, limit=10**9, own=OwnHealth)
        self.chronicle = Chronicle(self.clock)
        schedule = Schedule(self._never, self.clock)
        self.confirmations = Confirmations(self.store, schedule, known, self.clock, lambda _: None)
        self.exposition.configure(settings)
        self.policy = self.exposition.policy
        self._memory = memory
        self._blocklists = DnsblClient(self.clock, patience=0.0)
        self.todo: dict[str, list[tuple[Check, Target]]] = defaultdict(list)
        for check, target in self.plan.configured():
            self.store.hold(check, target)
            state = self.store[check.id, target.key]
            self.chronicle.hold(state, self.policy)
            self.exposition.put(state)
            self.todo[check.id].append((check, target))

    async def _never(self, check: Check, target: Target) -> None:
        raise NotImplementedError  # nothing is scheduled: the bench runs everything itself

    async def evaluate(self, check: Check, target: Target) -> Outcome:
        return await evaluate(check, target, self._net, self.clock)

    def _net(self) -> Net:
        return Net(self._memory, self.clock, blocklists=self._blocklists, states=self.store)

    def keep(self, outcomes: list[Outcome], costs: Costs, which: str) -> None:
        """Step by step what app.Daemon does with each outcome."""
        before = [self.store[it.check.id, it.target.key] for it in outcomes]
        costs.each(f"{which}: CheckState.after", CheckState.after, before, outcomes)
        recorded = costs.each(f"{which}: Store.record", self.store.record, outcomes)
        states = [it for it in recorded if it]
        costs.each(f"{which}: chronicle", self._chronicle, states, outcomes)
        costs.each(f"{which}: Exposition.put", self.exposition.put, states)
        costs.each(f"{which}: plan", self._plan, before, states)
        costs.each(f"{which}: confirmations", self._confirm, states, outcomes)

    def _chronicle(self, state: CheckState, outcome: Outcome) -> None:
        self.chronicle.ran(outcome)
        self.chronicle.take(state, self.policy)

    def _plan(self, before: CheckState, state: CheckState) -> None:
        self.plan.learn(state)
        self.plan.dependents(before, state)

    def _confirm(self, state: CheckState, outcome: Outcome) -> None:
        state.next_look(self.policy)
        self.confirmations.take(state, outcome)


def forget() -> None:
    """Nothing is remembered of what was read in the rehearsal."""
    for it in gc.get_objects():
        if isinstance(it, REMEMBERING) and it.cache_parameters()["maxsize"]:
            it.cache_clear()


async def main(count: int, passes: int, template: str, title: str, material: list[str]) -> None:
    known, costs, keeping = catalogue.load(), Costs(), Costs()
    found: Counter[str] = Counter()
    asked = 0
    for turn in range(passes):
        numbers = range(1 + turn * count, 1 + (turn + 1) * count)
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "fleet.yaml"
            config.write_text(configuration(numbers))
            settings = load(config, known)
        memory = world(numbers, template, material)
        fleet = Fleet(settings, known, memory)
        todo = {check: pairs for check, pairs in fleet.todo.items() if check != "resolver"}
        todo = dict(sorted(todo.items(), key=lambda it: it[0] == "receiver"))  # it reads the others
        for pairs in todo.values():  # the replies are made here, not in the measurement
            for check, target in pairs:
                await fleet.evaluate(check, target)
        forget()
        gc.collect()
        gc.freeze()
        memory.asked = 0
        for name, pairs in todo.items():
            outcomes = await costs.runs(name, pairs, fleet.evaluate)
            fleet.keep(outcomes, keeping, "first")
            again = await Costs().runs(name, pairs, fleet.evaluate)
            fleet.keep(again, keeping, "again")
            found.update(it.id for outcome in outcomes for it in outcome.findings)
            found.update(f"doubt {it.reason}" for outcome in outcomes for it in outcome.doubts)
        asked = memory.asked // 2 // count
        gc.unfreeze()
    costs.tell(f"{title}: evaluation from memory, us ({asked} questions a domain)")
    for name, shared in keeping.passes.items():
        each = len(shared) // passes  # checks
        keeping.passes[name] = [sum(shared[at : at + each]) / each for at in range(0, len(shared), each)]
    keeping.tell(f"{title}: keeping a verdict, us")
    print(f"  found: {dict(found)}")


if __name__ == "__main__":
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("domains", nargs="?", type=int, default=200, help="in each pass")
    told.add_argument("--passes", type=int, default=5)
    given = told.parse_args()
    for heading, text, bits in (("healthy", HEALTHY, 2048), ("faulty", FAULTY, 1024)):
        asyncio.run(main(given.domains, given.passes, text, heading, keys(bits)))
