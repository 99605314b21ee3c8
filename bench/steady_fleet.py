"""A fleet of domains as the exporter exposes it, without a network: for measurements of what reads /metrics.

The targets come from a configuration. What a check measures of a good target comes from the real daemon, which has
looked at the one domain of a small world. On top of that, some targets have findings, doubts or changed records.
"""

from __future__ import annotations

import itertools
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from exporter.check_state import CheckState, RecordChange, RecordHistory
from exporter.clock import SystemClock
from exporter.config import Settings, load
from exporter.confirmation import LOOKS, ActiveFinding
from exporter.engine import catalogue
from exporter.engine.confirmations import usual_looks
from exporter.engine.families import DOMAIN_SENDER, SENDER
from exporter.engine.plan import pairs
from exporter.engine.store import Store
from exporter.facts import Doubt, Reason, Record, Rule, Sample
from exporter.model import Target
from exporter.net.dns.resolver import ResolverStats
from exporter.targets import Authorisation, Greeting, ListHealth, MailHost, OwnResolver
from exporter.views.http_stats import HttpStats
from exporter.views.metrics import Exposition
from exporter.views.own_metrics import OwnHealth
from tests.support.clock import FakeClock
from tests.support.household import Household
from tests.support.simulation import simulate
from tests.worlds.world import HOME, World

CATALOGUE = catalogue.load()
HOUR, DAY = 3600.0, 86400.0
_DOUBTS = (Reason.DNS_SERVFAIL, Reason.DNS_TIMEOUT, Reason.TEMPFAIL, Reason.EGRESS, Reason.RATE_LIMITED)


@dataclass(frozen=True)
class Shape:
    """How large the fleet is and how much is wrong with it."""

    domains: int = 10_000
    senders: int = 1  # of each domain, with an address each
    selectors: int = 1  # of each domain
    hosters: int = 200  # whose MX hosts the domains share
    findings: int = 3_000
    confirmed: int = 3_000  # of the findings: these alert
    unknown: int = 500  # pairs that have had no result for ten hours
    changed: int = 2_000  # pairs with a record that changed in the last month, a fiftieth of them in the last hour

    @property
    def text(self) -> str:
        """The configuration."""
        lines = ["limits: {series: 10000000}", "smtp: {helo_name: probe.provider.example}", "senders:"]
        for number in range(self.domains * self.senders):
            ip = ip_address(bytes((11,)) + number.to_bytes(3))
            lines.append(f"  - {{name: s{number}, addresses: [{ip}], helo: out.d{number // self.senders}.example}}")
        lines.append("domains:")
        keys = ", ".join(f"k{number}" for number in range(self.selectors))
        for number in range(self.domains):
            first = number * self.senders
            names = ", ".join(f"s{it}" for it in range(first, first + self.senders))
            lines.append(f"  - {{name: d{number}.example, senders: [{names}], dkim_selectors: [{keys}]}}")
        return "\n".join(lines)


