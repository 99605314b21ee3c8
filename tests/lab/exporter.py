"""The exporter as its users run it, and what a real Prometheus knows of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import Endpoint, Lab, free, need, until
from tests.lab.prometheus import Prometheus, prometheus

ROOT = Path(__file__).parent.parent.parent
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
SCRAPES = 0.25  # seconds between two
_REMEMBERED = "5m"  # longer than any test lasts
_OF_THE_SCRAPE = {"__name__", "job", "instance"}
_HELD = ("deliverability_check_ok", "deliverability_finding", "deliverability_finding_since_timestamp_seconds")
_SCRAPED = """global: {{scrape_interval: {every}, scrape_timeout: {every}}}
scrape_configs:
"""
_JOB = "  - {{job_name: {name}, honor_labels: true, static_configs: [{{targets: ['{at}']}}]}}\n"

Identity = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Exporter:
    """One of them. Everything but `get` asks Prometheus, which scrapes it as the job `name`."""

    name: str
    at: Endpoint
    monitor: Prometheus
    process: subprocess.Popen[bytes]

    def get(self, path: str, accept: str = "*/*") -> tuple[str, str]:
        """Content type and body. Raise OSError for any other status than 200."""
        request = urllib.request.Request(f"http://{self.at}{path}", headers={"Accept": accept})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as response:
            return response.headers["Content-Type"], response.read().decode()

    def query(self, selector: str) -> dict[tuple[tuple[str, str], ...], float]:
        """An instant vector without the labels of the scrape; `selector` has a % where the job belongs.

        It is of the last scrape that succeeded: one that came too late ends every series, and says nothing about it.
        """
        found = self.monitor.query(self._mine(selector), self._scraped())
        return {tuple((k, v) for k, v in labels if k not in _OF_THE_SCRAPE): value for labels, value in found.items()}

    def _mine(self, selector: str) -> str:
        return selector.replace("%", f'job="{self.name}"')

    def _scraped(self) -> float | None:
        """When a scrape last succeeded, in unix seconds."""
        ups = self.monitor.history(self._mine(f"up{{%}}[{_REMEMBERED}]")).values()
        return max((at for scrapes in ups for at, value in scrapes if value), default=None)

    def up(self, during: float) -> bool:
        """Has any scrape of the last seconds succeeded?"""
        return 1.0 in self.monitor.query(self._mine(f"max_over_time(up{{%}}[{during * 1000:.0f}ms])")).values()

    def one(self, selector: str) -> float:
        """The only value; 0 if there is none."""
        (value,) = self.query(selector).values() or (0.0,)
        return value

    def verdicts(self, names: Mapping[str, str] | None = None) -> dict[str, str]:
        """What it says of everything, in the words of the tables: `ptr ip=192.0.2.1` is `fail critical ptr.missing`.

        `names` are words for values such as ports. Raise AssertionError for a series that belongs to nothing.
        """
        families = "check_ok|check_unknown|check_unknown_reason|finding"
        series = self.monitor.query(f'{{__name__=~"deliverability_({families})",job="{self.name}"}}', self._scraped())
        by_family: dict[str, list[tuple[dict[str, str], float]]] = {family: [] for family in families.split("|")}
        for labels, value in series.items():
            told = {k: (names or {}).get(v, v) for k, v in labels if k not in _OF_THE_SCRAPE}
            by_family[dict(labels)["__name__"].removeprefix("deliverability_")].append((told, value))
        words: dict[Identity, list[str]] = {frozenset(t.items()): [] for t, _ in by_family["check_unknown"]}
        for told, value in by_family["check_ok"]:
            words[frozenset(told.items())].append("pass" if value else "fail")
        for told, _ in sorted(by_family["finding"], key=lambda finding: sorted(finding[0].items())):
            (whose,) = (identity for identity in words if identity <= told.items())
            kind, what = told.pop("severity"), told.pop("finding")
            about = " ".join(f"{k}={v}" for k, v in sorted(told.items() - whose))
            words[whose].append(f"{kind} {what}" + (f"[{about}]" if about else ""))
        for told, _ in by_family["check_unknown_reason"]:
            reason = told.pop("reason")
            words[frozenset(told.items())].append(f"unknown {reason}")
        unknown = {frozenset(told.items()) for told, value in by_family["check_unknown"] if value}
        assert unknown == {who for who, said in words.items() if any(word.startswith("unknown") for word in said)}
        return {_row(who): ", ".join(said) for who, said in words.items()}

    def until(self, condition: Callable[[], bool], what: str, within: float = 20) -> None:
        """Ask as often as is worth while; raise AssertionError after so many seconds."""
        until(condition, what, within, every=SCRAPES / 5)

    def settled(self) -> None:
        """Wait until every check of every target has ended a first run, and Prometheus knows."""
        ran, pending = (
            "deliverability_exporter_oldest_run_timestamp_seconds{%}",
            'deliverability_check_unknown_reason{%,reason="pending"}',
        )

        def ended() -> bool:
            return self.process.poll() is not None or (bool(self.query(ran)) and not self.query(pending))

        self.until(ended, f"first runs of {self.name}")
        assert self.process.poll() is None, f"{self.name} ended with status {self.process.returncode}"

    def history(self, selector: str, since: float) -> Iterator[list[tuple[float, float]]]:
        """(unix seconds, value) of each series at all scrapes since then (time.monotonic)."""
        yield from self.monitor.history(f"{self._mine(selector)}{_window(since)}").values()

    def steady(self, since: float, only: str = "") -> None:
        """Nothing that is held has moved, begun or ended since then (time.monotonic), at any scrape that succeeded."""
        window = _window(since)
        for family in _HELD:
            seen = f"{family}{{%{only}}}{window}"
            assert self.query(f"count_over_time({seen})"), family
            assert self.query(f"changes({seen}) > 0") == {}
            assert self.query(f"count_over_time({seen}) < on () group_left () sum_over_time(up{{%}}{window})") == {}


def _window(since: float) -> str:
    return f"[{int((time.monotonic() - since) * 1000)}ms] @ {time.time():.3f}"


def _row(who: Identity) -> str:
    told = dict(who)
    check = told.pop("check")
    return " ".join([check, *(f"{name}={value}" for name, value in sorted(told.items()))])


def table(text: str) -> dict[str, str]:
    """The rows of a table: what is looked at, two spaces or more, what is said of it."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.strip().splitlines() if line.strip()]
    told: dict[str, str] = dict(rows)
    assert len(told) == len(rows), "a row stands there twice"
    return told


