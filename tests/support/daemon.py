"""The real process: a test starts it with a configuration, asks it over HTTP, and stops it with a signal."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 20.0  # seconds a condition may take before the test fails
EXPORTER = ("-m", "exporter")
WITHOUT_UVLOOP = (  # on asyncio's own loop
    "-c",
    "import sys; sys.modules['uvloop'] = None; from exporter.__main__ import command; command()",
)
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


class Scrape(list[Sample]):
    def value(self, name: str, **labels: str) -> float | None:
        """The one series with at least these labels; None if there is none."""
        found = self.all(name, **labels)
        assert len(found) < 2, f"{name}{labels} is ambiguous"
        return found[0].value if found else None

    def all(self, name: str, **labels: str) -> list[Sample]:
        return [s for s in self if s.name == name and labels.items() <= s.labels.items()]

    def findings(self, **labels: str) -> set[str]:
        return {s.labels["finding"] for s in self.all("deliverability_finding", **labels)}


class Daemon:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.log: list[str] = []

    async def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path) as answer:
            return answer.status, await answer.text()

    async def scrape(self) -> Scrape:
        status, body = await self.get("/metrics")
        assert status == 200
        rows = Scrape()
        for line in body.splitlines():
            if match := _SAMPLE.match(line):
                name, labels, value = match.groups()
                rows.append(Sample(name, dict(_LABEL.findall(labels or "")), float(value)))
        return rows

    async def until(self, condition: Callable[[Scrape], object], what: str) -> Scrape:
        """Scrape until it holds; fail with the log when it does not in time."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            scrape = await self.scrape()
            if condition(scrape):
                return scrape
            assert asyncio.get_running_loop().time() < deadline, f"not in time: {what}\n" + "".join(self.log[-50:])
            await asyncio.sleep(0.05)

    async def settled(self) -> Scrape:
        """Once every check of every target has ended a first run."""
        return await self.until(
            lambda s: s and not s.all("deliverability_check_unknown_reason", reason="pending"), "runs"
        )

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(10):
            return await self.process.wait()


@asynccontextmanager
async def daemon(
    *arguments: str,
    env: dict[str, str] | None = None,
    files: int | None = None,
    through: Sequence[str] = (sys.executable, *EXPORTER),
) -> AsyncIterator[Daemon]:
    """Run `deliverability-exporter ARGUMENTS` on a port that it picks; its log is kept.

    `files` is how many it may open at most. `through` is what runs it.
    """
    process = await asyncio.create_subprocess_exec(
        *(("prlimit", f"--nofile={files}:{files}") if files else ()),
        *through,
        *arguments,
        "--web.listen-address=127.0.0.1:0",
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    started = Daemon(process, "")
    async with asyncio.timeout(PATIENCE):
        while not started.url:
            line = (await process.stderr.readline()).decode()
            assert line, "the process ended:\n" + "".join(started.log)
            started.log.append(line)
            if match := re.search(r"listens on (https?://\S+?)[\"\s]", line):
                started.url = match[1]

    async def keep_log() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            started.log.append(line.decode())

    reader = asyncio.create_task(keep_log())
    try:
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reader
