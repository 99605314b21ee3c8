"""One scene of the drill: an exporter, name servers, Prometheus and Alertmanager of its own, from quiet to quiet.

A scene does harm, and says what people are told of it until then: no less and no more. All is real: the daemon, the
published rules and routes, the servers. Only time is scaled: a quarter of an hour takes two seconds. What no scale
shortens gets more: the start of a program, and scrapes on a busy machine.

Two faults stand from the beginning, and must neither end nor be told anew, whatever happens. What is random comes from
the seed of tests/support/torture.py.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import dns.exception
import dns.message
import dns.query
import dns.rrset

from exporter.publish.thresholds import seconds
from tests.lab import nameservers
from tests.lab.alerting import pack
from tests.lab.alerting.alertmanager import Alertmanager, Notice, Sink, alertmanager, for_people
from tests.lab.exporter import ROOT
from tests.lab.process import Endpoint, Lab, free, until
from tests.lab.prometheus import Prometheus, prometheus
from tests.lab.world import config, dkim_key
from tests.lab.zones import SignedZone, Signing, zone
from tests.support import torture

Told: TypeAlias = Mapping[str, int]  # `pager: +ptr.missing`: for how many targets; `-` for what is over

EVERY = 2.0  # seconds between two runs of a check
MINUTE = EVERY / 15
GROUP_INTERVAL = "2s"  # for ten minutes
PATIENCE = 90.0  # seconds until something is told, on a machine that is busy with other work
THRESHOLDS = {
    "gap": "2s",
    "confirm": "5s",
    "keep_firing": "3s",
    "critical_after": "1s",
    "warning_after": "1s",
    "unknown_after": "12s",
    "down_after": "15s",
    "page_down_after": "45s",
    "settle": "15s",
    "hold": "15s",
}
CHECKS = ("ptr", "helo", "mx", "spf", "spf_sender", "dkim", "dmarc", "resolver")
DOMAINS = [f"d{number}.example.net" for number in range(50)]
ADDRESSES = [f"192.0.2.{number}" for number in range(1, 21)]
STANDING: Told = {"pager: +dkim.revoked": 1, "mail: +dmarc.partial": 1}
FIRING = {"dkim.revoked", "dmarc.partial"}
APEX = "@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n"
NET = {
    "mail hosts": "@ MX 10 mx\n" + "".join(f"d{number} MX 10 mx\n" for number in range(50)),
    "policies": '@ TXT "v=spf1 ip4:192.0.2.0/27 -all"\n_dmarc TXT "v=DMARC1; p=quarantine; pct=0"\n',
    "revoked": 'old._domainkey TXT "v=DKIM1; p="\n',
    "addresses": "".join(f"mail A {address}\n" for address in ADDRESSES),
    "mx": "mx A 192.0.2.25\n",
}
REVERSE = {
    "each": "".join(f"{number} CNAME shared\n" for number in range(1, 21)),
    "shared": "shared PTR mail.example.net.\n",
}
TARGETS = """
blocklists: []
include: ["targets.d/*.yaml"]
senders: [{{name: out, addresses: [{addresses}], helo: mail.example.net}}]
domains: [{{name: example.net, senders: [out], dkim_selectors: [s1, old]}}]
"""
ONE_MORE = "  - {{name: {name}, sends_mail: false, checks: {{spf: {off}, dkim: {off}, dmarc: {off}}}}}\n"
INCLUDED = "targets.d/domains.yaml"
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy the machine uses


@dataclass
class World:
    """The name servers. Each change of a zone has a serial of its own."""

    lab: Lab
    stubs: dict[str, Endpoint] = field(default_factory=dict)
    resolver: Endpoint = field(default_factory=free)
    serial: int = 1
    key: str = field(default_factory=lambda: f"s1._domainkey TXT {dkim_key(2048)}\n")

    def open(self) -> None:
        self._signed = [zone("com", "", Signing.GOOD)]
        served = [*self._zones({}), *self._signed]
        self._authority = nameservers.nsd(self.lab, served)
        self.stubs = dict.fromkeys([it.origin for it in served], self._authority)
        self.answers()

    def answers(self) -> None:
        """The resolver does its duty."""
        nameservers.unbound(self.lab, self.stubs, self._signed, at=self.resolver)

    def lies(self) -> None:
        """Another one takes its place, to which nothing exists."""
        self.lab.kill("unbound")
        nameservers.unbound(self.lab, {}, name="liar", at=self.resolver)

    def is_honest_again(self) -> None:
        self.lab.kill("liar")
        self.answers()

    def _zones(self, other: Mapping[str, str]) -> list[SignedZone]:
        self.serial += 1
        apex = APEX.format(serial=self.serial)
        made = {"example.net": {**NET, "key": self.key}, "2.0.192.in-addr.arpa": REVERSE}
        return [
            zone(origin, "".join(other.get(part, text) for part, text in parts.items()), ttl=1, apex=apex)
            for origin, parts in made.items()
        ]

    def publish(self, **other: str) -> None:
        """From now on these parts are so, and all others as they were in the beginning."""
        zones = self._zones(other)
        for it in zones:
            self.lab.write(f"nsd/{it.origin}.zone", it.text)
        self.lab.send("nsd", signal.SIGHUP)
        until(lambda: all(self._serial(it.origin) == self.serial for it in zones), "nsd serves the new zones", 30)

    def _serial(self, origin: str) -> int:
        query = dns.message.make_query(origin, "SOA")
        try:
            reply = dns.query.udp(query, self._authority.host, 0.5, self._authority.port)
        except (OSError, dns.exception.DNSException):
            return 0
        return int(reply.answer[0][0].serial) if reply.answer else 0


@dataclass
class Drill:
    """What a scene plays with. `minute` is how long a minute is that is no threshold."""

    lab: Lab
    to: Sink
    thresholds: Mapping[str, str] = field(default_factory=dict)
    minute: float = MINUTE
    env: Mapping[str, str] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    addresses: list[str] = field(default_factory=lambda: ADDRESSES)
    domains: list[str] = field(default_factory=lambda: DOMAINS)
    dice: random.Random = field(default_factory=lambda: random.Random(torture.seed()))
    at: dict[str, Endpoint] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)  # all that people were told, beside what stands
    _mark: int = 0
    _acted: float = 0.0

    def begin(self) -> None:
        """Prometheus waits for five seconds before it scrapes: the rest starts meanwhile. Then come the rules."""
        self.server: Alertmanager = alertmanager(self.lab, self.to, GROUP_INTERVAL)
        self.at["one"] = free()
        self.discovered("one")
        discovery = f"file_sd_configs: [{{files: ['{self.lab.home}/discovered.json'], refresh_interval: 1s}}]"
        scraping = pack.scraping(self.server.at, discovery, "500ms", "later/*.yml")
        arguments = ("--rules.alert.resend-delay=1s", "--web.enable-lifecycle")
        self.monitor: Prometheus = prometheus(self.lab, scraping, *arguments)
        self.world = World(self.lab)
        self.world.open()
        more = (ONE_MORE.format(name=name, off="{enabled: false}") for name in self.domains)
        self.lab.write(INCLUDED, "domains:\n" + "".join(more))
        self.start("one")
        rules = pack.publish(self.lab, self._waits, self.minute)
        pending = 'deliverability_check_unknown_reason{reason="pending"}'
        until(lambda: self.up("one") and not self.monitor.query(pending), "all first runs have ended", PATIENCE)
        rules.rename(self.lab.folder("later") / rules.name)
        self.monitor.reload()
        self.tells(STANDING)
        self.told.clear()

    @property
    def _waits(self) -> Mapping[str, str]:
        return {**THRESHOLDS, **self.thresholds}

    def discovered(self, *names: str) -> None:
        """What service discovery says from now on: exporters, by the label `instance`."""
        groups = [{"targets": [str(self.at[name])], "labels": {"instance": name}} for name in names]
        new = self.lab.write("new.json", json.dumps(groups))
        new.replace(self.lab.home / "discovered.json")

    def start(self, name: str) -> None:
        at = self.at.setdefault(name, free())
        self.configure(name)
        command = [
            *(self.through or (sys.executable, "-m", "exporter")),
            f"--config.file={self.lab.home / f'{name}.yaml'}",
            f"--storage.path={self.lab.home / 'disk' / name}",
            f"--web.listen-address={at}",
            "--web.enable-lifecycle",
        ]
        self.lab.folder("disk")
        env = {"PYTHONPATH": str(ROOT), **self.env}
        self.lab.start(name, command, lambda: self.post(name, "/-/healthy", "GET") == 200, within=PATIENCE, env=env)

    def configure(self, name: str, text: str = "") -> None:
        targets = TARGETS.format(addresses=", ".join(self.addresses))
        self.lab.write(f"{name}.yaml", text or config(self.world.resolver, targets, *CHECKS, every=EVERY, timeout=2))

    def post(self, name: str, path: str, method: str = "POST") -> int:
        """The status; 0 for no answer."""
        request = urllib.request.Request(f"http://{self.at[name]}{path}", method=method)
        try:
            with _http.open(request, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def value(self, expression: str) -> float | None:
        """The only value; None if there is none."""
        found = self.monitor.query(expression)
        assert len(found) < 2, found
        return next(iter(found.values()), None)

    def up(self, name: str) -> bool:
        return self.value(f'up{{instance="{name}"}}') == 1

    def everything_runs(self) -> None:
        """Wait until each check has looked at each target."""
        now = "max(deliverability_exporter_time_seconds)"
        until(lambda: self.value(now) is not None, "the exporter is scraped", PATIENCE, every=0.1)
        self._wait(self.value(now) or 0.0, "min(deliverability_exporter_oldest_run_timestamp_seconds)")

    def rules_run(self, least: float) -> None:
        """Wait until the rules have been evaluated for so long: an alert waits for no less."""
        self._wait(time.time() + least, "max(timestamp(deliverability:exporters:count))")

    def _wait(self, moment: float, expression: str) -> None:
        until(lambda: (self.value(expression) or 0.0) > moment, f"{expression} is past the moment", PATIENCE, every=0.1)

    def tells(self, told: Told) -> None:
        """People are told exactly this from the last time on. Nothing: wait for as long as a notice could take."""
        self._acted = time.time()
        if told:
            with suppress(AssertionError):  # what came instead is shown below
                until(lambda: told.items() <= self._news(None).items(), f"people are told {told}", PATIENCE, every=0.1)
        else:
            self._could_tell(3)
        self._came(told)

    def _came(self, told: Told) -> None:
        end = len(self.to.notices)
        news, self._mark = self._news(end), end
        assert news == told, f"{dict(news)} instead of {dict(told)}"
        self.told += [f"{what} x {count}" if count > 1 else what for what, count in told.items()]

    def _news(self, end: int | None) -> Told:
        """In words, and about how many."""
        return Counter(in_words(it) for it in for_people(self.to.news(self._mark, end)))

    def _could_tell(self, looks: int) -> None:
        """Wait until what was done has been looked at so often, and an alert that waits longest would have fired.

        A look that is wrong would be followed by two more, and by the resolver's test.
        """
        for _ in range(looks):
            self.everything_runs()
        until(
            lambda: not self.monitor.query("deliverability:exporter_troubled:info"), "no exporter is troubled", PATIENCE
        )
        longest = sum(seconds(self._waits[it]) for it in ("gap", "confirm", "keep_firing"))
        self.rules_run(self._acted + longest + 1 - time.time())
        self.to.rounds(3)

    def end(self) -> None:
        """It is quiet again, and all is as in the beginning. The looks of the last step count."""
        self._could_tell(1)
        self._came({})
        shown = 'ALERTS{alertstate="firing",severity!~"none|info"}'
        firing = {dict(it).get("finding") or dict(it)["alertname"] for it in self.monitor.query(shown)}
        assert firing == FIRING, f"{firing - FIRING} fires still"
        groups = {(in_words(it), group) for group, message in self.to.messages for it in for_people(message)}
        assert len(groups) == len(dict(groups)), f"each is one notice, not several: {groups}"


def in_words(notice: Notice) -> str:
    sign = "+" if notice.status == "firing" else "-"
    return f"{notice.receiver}: {sign}{notice.alert.removeprefix('Deliverability')}"