class Exporters:
    """Starts them; each name is a job of one Prometheus, which is asked for first since it needs five seconds."""

    def __init__(self, lab: Lab, names: tuple[str, ...]) -> None:
        self._lab = lab
        self._at = {name: free() for name in names}
        jobs = "".join(_JOB.format(name=name, at=at) for name, at in self._at.items())
        self._monitor = prometheus(lab, _SCRAPED.format(every=f"{SCRAPES * 1000:.0f}ms") + jobs)

    def start(self, name: str, config: str, *arguments: str, env: Mapping[str, str] | None = None) -> Exporter:
        """Return at once: several start together, and `settled` waits."""
        file, at = self._lab.write(f"{name}.yaml", config), self._at[name]
        command = [sys.executable, "-m", "exporter", f"--config.file={file}", f"--web.listen-address={at}", *arguments]
        process = self._lab.start(name, command, lambda: True, env={"PYTHONPATH": str(ROOT)} | dict(env or {}))
        return Exporter(name, at, self._monitor, process)


@dataclass(frozen=True)
class FakeWallClock:
    """For one process: wall time is moved by what a file says, monotonic time goes on."""

    file: Path

    @property
    def env(self) -> dict[str, str]:
        need("faketime")
        library = subprocess.run(
            ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
        )
        return {
            "LD_PRELOAD": library.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # what releases before 0.9.7 call it
            # Its remedy for another C library makes threads of Python wait for each other a hundred times as long.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def step(self, seconds: int) -> None:
        """Set the clock to true time and so many seconds."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.file)  # whole, whenever it is read
