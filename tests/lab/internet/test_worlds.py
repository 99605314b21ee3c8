"""All documented worlds at once, on nsd, unbound, SMTP and HTTPS, seen by one daemon as its users run it.

Nothing in the daemon is told that this is a test: it asks its resolver at port 53, connects to ports 53, 25 and 443 of
the addresses that the worlds publish, and goes by the schedule and the blocklists that it is shipped with. It is in a
network of its own, where these addresses are this machine; so what has no server there refuses, and nothing may be
unknown for want of the Internet.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import dns.flags
import dns.message
import dns.query
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.engine import catalogue
from tests.lab.internet.servers import RESOLVER, Internet, internet
from tests.lab.process import Lab, until
from tests.publish import promtool
from tests.worlds.world import World, worlds

pytestmark = pytest.mark.lab

WORLDS = worlds()
EXPECTED = {("warning", rule, whom) for world in WORLDS for rule, whom in world.warnings}
ROOT = Path(__file__).parents[3]
RULES = ROOT / "prometheus" / "alerts.yml"
ASKED_FOR = {"ehlo_probe"}  # runs only where a configuration enables it, and none of the worlds' does
SLOW = "registration"  # one registry is asked once a second, so it takes longest
# .de gives no date, and the registry of the worlds offers no RDAP for .io and .co.uk.
WITHOUT_DATE = {"acme-verein.de", "acme-desk.io", "acme-gate.co.uk"}
MINUTES = 80  # a warning fires after 70
Series: TypeAlias = dict[str, list[tuple[dict[str, str], float]]]


@dataclass(frozen=True)
class LiveDaemon:
    """One beside the worlds, at a port of its own."""

    internet: Internet
    at: str

    def series(self) -> Series:
        """What it exposes now, by name without the prefix."""
        found: Series = defaultdict(list)
        for family in text_string_to_metric_families(self.internet.namespace.run(self._metrics)):
            for sample in family.samples:
                found[sample.name.removeprefix("deliverability_")].append((sample.labels, sample.value))
        return found

    def _metrics(self) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.at}/metrics", timeout=5) as response:
            return str(response.read().decode())

    def has_run(self, besides: str = "") -> bool:
        """Has everything ended a first run, not counting one check?"""
        try:
            checks = self.series()["checks"]
        except OSError:  # it does not listen yet
            return False
        waiting = {labels["check"] for labels, _ in checks if labels["status"] == "pending"}
        return bool(checks) and waiting <= {besides}

    def settled(self, besides: set[tuple[str, str]]) -> None:
        """What rests on other checks runs again when they have told: wait for that. In vain if it stays unknown."""
        end = time.monotonic() + 20
        while not self.unknown() <= besides and time.monotonic() < end:
            time.sleep(0.25)

    def failing(self) -> set[tuple[str, str, str]]:
        """(severity, rule, domain or host) of what fails a check; no other finding is exposed."""
        standing = (labels for labels, value in self.series()["finding"] if value)
        return {(it["severity"], it["finding"], _whom(it)) for it in standing}

    def unknown(self) -> set[tuple[str, str]]:
        """(check, reason)"""
        return {(it["check"], it["reason"]) for it, value in self.series()["check_unknown_reason"] if value}


def _whom(labels: dict[str, str]) -> str:
    return next(labels[kind] for kind in ("domain", "mail_host", "ip", "blocklist", "sender") if kind in labels)


def together(chosen: list[World]) -> dict[str, Any]:
    """One configuration for all worlds. A sender that two of them write alike is one; else it is the world's own."""
    whole: dict[str, Any] = {"senders": [], "domains": []}
    for world in chosen:
        own = yaml.safe_load(world.config.read_text())
        renamed = {}
        for sender in own.pop("senders", []):
            if sender in whole["senders"]:
                continue
            if any(sender["name"] == other["name"] for other in whole["senders"]):
                renamed[sender["name"]] = sender["name"] = f"{world.name}-{sender['name']}"
            whole["senders"].append(sender)
        for domain in own.pop("domains"):
            if "senders" in domain:
                domain["senders"] = [_called(renamed, sender) for sender in domain["senders"]]
            whole["domains"].append(domain)
        for key, value in own.items():
            assert whole.setdefault(key, value) == value, f"{world.name} contradicts another world: {key}"
    return whole


def _called(renamed: dict[str, str], sender: Any) -> Any:
    """A domain names its sender, or has a mapping with the name."""
    if isinstance(sender, str):
        return renamed.get(sender, sender)
    return {**sender, "name": _called(renamed, sender["name"])}


def start(lab: Lab, net: Internet, name: str, config: dict[str, Any], at: str) -> LiveDaemon:
    """Return once it has ended a first run of everything but what is slow."""
    file = lab.write(f"{name}.yaml", yaml.safe_dump({"resolver": {"nameservers": [RESOLVER]}} | config))
    command = [sys.executable, "-m", "exporter", f"--config.file={file}", f"--web.listen-address={at}"]
    it, env = LiveDaemon(net, at), {"PYTHONPATH": str(ROOT), **net.trust}
    process = lab.start(name, net.namespace.enter(command), lambda: True, env=env)
    until(lambda: process.poll() is not None or it.has_run(besides=SLOW), "first runs", 90, every=0.25)
    assert process.poll() is None, f"{name} ended with status {process.returncode}"
    it.settled({(SLOW, "pending")})
    return it