class SteadyFleet:
    """`store` has the states, and `exposition` shows them."""

    def __init__(self, shape: Shape = Shape()) -> None:
        self.shape, self.clock = shape, SystemClock()
        self.now = self.clock.wall()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fleet.yaml"
            path.write_text(shape.text)
            self.settings = load(path, CATALOGUE)
        self._own = _own_health(self.settings)
        self.store = Store()
        self.exposition = Exposition(CATALOGUE, self.clock, limit=0, own=lambda: self._own)
        self.exposition.configure(self.settings)
        hosts = [MailHost(host=f"mx.hoster{number}.example") for number in range(shape.hosters)]
        targets = [*self.settings.targets, *hosts]
        for target in targets:
            self._relate(target)
        good = _measured()
        states = [
            self._good(CheckState(check, target, looks=usual_looks(check, self._interval(check.id))), good)
            for check, target in pairs(CATALOGUE, targets, self.settings.running.__contains__)
        ]
        for state in self._with_troubles(states):
            self.store.hold(state.check, state.target, lambda _, made=state: made, state.looks)
            self.exposition.put(state)
        self.exposition.totals.release()

    def _interval(self, check: str) -> float:
        return self.settings.intervals[check].total_seconds()

    def _relate(self, target: Target) -> None:
        if isinstance(target, Greeting):
            self.exposition.relate(SENDER, target, ("helo", target.helo))
        elif isinstance(target, Authorisation):
            self.exposition.relate(DOMAIN_SENDER, target)

    def _good(self, state: CheckState, good: dict[str, tuple[Sample, ...]]) -> CheckState:
        """The state after a run a while ago. The mail host that a domain has is that of its hoster."""
        number = zlib.crc32(state.target.key.encode())
        ran = self.now - number % 1000 / 1000 * self._interval(state.check.id)
        host = (("mail_host", f"mx.hoster{number % self.shape.hosters}.example"),)
        samples = tuple(
            replace(it, labels=(*host, *(label for label in it.labels if label[0] != "mail_host")))
            if any(name == "mail_host" for name, _ in it.labels)
            else it
            for it in good[state.check.id]
        )
        return replace(state, doubt=None, last_run=ran, last_conclusive=ran, samples=samples)

    def _with_troubles(self, states: list[CheckState]) -> list[CheckState]:
        """Findings at the places that come first by a fixed mixture, of as many rules as there are; then the rest."""
        shape, places = self.shape, _mixed(states)
        of_check: dict[str, list[int]] = {}
        for place in places:
            if not isinstance(states[place].target, OwnResolver | ListHealth):
                of_check.setdefault(states[place].check.id, []).append(place)
        rules = [
            rule
            for entry in CATALOGUE.entries
            for rule in entry.rules
            if rule.severity.fails and entry.check.id in of_check and not entry.check.concludes
        ]
        for count, rule in zip(range(shape.findings), itertools.cycle(rules), strict=False):
            mine = of_check[rule.id.partition(".")[0]]
            place = mine.pop(0)
            mine.append(place)  # small checks have many each
            states[place] = self._found(states[place], rule, count)
        free = [it for it in places if not states[it].findings and not isinstance(states[it].target, OwnResolver)]
        for count, place in enumerate(free[: shape.unknown]):
            doubt = Doubt(_DOUBTS[count % len(_DOUBTS)], "no answer")
            states[place] = replace(states[place], doubt=doubt, last_conclusive=self.now - 10 * HOUR)
        for count, place in enumerate(free[shape.unknown :][: shape.changed]):
            at = self.now - (HOUR / 2 if count % 50 == 0 else 30 * DAY * count / shape.changed)
            history = RecordHistory(Record.of("a", ["new"]), at, (RecordChange(("old",), ("new",), at),))
            states[place] = replace(states[place], records=(history,))
        return states

    def _found(self, state: CheckState, rule: Rule, count: int) -> CheckState:
        named = {"ip": f"192.0.2.{count % 250}", "blocklist": "spamhaus_zen", "mail_host": "mx.hoster0.example"}
        evidence: dict[str, Any] = {name: named.get(name, "what") for name in rule.fields}
        finding = rule(**evidence)
        if any(it.finding.key == finding.key for it in state.findings):
            finding = replace(finding, evidence=tuple((name, f"{text}-{count}") for name, text in finding.evidence))
        sure = count < self.shape.confirmed
        since = self.now - (2 * DAY if sure else 60.0)
        active = ActiveFinding(finding, since, confirmed=sure, bad=LOOKS if sure else 1, looked=since)
        return replace(state, findings=(*state.findings, active))

    def text(self) -> Iterator[bytes]:
        """What a scrape gets now, in pieces."""
        return self.exposition.render("")[0]


def _mixed(states: list[CheckState]) -> Iterable[int]:
    """All places, far from each other and always the same."""
    step = 7919  # a prime
    while len(states) % step == 0:
        step += 2
    return [place * step % len(states) for place in range(len(states))]


def _own_health(settings: Settings) -> OwnHealth:
    own = OwnHealth(
        config_hash="f" * 64,
        reload_time=1.0,
        state_configured=True,
        state_writable=True,
        state_size=1,
        state_saved=1.0,
        web_file_ok=True,
        dns=ResolverStats(),
        http=HttpStats(),
        budgets={it.name: 0.5 for it in settings.blocklists},
    )
    own.begin(settings.running)
    return own


def _measured() -> dict[str, tuple[Sample, ...]]:
    """What each check measures of a good target, by check."""
    world, clock = World("postfix-vps", (HOME / "postfix-vps.zone").read_text()), FakeClock()

    async def story() -> dict[str, tuple[Sample, ...]]:
        async with Household(world, clock, "fleet") as house:
            await house.live(1800)
            assert house.daemon
            return {state.check.id: state.samples for state in house.daemon.store}

    return simulate(clock, story())


def served(fleet: SteadyFleet) -> ThreadingHTTPServer:
    """A server of its series on a free port. It does not run yet."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"".join(fleet.text())
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
