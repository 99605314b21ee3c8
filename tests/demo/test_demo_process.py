"""`deliverability-exporter demo` as a person starts it: verdicts within ten seconds, and an orderly end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

PREFIX = "/mail/health"
HOME = Path(__file__).parents[2]
VERDICTS_WITHIN = 10.0  # seconds from the start of the process, without those in which others had the cores
ENDED_WITHIN = 5.0


class Demo:
    """Constructed once it has told where to look."""

    def __init__(self, process: subprocess.Popen[str], since: float) -> None:
        self.process = process
        self.since = since
        self.told = ""
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            self.told += line
            if line.startswith("Ctrl-C"):
                break
        else:
            pytest.fail(process.stderr.read())
        self.url = re.findall(r"http://\S+(?=/\n)", self.told)[0]

    def took(self) -> float:
        """Seconds since the start, without those for which it could have gone on and other processes were let run."""
        schedule = Path(f"/proc/{self.process.pid}/schedstat")  # of Linux: ns at work, ns ready for it, turns
        ready = int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0
        return time.monotonic() - self.since - ready

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            assert response.status == 200
            text: str = response.read().decode()
            return text

    def crawl(self) -> int:
        """Follow every link of every page; return how many there are."""
        todo = {"/"}
        seen = set(todo)
        while todo:
            page = self.get(todo.pop())
            links = {unescape(link) for link in re.findall(r'(?:href|action)="([^"#][^"]*)"', page)}
            ours = {link.removeprefix(PREFIX) for link in links if not link.startswith("https://")}
            assert all(link.startswith(PREFIX + "/") for link in links if not link.startswith("https://")), links
            todo |= ours - seen
            seen |= ours
        return len(seen)


@pytest.fixture
def demo() -> Iterator[Demo]:
    flags = "--web.listen-address=127.0.0.1:0", f"--web.route-prefix={PREFIX}"
    command = [sys.executable, "-W", "error", "-m", "exporter", "demo", *flags]
    since = time.monotonic()
    with subprocess.Popen(
        command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Demo(process, since)
        finally:
            process.kill()


def test_the_demonstration_from_start_to_end(demo: Demo) -> None:
    assert "healthy" in demo.get("/-/healthy")
    assert "ready" in demo.get("/-/ready")
    # the mail hosts come after the first look at their domains, and what is met there is news for these
    late = 'mail_host="mx1.example.com"', 'finding="mta_sts.certificate"'
    while 'reason="pending"' in (metrics := demo.get("/metrics")) or not all(it in metrics for it in late):
        assert demo.took() < VERDICTS_WITHIN
        time.sleep(0.05)
    assert re.search(r'^deliverability_finding\{.*finding="helo.empty-label".* 1(\.0)?$', metrics, re.MULTILINE)
    assert re.search(r'^deliverability_check_ok\{check="resolver"\} 1(\.0)?$', metrics, re.MULTILINE)
    for path in re.findall(rf"{demo.url}(/\S*)", demo.told):
        assert demo.get(path)
    assert demo.crawl() > 500

    demo.process.send_signal(signal.SIGTERM)
    _, log = demo.process.communicate(timeout=ENDED_WITHIN)
    assert demo.process.returncode == 0
    assert not re.search(r"Traceback|Exception ignored|Warning|level=(error|warning)", log), log
