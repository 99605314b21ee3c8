"""A fleet of domains through the whole daemon, on loopback. Run by hand: python -m bench.fleet [DOMAINS] [options]

Name server, policies and mail hosts are processes and servers of our own; everything dialled leads to them. Told are
the time to the first verdicts, the questions, memory, what blocked the loop and what scrapes and pages cost. With
--policies=silent or slow each domain has an MTA-STS policy that does not come; with --news a host that all domains
share stops offering STARTTLS once all have a verdict. Another process's work shows in the times: compare ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.fleet_world import HOSTERS, NOW, Names, process, serve_names, serve_policies
from exporter import app, clients
from exporter.check_state import FindingPolicy
from exporter.cli.serve import seldom_collect_all
from exporter.clock import SystemClock
from exporter.config import load
from exporter.demo.ca import Authority
from exporter.demo.mailserver import Behaviour, MailServers
from exporter.engine import catalogue
from exporter.facts import Reason, Verdict
from exporter.mail.dns import Question, Reply

BLOCKED = 0.02  # seconds without a turn of the loop after which the sampler looks who holds it
SMTP = 25


def configuration(options: argparse.Namespace, port: int) -> str:
    off = ["registration", "zone", "ehlo_probe", *([] if options.news else ["smtp_tls"])]
    lines = [
        f"resolver: {{nameservers: ['127.0.0.1:{port}'], queries_per_second: {options.qps}}}",
        f"checks: {{{', '.join(f'{check}: {{enabled: false}}' for check in off)}}}",
        *(["schedule: {smtp_tls: 60s}"] if options.news else []),
        "blocklists: []",
        "smtp: {helo_name: probe.provider.example}",
        "senders:",
    ]
    for number in range(options.senders):
        ip = ip_address(bytes((11,)) + number.to_bytes(3))
        lines.append(f"  - {{name: s{number}, addresses: [{ip}], helo: out{number}.provider.example}}")
    lines.append("domains:")
    for number in range(options.domains):
        sender = f"s{number % options.senders}"
        keys = "dkim_selectors: [s1], " if number % 2 else ""  # the others have a KeyNamespace
        lines.append(f"  - {{name: d{number}.example, senders: [{sender}], {keys}labels: {{}}}}")
    return "\n".join(lines)


class Counting:
    """The resolver, with its questions counted by the check that asks."""

    def __init__(self, dns: Any) -> None:
        self.dns = dns
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dns, name)

    async def ask(self, question: Question, **how: bool) -> Reply:
        task = asyncio.current_task()
        self.asked[task.get_name().partition(":")[0] if task else "?"] += 1
        return await self.dns.ask(question, **how)


class Sampler(threading.Thread):
    """Who holds the loop for longer than BLOCKED, by the innermost line of ours."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.main = threading.get_ident()
        self.beat = time.monotonic()
        self.worst = 0.0
        self.blame: Counter[str] = Counter()
        self.lags: list[float] = []
        self.collections: list[float] = []  # seconds of each full one
        self._collecting = 0.0
        gc.callbacks.append(self._collect)

    def _collect(self, phase: str, told: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.monotonic()
        elif told["generation"] == 2:
            self.collections.append(time.monotonic() - self._collecting)

    def run(self) -> None:
        while True:
            time.sleep(0.01)
            frame = sys._current_frames().get(self.main)  # noqa: SLF001  (there is no other way)
            if time.monotonic() - self.beat > BLOCKED and frame:
                stack = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_stack(frame)]
                self.blame[" < ".join(reversed(stack[-4:]))] += 1

    async def pulse(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            self.beat = time.monotonic()
            self.lags.append(self.beat - began - 0.005)

    def told(self) -> str:
        lags, self.lags = sorted(self.lags or [0.0]), []
        blame, self.blame = self.blame.most_common(4), Counter()
        said = f"lag: worst {lags[-1] * 1e3:.0f} ms, 99% {lags[int(len(lags) * 0.99)] * 1e3:.0f} ms"
        if collections := self.collections:
            said += f", {len(collections)} full collections of up to {max(collections) * 1e3:.0f} ms"
            self.collections = []
        return "\n    ".join([said, *(f"{count:4} x {where}" for where, count in blame)])


def memory() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def written() -> float:
    return int(Path("/proc/self/io").read_text().partition("wchar: ")[2].split()[0]) / 2**20


def stored(home: Path) -> float:
    return sum(path.stat().st_size for path in home.glob("state.db*")) / 2**20


async def get(url: str) -> tuple[int, float]:
    """Octets and seconds, asked by another process."""
    began = time.monotonic()
    curl = await asyncio.create_subprocess_exec("curl", "-s", url, stdout=asyncio.subprocess.PIPE)
    body, _ = await curl.communicate()
    return len(body), time.monotonic() - began


def open_world(web: int, mail: MailServers, state: dict[str, Any], *rest: Any) -> app.Clients:
    async def dial(_: IPv4Address | IPv6Address, port: int) -> tuple[str, int]:
        if port == SMTP:
            return mail.servers[(ip_address("192.0.2.2" if state["news"] else "192.0.2.1"), SMTP)].address
        return "127.0.0.1", web

    world = clients.open_clients(*rest, dial=dial, authorities=Authority(NOW, "fleet").pem + mail.pem)
    state["dns"] = Counting(world.dns)
    object.__setattr__(world, "dns", state["dns"])
    return world


def runs(daemon: app.Daemon) -> Counter[str]:
    return daemon._own.runs  # noqa: SLF001  (a scrape would cost what is measured)


async def first_round(daemon: app.Daemon, options: argparse.Namespace) -> None:
    """Until everything has a verdict; tell when each kind had."""
    began, done = time.monotonic(), set()
    while time.monotonic() - began < options.patience:
        await asyncio.sleep(0.25)
        pending: Counter[str] = Counter(
            h.check.id for h in daemon.store if h.doubt and h.doubt.reason is Reason.PENDING
        )
        for check in {h.check.id for h in daemon.store} - pending.keys() - done:
            done.add(check)
            print(f"  {time.monotonic() - began:7.1f} s  all have a verdict of {check}", flush=True)
        if not pending:
            return
    print("  not in time:", dict(pending))


def tell(daemon: app.Daemon, title: str) -> None:
    now, policy = time.time(), FindingPolicy()
    verdicts = Counter(h.verdict(policy, now) for h in daemon.store)
    unknown = Counter((h.check.id, str(h.doubt.reason)) for h in daemon.store if h.doubt)
    found = Counter(s.finding.id for h in daemon.store for s in h.findings)
    print(f"{title}: {', '.join(f'{verdicts[v]} {v}' for v in Verdict)}; unknown {dict(unknown)}; {dict(found)}")


async def main(options: argparse.Namespace, names: int, web: int, home: Path) -> None:
    config = home / "fleet.yaml"
    config.write_text(configuration(options, names))
    known, clock, state = catalogue.load(), SystemClock(), {"news": False}
    kinds = {
        "192.0.2.1": Behaviour("mx1.hoster0.example"),
        "192.0.2.2": Behaviour("mx1.hoster0.example", starttls=False),
    }
    mail = MailServers({(ip_address(ip), SMTP): kind for ip, kind in kinds.items()}, NOW)
    await mail.start()
    sampler = Sampler()
    sampler.start()
    pulse = asyncio.create_task(sampler.pulse())
    make = partial(open_world, web, mail, state)
    seldom_collect_all()  # as the command does, gc.freeze() too
    daemon = app.Daemon(lambda files: load(config, known, files), make, known, clock, state_path=home / "state.db")
    began, cpu, wrote = time.monotonic(), time.process_time(), written()
    await daemon.start([("127.0.0.1", 0)])
    gc.freeze()
    print(
        f"start {time.monotonic() - began:.1f} s, RSS {memory():.0f} MiB, {len(daemon.store)} pairs; {sampler.told()}"
    )
    await first_round(daemon, options)
    dns = state["dns"]
    asked = sum(dns.asked.values())
    sent = sum(stats.queries for stats in dns.stats.nameservers.values())
    took, cost = time.monotonic() - began, time.process_time() - cpu
    print(f"first round {took:.1f} s, {cost:.1f} s of CPU, RSS {memory():.0f} MiB")
    each = [f"{count / options.domains:.1f} {what}" for what, count in dns.asked.most_common()]
    hits = dns.stats.cache_hits
    print(f"  a domain: {asked / options.domains:.1f} questions ({', '.join(each)}),")
    print(f"  {hits / options.domains:.1f} answered from the cache, {sent / options.domains:.1f} sent")
    print(f"  {sampler.told()}")
    tell(daemon, "verdicts")
    await asyncio.sleep(2)
    print(f"state: {stored(home):.1f} MiB on disk, {written() - wrote:.0f} MiB written by all of the process")
    at = daemon.web.addresses[0]
    print(f"{daemon.exposition.series} series, {daemon.exposition.series / options.domains:.1f} a domain")
    for path in (
        "/metrics",
        "/",
        "/?q=d77.example",
        "/targets/domain=d77.example",
        "/findings/dmarc.policy-none",
        "/receivers",
    ):
        sampler.told()
        octets, seconds = await get(at + path)
        print(f"  {path:32} {octets / 2**20:7.2f} MiB {seconds * 1e3:7.0f} ms; {sampler.told()}")
    if options.news:
        before = runs(daemon)["mta_sts"]
        state["news"] = True
        for _ in range(options.news):
            await asyncio.sleep(10)
            print(f"  news: {runs(daemon)['mta_sts'] - before} runs of mta_sts; {sampler.told()}")
        tell(daemon, "after the news")
    began = time.monotonic()
    for _ in range(options.reloads):
        await daemon.reload()
    print(f"reload {time.monotonic() - began:.1f} s; {sampler.told()}; RSS {memory():.0f} MiB")
    pulse.cancel()
    print(f"{gc.collect()} objects were left in cycles by {runs(daemon).total()} runs; {sampler.told()}")
    began = time.monotonic()
    await daemon.stop()
    print(f"stop {time.monotonic() - began:.1f} s")
    await mail.stop()


if __name__ == "__main__":
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("domains", nargs="?", type=int, default=3000)
    told.add_argument("--senders", type=int, default=0, help="default: as many as domains")
    told.add_argument("--hosters", type=int, default=HOSTERS, help="each with two MX hosts")
    told.add_argument("--policies", choices=("none", "good", "slow", "silent"), default="none")
    told.add_argument("--qps", type=int, default=100_000)
    told.add_argument("--news", type=int, default=0, help="tens of seconds to watch what follows news of a mail host")
    told.add_argument("--reloads", type=int, default=1)
    told.add_argument("--patience", type=float, default=900, help="seconds for the first round")
    given = told.parse_args()
    given.senders = given.senders or given.domains
    der = (
        rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    rules = Names(given.hosters, policies=given.policies != "none", key=base64.b64encode(der).decode())
    with (
        process(serve_names, rules) as dns_port,
        process(serve_policies, given.policies) as web_port,
        tempfile.TemporaryDirectory() as folder,
    ):
        uvloop.run(main(given, dns_port, web_port, Path(folder)))
