"""The real process among real servers: what a real Prometheus gets to know of it is true, and stays true in trouble."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from tests.lab.exporter import OPENMETRICS, SCRAPES, Exporter, Exporters, FakeWallClock, table
from tests.lab.process import Endpoint, Lab, until
from tests.lab.prometheus import check_metrics
from tests.lab.world import OF_NOBODY, OF_THE_WORLD, TLS, TRUTH, WORLD, World, config, world

pytestmark = pytest.mark.lab

INTERVAL = 2.0  # seconds between two runs of everything here
CALM = 5.0  # the same where runs are timed: other work on the machine must not count as a late run
TIMEOUT = 1.0  # seconds one question may take
TICK = 1.0  # seconds between two looks at what is due
FAILURE_KEPT = 5.0  # seconds that a question without an answer is not asked again
RECOVERY = INTERVAL + TICK + TIMEOUT + FAILURE_KEPT + 2 * SCRAPES
YEAR = 365 * 86400

OLDEST_RUN = "deliverability_exporter_oldest_run_timestamp_seconds"
LISTS = ("blocklist", "blocklist_health")
ASKING = ("ptr", "helo", "mx", "spf", "spf_sender", "dkim", "dmarc", "smtp_tls", "resolver")  # each run asks DNS anew
SOME = """
smtp: {{helo_name: probe.lab.test}}
blocklists: [{{name: ips, zone: bl.test}}, {{name: domains, zone: dbl.test, lists: domain}}]
senders:
  - {{name: out, addresses: [192.0.2.10, "2001:db8::10"], helo: mail.example.net}}
  - {{name: neglected, addresses: [192.0.2.20], helo: mail.example.edu}}
domains:
  - {{name: example.net, senders: [out], dkim_selectors: [s1, s2], checks: {{smtp_tls: {{enabled: false}}}}}}
  - {{name: example.edu, senders: [neglected], dkim_selectors: [s1]}}
