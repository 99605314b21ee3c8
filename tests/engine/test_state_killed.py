"""Processes that are killed or told to end at any moment, with a state file in any condition."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.check_state import CheckState
from tests.engine.test_state_damage import (
    CHECK,
    copied,
    errors,
    opened,
    target,
)
from tests.engine.test_state_damage import whole as whole  # noqa: PLC0414  (a fixture)
from tests.engine.test_state_disk import ROOT
from tests.engine.test_state_disk import config as config  # noqa: PLC0414  (a fixture)
from tests.support.daemon import PATIENCE, daemon
from tests.support.damage import shapes
from tests.support.torture import FULL, seed, size

FORKS = """
import asyncio, os, random, signal, sys, time
from pathlib import Path
from tests.engine.test_state_damage import KNOWN, opened, state_of

async def write(path, out):
    state = await opened(path)
    for at in range(1, 1_000_000):
        for number in range(1, 9):
            state.save(state_of(number, float(at)))
        state.save_blocklists({"at": float(at), "lists": {}})
        await state.written()
        os.write(out, b"%d\\n" % at)

for line in sys.stdin:
    path, seconds = line.split()
    into, out = os.pipe()
    child = os.fork()
    if not child:
        asyncio.run(write(Path(path), out))
    os.close(out)
    time.sleep(float(seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    told = os.fdopen(into).read().split("\\n")[:-1]
    print(told[-1] if told else 0, flush=True)
"""


@pytest.mark.torture
async def test_kill_9_at_any_moment_leaves_a_whole_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    """Each life begins with what the one before has left: the process is forked, so that a thousand take minutes."""
    chance, path, rounds = random.Random(seed()), tmp_path / "state", size(3, 1000)
    caplog.set_level(logging.WARNING)
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as forks:  # fmt: skip
        assert forks.stdin is not None
        assert forks.stdout is not None
        early = 0
        for _ in range(rounds):
            print(path, chance.uniform(0.0, 0.25), file=forks.stdin, flush=True)
            last = int(forks.stdout.readline())
            early += not last
            state = await opened(path)
            held = {number: state.recall(CheckState(CHECK, target(number))) for number in range(1, 9)}
            assert errors(caplog) == []
            assert all(it.last_run >= last for it in held.values())
            runs = {it.last_run for it in held.values()}
            assert len(runs) < 3, "the first is written at once, and the others together"
            await state.close()
        forks.stdin.close()
    record_property("kills", rounds)
    record_property("corrupt", 0)
    record_property("before the first write", early)


@pytest.mark.torture
@pytest.mark.long
async def test_the_real_process_starts_with_any_damage_and_ends_in_order_at_any_moment(
    whole: Path, config: Path, record_property: Callable[[str, object], None]
) -> None:
    chance, rounds, starts, ends = random.Random(seed()), size(1, 200), [], []
    drawn = [it for it in shapes(whole.stat().st_size, seed(), 10_000) if not it.spares_all][:rounds]
    for number, damage in enumerate(drawn):
        path = copied(whole, config.parent / str(number))
        damage.do(path)
        began = time.monotonic()
        async with daemon(f"--config.file={config}", f"--storage.path={path}") as running:
            assert (await running.get("/-/healthy"))[0] == 200
            starts.append(time.monotonic() - began)
            await asyncio.sleep(chance.uniform(0.0, 0.5))  # not for something to happen: the moment is what is tried
            began = time.monotonic()
            assert await running.stop() == 0, damage.name
            ends.append(time.monotonic() - began)
            told = [line for line in running.log if "level=error" in line]
            assert len(told) == len(list(path.parent.glob("state.damaged-*Z"))) < 2, (damage.name, told)
        shutil.rmtree(path.parent)
    record_property("starts after damage, and SIGTERM", rounds)
    record_property("slowest start", f"{max(starts):.2f} s")
    record_property("slowest end", f"{max(ends):.2f} s")
    assert max(starts) < (5 if FULL else PATIENCE)
    assert max(ends) < 5
