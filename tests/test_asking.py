"""At a terminal nothing is installed on the machine unasked; without one, nobody is there to ask."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.process import need

pytestmark = pytest.mark.long

HOME = Path(__file__).parents[1]
ABSENT = "TOOLS=no-such-command:one-package", "SERVERS=no-such-server:another-package"
PRESENT = "TOOLS=sh:one-package", "SERVERS="
SHOWN = "install one-package", "another-package and unpack these in .venv/servers"
QUESTION = "Go on? [y/N]"
DONE = ("--no-install-recommends", "one-package"), ("download -qq", "another-package")
# What the scripts call and must not reach.
CALLED = ("apt-get", "apt-cache", "dpkg-deb", "mkdir")


class Machine:
    """Nothing can really be installed on it. `user` is who we are there."""

    def __init__(self, home: Path, user: int) -> None:
        self._calls = home / "calls"
        programs = home / "bin"
        programs.mkdir()
        does = dict.fromkeys(CALLED, 'echo "$0 $*" >> "$CALLS"') | {"id": f"echo {user}"}
        for name, command in does.items():
            (programs / name).write_text(f"#!/bin/sh\n{command}\n")
            (programs / name).chmod(0o755)
        # without what an outer make tells those below it
        self._env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        self._env |= {"PATH": f"{programs}:{self._env['PATH']}", "CALLS": str(self._calls)}

    def tools(self, *given: str, answer: str | None, ci: str = "") -> tuple[int, str]:
        """Status and output of `make tools`, at a terminal where this is typed. None: there is no terminal."""
        command, env = ["make", "-s", "tools", *given], self._env | {"CI": ci}
        if answer is None:
            done = subprocess.run(
                command, cwd=HOME, env=env, input="", capture_output=True, text=True, timeout=60, check=False
            )
            return done.returncode, done.stdout + done.stderr
        ours, theirs = pty.openpty()
        with subprocess.Popen(command, cwd=HOME, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            os.write(ours, answer.encode())
            told = b"".join(pieces(ours)).decode()
            os.close(ours)
            return process.wait(60), told

    @property
    def installed(self) -> bool:
        """Both packages; raise AssertionError if it is one of them."""
        calls = self._calls.read_text().splitlines() if self._calls.exists() else []
        had = [any(call.endswith(f"{verb} {it}") for call in calls) for verb, it in DONE]
        assert len(set(had)) == 1, calls
        return had[0]


def pieces(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal until nobody has it open any longer, which Linux tells as an error."""
    try:
        while piece := os.read(terminal, 4096):
            yield piece
    except OSError:
        return


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    need("make")
    return Machine(tmp_path, user=0)


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_a_yes_installs_all_that_was_shown(machine: Machine, answer: str) -> None:
    status, told = machine.tools(*ABSENT, answer=answer)
    assert status == 0, told
    assert told.count(QUESTION) == 1, "one answer is for all of it"
    assert all(what in told.partition(QUESTION)[0] for what in SHOWN), told
    assert machine.installed


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "the end"])
def test_anything_else_installs_nothing_and_is_an_error(machine: Machine, answer: str) -> None:
    status, told = machine.tools(*ABSENT, answer=answer)
    assert status != 0
    after = told.partition(QUESTION)[2]
    assert all(what in after for what in ("Nothing was installed", *SHOWN)), told
    assert not machine.installed


@pytest.mark.parametrize(("answer", "ci"), [("n\n", "true"), (None, ""), (None, "true")])
def test_nobody_is_asked_in_ci_or_without_a_terminal(machine: Machine, answer: str | None, ci: str) -> None:
    status, told = machine.tools(*ABSENT, answer=answer, ci=ci)
    assert status == 0, told
    assert QUESTION not in told
    assert machine.installed


def test_nobody_is_asked_where_nothing_is_missing(machine: Machine) -> None:
    assert machine.tools(*PRESENT, answer="n\n") == (0, "n\r\n"), "nothing but the echo of what was typed"
    assert not machine.installed


@pytest.mark.parametrize("ci", ["", "true"])
def test_who_is_not_root_is_told_and_not_asked(tmp_path: Path, ci: str) -> None:
    need("make")
    machine = Machine(tmp_path, user=1000)
    status, told = machine.tools(*ABSENT, answer="y\n", ci=ci)
    assert (status != 0) == (ci == "true")
    assert "missing: no-such-command (Debian package one-package)" in told
    assert QUESTION not in told
    assert not machine.installed