mail_hosts: [{{host: mx.lab.test, port: {good}}}, {{host: mx.lab.test, port: {in_clear}}}]
"""
FLIPS = """
blocklists: [{name: turns-to-world, zone: turns-to-world.test}, {name: turns-empty, zone: turns-empty.test}]
senders: [{name: out, addresses: [192.0.2.10, 192.0.2.20], helo: mail.example.net}]
"""
BEFORE_THE_FLIP = """
blocklist ip=192.0.2.10                     pass
blocklist ip=192.0.2.20                     fail, warning blocklist.listed[blocklist=turns-empty], \
warning blocklist.listed[blocklist=turns-to-world]
blocklist_health blocklist=turns-to-world   pass
blocklist_health blocklist=turns-empty      pass
"""
AFTER_THE_FLIP = """
blocklist ip=192.0.2.10                     pass, unknown blocklist_unhealthy
blocklist ip=192.0.2.20                     fail, warning blocklist.listed[blocklist=turns-empty], \
warning blocklist.listed[blocklist=turns-to-world], unknown blocklist_unhealthy
blocklist_health blocklist=turns-to-world   fail, warning blocklist_health.lists-the-world
blocklist_health blocklist=turns-empty      fail, warning blocklist_health.dead
"""
OF_ONE_SENDER = ("ptr", "helo", "resolver")
ONE_SENDER = """
blocklists: []
senders: [{name: out, addresses: [192.0.2.10], helo: mail.example.net}]
"""


@pytest.fixture(scope="module")
def exporters(lab: Lab) -> Exporters:
    return Exporters(lab, ("world", "killed", "stopped", "flips", "clock", "stalled", "kept"))


@pytest.fixture(scope="module")
def servers(lab: Lab, exporters: Exporters) -> Iterator[World]:
    with socket.socket() as shut:
        shut.bind(("127.0.0.1", 0))
        yield world(lab, Endpoint(*shut.getsockname()))


@pytest.fixture(scope="module")
def ports(servers: World) -> dict[str, str]:
    return {str(at.port): name for name, at in servers.at.items()}


@pytest.fixture(scope="module")
def exporter(exporters: Exporters, servers: World) -> Exporter:
    hosts = "".join(f"  - {{host: mx.lab.test, port: {at.port}}}\n" for at in servers.at.values())
    return exporters.start("world", config(servers.resolver, WORLD + hosts), env=servers.trust)


@dataclass(frozen=True)
class Orphan:
    """An exporter whose resolver, `unbound-NAME`, will leave it."""

    exporter: Exporter
    resolver: Endpoint
    config: str


def orphan(exporters: Exporters, servers: World, name: str, *arguments: str) -> Orphan:
    resolver = servers.another_resolver(f"unbound-{name}")
    body = SOME.format(good=servers.at["good"].port, in_clear=servers.at["in-clear"].port)
    text = config(resolver, body, *ASKING, *LISTS)
    return Orphan(exporters.start(name, text, *arguments, env=servers.trust), resolver, text)


@pytest.fixture(scope="module")
def orphans(exporters: Exporters, servers: World) -> dict[str, Orphan]:
    return {name: orphan(exporters, servers, name) for name in ("killed", "stopped")}


@pytest.fixture(scope="module")
def kept(lab: Lab, exporters: Exporters, servers: World) -> Orphan:
    state = f"--storage.path={lab.home / 'state'}"
    return orphan(exporters, servers, "kept", state)


@pytest.fixture(scope="module")
def flips(exporters: Exporters, servers: World) -> Exporter:
    return exporters.start("flips", config(servers.resolver, FLIPS, *LISTS))


@pytest.fixture(scope="module")
def clock(lab: Lab) -> FakeWallClock:
    return FakeWallClock(lab.home / "clock")


@pytest.fixture(scope="module")
def clocked(exporters: Exporters, servers: World, clock: FakeWallClock) -> Exporter:
    clock.step(0)
    return exporters.start("clock", config(servers.resolver, ONE_SENDER, *OF_ONE_SENDER, every=CALM), env=clock.env)


@pytest.fixture(scope="module")
def stalled(exporters: Exporters, servers: World) -> Exporter:
    return exporters.start("stalled", config(servers.resolver, ONE_SENDER, *OF_ONE_SENDER, every=CALM))


@pytest.fixture(scope="module", autouse=True)
def all_together(
    exporter: Exporter,
    orphans: dict[str, Orphan],
    kept: Orphan,
    flips: Exporter,
    clocked: Exporter,
    stalled: Exporter,
) -> None:
    """They start in the five seconds before Prometheus scrapes for the first time."""


def shows(exporter: Exporter, expected: dict[str, str], ports: dict[str, str], within: float = 20) -> None:
    """Exactly this, and before long."""
    end = time.monotonic() + within
    while (seen := exporter.verdicts(ports)) != expected and time.monotonic() < end:
        time.sleep(0.05)
    assert seen == expected


def all_told(exporter: Exporter, ports: dict[str, str]) -> dict[str, str]:
    """Its verdicts, once none is in doubt and every finding is confirmed."""
    exporter.settled()
    exporter.until(lambda: not exporter.query("deliverability_check_unknown{%} == 1"), "everything is known")
    unsure = "deliverability_finding{%} unless ignoring (severity) deliverability_finding_since_timestamp_seconds{%}"
    exporter.until(lambda: not exporter.query(unsure), "everything is confirmed", 60)
    return exporter.verdicts(ports)


def in_doubt(verdicts: dict[str, str], reason: str) -> dict[str, str]:
    """The same without a resolver. A blocklist's recent "no" stands in for an answer, and its test is not due."""
    return {who: said if who.startswith("blocklist") else f"{said}, unknown {reason}" for who, said in verdicts.items()}


def runs_on(exporter: Exporter, times: int, what: str) -> None:
    """Until each check has ended so many runs more."""

    def fewest() -> float:
        return min(exporter.query("deliverability_exporter_runs_total{%}").values(), default=0)

    enough = fewest() + times
    exporter.until(lambda: fewest() >= enough, what)


