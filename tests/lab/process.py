"""Processes of a lab: started when their port answers, stopped by pid, their logs kept for whoever asks why."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

http = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever proxy the machine uses

_ADMIN_PATHS = "/usr/local/sbin:/usr/sbin:/sbin"
_BELOW_EPHEMERAL = range(20_000, 32_000)  # the kernel gives none of these to an outgoing connection in between
_LOG_TAIL = 4_000  # characters
_GRACE = 2.0  # seconds from SIGTERM to SIGKILL
_dice = random.SystemRandom()


class Endpoint(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def need(*commands: str) -> None:
    """Skip the test where a command is not installed; with CI=true fail, so that nothing goes unseen."""
    missing = [command for command in commands if _find(command) is None]
    if missing:
        unfit(f"not installed: {', '.join(missing)} (`make tools` as root installs it)")


def unfit(reason: str) -> None:
    """This machine cannot run the test, for that reason."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _find(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:{_ADMIN_PATHS}")


def free(host: str = "127.0.0.1") -> Endpoint:
    """A port that is free for both TCP and UDP, and given to nobody before: who asked first may not listen yet."""
    while True:
        endpoint = Endpoint(host, _dice.choice(_BELOW_EPHEMERAL))
        if not _claimed(endpoint.port):
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(endpoint)
        except OSError:
            continue
        return endpoint


def _claimed(port: int) -> bool:
    """Claim it until this process ends, unless this or another process that runs tests has done so.

    The claim is a name of an abstract Unix socket: the kernel gives it once in the network that the port belongs to,
    and takes it back however the process ends.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0deliverability-exporter lab {port}")
    except OSError:
        claim.close()
        return False
    claim.detach()  # it stays open
    return True


def until(condition: Callable[[], bool], what: str, within: float = 10.0, *, every: float = 0.01) -> None:
    """Ask again and again; raise AssertionError after so many seconds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(every)


def is_ready(endpoint: Endpoint) -> bool:
    """Does it say so at /-/ready, as Prometheus and Alertmanager do?"""
    try:
        with http.open(f"http://{endpoint}/-/ready", timeout=0.5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def accepts(endpoint: Endpoint) -> bool:
    """Does somebody listen on this TCP port?"""
    try:
        socket.create_connection(endpoint, 0.2).close()
    except OSError:
        return False
    return True


class Lab:
    """A directory, and the daemons that run in it until the lab is closed."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="lab-"))
        self.home.chmod(0o755)  # daemons that give up root must be able to pass
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def write(self, name: str, text: str) -> Path:
        """A file of the lab, readable by all."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def folder(self, name: str) -> Path:
        path = self.home / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        ready: Callable[[], bool],
        *,
        within: float = 10.0,
        env: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Return once `ready` says so; raise AssertionError with the log if that does not come to pass."""
        assert name not in self._running, f"{name} runs already"
        program, *rest = map(str, command)
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                [_find(program) or program, *rest],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env=os.environ | (env or {}),
                start_new_session=True,
            )
        self._running[name] = process
        try:
            until(lambda: process.poll() is not None or ready(), f"{name} is ready", within)
            assert process.poll() is None, f"{name} ended at once with status {process.returncode}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        return process

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal to one process that was started here."""
        self._running[name].send_signal(number)

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """Let one process fall dead; another of the name may be started."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """End one process, by force if it must be; return its exit status."""
        process = self._running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own, so this is only what it started
            return process.wait()

    def logs(self) -> str:
        """What the daemons wrote, the last of each."""
        shown = [(path.stem, path.read_text(errors="replace")[-_LOG_TAIL:]) for path in sorted(self.home.glob("*.log"))]
        return "\n".join(f"--- {name}\n{text}" for name, text in shown if text)

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def close(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()  # all at once, then wait for each
        for name in reversed(list(self._running)):
            self.stop(name)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
