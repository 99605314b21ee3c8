"""The real command as a process on a core of its own, and what the kernel says of it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from bench.world import OWN_CORE, Zones, address, pinned
from exporter.config.schema import BlocklistEntry
from exporter.engine import catalogue
from tests.lab.process import Endpoint, Lab, free, http, until

HOME = Path(__file__).parent.parent
_UNCHANGED = "deliverability_exporter_runs_unchanged_total"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_QUIET = 0.02  # part of a core that a process without work takes at most
STOPS_WITHIN = 60.0


class Stall(NamedTuple):
    """Seconds for which the loop was held, on the clock and of CPU; and where, the most frequent place first."""

    wall: float
    cpu: float
    blame: list[str]


class Daemon:
    """One run of `deliverability-exporter`, started in `home` with this configuration. Also a context manager."""

    def __init__(self, lab: Lab, text: str, *, name: str = "exporter", watched: bool = False) -> None:
        """`watched`: a thread and a timer in it tell what holds the loop; not for measurements of CPU time."""
        self.lab, self.name, self.at = lab, name, free()
        self.config = lab.write(f"{name}.yaml", text)
        self.state = lab.home / f"{name}.state"
        self.stalls = lab.home / f"{name}.stalls"
        began = time.monotonic()
        self.process = lab.start(
            name,
            [
                *pinned(OWN_CORE),
                sys.executable,
                "-m",
                "bench.watched" if watched else "exporter",
                f"--config.file={self.config}",
                f"--storage.path={self.state}",
                f"--web.listen-address={self.at}",
                "--log.level=warning",
            ],
            self._ready,
            within=600,
            env={"PYTHONPATH": str(HOME), "STALLS": str(self.stalls)},
        )
        self.ready_after = time.monotonic() - began
        self.start_cpu = self.cpu

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready(self) -> bool:
        try:
            with http.open(f"http://{self.at}/-/ready", timeout=30) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that it has taken, of all its threads, by the scheduler's own clock."""
        return cpu_of(self.process.pid)

    @property
    def loop_cpu(self) -> float:
        """Seconds of CPU time of the thread that has the loop, to the nanosecond."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    @property
    def rss(self) -> float:
        """MiB."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE / 2**20

    @property
    def written(self) -> float:
        """MiB that it has made the kernel write to disk."""
        found = re.search(r"^write_bytes: (\d+)$", Path(f"/proc/{self.process.pid}/io").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) / 2**20

    def get(self, path: str = "/metrics", *, packed: bool = False) -> bytes:
        """A body as it is sent, so `packed` ones are packed."""
        request = urllib.request.Request(
            f"http://{self.at}{path}", headers={"Accept-Encoding": "gzip"} if packed else {}
        )
        with http.open(request, timeout=60) as response:
            return bytes(response.read())

    def numbers(self) -> dict[str, float]:
        """The own metrics, each with its labels as in the text."""
        found = re.findall(rb"^(deliverability_exporter_\S+) (\S+)$", self.get(), re.MULTILINE)
        return {name.decode(): float(number) for name, number in found}

    def wait_until_idle(self, *, quiet: float = 1.0, least: float = _QUIET, within: float = 1800.0) -> float:
        """Until it takes hardly any CPU time for so many seconds; return the CPU time up to then.

        `least`: the part of a core that counts as work.
        """
        end = time.monotonic() + within
        before = self.cpu
        while time.monotonic() < end:
            time.sleep(quiet)
            now = self.cpu
            if now - before <= least * quiet:
                return now
            before = now
        raise AssertionError(f"not idle within {within:g} s")

    def watch(self) -> None:
        """From now on, note what holds the loop."""
        self.process.send_signal(signal.SIGUSR1)

    def held(self) -> Stall:
        """What has held it for longest since `watch` or the start. It is not watched any more."""
        self.stalls.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        until(self.stalls.exists, "it tells what held its loop", 60)
        found = json.loads(self.stalls.read_text())
        return Stall(found["wall"], found["cpu"], [f"{count} x {where}" for where, count in found["blame"]])

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> float:
        """Return the seconds that it took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            until(lambda: self.process.poll() is not None, "it stops", STOPS_WITHIN, every=0.005)
        took = time.monotonic() - began
        with suppress(KeyError):
            self.lab.stop(self.name)
        return took


def runs(numbers: dict[str, float], checks: Iterable[str]) -> float:
    return sum(numbers.get(f'deliverability_exporter_runs_total{{check="{check}"}}', 0) for check in checks)


def unchanged(numbers: dict[str, float]) -> float:
    """Runs that evaluated nothing."""
    return sum(number for name, number in numbers.items() if name.startswith(f"{_UNCHANGED}{{"))


def asked(numbers: dict[str, float]) -> float:
    """Questions sent to name servers."""
    return sum(
        number for name, number in numbers.items() if name.startswith("deliverability_exporter_dns_queries_total")
    )


def cpu_of(pid: int) -> float:
    """Of threads that have ended, too, as the kernel adds them up."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def configuration(
    nameservers: Sequence[Endpoint | tuple[str, int]],
    zones: Zones,
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
    every: Mapping[str, str],
    pace: int = 100_000,
    list_pace: int = 100_000,
) -> str:
    """All of the zones' domains, senders and lists. `only` these checks are made, or all `without` some.

    Questions a second: `pace` in all, and `list_pace` to each list.
    """
    off = sorted(it for it in catalogue.load().checks if (only and it not in only) or it in without)
    servers = ", ".join(f"'{host}:{port}'" for host, port in nameservers)
    lines = [
        f"resolver: {{nameservers: [{servers}], queries_per_second: {pace}}}",
        "smtp: {helo_name: probe.bench-provider.net}",
        f"checks: {{{', '.join(f'{it}: {{enabled: false}}' for it in off)}}}",
        f"schedule: {{{', '.join(f'{check}: {interval}' for check, interval in every.items())}}}",
        *(["receivers: []"] if "receiver" in off else []),
        "limits: {series: 10000000}",
        *(["blocklists:"] if zones.lists else ["blocklists: []"]),
    ]
    own = f", queries_per_second: {list_pace}" if "queries_per_second" in BlocklistEntry.model_fields else ""
    for number, zone in enumerate(zones.list_zones):
        lines.append(f"  - {{name: bl{number}, zone: {zone}{own}}}")
    lines.append("senders:" if zones.addresses else "senders: []")
    lines += [
        f"  - {{name: s{number}, addresses: [{address(number)}], helo: out{number}.bench-provider.net}}"
        for number in range(zones.addresses)
    ]
    lines.append("domains:" if zones.domains else "domains: []")
    for number in range(zones.domains):
        sender = f"senders: [s{number}], " if number < zones.addresses else ""
        lines.append(f"  - {{name: bench-d{number}.net, {sender}dkim_selectors: [s1]}}")
    return "\n".join(lines) + "\n"