def says(exporter: Exporter, family: str) -> list[float]:
    """The values of a family, asked now and not when Prometheus next comes."""
    _, text = exporter.get("/metrics")
    return [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{family}{{")]


def test_every_verdict_of_the_world_is_the_truth_and_there_is_no_other(
    exporter: Exporter, ports: dict[str, str]
) -> None:
    exporter.settled()
    shows(exporter, table(TRUTH), ports)
    never = exporter.query("deliverability_check_last_conclusive_timestamp_seconds{%} == 0")
    assert len(never) == sum("unknown" in said for said in table(TRUTH).values())
    findings = exporter.query("sum without (severity) (deliverability_finding{%})")
    assert findings.keys() >= exporter.query("deliverability_finding_since_timestamp_seconds{%}").keys(), (
        "confirmed ones"
    )


def test_numbers_and_relations_are_what_the_servers_say(exporter: Exporter, ports: dict[str, str]) -> None:
    exporter.settled()
    spoken: dict[str, set[str]] = {}
    for who in map(dict, exporter.query("deliverability_smtp_tls_version_supported{%} == 1")):
        spoken.setdefault(ports[who["mail_port"]], set()).add(who["version"])
    assert {name: " ".join(sorted(versions)) for name, versions in spoken.items()} == table(TLS)
    limits = exporter.query("deliverability_smtp_size_limit_bytes{%} != 10240000")  # Postfix's own default
    assert {ports[dict(who)["mail_port"]]: limit for who, limit in limits.items()} == {"small": 10240}
    bits = exporter.query("8 * deliverability_dkim_key_size_bytes{%}")
    assert {dict(who)["selector"]: size for who, size in bits.items()} == {"s1": 2048, "s2": 1024}
    assert exporter.one('deliverability_spf_dns_lookups{%,domain="example.net"}') == 1
    hurt = 'deliverability_domain_sender_info{%} and on (sender) deliverability_finding{%,check="helo"}'
    assert {dict(who)["domain"] for who in exporter.query(hurt)} == {"example.edu", "signed.example.org"}


def test_promtool_and_the_openmetrics_parser_of_prometheus_have_no_complaint(exporter: Exporter) -> None:
    exporter.settled()
    kind, text = exporter.get("/metrics", "text/plain;version=0.0.4")
    assert kind.startswith("text/plain")
    check_metrics(text)
    kind, text = exporter.get("/metrics", OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    samples = sum(not line.startswith("#") for line in text.splitlines())
    exporter.until(lambda: exporter.one("scrape_samples_scraped{%}") == samples, f"a scrape of all {samples} samples")
    (target,) = [it for it in exporter.monitor.targets() if it["labels"]["job"] == exporter.name]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_without_its_resolver_no_verdict_moves_and_the_reason_is_told(
    lab: Lab, orphans: dict[str, Orphan], servers: World, ports: dict[str, str]
) -> None:
    before = all_told(orphans["killed"].exporter, ports)
    assert all_told(orphans["stopped"].exporter, ports) == before
    assert len(before) == 27

    since = time.monotonic()
    lab.kill("unbound-killed")
    lab.send("unbound-stopped", signal.SIGSTOP)
    shows(orphans["killed"].exporter, in_doubt(before, "network"), ports)
    shows(orphans["stopped"].exporter, in_doubt(before, "dns_timeout"), ports)
    until(lambda: time.monotonic() - since > 3 * INTERVAL, "some intervals")

    servers.another_resolver("unbound-killed", at=orphans["killed"].resolver)
    lab.send("unbound-stopped", signal.SIGCONT)
    for it in orphans.values():
        shows(it.exporter, before, ports, RECOVERY)
        it.exporter.steady(since)


def test_a_blocklist_that_begins_to_list_the_world_or_nobody_changes_no_verdict(
    lab: Lab, flips: Exporter, ports: dict[str, str]
) -> None:
    flips.settled()
    shows(flips, table(BEFORE_THE_FLIP), ports)
    since = time.monotonic()
    lab.write("rbldnsd/turns-to-world.test.ip4set", OF_THE_WORLD)
    lab.write("rbldnsd/turns-empty.test.ip4set", OF_NOBODY)
    lab.send("rbldnsd", signal.SIGHUP)
    shows(flips, table(AFTER_THE_FLIP), ports)
    runs_on(flips, 4, "two more rounds of two addresses and two lists")
    assert flips.verdicts(ports) == table(AFTER_THE_FLIP)
    flips.steady(since, ',check="blocklist"')


def test_a_wall_clock_that_steps_delays_no_run_by_more_than_an_interval(
    lab: Lab, clock: FakeWallClock, clocked: Exporter
) -> None:
    clocked.settled()
    since = time.monotonic()
    for offset in (-3600, 3600, 10 * YEAR, 0):
        clock.step(offset)
        runs_on(clocked, 2, f"two runs after the clock went to {offset:+d} s")
        last = clocked.one("max(deliverability_exporter_oldest_run_timestamp_seconds{%})")
        assert abs(last - time.time() - offset) < 10, "the process has seen the step"
    assert clocked.get("/-/healthy")
    for scrapes in clocked.history("deliverability_exporter_runs_total{%}", since):
        # a scrape may come late where other work is heavy: a run has ended at some time between these two
        ended = [(before, after) for (before, runs), (after, more) in pairwise(scrapes) if more > runs]
        assert max(later - earlier for (_, earlier), (later, _) in pairwise(ended)) <= 2 * CALM + TICK
    log = (lab.home / "clock.log").read_text()
    for jump in (-3600, 7200, 10 * YEAR - 3600, -10 * YEAR):
        assert f"the wall clock jumped by {jump:+d} s" in log


def test_after_a_stall_every_check_runs_within_an_interval(lab: Lab, stalled: Exporter) -> None:
    missed = 'deliverability_exporter_runs_skipped_total{%,cause="missed"}'
    stalled.settled()
    assert not stalled.query(f"{missed} > 0")
    lab.send("stalled", signal.SIGSTOP)
    # one more than needs to be missed: scrapes may have been late already when it stopped
    stalled.until(lambda: not stalled.up(during=3 * CALM + 1), "a stall of intervals")
    back = time.time()
    lab.send("stalled", signal.SIGCONT)
    until(lambda: min(says(stalled, OLDEST_RUN)) > back, "a run of each check", CALM + TICK + 2 * SCRAPES)
    stalled.until(lambda: len(stalled.query(f"{missed} > 0")) >= len(OF_ONE_SENDER), "a scrape")
    assert {dict(who)["check"] for who in stalled.query(f"{missed} > 0")} == {*OF_ONE_SENDER}


def test_what_was_known_is_served_after_kill_9_though_the_resolver_is_down(
    lab: Lab, exporters: Exporters, servers: World, kept: Orphan, ports: dict[str, str]
) -> None:
    it = kept.exporter
    conclusive = 'deliverability_check_last_conclusive_timestamp_seconds{%,check!~"blocklist.*"}'
    before = all_told(it, ports)
    since = time.monotonic()
    lab.kill("unbound-kept")
    shows(it, in_doubt(before, "network"), ports)
    known = it.query(conclusive)
    lab.kill("kept")
    it.until(lambda: not it.up(during=2 * SCRAPES), "its end is seen")
    back = time.time()
    exporters.start("kept", kept.config, f"--storage.path={lab.home / 'state'}", env=servers.trust)
    it.until(
        lambda: it.one("min(deliverability_exporter_oldest_run_timestamp_seconds{%})") > back, "runs of everything"
    )
    after = in_doubt(before, "network")
    for who in after:
        if who.startswith("blocklist ") and after[who] == "pass":  # a "no" is not saved, a listing is
            after[who] = "pass, unknown network"
    assert it.verdicts(ports) == after
    assert it.query(conclusive) == known
    it.steady(since)