@pytest.fixture(scope="module")
def net(lab: Lab) -> Internet:
    return internet(lab, WORLDS)


@pytest.fixture(scope="module")
def configured() -> dict[str, Any]:
    return together(WORLDS)


@pytest.fixture(scope="module")
def daemon(lab: Lab, net: Internet, configured: dict[str, Any]) -> LiveDaemon:
    return start(lab, net, "daemon", configured, "127.0.0.1:10554")


def test_nothing_is_critical_or_unknown_and_the_warnings_are_those_that_the_worlds_name(daemon: LiveDaemon) -> None:
    assert daemon.failing() == EXPECTED
    assert daemon.unknown() <= {(SLOW, "pending")}


def test_every_check_has_looked_at_every_world_over_the_wire(daemon: LiveDaemon, configured: dict[str, Any]) -> None:
    series = daemon.series()
    domains = {domain["name"] for domain in configured["domains"]}
    assert {labels["check"] for labels, _ in series["check_unknown"]} == catalogue.load().checks.keys() - ASKED_FOR
    for check in ("spf", "dmarc", "mx", "zone"):
        assert {labels["domain"] for labels, _ in series["check_ok"] if labels["check"] == check} >= domains
    # Two name servers each, which nsd's delegations name.
    assert {labels["domain"]: n for labels, n in series["zone_nameservers"]} == dict.fromkeys(domains, 2)
    # Every mail host has spoken TLS 1.3 at all of its addresses, also those of IPv6.
    hosts = {labels["mail_host"] for labels, _ in series["domain_mail_host_info"]}
    spoken = {(it["mail_host"], n) for it, n in series["smtp_tls_version_supported"] if it["version"] == "1.3"}
    assert spoken == {(host, 1) for host in hosts}
    assert len(hosts) > len(WORLDS) / 2
    # Policies come by HTTPS only.
    pages = (page.url for world in WORLDS for page in world.others.pages if "/mta-sts." in page.url)
    told = {f"https://mta-sts.{it['domain']}/.well-known/mta-sts.txt" for it, _ in series["mta_sts_policy_info"]}
    assert told == set(pages) != set()


def test_the_resolver_has_validated_what_it_says(daemon: LiveDaemon) -> None:
    asked = dns.message.make_query("com", "NS", want_dnssec=True)
    answer = daemon.internet.namespace.run(lambda: dns.query.udp(asked, RESOLVER, timeout=5))
    assert answer.flags & dns.flags.AD


def test_no_page_would_fire(daemon: LiveDaemon, tmp_path: Path) -> None:
    """The shipped alert rules, if what the daemon exposes now stays so for more than an hour."""
    series = daemon.series()
    confirmed = {labels["finding"] for labels, _ in series.get("finding_since_timestamp_seconds", ())}
    story = promtool.Story("all worlds", _held(series, RULES.read_text()))
    warned = Counter(f"{rule} {severity}" for severity, rule, _ in EXPECTED if rule in confirmed)
    story.fires[MINUTES] = warned | Counter({"StateInMemory warning": 1})  # by choice: the daemon has no file here
    assert promtool.told(RULES, tmp_path, [story.plain()]) == ""


def _held(series: Series, rules: str) -> dict[str, list[str]]:
    """Every series that the rules know, as it stays from minute 0 on: it is minute 0 now. Runs go on."""
    held = {promtool.series("up"): [f"1+0x{MINUTES}"]}
    now = time.time()
    for name, samples in series.items():
        if f"deliverability_{name}" not in rules:
            continue
        for labels, value in samples:
            moment = name.endswith("_timestamp_seconds") and value > 0
            clock = name == "exporter_time_seconds"
            pace = 60 if clock or ("_last_" in name and moment) else 0
            begins = value - now if moment or clock else value
            held[promtool.series(f"deliverability_{name}", **labels)] = [f"{begins:.3f}+{pace}x{MINUTES}"]
    return held


def test_registries_have_told_of_every_domain_in_the_end(daemon: LiveDaemon) -> None:
    """And all is still well when everything has run."""
    until(daemon.has_run, "a first run of everything", 60, every=0.5)
    daemon.settled(set())
    assert daemon.failing() == EXPECTED
    assert daemon.unknown() == set()
    told = {labels["domain"] for labels, _ in daemon.series()["registration_expiry_timestamp_seconds"]}
    assert told == {zone for world in WORLDS for zone in world.hosted if zone.startswith("acme-")} - WITHOUT_DATE


def test_faults_in_the_same_set_up_are_heard(lab: Lab, net: Internet) -> None:
    """The last test, since it ends the mail hosts: then a fleet sends from an address too many, with a key too few."""
    (vps,) = (world for world in WORLDS if world.name == "postfix-vps")
    config = yaml.safe_load(vps.config.read_text())
    config["senders"][0]["addresses"].append("88.99.14.20")  # of another world
    config["domains"][0]["dkim_selectors"].append("gone")
    lab.kill("hosts")
    it = start(lab, net, "faults", {"checks": {SLOW: {"enabled": False}}} | config, "127.0.0.1:10555")
    assert {(rule, whom) for severity, rule, whom in it.failing() if severity == "critical"} == {
        ("spf_sender.not-authorised", "acme-home.com"),
        ("dkim.missing", "acme-home.com"),
        ("mx.all-unreachable", "acme-home.com"),
        ("smtp_tls.refused", "mail.acme-home.com"),
    }
    assert it.unknown() == set()
